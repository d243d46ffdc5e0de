"""matrix.json and matrix.md: what they show, and how later parts join earlier ones."""

import dataclasses
import json
import pathlib

import pytest

from evaluation.matrix import experiments as matrix_experiments
from evaluation.matrix import results
from evaluation.report import tables
from evaluation.scoring import training_log
from evaluation.summary import builder
from models.runs import record as run_record
from prep.dataset import info

# --- what is shown ---


def dataset(folder, plan_hash="one"):
    return info.DatasetInfo(
        data_dir=folder,
        sample_rate=16000,
        frame_rate=250,
        n_samples=64000,
        n_frames=1000,
        splits={},
        plan_hash=plan_hash,
    )


def planned(name="shuffled", *rungs):
    rungs = {rung: f"gin/{rung}.gin" for rung in rungs or ("stage1",)}
    return matrix_experiments.Experiment(name=name, title=name, rungs=rungs, n_steps=5)


def row(folder, run, *, experiment="shuffled", state="finished", **fields):
    """A row, and the run folder that it is about."""
    path = folder / "runs" / experiment / run
    path.mkdir(parents=True, exist_ok=True)
    start = {"pid": 1, "command": ["ddsp_run", f"--save_dir={path}", "--steps=5"]}
    run_record.write_run(path, {"outcome": state, "starts": [start]})
    rows = [{"step": 5, "held_out/spectral_distance": 4.5}]
    return {
        "experiment": experiment,
        "run": run,
        "rung": run.partition("-")[0],
        "seed": 0,
        "path": str(path),
        "command": ["--steps=5"],
        "state": state,
        "tracked": dataclasses.asdict(training_log.track(rows)),
        **fields,
    }


def write(folder, rows, *, experiments=None, reports=None, **more):
    return results.write(
        folder,
        rows=rows,
        **{
            "experiments": experiments or [planned()],
            "reports": reports or {},
            "dataset": dataset(folder),
            "command": ["ddsp_matrix", "--preset=smoke"],
            **more,
        },
    )


def page(folder):
    return (folder / results.TEXT_NAME).read_text()


def test_results_show_failures_and_missing_scorecards(tmp_path):
    failed = {"exit_code": 3, "outcome": "not begun", "said": ["it broke"]}
    late = {"exit_code": 0, "outcome": "time limit"}
    document = write(
        tmp_path,
        [
            row(tmp_path, "stage1"),
            row(tmp_path, "stage2", state="early stop"),
            row(tmp_path, "stage3", state="failed", **failed),
            row(tmp_path, "stage4", state="failed", **late),
        ],
        reports={"shuffled": "no scorecard: fewer than two runs are done"},
    )
    text = page(tmp_path)
    assert "**stage3 failed**: exit code 3" in text and "it broke" in text
    assert "**stage4 is not done**: it ended by 'time limit'" in text
    assert "| stage1 | finished | 5 | 4.500 |" in text
    assert "| stage2 | early stop | 5 | 4.500 |" in text
    assert "stage2 failed" not in text and "stage2 is not" not in text
    assert "fewer than two runs are done" in text
    assert document == json.loads((tmp_path / results.JSON_NAME).read_text())


def test_the_table_names_movement_and_diversity_for_what_they_are(tmp_path):
    tracked = {**row(tmp_path, "stage1")["tracked"], "movement": 0.11}
    old = {k: v for k, v in tracked.items() if k != "clip_diversity"}
    rows = [
        row(tmp_path, "stage1", tracked={**tracked, "clip_diversity": 0.22}),
        row(tmp_path, "stage2", tracked=old),
    ]
    write(tmp_path, rows)
    lines = page(tmp_path).splitlines()
    head = next(one for one in lines if one.startswith("| Run |")).split(" | ")
    at = head.index("Movement within clips")
    assert head[at + 1] == "Diversity across clips, bits"
    cells = [one.split(" | ") for one in lines if one.startswith("| stage")]
    assert [one[at] for one in cells] == ["0.110", "0.110"]
    assert [one[at + 1] for one in cells] == ["0.220", tables.DASH]


def test_a_skipped_experiment_says_why(tmp_path):
    write(tmp_path, [], skipped={"shuffled": "too few clips"})
    assert "Skipped: too few clips." in page(tmp_path)
    write(tmp_path, [])
    assert "Not run yet." in page(tmp_path) and "Skipped" not in page(tmp_path)


def scorecard(folder, metrics, name="a|b"):
    folder.mkdir()
    means = {"spectral_loss": 4.5, "loudness_distance": 2.0, "clip_diversity": None}
    means |= metrics
    document = {
        "verdict": {
            "headline": "H.",
            "caution": "C.",
            "systems": {name: {"state": "healthy"}},
        },
        "leaderboard": [{"system": name}],
        "systems": [
            {
                "name": name,
                "index": {"interval": {"mean": 0.5}},
                "metrics": {key: {"mean": mean} for key, mean in means.items()},
            }
        ],
        "gates": [],
        "schema_version": builder.SCHEMA_VERSION,
        "comparisons": [],
        "clips": [],
        "runs": {},
    }
    (folder / "summary.json").write_text(json.dumps(document))
    return str(folder)


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"clip_diversity": 0.25}, "0.250"),
        ({}, tables.DASH),
    ],
    ids=["controls", "none"],
)
def test_the_scorecard_s_diversity_is_shown(tmp_path, metrics, shown):
    report = scorecard(tmp_path / "report-shuffled", metrics)
    write(tmp_path, [row(tmp_path, "stage1")], reports={"shuffled": report})
    assert "| Diversity across clips, bits |" in page(tmp_path)
    assert f"| 4.500 | 2.000 | {shown} |" in page(tmp_path)


