"""Trained runs -> scores.jsonl, summary.json and the media that the report shows."""

import json
import math
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation import across_clips
from evaluation import clips
from evaluation import dataset_clips
from evaluation import inference
from evaluation import opened_runs
from evaluation import options as options_lib
from evaluation import run_choice
from evaluation import run_facts
from evaluation import score_table
from evaluation import scores
from evaluation import shown_clips
from evaluation import summary
from models import runs as runs_lib
from prep import pitch
from prep import progress

SCORES_NAME = "scores.jsonl"
SUMMARY_NAME = "summary.json"
MEDIA_NAME = "media"
Json = dict[str, Any]


def evaluate(
    choice: run_choice.Choice,
    *,
    output: pathlib.Path,
    options: options_lib.Options,
    tracker: clips.Tracker | None = None,
) -> Json:
    """Evaluates runs and writes everything but the page.

    Args:
        choice: The runs.
        output: Folder of the report; made if needed.
        options: How.
        tracker: Pitch tracker; CREPE by default.

    Returns:
        The content of summary.json.

    Raises:
        inference.InputError: If something given cannot be evaluated; a run that only
            a glob found is skipped instead.
    """
    opened = opened_runs.OpenedRuns(choice, options=options)
    dataset = opened.dataset
    capacity = options.crepe_capacity or str(
        dataset.info.fields.get("crepe_capacity", "full")
    )
    tracker = tracker or pitch.CrepeTracker(capacity)
    ids = dataset.example_ids(range(dataset.n_examples))
    indices = dataset_clips.spread(options.max_clips, [one.recording_id for one in ids])
    references, scored, costs = _score_runs(
        opened, indices, tracker=tracker, options=options
    )
    rows = make_rows(references, scored, runs=_row_facts(opened.runs))
    output.mkdir(parents=True, exist_ok=True)
    score_table.write_rows(rows, output / SCORES_NAME)
    document = summary.build(
        rows,
        runs={
            name: run_facts.describe_run(run, cost=costs[name])
            for name, run in opened.runs.items()
        },
        baseline=score_table.system_name(choice.baseline.name),
        settings=run_facts.describe_settings(options, capacity=capacity),
        dataset=run_facts.describe_dataset(dataset, split=options.split),
        skipped_runs=opened.skipped,
    )
    document["clips"] = shown_clips.write_media(
        references,
        scored,
        rows=rows,
        folder=output / MEDIA_NAME,
        n_media=options.n_media,
    )
    write_summary(document, output / SUMMARY_NAME)
    return document


def _score_runs(
    opened: opened_runs.OpenedRuns,
    indices: Sequence[int],
    *,
    tracker: clips.Tracker,
    options: options_lib.Options,
) -> tuple[
    list[clips.Reference], dict[str, list[clips.Scored]], dict[str, inference.Cost]
]:
    """Measures the recordings, then renders and scores every run, with a bar."""
    scored: dict[str, list[clips.Scored]] = {}
    costs: dict[str, inference.Cost] = {}
    total = len(indices) * (1 + len(opened.runs))
    with progress.bar(total, unit="clips", label="recordings") as bar:
        references = _measure_references(
            dataset_clips.read_clips(opened.dataset, indices),
            tracker=tracker,
            options=options,
            tick=lambda: bar.update(),
        )
        for name, run in list(opened.runs.items()):
            bar.set_description(name)
            try:
                renderings, costs[name] = inference.render_clips(
                    run,
                    opened.dataset,
                    indices,
                    seed=options.seed,
                    batch_size=options.batch_size,
                )
            except inference.InputError as error:
                opened.skip(name, error)
                bar.update(len(indices))
                continue
            scored[name] = []
            for ref, rendering in zip(references, renderings, strict=True):
                one = clips.score_rendering(
                    ref, rendering, tracker=tracker, settings=options.masks
                )
                scored[name].append(one)
                bar.update()
    opened.check_left()
    return references, scored, costs


def write_summary(document: Json, path: pathlib.Path) -> None:
    """Writes summary.json."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _measure_references(
    found: list[clips.Clip],
    *,
    tracker: clips.Tracker,
    options: options_lib.Options,
    tick: Callable[[], object],
) -> list[clips.Reference]:
    """Measures what the recordings say of each clip."""
    references = []
    for clip in found:
        references.append(
            clips.measure_reference(clip, tracker=tracker, settings=options.masks)
        )
        tick()
    across_clips.add_reference_diversity(references)
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
        name: across_clips.compare_across_clips(references, ones)
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
