import numpy as np
import pytest

from prep.recordings import resample
from tests.helpers import prep_helpers


@pytest.mark.parametrize("in_rate", [22050, 44100, 48000, 96000])
def test_resampling_neither_moves_nor_scales(in_rate):
    tone = prep_helpers.tone(1.0, rate=in_rate)
    resampled = resample.resample_audio(tone, in_rate, out_rate=16000)
    wanted = prep_helpers.tone(1.0, rate=16000)
    assert len(resampled) == len(wanted)
    inside = slice(500, -500)  # the filter rings at the ends
    np.testing.assert_allclose(resampled[inside], wanted[inside], atol=1e-4)


def test_resampling_in_blocks_equals_resampling_at_once(rng):
    noise = rng.standard_normal(100_000).astype(np.float32)
    resampler = resample.Resampler(44100, 16000)
    parts = [resampler.push(noise[i : i + 7001]) for i in range(0, len(noise), 7001)]
    in_blocks = np.concatenate([*parts, resampler.finish()])
    at_once = resample.resample_audio(noise, 44100, out_rate=16000)
    np.testing.assert_allclose(in_blocks, at_once, atol=2e-6)


def test_what_lies_above_the_new_nyquist_is_gone():
    high = prep_helpers.tone(1.0, f0_hz=12000.0, rate=48000)
    resampled = resample.resample_audio(high, 48000, out_rate=16000)
    assert np.abs(resampled[500:-500]).max() < 1e-4
