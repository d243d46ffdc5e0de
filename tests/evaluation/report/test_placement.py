"""Replacing a report: killed at every point, beside strangers' files, twice at once."""

import json
import pathlib
import subprocess
import sys

import pytest

from evaluation.report import placement
from prep import errors

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
# Replaces a report and is killed, as by kill -9, before the n-th change of the disk.
KILLED = """
import os, pathlib, shutil, sys
from evaluation.report import placement
output, left = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def killing(change):
    def changed(*given, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return change(*given, **named)
    return changed
for owner, name in ((os, "mkdir"), (os, "rename"), (os, "unlink"), (os, "rmdir")):
    setattr(owner, name, killing(getattr(os, name)))
shutil._use_fd_functions = False
placement.replace(output / placement.UNFINISHED, output)
"""


def write_report(folder: pathlib.Path, content: str) -> None:
    """A report in miniature, each file of which tells whose it is."""
    (folder / "media" / "clip-001").mkdir(parents=True)
    (folder / "media" / "clip-001" / "curves.json").write_text(content)
    for name in ("scores.jsonl", "report.html", "report.md"):
        (folder / name).write_text(content)
    document = {"schema_version": 2, "verdict": {}, "content": content}
    (folder / "summary.json").write_text(json.dumps(document))


def contents(folder: pathlib.Path) -> set[str]:
    """What the five parts of a report hold: one word each, if it is whole."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(placement.FILES)
    words = {(folder / name).read_text() for name in placement.FILES[2:4]}
    words.add((folder / "scores.jsonl").read_text())
    words.add((folder / "media" / "clip-001" / "curves.json").read_text())
    return words | {json.loads((folder / "summary.json").read_text())["content"]}


def replace(output, content):
    with placement.claim(output, overwrite=True) as unfinished:
        write_report(unfinished, content)
        placement.replace(unfinished, output)


@pytest.mark.slow
def test_a_kill_at_any_point_loses_neither_report(tmp_path):
    n_points = 0
    while True:
        output = tmp_path / str(n_points)
        write_report(output, "old")
        write_report(output / placement.UNFINISHED, "new")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(output), str(n_points)],
            cwd=REPOSITORY,
            check=False,
        )
        placement.recover(output)
        # Nothing was touched before the first change; after it the new report is whole.
        assert contents(output) == ({"old"} if n_points == 0 else {"new"})
        if done.returncode == 0:
            break
        assert done.returncode == 9
        n_points += 1
    assert n_points > 12  # five renames each way, and what is deleted


def test_an_interrupt_between_the_renames_ends_with_the_new_report(
    tmp_path, monkeypatch
):
    write_report(tmp_path / "report", "old")
    move = placement._move_files
    interrupts = [KeyboardInterrupt()]

    def move_half(source, target):
        if interrupts and source.name == placement.UNFINISHED:
            raise interrupts.pop()
        move(source, target)

    monkeypatch.setattr(placement, "_move_files", move_half)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "report", "new")
    assert contents(tmp_path / "report") == {"new"}


def test_what_fails_before_leaves_the_old_report_and_nothing_else(tmp_path):
    write_report(tmp_path / "report", "old")
    for place, expected in (("report", {"old"}), ("fresh", None)):
        with pytest.raises(KeyboardInterrupt):
            with placement.claim(tmp_path / place, overwrite=True) as unfinished:
                (unfinished / "scores.jsonl").write_text("half")
                raise KeyboardInterrupt
        if expected is not None:
            assert contents(tmp_path / place) == expected
    assert not (tmp_path / "fresh").exists()


def test_leftovers_of_a_killed_program_are_cleared(tmp_path):
    (tmp_path / placement.UNFINISHED / "media").mkdir(parents=True)
    replace(tmp_path, "new")
    assert contents(tmp_path) == {"new"}


@pytest.mark.parametrize(
    "name", ["media", "report.md", "scores.jsonl", "summary.json", "media/clip-001"]
)
@pytest.mark.parametrize("beside_a_report", [False, True])
def test_what_no_report_wrote_is_not_replaced(tmp_path, name, beside_a_report):
    if beside_a_report:
        write_report(tmp_path, "old")
    mine = tmp_path / name
    if name.startswith("media"):
        mine.mkdir(parents=True, exist_ok=True)
        mine = mine / "holiday.flac"
    elif beside_a_report:
        mine = tmp_path / "summary.json"  # speaks for all four files
    mine.write_text("my own")
    with pytest.raises(errors.InputError, match="not written by ddsp_report"):
        replace(tmp_path, "new")
    assert mine.read_text() == "my own"


def test_a_folder_media_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere" / "clip-001").mkdir(parents=True)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "media").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.InputError, match="not written by ddsp_report"):
        replace(tmp_path / "report", "new")
    assert (tmp_path / "elsewhere" / "clip-001").is_dir()


def test_what_else_is_in_the_folder_stays(tmp_path):
    write_report(tmp_path, "old")
    (tmp_path / "media" / "clip-009").mkdir()
    (tmp_path / "mine.txt").write_text("keep")
    replace(tmp_path, "new")
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["clip-001"]


def test_a_report_is_not_replaced_unless_asked(tmp_path):
    write_report(tmp_path, "old")
    with pytest.raises(errors.InputError, match="--overwrite"):
        with placement.claim(tmp_path, overwrite=False):
            pass
    assert contents(tmp_path) == {"old"}


def test_two_reports_at_once_do_not_share_a_folder(tmp_path):
    with placement.claim(tmp_path / "report", overwrite=False):
        with pytest.raises(errors.InputError, match="another ddsp_report is writing"):
            with placement.claim(tmp_path / "report", overwrite=True):
                pass


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for place, match in (("file", "is a file"), ("file/below", "cannot be written")):
        with pytest.raises(errors.InputError, match=match):
            with placement.claim(tmp_path / place, overwrite=True):
                pass