def test_a_damaged_scorecard_is_named_and_the_table_written(tmp_path):
    report = scorecard(tmp_path / "report-shuffled", {})
    (tmp_path / "report-shuffled" / "summary.json").write_bytes(b"{\xff")
    write(tmp_path, [row(tmp_path, "stage1")], reports={"shuffled": report})
    assert "summary.json cannot be read" in page(tmp_path)


def test_bars_in_names_end_no_cell(tmp_path):
    report = scorecard(tmp_path / "report-shuffled", {})
    tracked = {**row(tmp_path, "x")["tracked"], "alarms": ["p|q"]}
    rows = [row(tmp_path, "u|v", tracked=tracked)]
    write(tmp_path, rows, reports={"shuffled": report})
    assert r"| u\|v |" in page(tmp_path)
    assert r"| a\|b |" in page(tmp_path)
    assert r"| p\|q |" in page(tmp_path)


# --- results that join earlier ones ---


def test_later_parts_join_in_the_plan_s_order(tmp_path):
    write(
        tmp_path,
        [row(tmp_path, "stage5"), row(tmp_path, "stage2")],
        experiments=[planned("shuffled", "stage5", "stage2")],
        reports={"shuffled": "no scorecard"},
        command=["first"],
    )
    write(
        tmp_path,
        [row(tmp_path, "stage1", experiment="overfit")],
        experiments=[planned("overfit", "stage1"), planned("fixed32", "stage1")],
        skipped={"fixed32": "too few clips"},
        command=["second"],
    )
    document = write(
        tmp_path,
        [row(tmp_path, "stage1"), row(tmp_path, "stage2", secs=9.0)],
        experiments=[planned("shuffled", "stage1", "stage2")],
        command=["second"],
    )
    names = [(one["experiment"], one["run"]) for one in document["runs"]]
    assert names == [
        ("overfit", "stage1"),
        ("shuffled", "stage1"),
        ("shuffled", "stage2"),
        ("shuffled", "stage5"),
    ]
    assert document["runs"][2]["secs"] == 9.0
    assert [e["name"] for e in document["experiments"]] == [
        "overfit",
        "fixed32",
        "shuffled",
    ]
    assert set(document["experiments"][2]["rungs"]) == {"stage1", "stage2", "stage5"}
    assert document["reports"] == {"shuffled": "no scorecard"}
    assert document["skipped"] == {"fixed32": "too few clips"}
    assert document["commands"] == [["first"], ["second"]]
    assert "`first`" in page(tmp_path) and "`second`" in page(tmp_path)


def test_a_report_over_runs_that_are_made_anew_is_not_shown(tmp_path):
    write(tmp_path, [row(tmp_path, "stage1")], reports={"shuffled": "old"})
    document = write(tmp_path, [row(tmp_path, "stage1")], reports={"shuffled": None})
    assert document["reports"] == {}


def test_results_on_another_dataset_are_not_kept(tmp_path, caplog):
    write(tmp_path, [row(tmp_path, "stage1")])
    other = dataset(tmp_path, plan_hash="two")
    for _ in range(2):
        document = write(tmp_path, [row(tmp_path, "stage2")], dataset=other)
        assert [one["run"] for one in document["runs"]] == ["stage2"]
    assert caplog.text.count("is about the dataset one") == 1


def test_a_damaged_file_is_replaced(tmp_path, caplog):
    (tmp_path / results.JSON_NAME).write_text('{"runs": [')
    document = write(tmp_path, [row(tmp_path, "stage1")])
    assert len(document["runs"]) == 1 and "is not valid JSON" in caplog.text


@pytest.mark.parametrize("change", ["unfinished", "another command", "gone"])
def test_rows_that_the_folders_no_longer_hold_are_not_kept(tmp_path, caplog, change):
    before = row(tmp_path, "stage1")
    path = pathlib.Path(before["path"])
    write(tmp_path, [before])
    record = run_record.read_run(path)
    if change == "unfinished":
        run_record.write_run(path, {**record, "outcome": "interrupted"})
    elif change == "another command":
        start = {"pid": 2, "command": ["ddsp_run", "--steps=9"]}
        run_record.write_run(path, {**record, "starts": [start]})
    else:
        (path / "run.json").unlink()
    document = write(tmp_path, [])
    assert document["runs"] == [] and "1 runs are not as" in caplog.text


def test_a_folder_that_was_moved_keeps_its_rows_and_reports(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    report = scorecard(old / "report-shuffled", {})
    write(old, [row(old, "stage1")], reports={"shuffled": report})
    old.rename(new)
    document = write(new, [])
    assert document["runs"][0]["path"] == str(new / "runs" / "shuffled" / "stage1")
    assert document["reports"] == {"shuffled": str(new / "report-shuffled")}
