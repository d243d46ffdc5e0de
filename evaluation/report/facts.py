"""What the report says of runs, their cost and the settings, as text."""

from typing import Any

from evaluation.report import tables
from evaluation.scoring import rows as rows_lib

Json = dict[str, Any]


def describe_cost(cost: Json) -> Json:
    """What a run costs, as text."""
    render = cost["render_secs"]
    step = cost["step_ms"]
    return {
        "parameters": f"{cost['n_parameters']:,}",
        "render": tables.DASH if render is None else f"{render:.3f} s",
        "step_time": _milliseconds(step),
        "backward_time": _milliseconds(cost["forward_backward_ms"]),
        "training_memory": _megabytes(cost["training_memory_mb"]),
        "memory": _megabytes(cost["peak_memory_mb"]),
    }


def _megabytes(value: float | None) -> str:
    return tables.DASH if value is None else f"{value:.0f} MB"


def _milliseconds(value: float | None) -> str:
    return tables.DASH if value is None else f"{value:.0f} ms"


def describe_runs(document: Json) -> list[Json]:
    """Facts of each run."""
    return [
        {
            "name": name,
            "system": rows_lib.system_name(name),
            "path": run["path"],
            "step": run["step"],
            "seed": run["seed"],
            "config_hash": run["config_hash"] or tables.DASH,
            "commit": (run["commit"] or tables.DASH)[:12],
            "gin_files": ", ".join(run["gin_files"] or []) or tables.DASH,
            "versions": ", ".join(
                f"{package} {version}"
                for package, version in (run["versions"] or {}).items()
            ),
            **describe_cost(run["cost"]),
        }
        for name, run in document["runs"].items()
    ]


def describe_settings(document: Json) -> list[tuple[str, str]]:
    """How it was measured, line by line."""
    settings, dataset = document["settings"], document["dataset"]
    masks = settings["masks"]
    return [
        (
            "Dataset",
            f"{dataset['data_dir']}, split {dataset['split']}, content "
            f"{dataset['plan_hash'] or tables.DASH}, "
            f"{dataset['sample_rate']} Hz, "
            f"{dataset['frame_rate']} frames/s",
        ),
        ("Checkpoint", str(settings["checkpoint"])),
        ("Noise seed", str(settings["seed"])),
        (
            "Pitch tracker",
            f"CREPE {settings['crepe_capacity']}, centred frames, on both sides",
        ),
        ("Pitched frames", f"confidence of at least {masks['min_confidence']:g}"),
        (
            "Audible frames",
            f"within {masks['range_db']:g} dB of the clip's loudest frame and above "
            f"{masks['floor_db']:g} dB",
        ),
        (
            "Intervals",
            f"{settings['confidence']:.0%}, percentile bootstrap over "
            f"{document['n_units']} {document['unit']}s, "
            f"{settings['n_resamples']} resamples",
        ),
        (
            "Versions of the evaluation",
            ", ".join(f"{name} {v}" for name, v in settings["versions"].items()),
        ),
    ]
