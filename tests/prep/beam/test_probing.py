"""Probing by an engine's workers gives what probing in this process gives."""

import numpy as np
import pytest

from prep.beam import probing
from prep.beam import runners
from prep.recordings import find
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from tests.helpers import prep_helpers

TOLD = {"min_loudness_db": -50.0, "min_input_rate": 16000, "normalize": "none"}


@pytest.fixture
def found(tmp_path):
    """More recordings than a group, one of them broken."""
    n_files = probing.GROUP_SIZE + 3
    prep_helpers.write_tones(tmp_path / "in", np.linspace(0.2, 0.4, n_files))
    (tmp_path / "in" / "tone2.wav").write_bytes(b"no audio")
    (tmp_path / "in" / "t\udce9n.wav").write_bytes(b"a name that is no UTF-8")
    return find.find_recordings([str(tmp_path / "in")])


@pytest.mark.long
def test_workers_find_what_this_process_finds(found, tmp_path):
    (tmp_path / "answers").mkdir()
    job = probing.ProbingJob(str(tmp_path / "answers"), **TOLD)
    answers = probing.probe_recordings(found, job, runners.make_options())
    wanted = probe_lib.probe_recordings(found, **TOLD)
    assert len(answers) == len(found.paths) == len(wanted)
    for answer, one in zip(answers, wanted, strict=True):
        if isinstance(one, recordings_lib.Rejection):
            assert answer == one
            continue
        np.testing.assert_array_equal(answer.envelope, one.envelope)
        assert answer.envelope.dtype == one.envelope.dtype
        assert answer.recording == one.recording
        np.testing.assert_array_equal(answer.pitch_hz, one.pitch_hz)
        assert answer.audio_id == one.audio_id
    assert sum(job.paths(len(found.paths)).values()) == len(found.paths)
    assert all(path.exists() for path in job.paths(len(found.paths)))


@pytest.mark.parametrize(
    "options, min_bytes, pays",
    [
        ({}, 0.0, False),
        ({"workers": 2}, 0.0, True),
        ({"workers": 2}, 1e9, False),
        ({"dask": "tcp://127.0.0.1:1"}, 0.0, True),
    ],
    ids=["one process", "many hours", "few hours", "cluster"],
)
def test_workers_probe_where_there_are_some_and_much_to_do(
    found, monkeypatch, options, min_bytes, pays
):
    monkeypatch.setattr(probing, "MIN_BYTES", min_bytes)
    assert probing.pays(found, runners.make_options(**options)) == pays
