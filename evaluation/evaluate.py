"""Trained runs -> scores.jsonl, summary.json and the media that the report shows."""

import dataclasses
import json
import math
import pathlib
import statistics
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tqdm

from evaluation import clips
from evaluation import collapse_index
from evaluation import compare
from evaluation import controls
from evaluation import inference
from evaluation import media
from evaluation import metrics
from evaluation import score_table
from evaluation import scores
from evaluation import summary
from models import metrics_log
from models import runs as runs_lib
from prep import pitch

SCORES_NAME = "scores.jsonl"
SUMMARY_NAME = "summary.json"
MEDIA_NAME = "media"
CURVE_KEYS = {
    "losses/total_loss": "Training loss",
    "held_out/spectral_loss": "Spectral loss on the held-out batch",
    "controls/normalized_entropy": "Harmonic entropy, held-out batch",
    "controls/top1_share": "Top-1 share, held-out batch",
    "controls/gain_range_db": "Dynamic range in dB, held-out batch",
    "controls/noise_share": "Noise share, held-out batch",
}
MAX_CURVE_POINTS = 200
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs are evaluated.

    Attributes:
        checkpoint: "best", "last" or a step.
        data_dir: Dataset; empty for the one that the first run was trained on.
        split: Which split of it.
        max_clips: Score so many clips, spread over the recordings; 0 for all.
        n_media: Embed so many clips in the report.
        batch_size: Clips rendered at once.
        seed: Decides the noise.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.
        masks: What counts as pitched and audible.
        allow_other_dataset: Score runs that were trained on different data.
    """

    checkpoint: str = "best"
    data_dir: str = ""
    split: str = "eval"
    max_clips: int = 0
    n_media: int = 8
    batch_size: int = 4
    seed: int = 0
    crepe_capacity: str = ""
    masks: controls.MaskSettings = dataclasses.field(
        default_factory=controls.MaskSettings
    )
    allow_other_dataset: bool = False


def evaluate(
    run_dirs: Sequence[pathlib.Path],
    *,
    baseline: pathlib.Path,
    output: pathlib.Path,
    options: Options,
    tracker: clips.Tracker | None = None,
) -> Json:
    """Evaluates runs and writes everything but the page.

    Args:
        run_dirs: The runs, the baseline among them; names of directories differ.
        baseline: One of them.
        output: Folder of the report; made if needed.
        options: How.
        tracker: Pitch tracker; CREPE by default.

    Returns:
        The content of summary.json.

    Raises:
        inference.InputError: If something given cannot be evaluated.
    """
    opened = _open_runs(run_dirs, options=options)
    first = next(iter(opened.values()))
    dataset = inference.open_dataset(
        options.data_dir or first.data_dir, split=options.split
    )
    capacity = options.crepe_capacity or str(
        dataset.info.fields.get("crepe_capacity", "full")
    )
    tracker = tracker or pitch.CrepeTracker(capacity)
    ids = dataset.example_ids(range(dataset.n_examples))
    indices = inference.spread(options.max_clips, [one.recording_id for one in ids])
    progress = tqdm.tqdm(total=len(indices) * (1 + len(opened)), unit="clip")
    with progress:
        references = _measure_references(
            inference.read_clips(dataset, indices),
            tracker=tracker,
            options=options,
            tick=lambda: progress.update(),
        )
        scored: dict[str, list[clips.Scored]] = {}
        costs: dict[str, inference.Cost] = {}
        for name, run in opened.items():
            progress.set_description(name)
            renderings, costs[name] = inference.render_clips(
                run, dataset, indices, seed=options.seed, batch_size=options.batch_size
            )
            scored[name] = []
            for ref, rendering in zip(references, renderings, strict=True):
                scored[name].append(
                    clips.score_rendering(
                        ref, rendering, tracker=tracker, settings=options.masks
                    )
                )
                progress.update()
    rows = make_rows(references, scored, runs=_row_facts(opened))
    output.mkdir(parents=True, exist_ok=True)
    score_table.write_rows(rows, output / SCORES_NAME)
    document = summary.build(
        rows,
        runs={
            name: describe_run(run, cost=costs[name]) for name, run in opened.items()
        },
        baseline=score_table.system_name(baseline.name),
        settings=describe_settings(options, capacity=capacity),
        dataset=_describe_dataset(dataset, split=options.split),
    )
    document["clips"] = write_media(
        references,
        scored,
        rows=rows,
        folder=output / MEDIA_NAME,
        n_media=options.n_media,
    )
    write_summary(document, output / SUMMARY_NAME)
    return document


def write_summary(document: Json, path: pathlib.Path) -> None:
    """Writes summary.json."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _open_runs(
    run_dirs: Sequence[pathlib.Path], *, options: Options
) -> dict[str, runs_lib.Run]:
    """Restores the runs by name and checks that they belong together."""
    opened: dict[str, runs_lib.Run] = {}
    for run_dir in run_dirs:
        if run_dir.name in opened:
            raise inference.InputError(
                f"two runs are named {run_dir.name!r} ({run_dir} and "
                f"{opened[run_dir.name].path}); rename one directory."
            )
        opened[run_dir.name] = inference.open_run(
            run_dir, checkpoint=options.checkpoint
        )
    if not options.allow_other_dataset:
        inference.check_same_dataset(list(opened.values()))
    return opened


