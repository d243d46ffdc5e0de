"""What summary.json says of runs, of their training, of data and settings."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.collapse_index import index
from evaluation.metrics import catalogue
from evaluation.scoring import judged_runs
from evaluation.scoring import rendering
from evaluation.scoring import training_log
from evaluation.summary import paired
from models.data import provider
from models.measures import frame_masks
from models.runs import layout
from models.runs import loading as runs_lib
from models.runs import record
from prep import checked_json

CURVE_KEYS = {
    "losses/total_loss": "Training loss",
    "held_out/spectral_distance": "Spectral loss on the held-out batch",
    "controls/normalized_entropy": "Harmonic entropy, held-out batch",
    "controls/top1_share": "Top-1 share, held-out batch",
    "controls/gain_range_db": "Dynamic range in dB, held-out batch",
    "controls/noise_share": "Noise share, held-out batch",
}
MAX_CURVE_POINTS = 200


def describe_run(
    run: runs_lib.Run, *, cost: rendering.Cost, rows: Sequence[training_log.LogRow]
) -> checked_json.Json:
    """Describes a run for the summary: facts, cost and training curves.

    Args:
        run: A restored run.
        cost: Of rendering.
        rows: Of its metrics.jsonl.
    """
    page = layout.find_page(run.path)
    facts = ("seed", "versions", "commit", "machine", "gin_files", "config_hash")
    # Who it is, what it was trained on, what it costs, how its training went.
    return {
        "path": str(run.path),
        "instrument": str(page) if page else None,
        "step": run.step,
        **{key: run.info.get(key) for key in facts},
        "data_dir": str(run.data_dir),
        "plan_hash": rendering.dataset_hash(run),
        "config": run.config_text,
        "cost": {
            **dataclasses.asdict(cost),
            "step_ms": training_log.median(rows, "time/step_ms"),
            "forward_backward_ms": training_log.median(
                rows, "time/forward_backward_ms"
            ),
            "training_memory_mb": training_log.largest(rows, "memory/peak_mb"),
        },
        "training": training_curves(rows),
    }


def training_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, checked_json.Json]:
    """Curves of metrics.jsonl that the report plots, thinned out.

    Args:
        rows: Of metrics.jsonl.

    Returns:
        `steps` and `values` by key, for the keys of `CURVE_KEYS` that occur.
    """
    curves = {}
    for key in CURVE_KEYS:
        points = [(row["step"], row[key]) for row in rows if key in row]
        stride = max(1, -(-len(points) // MAX_CURVE_POINTS))
        chosen = points[::stride]
        if points and chosen[-1] != points[-1]:
            chosen.append(points[-1])
        if chosen:
            steps, values = zip(*chosen, strict=True)
            curves[key] = {"steps": list(steps), "values": list(values)}
    return curves


def describe_settings(
    options: judged_runs.JudgingOptions, *, capacity: str
) -> checked_json.Json:
    """Describes the settings of the measurement."""
    return {
        "checkpoint": options.checkpoint,
        "seed": options.seed,
        "max_clips": options.max_clips,
        **measuring_settings(crepe_capacity=capacity, masks=options.masks),
    }


def measuring_settings(
    *, crepe_capacity: str, masks: frame_masks.MaskSettings
) -> checked_json.Json:
    """Describes what is the same for runs and for files."""
    return {
        "crepe_capacity": crepe_capacity,
        "masks": dataclasses.asdict(masks),
        "confidence": paired.CONFIDENCE,
        "n_resamples": paired.N_RESAMPLES,
        "headline": list(catalogue.HEADLINE),
        "index_threshold": index.THRESHOLD,
        "index_midpoints": index.MIDPOINTS,
        "versions": record.versions(),
    }


def describe_dataset(
    dataset: provider.PreparedDataset, *, split: str
) -> checked_json.Json:
    """Describes the dataset of the measurement."""
    info = dataset.info
    return {
        "data_dir": str(info.data_dir),
        "split": split,
        "plan_hash": info.plan_hash,
        "sample_rate": info.sample_rate,
        "frame_rate": info.frame_rate,
        "example_secs": info.example_secs,
        "n_examples": dataset.n_examples,
    }
