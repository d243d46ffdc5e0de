import ddsp_compat  # noqa: F401  isort: skip

import json
import math
import pathlib
import sys

import numpy as np
import pytest

from evaluation import inference
from evaluation import matrix
from evaluation import matrix_plan
from evaluation import matrix_report
from evaluation import run_matrix
from evaluation import tracking
from models import dataset_info
from models import run_record

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# --- tracking ---


def log(losses, entropies=None, every=10):
    rows = []
    for place, loss in enumerate(losses):
        row = {"step": place * every, "losses/total_loss": loss, "time/step_ms": 100.0}
        if entropies is not None:
            row["controls/normalized_entropy"] = entropies[place]
        rows.append(row)
    return rows


def test_late_slope_leaves_the_early_drop_out():
    steps = np.arange(101) * 10.0
    # Falls by nine tenths at once, then by 20 % per 1000 steps.
    losses = np.where(steps < 50, 100 - 1.8 * steps, 10.0 * 0.8 ** (steps / 1000))
    found = tracking.track(log(losses))
    assert found.slope == pytest.approx(-20.0, abs=0.5)
    assert found.best_loss == pytest.approx(losses.min())
    assert found.best_step == 1000


def test_held_out_loss_is_what_counts():
    rows = log([5.0, 4.0, 3.0])
    rows[1]["held_out/spectral_loss"] = 7.0
    rows[2]["held_out/spectral_loss"] = 8.0
    rows[2]["alarms"] = ["static_distribution"]
    found = tracking.track(rows)
    assert (found.best_loss, found.best_step) == (7.0, 10)
    assert found.alarms == ("static_distribution",)


def test_the_step_that_was_kept_as_the_best_is_shown():
    """A healthy checkpoint is kept although a collapsed one had the lower loss."""
    rows = [
        {"step": 50, "held_out/spectral_loss": 7.0, "held_out/best_step": 50},
        {"step": 100, "held_out/spectral_loss": 7.2, "held_out/best_step": 100},
        {"step": 150, "held_out/spectral_loss": 7.4, "held_out/best_step": 100},
    ]
    found = tracking.track(rows)
    assert (found.best_loss, found.best_step) == (7.2, 100)


def test_entropy_trend_is_per_thousand_steps():
    found = tracking.track(log([3.0] * 11, np.linspace(0.9, 0.8, 11)))
    assert found.entropy_trend == pytest.approx(-1.0)
    assert (found.entropy_first, found.entropy_last) == (0.9, 0.8)


@pytest.mark.parametrize("rows", [[], log([3.0]), [{"step": 5}]])
def test_short_logs_give_nan(rows):
    found = tracking.track(rows)
    assert math.isnan(found.slope) and math.isnan(found.entropy_trend)


# --- the plan ---


def test_presets_hold_the_plan_s_experiments():
    minimum = {
        one.name: one
        for one in matrix_plan.plan("minimum", rungs=matrix_plan.RUNGS, scale=1)
    }
    assert list(minimum) == ["overfit", "fixed", "shuffled", "transformer"]
    assert 100 <= minimum["overfit"].n_steps <= 500
    assert "--dump_controls_every=20" in minimum["overfit"].flags
    assert any("max_examples=16" in flag for flag in minimum["fixed"].flags)
    assert any("render_every" in flag for flag in minimum["shuffled"].flags)
    assert list(minimum["transformer"].rungs) == list(matrix_plan.TRANSFORMER_RUNS)
    full = {
        one.name: one
        for one in matrix_plan.plan("full", rungs=matrix_plan.RUNGS, scale=1)
    }
    assert full["shuffled"].n_seeds == 3
    names = [name for _, _, name in matrix_plan.run_names(full["shuffled"])]
    assert "stage1-seed2" in names and len(names) == 3 * len(matrix_plan.RUNGS)


def test_more_seeds_keep_the_names_of_fewer():
    def names(n_seeds):
        planned = matrix_plan.plan(
            "minimum", rungs=["stage1"], scale=1, n_seeds=n_seeds
        )
        return [name for _, _, name in matrix_plan.run_names(planned[2])]

    assert names(1) == ["stage1"]
    assert names(3) == ["stage1", "stage1-seed1", "stage1-seed2"]


