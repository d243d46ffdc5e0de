"""The loudness of streams, and what blocks and offsets do not change.

That windows are as loud as ddsp says is tested with the features.
"""

import warnings

import numpy as np
import pytest

from prep import features
from prep import loudness
from tests.helpers import prep_helpers

STEADY_DB = 0.05  # dB; a tone's windows at different phases


@pytest.mark.parametrize(
    ("sample_rate", "hop_size"),
    [(16000, 320), (22050, 441), (44100, 882), (11030, 221), (10, 1)],
)
def test_envelope_has_fifty_values_a_second(sample_rate, hop_size):
    assert loudness.envelope_hop(sample_rate) == hop_size


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100, 48000])
def test_envelope_is_the_loudness_at_16_khz_at_any_rate(sample_rate):
    """Windows of 256, 512, 512, 1024 and 2048 samples, on one scale."""
    tone = 0.3 * np.sin(2 * np.pi * 1000.0 * np.arange(sample_rate) / sample_rate)
    envelope = loudness.measure_envelope([tone.astype(np.float32)], sample_rate)
    assert len(envelope) == sample_rate // loudness.envelope_hop(sample_rate) + 1
    wanted = features.loudness_db(
        (0.3 * np.sin(2 * np.pi * np.arange(16000) / 16)).astype(np.float32)
    )
    # A window's bins are as many as its samples: twice as long, half as much each.
    np.testing.assert_allclose(envelope[5:-5], wanted[100], atol=STEADY_DB)


def test_envelope_value_stands_at_its_sample():
    click = np.zeros(16000, np.float32)
    click[30 * 320] = 1.0
    envelope = loudness.measure_envelope([click], 16000)
    assert np.argmax(envelope) == 30
    # The window of 512 samples reaches 256 to either side: no neighbour hears more.
    assert list(np.flatnonzero(envelope > -80.0)) == [30]


@pytest.mark.parametrize(
    ("sample_rate", "n_fft"),
    [(8000, 256), (16000, 512), (22050, 512), (22700, 1024), (48000, 2048)],
)
def test_envelope_is_of_windows_of_about_32_ms_centred_on_its_samples(
    sample_rate, n_fft, rng
):
    audio = rng.standard_normal(4 * n_fft).astype(np.float32)
    padded = np.pad(audio, n_fft // 2, mode="edge")
    expected = loudness.frame_loudness(
        padded,
        sample_rate=sample_rate,
        hop_size=loudness.envelope_hop(sample_rate),
        n_fft=n_fft,
        without_offset=True,
    )
    found = loudness.measure_envelope([audio], sample_rate)
    shift = 10 * np.log10(n_fft / 512)
    np.testing.assert_allclose(found, expected - shift, rtol=1e-6)


def test_samples_near_the_end_of_float32_raise_no_warning():
    audio = np.float32(3e38) * (-1.0) ** np.arange(2048, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"without_offset": True}):
            loudness.frame_loudness(
                audio, sample_rate=16000, hop_size=64, n_fft=512, **options
            )


@pytest.mark.parametrize("n_blocks", [2, 7, 200])
def test_blocks_of_any_length_give_the_same_envelope(n_blocks, rng):
    audio = prep_helpers.tone(1.0)
    cuts = np.sort(rng.integers(0, len(audio), n_blocks - 1))
    blocks = [np.zeros(0, np.float32), *np.split(audio, cuts), audio[:0]]
    np.testing.assert_array_equal(
        loudness.measure_envelope(blocks, 16000),
        loudness.measure_envelope([audio], 16000),
    )


def test_constant_offset_is_silent_to_the_ends():
    assert set(loudness.measure_envelope([np.full(4000, 0.5, np.float32)], 16000)) == {
        loudness.MIN_DB
    }
    tone = prep_helpers.tone(0.5)
    plain = loudness.measure_envelope([tone], 16000)
    offset = loudness.measure_envelope([tone + np.float32(0.25)], 16000)
    # Float32 of samples beside a large offset.
    np.testing.assert_allclose(offset, plain, atol=0.01)


def test_no_audio_has_no_envelope():
    assert len(loudness.measure_envelope([], 16000)) == 0
    assert len(loudness.measure_envelope([np.zeros(0, np.float32)], 16000)) == 0


def test_many_windows_are_those_of_few():
    """They are transformed 1024 at a time."""
    audio = prep_helpers.tone(0.3)
    whole = loudness.frame_loudness(audio, sample_rate=16000, hop_size=2, n_fft=512)
    assert len(whole) == 1 + (4800 - 512) // 2
    for first in (0, 1000, 1023, 1024, 2100):
        (alone,) = loudness.frame_loudness(
            audio[2 * first : 2 * first + 512],
            sample_rate=16000,
            hop_size=2,
            n_fft=512,
        )
        assert whole[first] == pytest.approx(alone, abs=1e-4)  # float32 of an FFT


def test_power_is_that_of_its_windows_down_to_the_floor():
    audio = np.concatenate([np.full(1024, 0.1), np.zeros(1024)]).astype(np.float32)
    with np.errstate(all="raise"):  # nor does silence
        found = loudness.frame_power(audio, hop_size=512)
    assert found.dtype == np.float32
    quiet = loudness.frame_power(np.full(1024, 2e-4, np.float32), hop_size=1)
    assert quiet == pytest.approx(20 * np.log10(2e-4), abs=1e-4)
    np.testing.assert_allclose(found, [-20.0, -20.0 - 3.0103, -80.0], atol=1e-4)
