"""The command `ddsp_matrix`: exit codes, scorecards, and what it leaves to join."""

import json
import pathlib
import shlex
import subprocess
import sys

import pytest

from evaluation import run_matrix
from evaluation.matrix import runner
from prep import command_line
from tests.helpers import matrix_helpers as helpers
from tests.helpers import training_helpers

SHUFFLED = ("--experiments=shuffled", "--rungs=stage1,stage2")
REAL_RUN = subprocess.run


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Stand-ins for ddsp_run and ddsp_report; the words of the latter's commands."""
    helpers.stand_in(tmp_path, monkeypatch)
    commands = []

    def run(words, **kwargs):
        if "evaluation.run_report" not in words:
            return REAL_RUN(words, **kwargs)
        commands.append(words)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Runs the command with a small dataset, in a folder of its own."""
    data = training_helpers.write_dataset(tmp_path / "data")

    def call(*words):
        places = [f"--data_dir={data}", f"--output={tmp_path / 'matrix'}"]
        words = [*places, *words]
        monkeypatch.setattr(sys, "argv", ["ddsp_matrix", *words])
        return command_line.run_words(run_matrix.PROGRAM, words)

    return call


def results(tmp_path, preset="smoke"):
    path = tmp_path / "matrix" / preset / "matrix.json"
    return json.loads(path.read_text())


def own_gin(tmp_path, text):
    path = tmp_path / "own.gin"
    path.write_text(text)
    return path


# --- exit codes ---


def test_all_runs_done_is_0_and_they_are_judged(main, judged, tmp_path, capsys):
    assert main(*SHUFFLED) == 0
    assert "2 of 2 runs are done." in capsys.readouterr().out
    (words,) = judged
    assert [pathlib.Path(w).name for w in words if "/runs/" in w] == [
        "stage1",
        "stage2",
    ]
    found = results(tmp_path)
    assert found["reports"] == {
        "shuffled": str(tmp_path / "matrix/smoke/report-shuffled")
    }
    assert [row["compared"] for row in found["runs"]] == [True, True]


def test_a_failed_run_is_1_and_one_run_alone_is_not_judged(main, judged, tmp_path):
    overlay = own_gin(tmp_path, "a = 'broken'\n")
    assert main(*SHUFFLED, f"--rung_overlay=stage2:{overlay}") == 1
    assert judged == []
    found = results(tmp_path)
    assert [row["state"] for row in found["runs"]] == ["finished", runner.FAILED]
    assert "fewer than two" in found["reports"]["shuffled"]


def test_a_run_that_stopped_early_is_judged_as_others_are(main, judged, tmp_path):
    overlay = own_gin(tmp_path, "a = 'early stop'\n")
    assert main(*SHUFFLED, f"--rung_overlay=stage2:{overlay}") == 0
    assert len(judged) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--experiments=shufled"], "there are overfit, fixed, shuffled"),
        (["--rungs=stage9"], "stage9"),
        (["--scale=0"], "above 0"),
        (["--rung_overlay=stage5"], "RUNG:FILE"),
        (["--data_dir=nowhere"], "no dataset at nowhere"),
    ],
    ids=["experiment", "rung", "scale", "overlay", "dataset"],
)
def test_what_cannot_be_used_is_2(main, judged, tmp_path, capsys, words, said):
    assert main(*words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "matrix").exists()


def test_an_output_that_cannot_be_written_is_2(main, judged, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(*SHUFFLED, f"--output={tmp_path / 'file'}") == 2
    assert "say another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word", ["--preset=tiny", "--seeds=0", "--no_such_flag", "smoke"]
)
def test_flags_that_cannot_be_read_are_2(capsys, word):
    assert command_line.run_words(run_matrix.PROGRAM, [word]) == 2
    assert capsys.readouterr().err.startswith("ddsp_matrix: ")


def test_an_interruption_is_130_and_keeps_what_is_done(
    main, judged, tmp_path, monkeypatch, capsys
):
    real = runner.train

    def train(run, *, log, tick):
        if run.rung == "stage2":
            raise KeyboardInterrupt
        return real(run, log=log, tick=tick)

    monkeypatch.setattr(runner, "train", train)
    assert main(*SHUFFLED) == 130
    assert "Run the same command again" in capsys.readouterr().err
    assert [row["run"] for row in results(tmp_path)["runs"]] == ["stage1"]
    assert judged == []


# --- what is run ---


def test_a_dry_run_prints_the_commands_and_trains_nothing(
    main, judged, tmp_path, capsys
):
    assert main(*SHUFFLED, "--dry_run", "--data_dir=nowhere") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("ddsp_run --gin_file=gin/stage") for line in lines)
    assert judged == [] and not (tmp_path / "matrix").exists()


def test_commands_can_be_pasted_into_a_shell(main, judged, tmp_path, capsys):
    data = training_helpers.write_dataset(tmp_path / "my data")
    words = ("--experiments=shuffled", "--rungs=stage1", f"--data_dir={data}")
    assert main(*words, "--dry_run") == 0
    assert f"--data_dir={data}" in shlex.split(capsys.readouterr().out)
    assert main(*words) == 0
    (line,) = [
        line
        for line in (tmp_path / "matrix/smoke/matrix.md").read_text().splitlines()
        if line.startswith("`ddsp_matrix")
    ]
    assert f"--data_dir={data}" in shlex.split(line.strip("`"))


def test_an_experiment_of_too_many_clips_is_skipped(main, judged, tmp_path, capsys):
    """The dataset has six training clips."""
    words = ("--preset=minimum", "--experiments=fixed,fixed32,overfit")
    assert main(*words, "--rungs=stage1") == 0
    out = capsys.readouterr().out
    assert "fixed32 is skipped: it needs 32 training clips" in out
    assert "1 of 1 runs are done." in out
    found = results(tmp_path, "minimum")
    assert set(found["skipped"]) == {"fixed", "fixed32"}
    assert [row["experiment"] for row in found["runs"]] == ["overfit"]


@pytest.mark.long
def test_parts_of_an_experiment_are_judged_together(main, judged, tmp_path):
    """The first has the baseline, the last has one run and still a scorecard."""
    assert main("--experiments=overfit", "--rungs=stage1") == 0
    for rung in ("stage5", "stage2", "stage1"):
        assert main("--experiments=shuffled", f"--rungs={rung}") == 0
    assert main("--experiments=overfit", "--rungs=stage1") == 0
    assert len(judged) == 2
    runs = tmp_path / "matrix/smoke/runs/shuffled"
    assert f"--baseline={runs / 'stage5'}" in judged[-1]
    candidates = [word for word in judged[-1] if word.startswith("--candidate=")]
    assert candidates == [f"--candidate={runs / name}" for name in ("stage1", "stage2")]
    found = results(tmp_path)
    assert [(row["experiment"], row["run"]) for row in found["runs"]] == [
        ("overfit", "stage1"),
        ("shuffled", "stage1"),
        ("shuffled", "stage2"),
        ("shuffled", "stage5"),
    ]
    assert "shuffled" in found["reports"]
    assert [command[-1] for command in found["commands"]] == [
        "--rungs=stage5",
        "--rungs=stage2",
        "--rungs=stage1",
        "--rungs=stage1",
    ]  # one that is given again is listed once, where it was last


def test_runs_whose_gin_files_are_not_noted_are_told_of(main, judged, tmp_path, caplog):
    for _ in range(2):
        main(*SHUFFLED)
    assert "not noted" not in caplog.text
    for name in ("stage1", "stage2"):
        path = tmp_path / "matrix/smoke/runs/shuffled" / name / "run.json"
        record = json.loads(path.read_text())
        for start in record["starts"]:
            start.pop("gin_digest", None)
        path.write_text(json.dumps(record))
    assert main(*SHUFFLED) == 0
    assert caplog.text.count("it is not noted") == 1
    assert "2 runs" in caplog.text and "shuffled/stage1, shuffled/stage2" in caplog.text


def test_a_report_that_fails_is_said_and_is_1(
    main, judged, tmp_path, monkeypatch, capsys
):
    def run(words, **kwargs):
        if "evaluation.run_report" not in words:
            return REAL_RUN(words, **kwargs)
        return subprocess.CompletedProcess(words, 2)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(*SHUFFLED) == 1
    said = "ddsp_matrix: shuffled: no scorecard: ddsp_report ended with 2, see "
    assert said in capsys.readouterr().err
    assert "ddsp_report ended with 2" in results(tmp_path)["reports"]["shuffled"]
