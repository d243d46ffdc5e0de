import numpy as np
import pytest

from prep.recordings import rough_pitch
from tests.helpers import prep_helpers

TOLERANCE = 0.03  # of the pitch: lags are whole samples and only the order counts


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("f0_hz", [55.0, 220.0, 880.0, 1760.0])
def test_pitch_of_a_tone_with_harmonics(f0_hz, rate):
    audio = sum(
        prep_helpers.tone(0.5, f0_hz=k * f0_hz, rate=rate, level=0.2 / k)
        for k in (1, 2, 3)
    )
    found = rough_pitch.estimate_hz(audio, rate)
    # At 16 kHz a period of 1760 Hz has 9 samples, so a lag is 11 % of it.
    assert found == pytest.approx(f0_hz, rel=TOLERANCE + f0_hz / rate / 2)


def test_noise_silence_and_next_to_nothing_have_no_pitch(rng):
    noise = rng.standard_normal(16000).astype(np.float32)
    assert rough_pitch.estimate_hz(noise, 16000) is None
    assert rough_pitch.estimate_hz(np.zeros(16000, np.float32), 16000) is None
    assert rough_pitch.estimate_hz(noise[:10], 16000) is None


def test_only_the_first_seconds_of_a_stream_are_kept():
    opening = rough_pitch.Opening(16000)
    low = prep_helpers.tone(rough_pitch.ROUGH_SECS, f0_hz=200.0)
    high = prep_helpers.tone(4 * rough_pitch.ROUGH_SECS, f0_hz=1000.0)
    for block in (low[:5000], low[5000:], high):
        assert opening.keep(block) is block
    assert opening.estimate_hz() == pytest.approx(200.0, rel=TOLERANCE)
