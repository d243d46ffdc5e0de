import numpy as np
import pytest

from prep.recordings import pitch_range
from tests.helpers import prep_helpers

TOLERANCE = 0.015  # of the pitch: half a lag of the 32 in the period of 2 kHz


@pytest.mark.parametrize("rate", [16000, 44100, 192000])
@pytest.mark.parametrize("f0_hz", [55.0, 220.0, 880.0, 1760.0])
@pytest.mark.parametrize("secs", [0.3, 1.0])
def test_pitch_of_a_tone_with_harmonics(f0_hz, rate, secs):
    audio = sum(
        prep_helpers.tone(secs, f0_hz=k * f0_hz, rate=rate, level=0.2 / k)
        for k in (1, 2, 3)
    )
    assert pitch_range.median_hz(pitch_range.measure(audio, rate)) == pytest.approx(
        f0_hz, rel=TOLERANCE
    )


def test_noise_silence_and_next_to_nothing_have_no_pitch(rng):
    noise = rng.standard_normal(16000)
    for audio in (noise, np.zeros(16000), noise[:10], noise[:0]):
        pitch_hz = pitch_range.measure(audio, 16000)
        assert pitch_range.median_hz(pitch_hz) is None
        assert pitch_range.shares(pitch_hz) == pitch_range.Shares(below=0.0, above=0.0)


def test_blocks_make_no_difference():
    audio = np.concatenate(
        [prep_helpers.tone(2.0, f0_hz=440.0), prep_helpers.tone(2.0, f0_hz=3000.0)]
    )
    whole, parts = pitch_range.measure(audio, 16000), pitch_range.Watch(16000)
    for start in range(0, len(audio), 7001):
        parts.add(audio[start : start + 7001])
    np.testing.assert_array_equal(parts.audible_hz(), whole)
    assert 0.4 < pitch_range.shares(whole).above < 0.6
