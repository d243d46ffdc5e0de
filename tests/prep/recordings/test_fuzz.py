"""Mutated recordings: each ends in a result or in one sentence."""

import numpy as np
import pytest
import soundfile

from prep.recordings import decode
from prep.recordings import ffmpeg
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from tests.helpers import zoo

N_MUTANTS = 40  # of each format
HEAD_BYTES = 200  # in which half of the changes are made
SHORT = zoo.tone(secs=0.25)
WITH_LIBSNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wav ADPCM": ("WAV", "IMA_ADPCM"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_24"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "FLOAT"),
    "w64": ("W64", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
}
WITH_FFMPEG = {
    "m4a": ("aac", "ipod"),
    "alac": ("alac", "ipod"),
    "webm": ("libopus", "webm"),
    "wma": ("wmav2", "asf"),
    "avi": ("pcm_s16le", "avi"),
    "adts": ("aac", "adts"),
    "wv": ("wavpack", "wv"),
    "ac3": ("ac3", "ac3"),
}


def make(kind, tmp_path):
    if kind in WITH_LIBSNDFILE:
        container, subtype = WITH_LIBSNDFILE[kind]
        return zoo.as_bytes(SHORT, container=container, subtype=subtype)
    codec, container = WITH_FFMPEG[kind]
    rate = 48000 if codec in ("libopus", "ac3") else zoo.RATE
    path = tmp_path / "whole"
    zoo.encode(path, SHORT, codec=codec, container=container, rate=rate)
    return path.read_bytes()


def mutate(data, rng):
    """Changes, removes, repeats or cuts off some bytes."""
    mutant = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        reach = HEAD_BYTES if rng.random() < 0.5 else len(mutant)
        place = int(rng.integers(max(1, min(reach, len(mutant)))))
        kind = rng.integers(5)
        if kind == 0:
            mutant[place : place + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            mutant[place : place + 4] = rng.choice(
                [b"\xff" * 4, b"\0" * 4, b"\x7f" * 4]
            )
        elif kind == 2:
            del mutant[place : place + int(rng.integers(1, 50))]
        elif kind == 3:
            mutant[place:place] = mutant[place : place + int(rng.integers(1, 500))]
        elif rng.random() < 0.3:
            del mutant[place:]
    return bytes(mutant)


def is_sentence(text):
    return bool(text) and "\n" not in text and "Traceback" not in text


# An exception in a callback of libsndfile's would be printed and lost.
@pytest.mark.filterwarnings("error")
@pytest.mark.slow
@pytest.mark.parametrize("kind", [*WITH_LIBSNDFILE, *WITH_FFMPEG])
def test_mutants_end_in_a_result_or_a_sentence(tmp_path, rng, kind):
    whole = make(kind, tmp_path)
    n_used = 0
    for _ in range(N_MUTANTS):
        path = zoo.write(tmp_path / "mutant", mutate(whole, rng))
        result = probe_lib.probe_recording(
            str(path), "mutant", min_loudness_db=-50.0, min_input_rate=1
        )
        if isinstance(result, recordings_lib.Rejection):
            assert is_sentence(result.reason)
            continue
        n_used += 1
        assert np.isfinite(result.envelope).all()
        assert all(is_sentence(note) for note in result.recording.notes)
        # What was probed is what the dataset is made of.
        n_samples = 0
        with decode.open_recording(path) as file:
            for block in file.blocks():
                n_samples += len(block)
        assert n_samples == result.recording.n_in
    assert n_used > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*WITH_LIBSNDFILE, *WITH_FFMPEG])
def test_mutants_do_not_upset_ffmpeg_alone(tmp_path, rng, kind):
    whole = make(kind, tmp_path)
    for _ in range(N_MUTANTS):
        path = zoo.write(tmp_path / "mutant", mutate(whole, rng))
        with open(path, "rb") as handle:
            try:
                stream = ffmpeg.Stream(handle)
            except ffmpeg.FfmpegError as error:
                assert is_sentence(str(error))
                continue
            for block in stream.blocks():
                assert block.shape[1] == stream.channels
            stream.close()


def test_libsndfile_reads_what_is_not_mutated(tmp_path):
    for kind, (container, _) in WITH_LIBSNDFILE.items():
        zoo.write(tmp_path / "whole", make(kind, tmp_path))
        assert soundfile.info(tmp_path / "whole").format == container
