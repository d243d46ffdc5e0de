"""Facts of runs, curves, settings and data, each under its own name."""

import math
import pathlib
import types

import pytest

from evaluation.collapse_index import index
from evaluation.metrics import catalogue
from evaluation.scoring import judged_runs
from evaluation.scoring import rendering
from evaluation.summary import paired
from evaluation.summary import run_facts
from models.measures import frame_masks
from models.runs import record

COST = rendering.Cost(
    n_parameters=7, render_secs=0.25, batch_size=3, peak_memory_mb=512.0
)
# The step times' median is 30, not their mean; the memory's largest is not its last.
ROWS = [
    {"step": 0, "losses/total_loss": 9.0, "time/step_ms": 90.0, "memory/peak_mb": 5.0},
    {"step": 10, "losses/total_loss": 4.0, "time/step_ms": 30.0, "memory/peak_mb": 8.0},
    {"step": 20, "time/step_ms": 20.0, "time/forward_backward_ms": 12.0},
    {"step": 30, "memory/peak_mb": 6.0, "held_out/spectral_distance": 2.5},
]
KNOWN = {
    "seed": 4,
    "versions": {"python": "3.11"},
    "commit": "c0ffee",
    "machine": "a machine",
    "gin_files": ["gin/stage2.gin"],
    "config_hash": "abcd",
}


def make_run(path, **info):
    """A restored run, as far as the summary reads it."""
    return types.SimpleNamespace(
        path=path,
        step=300,
        info=info,
        data_dir=pathlib.Path("data", "violin"),
        config_text="batch_size = 16\n",
    )


def curve_of(n_points):
    """The curve of so many rows, whose loss is twice the step."""
    rows = [{"step": i, "losses/total_loss": 2.0 * i} for i in range(n_points)]
    curve = run_facts.training_curves(rows)["losses/total_loss"]
    assert curve["values"] == [2.0 * step for step in curve["steps"]]
    return curve["steps"]


def test_a_run_is_described_field_by_field(tmp_path):
    page = tmp_path / "instrument.html"
    page.write_text("")
    run = make_run(tmp_path, dataset={"plan_hash": "1234"}, **KNOWN, more="unused")
    found = run_facts.describe_run(run, cost=COST, rows=ROWS)
    assert found == KNOWN | {
        "path": str(tmp_path),
        "instrument": str(page.resolve()),
        "step": 300,
        "data_dir": "data/violin",
        "plan_hash": "1234",
        "config": "batch_size = 16\n",
        "cost": {
            "n_parameters": 7,
            "render_secs": 0.25,
            "batch_size": 3,
            "peak_memory_mb": 512.0,
            "step_ms": 30.0,
            "forward_backward_ms": 12.0,
            "training_memory_mb": 8.0,
        },
        "training": {
            "losses/total_loss": {"steps": [0, 10], "values": [9.0, 4.0]},
            "held_out/spectral_distance": {"steps": [30], "values": [2.5]},
        },
    }


def test_what_a_run_does_not_know_is_none(tmp_path):
    found = run_facts.describe_run(make_run(tmp_path), cost=COST, rows=[])
    assert found["instrument"] is None and found["training"] == {}
    assert [found[key] for key in KNOWN] == [None] * len(KNOWN)
    assert found["plan_hash"] == "data/violin"  # where it lay tells data apart
    assert math.isnan(found["cost"]["step_ms"])
    assert math.isnan(found["cost"]["training_memory_mb"])


def test_curves_are_of_the_keys_that_a_report_plots():
    rows = [{"step": 5, "other/key": 0.0} | dict.fromkeys(run_facts.CURVE_KEYS, 1.0)]
    found = run_facts.training_curves(rows)
    assert list(found) == [
        "losses/total_loss",
        "held_out/spectral_distance",
        "controls/normalized_entropy",
        "controls/top1_share",
        "controls/gain_range_db",
        "controls/noise_share",
    ]
    assert all(one == {"steps": [5], "values": [1.0]} for one in found.values())


def test_a_value_that_is_missing_is_a_gap_and_a_row_without_it_is_none():
    key = "held_out/spectral_distance"
    rows = [{"step": 1, key: 3.0}, {"step": 2}, {"step": 3, key: None}]
    found = run_facts.training_curves(rows)[key]
    assert found == {"steps": [1, 3], "values": [3.0, None]}


@pytest.mark.parametrize(
    ("n_points", "steps"),
    [
        (1, [0]),
        (200, list(range(200))),  # as many as are plotted: all
        (201, [*range(0, 201, 2)]),  # 101; the last is one of every other
        (202, [*range(0, 202, 2), 201]),  # and here it is not, and is kept
        (400, [*range(0, 400, 2), 399]),
        (401, [*range(0, 401, 3), 400]),
    ],
)
def test_long_curves_are_thinned_and_keep_their_last_point(n_points, steps):
    assert curve_of(n_points) == steps


def test_settings_are_what_was_asked_for():
    masks = frame_masks.MaskSettings()
    options = judged_runs.JudgingOptions(
        checkpoint="last", seed=3, max_clips=12, crepe_capacity="full", masks=masks
    )
    assert run_facts.describe_settings(options, capacity="tiny") == {
        "checkpoint": "last",
        "seed": 3,
        "max_clips": 12,
        "crepe_capacity": "tiny",  # the one that was used
        "masks": vars(masks),
        "confidence": paired.CONFIDENCE,
        "n_resamples": paired.N_RESAMPLES,
        "headline": list(catalogue.HEADLINE),
        "index_threshold": index.THRESHOLD,
        "index_midpoints": index.MIDPOINTS,
        "versions": record.versions(),
    }


def test_a_dataset_is_described_field_by_field():
    info = types.SimpleNamespace(
        data_dir=pathlib.Path("data", "violin"),
        plan_hash="1234",
        sample_rate=16000,
        frame_rate=250,
        example_secs=4.0,
    )
    dataset = types.SimpleNamespace(info=info, n_examples=9)
    assert run_facts.describe_dataset(dataset, split="eval") == {
        "data_dir": "data/violin",
        "split": "eval",
        "plan_hash": "1234",
        "sample_rate": 16000,
        "frame_rate": 250,
        "example_secs": 4.0,
        "n_examples": 9,
    }
