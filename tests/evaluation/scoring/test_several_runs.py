"""Unsound runs: named ones end the evaluation, globbed ones are skipped."""

import pathlib
import types

import pytest

from evaluation import evaluate
from evaluation.scoring import judged_runs
from evaluation.scoring import rendering
from evaluation.scoring import training_log
from models.runs import loading
from prep import errors
from tests.helpers import training_helpers


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A dataset, and runs that open as their names say."""
    data = training_helpers.write_dataset(tmp_path / "data")

    def open_run(path, *, checkpoint):
        if path.name == "torn":
            raise errors.InputError("torn has no sound checkpoint")
        rate = 44100 if path.name == "fast" else None
        plan_hash = "2" if path.name == "elsewhere" else "1"
        facts = {"plan_hash": plan_hash, "sample_rate": rate}
        return types.SimpleNamespace(
            path=path, info={"dataset": facts}, data_dir=data, model=None
        )

    monkeypatch.setattr(rendering, "open_run", open_run)
    return data


def choose(*names, optional=()):
    dirs = {name: pathlib.Path("runs") / name for name in ("stage5", *names)}
    return judged_runs.RunChoice(
        dirs["stage5"],
        tuple(dirs.values()),
        frozenset(dirs[name] for name in optional),
    )


UNSOUND = {
    "torn": "no sound checkpoint",
    "fast": "sample_rate 44100",
    "elsewhere": "different datasets",
    "recording": "named as the recording is",
    "recording-seed1": "named as the recording is",
}


@pytest.mark.parametrize(("name", "reason"), UNSOUND.items(), ids=list(UNSOUND))
def test_an_unsound_run_is_skipped_only_where_a_glob_found_it(world, name, reason):
    found = judged_runs.OpenedRuns(
        choose("stage1", name, optional=[name]), options=judged_runs.JudgingOptions()
    )
    assert list(found.runs) == ["stage5", "stage1"]
    (skipped,) = found.skipped
    assert skipped["run"] == name and reason in skipped["reason"]
    with pytest.raises(errors.InputError, match=reason):
        judged_runs.OpenedRuns(
            choose("stage1", name), options=judged_runs.JudgingOptions()
        )


def test_an_unsound_baseline_is_refused(world):
    dirs = (pathlib.Path("runs/torn"), pathlib.Path("runs/stage1"))
    choice = judged_runs.RunChoice(dirs[0], dirs, frozenset({dirs[1]}))
    with pytest.raises(errors.InputError, match="no sound checkpoint"):
        judged_runs.OpenedRuns(choice, options=judged_runs.JudgingOptions())


def test_without_a_named_baseline_the_first_run_that_opens_is_one(world):
    dirs = tuple(pathlib.Path("runs") / name for name in ("torn", "stage1", "stage2"))
    found = judged_runs.OpenedRuns(
        judged_runs.RunChoice(dirs[0], dirs, frozenset(dirs)),
        options=judged_runs.JudgingOptions(),
    )
    assert found.baseline == "stage1" and list(found.runs) == ["stage1", "stage2"]
    assert [one["run"] for one in found.skipped] == ["torn"]
    with pytest.raises(errors.InputError, match="with which the others"):
        found.skip("stage1", errors.InputError("NaN"))


def test_a_glob_of_unsound_runs_is_refused_with_the_reasons(world):
    dirs = (pathlib.Path("runs/torn"),)
    choice = judged_runs.RunChoice(dirs[0], dirs, frozenset(dirs))
    with pytest.raises(errors.InputError, match=r"no run is left; .* torn: torn"):
        judged_runs.OpenedRuns(choice, options=judged_runs.JudgingOptions())


def test_a_baseline_alone_is_refused_with_the_reasons(world):
    names = ("torn", "elsewhere")
    with pytest.raises(errors.InputError, match=r"no run is left .* torn: .* else"):
        judged_runs.OpenedRuns(
            choose(*names, optional=names), options=judged_runs.JudgingOptions()
        )


def test_a_run_that_plays_no_numbers_is_skipped_too(world, monkeypatch):
    found = judged_runs.OpenedRuns(
        choose("stage1", "stage2", optional=["stage2"]),
        options=judged_runs.JudgingOptions(),
    )

    def render(run, dataset, indices, *, seed, batch_size):
        if run.path.name == "stage2":
            raise errors.InputError("it plays NaN")
        return [], None

    monkeypatch.setattr(rendering, "render_clips", render)
    monkeypatch.setattr(evaluate.dataset_clips, "read_clips", lambda *given: [])
    monkeypatch.setattr(evaluate, "_measure_references", lambda *given, **named: [])
    _, scored, _ = evaluate._score_runs(
        found,
        [0],
        trackers=evaluate.Trackers(None, None),
        options=judged_runs.JudgingOptions(),
    )
    assert list(scored) == list(found.runs) == ["stage5", "stage1"]
    assert found.skipped == [{"run": "stage2", "reason": "it plays NaN"}]


@pytest.mark.parametrize(
    "content",
    [b"\xff\xa0", b"Decoder.x = 1\n", b"import nowhere_at_all\n", b"a = (\n"],
    ids=["bytes", "unknown name", "missing module", "torn"],
)
def test_a_damaged_configuration_is_one_sentence(tmp_path, monkeypatch, content):
    run = tmp_path / "run"
    run.mkdir()
    (run / "operative_config-0.gin").write_bytes(content)
    monkeypatch.setattr(loading, "find_checkpoint", lambda *given: None)
    with pytest.raises(errors.InputError, match="run cannot be restored") as error:
        rendering.open_run(run, checkpoint="best")
    assert len(str(error.value).splitlines()) == 1


TORN_LINES = {
    "bytes": b'{"step": \xff}\n',
    "no object": b"[1, 2]\n",
    "no step": b'{"losses/total_loss": 1.0}\n',
    "step of another type": b'{"step": "one"}\n',
    "nested too deep": b'{"step": ' + b"[" * 100_000 + b"\n",
}
LOG_DAMAGES = {
    "another type": b'{"step": 1, "losses/total_loss": {"a": 1}}\n',
    "text": b'{"step": 1, "losses/total_loss": "low"}\n',
}


@pytest.mark.parametrize("line", TORN_LINES.values(), ids=list(TORN_LINES))
def test_lines_that_are_no_rows_are_left_out(tmp_path, line):
    good = b'{"step": 3, "losses/total_loss": 2.0}\n'
    (tmp_path / "metrics.jsonl").write_bytes(line + good)
    assert [row["step"] for row in training_log.read_rows(tmp_path)] == [3]


@pytest.mark.parametrize("content", LOG_DAMAGES.values(), ids=list(LOG_DAMAGES))
def test_a_damaged_log_is_found_before_any_clip_is_scored(world, tmp_path, content):
    dirs = [tmp_path / name for name in ("stage5", "stage1", "stage2")]
    for path in dirs:
        path.mkdir()
    (dirs[0] / "metrics.jsonl").write_text('{"step": 1, "losses/total_loss": 2.0}\n')
    (dirs[2] / "metrics.jsonl").write_bytes(content)
    named = judged_runs.RunChoice(dirs[0], tuple(dirs))
    with pytest.raises(errors.InputError, match=r"metrics\.jsonl") as error:
        judged_runs.OpenedRuns(named, options=judged_runs.JudgingOptions())
    assert len(str(error.value).splitlines()) == 1
    by_glob = judged_runs.RunChoice(dirs[0], tuple(dirs), frozenset(dirs[1:]))
    found = judged_runs.OpenedRuns(by_glob, options=judged_runs.JudgingOptions())
    assert list(found.runs) == ["stage5", "stage1"]
    assert "metrics.jsonl" in found.skipped[0]["reason"]
    assert found.logs["stage5"][0]["losses/total_loss"] == 2.0
