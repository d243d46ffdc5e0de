"""Which runs of the matrix are trained, which go on and which count as done."""

import json
import subprocess
import threading

import pytest

from evaluation.matrix import note as matrix_note
from evaluation.matrix import runner
from models.config import gin_contents
from models.runs import layout
from models.runs import record as run_record
from tests.helpers import matrix_helpers as helpers


@pytest.fixture(autouse=True)
def _stand_in(tmp_path, monkeypatch):
    helpers.stand_in(tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


# --- done, failed, going on ---


def test_a_failed_run_does_not_stop_the_others(folder):
    planned = helpers.experiment(broken="gin/broken.gin", good="gin/good.gin")
    rows = helpers.run_all(planned, folder)
    assert [row["state"] for row in rows] == [runner.FAILED, "finished"]
    assert rows[0]["exit_code"] == 3 and rows[0]["said"] == ["it broke"]
    assert rows[1]["tracked"]["best_loss"] == 4.5
    assert "--steps=5" in rows[1]["command"]


def test_a_finished_run_is_not_repeated_unless_its_command_changed(folder):
    for n_steps in (5, 5, 8):
        rows = helpers.run_all(helpers.experiment(n_steps), folder)
    assert len(helpers.starts(folder)) == 2
    assert "--resume=never" not in helpers.starts(folder)[0]
    assert "--resume=never" in helpers.starts(folder)[1]
    assert rows[0]["repeated"]


@pytest.mark.parametrize("outcome", ["early stop", "loss reached"])
def test_a_run_that_stopped_by_its_own_rule_is_done(folder, outcome):
    planned = helpers.experiment(good=f"gin/{outcome}.gin")
    for _ in range(2):
        (row,) = helpers.run_all(planned, folder)
        assert row["state"] == outcome
    assert len(helpers.starts(folder)) == 1


def test_a_run_that_ran_out_of_time_is_not_done_and_goes_on(folder):
    planned = helpers.experiment(good="gin/time limit.gin")
    for _ in range(2):
        (row,) = helpers.run_all(planned, folder)
        assert (row["state"], row["outcome"]) == (runner.FAILED, "time limit")
    assert len(helpers.starts(folder)) == 2
    assert "--resume=never" not in helpers.starts(folder)[1]


def test_an_unfinished_run_goes_on(folder):
    helpers.run_all(helpers.experiment(), folder)
    set_outcome(folder, "running")
    helpers.run_all(helpers.experiment(), folder)
    assert len(helpers.starts(folder)) == 2
    assert "--resume=never" not in helpers.starts(folder)[1]


def set_outcome(folder, outcome):
    record = run_record.read_run(folder / "e" / "good")
    run_record.write_run(folder / "e" / "good", {**record, "outcome": outcome})


def test_every_step_is_told_once_and_a_finished_run_tells_none(folder):
    told = []

    def tick(run, n_steps):
        told.append((run.title, n_steps))

    planned = helpers.experiment(broken="gin/broken.gin", good="gin/good.gin")
    helpers.run_all(planned, folder, tick)
    for name in ("e/broken", "e/good"):
        assert sum(n for title, n in told if title == name) == planned.n_steps
    told.clear()
    helpers.run_all(planned, folder, tick)
    assert {title for title, n in told if n} == {"e/broken"}


def test_an_interruption_ends_the_training_and_lets_it_save(folder):
    def interrupt(run, n_steps):
        if n_steps:
            raise KeyboardInterrupt

    planned = helpers.experiment(slow="gin/slow.gin")
    with pytest.raises(KeyboardInterrupt):
        helpers.run_all(planned, folder, interrupt)
    assert (folder / "e" / "slow" / "saved").exists()
    (run,) = helpers.runs(planned, folder)
    assert not matrix_note.standing(run.basis, run.run_dir).is_other
    assert not run.finished()


# --- one command's result is never another's ---


def test_a_command_that_failed_before_it_began_does_not_take_over_the_earlier_run(
    folder,
):
    good, other = helpers.experiment(5), helpers.experiment(8, good="gin/broken.gin")
    helpers.run_all(good, folder)
    for _ in range(2):  # the second time the note is the failed command's own
        (row,) = helpers.run_all(other, folder)
        assert (row["state"], row["outcome"]) == (runner.FAILED, "not begun")
        assert row["tracked"]["last_step"] == 0
    assert all("--resume=never" in start for start in helpers.starts(folder)[1:])
    (row,) = helpers.run_all(good, folder)
    assert (row["state"], row["repeated"]) == ("finished", False)


def test_an_unfinished_run_of_an_earlier_command_does_not_go_on(folder):
    """Nor are the steps of an earlier command counted for a later one."""
    helpers.run_all(helpers.experiment(5), folder)
    set_outcome(folder, "interrupted")
    (earlier,) = helpers.runs(helpers.experiment(5), folder)
    (run,) = helpers.runs(helpers.experiment(8), folder)
    assert runner.last_step(earlier) == 5
    assert runner.last_step(run) == 0
    (row,) = helpers.run_all(helpers.experiment(8), folder)
    assert row["state"] == "finished"
    assert "--resume=never" in helpers.starts(folder)[1]


def forget_digests(folder):
    """Makes run.json one of before `ddsp_run` wrote a digest there; adds its note."""
    path = folder / "e" / "good"
    record = run_record.read_run(path)
    for start in record["starts"]:
        del start["gin_digest"]
    run_record.write_run(path, record)
    note = {"command": ["--steps=5"], "contents": "of import lines too", "secs": 7.0}
    (path / matrix_note.NOTE_NAME).write_text(json.dumps(note))


def test_a_run_of_before_the_digest_counts_as_what_its_command_says(folder):
    helpers.run_all(helpers.experiment(), folder)
    forget_digests(folder)
    (row,) = helpers.run_all(helpers.experiment(), folder)
    assert (row["repeated"], row["compared"], row["secs"]) == (False, False, 7.0)


def test_what_a_run_was_begun_with_stays_unknown_when_it_goes_on(folder, tmp_path):
    overlay = tmp_path / "own.gin"
    overlay.write_text("a = 1\n")
    planned = helpers.experiment(good=overlay)
    helpers.run_all(planned, folder)
    set_outcome(folder, "interrupted")
    forget_digests(folder)
    for repeated in (True, False):
        (row,) = helpers.run_all(planned, folder)
        assert (row["repeated"], row["compared"]) == (repeated, False)


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"starts": 3}', "[" * 5000, '"\udcff"']
)
def test_a_damaged_run_json_is_a_run_that_nobody_knows(folder, content):
    helpers.run_all(helpers.experiment(), folder)
    path = folder / "e" / "good" / "run.json"
    path.write_text(content, errors="surrogateescape")
    (run,) = helpers.runs(helpers.experiment(), folder)
    assert not run.finished()
    assert runner.last_step(run) == 0


