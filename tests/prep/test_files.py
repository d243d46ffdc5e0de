"""Files that one process replaces or moves while another reads them."""

import pathlib

import pytest

from models.runs import metrics_log
from models.runs import record
from prep import files


def test_a_text_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "run.json"
    for text in ("first\n", "schön\n"):
        files.write_text(path, text)
        assert files.read_text(path) == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "run.json"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "new \ud800")
    assert files.read_text(path) == "old"


def test_files_that_are_moved_while_one_looks_are_not_there(tmp_path, monkeypatch):
    """`ddsp_run --resume=never` moves them while the matrix looks how far it is."""
    monkeypatch.setattr(pathlib.Path, "exists", lambda self: True)
    assert record.read_run(tmp_path) == {}
    assert metrics_log.read_metrics(tmp_path) == []
    assert files.read_text(tmp_path / "file" / "of no folder") is None