@pytest.mark.parametrize("preset", ["smoke", "minimum", "full"])
def test_every_gin_file_of_the_plan_exists(preset):
    files = {
        name
        for one in matrix_plan.plan(preset, rungs=matrix_plan.RUNGS, scale=1)
        for name in (*one.rungs.values(), *one.overlays)
    }
    assert files
    assert [name for name in sorted(files) if not (REPOSITORY / name).is_file()] == []


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"preset": "tiny", "rungs": ["stage1"], "scale": 1}, "smoke, minimum"),
        ({"preset": "smoke", "rungs": ["stage9"], "scale": 1}, "stage9"),
        ({"preset": "smoke", "rungs": ["stage1"], "scale": 0}, "above 0"),
        (
            {
                "preset": "smoke",
                "rungs": ["stage1"],
                "scale": 1,
                "rung_overlays": {"stage9": ("x.gin",)},
            },
            r"\['stage9'\]: there are stage0",
        ),
    ],
)
def test_impossible_plans_are_refused(kwargs, match):
    preset = kwargs.pop("preset")
    with pytest.raises(ValueError, match=match):
        matrix_plan.plan(preset, **kwargs)


def test_a_rung_s_own_overlay_comes_last_and_reaches_no_other():
    planned = matrix_plan.plan(
        "minimum",
        rungs=["stage1", "stage5"],
        scale=1,
        overlays=["all.gin"],
        rung_overlays={"stage5": ("gru.gin", "more.gin"), "b_mlp": ("b.gin",)},
    )
    for one in planned:
        for rung in one.rungs:
            words = matrix_plan.command(
                one, rung, seed=0, run_dir=pathlib.Path("r"), data_dir="d"
            )
            files = [w.split("=")[1] for w in words if w.startswith("--gin_file=")]
            own = {"stage5": ["gru.gin", "more.gin"], "b_mlp": ["b.gin"]}.get(rung, [])
            assert files == [one.rungs[rung], *one.overlays, *own]


def test_rung_overlays_are_read_from_words():
    found = run_matrix.read_rung_overlays(["stage5:a.gin", "stage1:b.gin", "stage5:c"])
    assert found == {"stage5": ("a.gin", "c"), "stage1": ("b.gin",)}


@pytest.mark.parametrize("word", ["stage5", "stage5:", ":a.gin", ""])
def test_words_that_name_no_rung_or_file_are_refused(word):
    with pytest.raises(inference.InputError, match="RUNG:FILE"):
        run_matrix.read_rung_overlays([word])


# --- running, with a stand-in for ddsp_run ---

TRAINER = """
import json, pathlib, signal, sys, time
args = dict(a[2:].split("=", 1) for a in sys.argv[1:] if "=" in a)
folder = pathlib.Path(args["save_dir"]); folder.mkdir(parents=True, exist_ok=True)
with open(folder / "starts.txt", "a") as f: f.write(" ".join(sys.argv[1:]) + "\\n")
if "broken" in args["gin_file"]:
    print("it broke"); sys.exit(3)
if "slow" in args["gin_file"]:
    def end(*_):
        (folder / "saved").touch(); sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    (folder / "metrics.jsonl").write_text('{"step": 2}\\n')
    time.sleep(60)
(folder / "run.json").write_text(json.dumps({"outcome": "finished"}))
(folder / "metrics.jsonl").write_text(
    json.dumps({"step": int(args["steps"]), "held_out/spectral_loss": 4.5}) + "\\n")
"""


@pytest.fixture
def fake_command(tmp_path, monkeypatch):
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    real = matrix_plan.command

    def command(*args, **kwargs):
        return [sys.executable, str(script), "-", *real(*args, **kwargs)[3:]]

    monkeypatch.setattr(matrix_plan, "command", command)


def experiment(n_steps=5, **rungs):
    rungs = rungs or {"good": "gin/good.gin"}
    return matrix_plan.Experiment(name="e", title="E", rungs=rungs, n_steps=n_steps)


