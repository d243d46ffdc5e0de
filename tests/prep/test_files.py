"""Files that one process replaces or moves while another reads them."""

import concurrent.futures
import os
import pathlib
import socket
import subprocess

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


def test_two_writers_of_one_file_never_share_a_name_aside(tmp_path):
    """One fixed name lost writes: the second writer's rename found nothing there."""
    path = tmp_path / "run.json"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: files.write_text(path, f"{n}" * 1000), range(10, 99)))
    text = path.read_text()
    assert len(set(text[i : i + 2] for i in range(0, 2000, 2))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_content_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    happened = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (happened.append("flushed"), fsync(fd))[1]
    )
    monkeypatch.setattr(
        os, "replace", lambda a, b: (happened.append("renamed"), replace(a, b))[1]
    )
    files.write_text(tmp_path / "a", "text")
    assert happened == ["flushed", "renamed"]


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_error_before_anything_is_written_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "a.wav"):
        raise RuntimeError


def test_another_folder_is_written_in_if_renaming_can_cross(tmp_path):
    aside_folder = tmp_path / "aside"
    aside_folder.mkdir()
    for given, used in (
        (aside_folder, aside_folder),
        (pathlib.Path("/proc"), tmp_path),
    ):
        with files.replacing(tmp_path / "a.wav", given) as aside:
            assert aside.parent == used
            aside.write_text("whole")
        assert (tmp_path / "a.wav").read_text() == "whole"


def test_scratch_folder_is_private_and_may_be_gone_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    with files.scratch_folder("mine") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.rmdir()


def test_what_lives_or_may_not_be_asked_stays_and_the_rest_goes(tmp_path, monkeypatch):
    host = socket.gethostname()
    for pid in (101, 102, 103, 104):
        (tmp_path / f".a.{host}-{pid}-1.tmp").touch()

    def ask(pid: int, number: int) -> None:
        assert number == 0
        if pid != 101:
            raise PermissionError if pid == 103 else ProcessLookupError

    monkeypatch.setattr(os, "kill", ask)
    entries = sorted(os.scandir(tmp_path), key=lambda entry: entry.name)
    for order in (entries, entries[::-1]):  # any, as the disk gives them
        monkeypatch.setattr(os, "scandir", lambda folder, order=order: order)
        files.remove_abandoned(tmp_path)
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == [f".a.{host}-101-1.tmp", f".a.{host}-103-1.tmp"]
        for pid in (102, 104):
            (tmp_path / f".a.{host}-{pid}-1.tmp").touch()


def test_link_goes_and_what_it_points_to_stays(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / "precious").mkdir()
    link = tmp_path / f".a.{socket.gethostname()}-{killed.pid}-1.tmp"
    link.symlink_to(tmp_path / "precious")
    files.remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_what_a_killed_process_left_is_removed_and_nobody_elses(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    host = socket.gethostname()
    abandoned = tmp_path / f".a.json.{host}-{killed.pid}-1.tmp"
    kept = [
        tmp_path / f".a.json.{host}-{os.getpid()}-1.tmp",
        tmp_path / f".a.json.{host}x-{killed.pid}-1.tmp",
        tmp_path / ".mine.tmp",
    ]
    for path in (abandoned, *kept):
        path.touch()
    files.remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_scratch_folders_of_killed_processes_are_removed(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    host = socket.gethostname()
    for name in ("mine", "other"):
        (tmp_path / f".{name}.{host}-{killed.pid}-1.tmp" / "spool").mkdir(parents=True)
    with files.scratch_folder("mine", tmp_path) as folder:
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {folder.name, f".other.{host}-{killed.pid}-1.tmp"}
    assert not folder.exists()


def test_a_program_clears_the_folder_that_it_writes_to(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    (tmp_path / f".out.wav.{socket.gethostname()}-{killed.pid}-1.tmp").touch()
    files.write_text(tmp_path / "other.wav", "")
    assert [path.name for path in tmp_path.iterdir()] == ["other.wav"]