def test_a_run_that_no_command_is_known_of_is_moved_aside(folder):
    (run,) = helpers.runs(helpers.experiment(), folder)
    run.run_dir.mkdir(parents=True)
    run_record.write_run(run.run_dir, {"outcome": "finished", "starts": []})
    (row,) = helpers.run_all(helpers.experiment(), folder)
    assert row["repeated"] and "--resume=never" in helpers.starts(folder)[0]


def test_a_run_that_a_person_went_on_with_otherwise_is_another(folder):
    helpers.run_all(helpers.experiment(), folder)
    path = folder / "e" / "good"
    record = run_record.read_run(path)
    by_hand = {"pid": 1, "command": ["ddsp_run", "--steps=9"]}
    record["starts"].append(by_hand)
    run_record.write_run(path, record)
    (run,) = helpers.runs(helpers.experiment(), folder)
    found = matrix_note.standing(run.basis, path)
    assert found is matrix_note.Standing.OTHER_WORDS


# --- contents ---


@pytest.mark.parametrize("edited", ["own.gin", "included.gin"])
@pytest.mark.parametrize("outcome", ["finished", "interrupted"])
@pytest.mark.long
def test_an_edited_gin_file_makes_another_run(folder, tmp_path, edited, outcome):
    (tmp_path / "included.gin").write_text("a = 1\n")
    (tmp_path / "own.gin").write_text(f"include '{tmp_path / 'included.gin'}'\nb = 1\n")
    planned = helpers.experiment(good=tmp_path / "own.gin")
    helpers.run_all(planned, folder)
    set_outcome(folder, outcome)
    with (tmp_path / edited).open("a") as file:
        file.write("b = 2\n")
    (row,) = helpers.run_all(planned, folder)
    assert row["state"] == "finished" and row["repeated"]
    assert "--resume=never" in helpers.starts(folder)[1]
    helpers.run_all(planned, folder)
    assert len(helpers.starts(folder)) == 2


def test_an_edit_that_fails_to_begin_does_not_take_over_the_earlier_run(
    folder, tmp_path
):
    """The words are the same: only the note tells the two runs apart."""
    (tmp_path / "own.gin").write_text("a = 1\n")
    planned = helpers.experiment(good=tmp_path / "own.gin")
    helpers.run_all(planned, folder)
    (tmp_path / "own.gin").write_text("a = 'broken'\n")
    for _ in range(2):
        (row,) = helpers.run_all(planned, folder)
        assert row["state"] == runner.FAILED
    (tmp_path / "own.gin").write_text("a = 1\n")
    (row,) = helpers.run_all(planned, folder)
    assert (row["state"], row["repeated"]) == ("finished", False)


