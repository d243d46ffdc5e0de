import os

import numpy as np
import pytest
import soundfile

from prep.recordings import decode
from tests.helpers import prep_helpers

# Quantisation of each format relative to full scale; lossy ones are judged by level.
FORMATS = [
    ("a.wav", "PCM_U8", 1 / 128),
    ("a.wav", "PCM_16", 1 / 32768),
    ("a.wav", "PCM_24", 1e-6),
    ("a.wav", "PCM_32", 1e-6),
    ("a.wav", "FLOAT", 1e-6),
    ("a.wav", "DOUBLE", 1e-6),
    ("a.flac", "PCM_24", 1e-6),
    ("a.aiff", "PCM_16", 1 / 32768),
]


@pytest.mark.parametrize("name, subtype, tolerance", FORMATS)
def test_formats_come_back_as_float(tmp_path, name, subtype, tolerance):
    tone = prep_helpers.tone(0.5)
    soundfile.write(tmp_path / name, tone, 16000, subtype=subtype)
    loaded = decode.load_audio(tmp_path / name, 16000)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, tone, atol=1.01 * tolerance)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_lossy_formats_keep_length_and_level(tmp_path, name):
    tone = prep_helpers.tone(2.0, rate=44100)
    soundfile.write(tmp_path / name, tone, 44100)
    loaded = decode.load_audio(tmp_path / name, 44100)
    assert abs(len(loaded) - len(tone)) < 2000  # a codec's frame or so
    assert np.std(loaded) == pytest.approx(np.std(tone), rel=0.02)


@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_downmix_is_the_mean_of_all_channels(tmp_path, n_channels, rng):
    block = rng.uniform(-0.5, 0.5, (5000, n_channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", block, 16000, subtype="FLOAT")
    loaded = decode.load_audio(tmp_path / "a.wav", 16000)
    np.testing.assert_allclose(loaded, block.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("n_samples", [1 << 31, 5 << 29])
def test_length_that_was_never_written_may_be_beyond_32_bits(tmp_path, n_samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), 48000, subtype="PCM_16")
    os.truncate(path, path.stat().st_size + 2 * n_samples)  # takes no room on the disk
    with decode.open_recording(path) as file:
        assert (file.n_declared, file.codec) == (n_samples, "RF64 PCM_16")
        assert len(next(file.blocks())) == decode.BLOCK_FRAMES


def test_text_named_wav_is_no_audio(tmp_path):
    (tmp_path / "a.wav").write_text("not audio at all")
    with pytest.raises(decode.UnreadableError, match="not audio that libsndfile reads"):
        decode.load_audio(tmp_path / "a.wav", 16000)


def test_missing_file_is_named_as_such(tmp_path):
    with pytest.raises(decode.UnreadableError, match="No such file"):
        decode.load_audio(tmp_path / "a.wav", 16000)
