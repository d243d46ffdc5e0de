"""Files that one process replaces or moves while another reads them."""

import ddsp_compat  # noqa: F401  isort: skip

import pathlib

import pytest

from models import metrics_log
from models import run_record
from models import whole_files


def test_a_text_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "run.json"
    for text in ("first\n", "schön\n"):
        whole_files.write_text(path, text)
        assert whole_files.read_text(path) == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "run.json"
    whole_files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        whole_files.write_text(path, "new \ud800")
    assert whole_files.read_text(path) == "old"


def test_files_that_are_moved_while_one_looks_are_not_there(tmp_path, monkeypatch):
    """`ddsp_run --resume=never` moves them while the matrix looks how far it is."""
    monkeypatch.setattr(pathlib.Path, "exists", lambda self: True)
    assert run_record.read_run(tmp_path) == {}
    assert metrics_log.read_metrics(tmp_path) == []
    assert whole_files.read_text(tmp_path / "file" / "of no folder") is None