def run_all(experiment, folder, tick=lambda run, n_steps: None):
    runs = matrix.list_runs([experiment], folder=folder, data_dir="data")
    return matrix.run_all(runs, tick=tick)


def starts(folder, name):
    return (folder / "e" / name / "starts.txt").read_text().splitlines()


def test_a_failed_run_does_not_stop_the_others(tmp_path, fake_command):
    rows = run_all(
        experiment(broken="gin/broken.gin", good="gin/good.gin"), tmp_path / "runs"
    )
    assert [row["state"] for row in rows] == [matrix.FAILED, matrix.FINISHED]
    assert rows[0]["exit_code"] == 3 and rows[0]["said"] == ["it broke"]
    assert rows[1]["tracked"]["best_loss"] == 4.5


def test_a_finished_run_is_not_repeated_unless_its_command_changed(
    tmp_path, fake_command
):
    folder = tmp_path / "runs"
    for n_steps in (5, 5, 8):
        rows = run_all(experiment(n_steps), folder)
    assert len(starts(folder, "good")) == 2
    assert "--resume=never" not in starts(folder, "good")[0]
    assert "--resume=never" in starts(folder, "good")[1]
    assert rows[0]["repeated"]


def test_an_unfinished_run_goes_on(tmp_path, fake_command):
    folder = tmp_path / "runs"
    run_all(experiment(), folder)
    run_record.write_run(folder / "e" / "good", {"outcome": "running"})
    run_all(experiment(), folder)
    assert len(starts(folder, "good")) == 2
    assert "--resume=never" not in starts(folder, "good")[1]


def test_every_step_is_told_once_and_a_finished_run_tells_none(tmp_path, fake_command):
    told = []

    def tick(run, n_steps):
        told.append((run.title, n_steps))

    planned = experiment(broken="gin/broken.gin", good="gin/good.gin")
    run_all(planned, tmp_path / "runs", tick)
    for name in ("e/broken", "e/good"):
        assert sum(n for title, n in told if title == name) == planned.n_steps
    told.clear()
    run_all(planned, tmp_path / "runs", tick)
    assert {title for title, n in told if n} == {"e/broken"}


def test_a_gru_s_step_weighs_more():
    costs = {
        rung: experiment(**{rung: "x.gin"}).cost(rung) for rung in ("stage1", "stage5")
    }
    assert costs["stage5"] > 5 * costs["stage1"] > 0


def test_an_interruption_ends_the_training_and_lets_it_save(tmp_path, fake_command):
    def interrupt(run, n_steps):
        if n_steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(experiment(slow="gin/slow.gin"), tmp_path / "runs", interrupt)
    assert (tmp_path / "runs" / "e" / "slow" / "saved").exists()
    (noted,) = matrix.list_runs(
        [experiment(slow="gin/slow.gin")], folder=tmp_path / "runs", data_dir="data"
    )
    assert noted.is_noted() and not noted.finished()


def test_results_show_failures_and_missing_scorecards(tmp_path, fake_command):
    planned = experiment(broken="gin/broken.gin", good="gin/good.gin")
    rows = run_all(planned, tmp_path / "runs")
    info = dataset_info.DatasetInfo(
        data_dir=tmp_path,
        sample_rate=16000,
        frame_rate=250,
        n_samples=64000,
        n_frames=1000,
        fields={"splits": {}},
    )
    matrix_report.write(
        tmp_path,
        experiments=[planned],
        rows=rows,
        reports={"e": "no scorecard: fewer than two runs finished"},
        dataset=info,
        command=["ddsp_matrix", "--preset=smoke"],
    )
    text = (tmp_path / matrix_report.TEXT_NAME).read_text()
    assert "**broken failed**: exit code 3" in text and "it broke" in text
    assert "| good | finished | 5 | 4.500 |" in text
    assert "fewer than two runs finished" in text
    document = json.loads((tmp_path / matrix_report.JSON_NAME).read_text())
    assert [run["state"] for run in document["runs"]] == ["failed", "finished"]