def test_a_dataset_that_was_prepared_anew_makes_another_run(
    folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the stand-in reads data/ as ddsp_run does
    (tmp_path / "data").mkdir()
    for plan_hash, n_starts in (("one", 1), ("one", 1), ("two", 2)):
        info = json.dumps({"plan_hash": plan_hash})
        (tmp_path / "data" / "dataset_info.json").write_text(info)
        (row,) = helpers.run_all(helpers.experiment(), folder, plan_hash=plan_hash)
        assert row["compared"] and len(helpers.starts(folder)) == n_starts
    assert "--resume=never" in helpers.starts(folder)[1]


@pytest.mark.parametrize(("plan_hash", "n_starts"), [("one", 1), ("", 2)])
def test_a_dataset_in_another_place_is_told_by_its_hash(
    folder, tmp_path, plan_hash, n_starts
):
    info = json.dumps({"plan_hash": plan_hash})
    for name in ("here", "there"):
        data_dir = tmp_path / name
        data_dir.mkdir()
        (data_dir / "dataset_info.json").write_text(info)
        helpers.run_all(
            helpers.experiment(), folder, data_dir=str(data_dir), plan_hash=plan_hash
        )
    assert len(helpers.starts(folder)) == n_starts


def test_comments_and_imports_do_not_change_what_a_gin_file_says(tmp_path):
    path = tmp_path / "own.gin"
    path.write_text("import models.heads\na = 1\nb = 2\n")
    before = gin_contents.digest([str(path)])
    path.write_text(
        "# Said better.\nimport models.registry\nfrom models import heads\n\n"
        "a = 1\n  # so\nb = 2\n"
    )
    assert gin_contents.digest([str(path)]) == before
    path.write_text("b = 2\na = 1\n")
    assert gin_contents.digest([str(path)]) != before


def test_shipped_files_are_found_from_any_folder_with_all_they_include(
    tmp_path, monkeypatch
):
    here = gin_contents.digest(["gin/stage5.gin"])
    monkeypatch.chdir(tmp_path)
    assert gin_contents.digest(["gin/stage5.gin"]) == here
    # A file of the same name in the current folder comes first, as for ddsp_run.
    (tmp_path / "gin").mkdir()
    (tmp_path / "gin" / "base.gin").write_text("batch_size = 3\n")
    assert gin_contents.digest(["gin/stage5.gin"]) != here


def test_files_in_folders_of_ones_own_count_with_what_they_include(tmp_path):
    (tmp_path / "mine.gin").write_text("include 'part.gin'\n")
    part = tmp_path / "part.gin"
    part.write_text("import my_model\nbatch_size = 2\n")
    found = gin_contents.texts(["mine.gin"], [str(tmp_path)])
    assert [file.path for file in found.values()] == [tmp_path / "mine.gin", part]
    before = gin_contents.digest(["mine.gin"], [str(tmp_path)])
    part.write_text("batch_size = 3\n")
    assert gin_contents.digest(["mine.gin"], [str(tmp_path)]) != before


def test_missing_and_circular_files_have_a_digest_too(tmp_path):
    missing = gin_contents.digest([str(tmp_path / "a.gin")])
    (tmp_path / "a.gin").touch()
    assert gin_contents.digest([str(tmp_path / "a.gin")]) != missing
    (tmp_path / "a.gin").write_text(f'include "{tmp_path / "a.gin"}"\n')
    assert gin_contents.digest([str(tmp_path / "a.gin")]) != missing


def test_a_run_that_another_matrix_trains_is_waited_for(folder):
    """Two matrices at once: one trains, the other finds the run done."""
    planned = helpers.experiment()
    (run,) = helpers.runs(planned, folder)
    rows = []
    with runner.own_log(run.log_path):
        second = threading.Thread(
            target=lambda: rows.extend(helpers.run_all(planned, folder))
        )
        second.start()
        second.join(0.5)
        assert second.is_alive() and not rows  # it waits
        # What the first does meanwhile, under its lock.
        first = subprocess.run(run.command, check=True, capture_output=True)
        assert first.returncode == 0
    second.join()
    assert [row["repeated"] for row in rows] == [False]
    assert len(helpers.starts(folder)) == 1


def test_a_run_whose_time_was_not_noted_took_as_long_as_it_says(tmp_path):
    assert matrix_note.read_secs(tmp_path) == 0.0
    said = {"start": "2026-01-02T03:04:05+00:00", "end": "2026-01-02T03:05:35+00:00"}
    (tmp_path / layout.RUN_NAME).write_text(json.dumps(said))
    assert matrix_note.read_secs(tmp_path) == 90.0
    matrix_note.write_secs(tmp_path, 200.5)
    assert matrix_note.read_secs(tmp_path) == 200.5