def _measure_references(
    found: list[clips.Clip],
    *,
    tracker: clips.Tracker,
    options: Options,
    tick: Callable[[], object],
) -> list[clips.Reference]:
    """Measures what the recordings say of each clip."""
    references = []
    for clip in found:
        references.append(
            clips.measure_reference(clip, tracker=tracker, settings=options.masks)
        )
        tick()
    clips.add_reference_diversity(references)
    return references


def make_rows(
    references: list[clips.Reference],
    scored: Mapping[str, list[clips.Scored]],
    *,
    runs: Mapping[str, Json],
) -> list[Json]:
    """Rows of scores.jsonl, one a clip.

    Args:
        references: The clips.
        scored: Every run's renderings of them.
        runs: Facts of each run that stand in every row.
    """
    sums = {
        name: clips.compare_across_clips(references, ones)
        for name, ones in scored.items()
    }
    rows = []
    for place, ref in enumerate(references):
        rows.append(
            {
                "clip": ref.clip.name,
                "recording_id": ref.clip.recording_id,
                "start_secs": _finite(ref.clip.start_secs),
                "n_frames": int(ref.masks.audible.size),
                "n_audible": int(ref.masks.audible.sum()),
                "n_pitched": int(ref.masks.pitched.sum()),
                "recording": scores.to_json(ref.scores),
                "runs": {
                    name: {
                        **runs[name],
                        **scores.to_json(ones[place].scores),
                        "sums": sums[name][place],
                    }
                    for name, ones in scored.items()
                },
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _row_facts(opened: Mapping[str, runs_lib.Run]) -> dict[str, Json]:
    """What every row says of a run."""
    return {
        name: {
            "path": str(run.path),
            "step": run.step,
            "seed": run.info.get("seed"),
            "config_hash": run.info.get("config_hash"),
        }
        for name, run in opened.items()
    }


def describe_run(run: runs_lib.Run, *, cost: inference.Cost) -> Json:
    """What the summary says of a run: facts, cost and training curves."""
    rows = metrics_log.read_metrics(run.path)
    facts = ("seed", "versions", "commit", "machine", "gin_files", "config_hash")
    return {
        "path": str(run.path),
        "step": run.step,
        **{key: run.info.get(key) for key in facts},
        "data_dir": str(run.data_dir),
        "plan_hash": inference.dataset_hash(run),
        "config": run.config_text,
        "cost": {
            **dataclasses.asdict(cost),
            "step_ms": _median(rows, "time/step_ms"),
            "forward_backward_ms": _median(rows, "time/forward_backward_ms"),
        },
        "training": training_curves(rows),
    }


def _median(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Median of what metrics.jsonl says, None where it says nothing."""
    values = [row[key] for row in rows if row.get(key) is not None]
    return statistics.median(values) if values else None


def training_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
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


def describe_settings(options: Options, *, capacity: str) -> Json:
    """How it was measured, for the report."""
    return {
        "checkpoint": options.checkpoint,
        "seed": options.seed,
        "crepe_capacity": capacity,
        "masks": dataclasses.asdict(options.masks),
        "max_clips": options.max_clips,
        "confidence": compare.CONFIDENCE,
        "n_resamples": compare.N_RESAMPLES,
        "headline": list(metrics.HEADLINE),
        "index_threshold": collapse_index.THRESHOLD,
        "index_midpoints": collapse_index.MIDPOINTS,
        "versions": runs_lib.run_record.versions(),
    }


def _describe_dataset(dataset: Any, *, split: str) -> Json:
    """What it was measured on, for the report."""
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


def write_media(
    references: list[clips.Reference],
    scored: Mapping[str, list[clips.Scored]],
    *,
    rows: Sequence[Json],
    folder: pathlib.Path,
    n_media: int,
) -> list[Json]:
    """Writes audio and pictures of chosen clips.

    Args:
        references: The clips.
        scored: Every run's renderings.
        rows: Of scores.jsonl.
        folder: Where the files go.
        n_media: How many clips.

    Returns:
        The clips in the order in which the report shows them.
    """
    shown = []
    last = list(scored)[-1]
    for number, (place, role) in enumerate(
        choose_clips(rows, run=last, n_wanted=n_media), start=1
    ):
        name = f"clip-{number:03d}"
        tracks = media.write_clip(
            references[place],
            {run: ones[place] for run, ones in scored.items()},
            folder / name,
        )
        shown.append(
            {
                "row": place,
                "clip": references[place].clip.name,
                "role": role,
                "folder": f"{folder.name}/{name}",
                "tracks": tracks,
            }
        )
    return shown


def choose_clips(
    rows: Sequence[Json], *, run: str, n_wanted: int
) -> list[tuple[int, str]]:
    """Picks the clips to show: the typical one first, then the extremes, then others.

    Args:
        rows: Of scores.jsonl.
        run: Whose spectral loss says what is typical.
        n_wanted: How many.

    Returns:
        Row and role, "typical", "worst", "best" or "".
    """
    losses = {
        place: row["runs"][run]["values"].get("spectral_loss")
        for place, row in enumerate(rows)
    }
    known = sorted((v, place) for place, v in losses.items() if v is not None)
    chosen: dict[int, str] = {}
    if known:
        chosen[known[(len(known) - 1) // 2][1]] = "typical"
        chosen.setdefault(known[-1][1], "worst")
        chosen.setdefault(known[0][1], "best")
    order = inference.spread(n_wanted, [row["recording_id"] for row in rows])
    for place in order:
        chosen.setdefault(place, "")
    return list(chosen.items())[:n_wanted]
