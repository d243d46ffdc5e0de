"""Trained runs -> scores.jsonl, summary.json and the media that the report shows."""

import dataclasses
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.report import documents
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import dataset_clips
from evaluation.scoring import judged_runs
from evaluation.scoring import pitch_tracking
from evaluation.scoring import rendering as model_rendering
from evaluation.summary import run_facts
from models.runs import loading as runs_lib
from prep import checked_json
from prep import errors
from prep import progress
from prep.pitch import tracker as pitch_tracker


def evaluate(
    choice: judged_runs.RunChoice,
    *,
    output: pathlib.Path,
    options: judged_runs.JudgingOptions,
    tracker: clips.PitchTracker | None = None,
) -> checked_json.Json:
    """Evaluates runs and writes everything but the page.

    Args:
        choice: The runs.
        output: Folder of the report; made if needed.
        options: How.
        tracker: Pitch tracker; CREPE by default.

    Returns:
        The content of summary.json.

    Raises:
        errors.InputError: If something given cannot be evaluated; a run that only
            a glob found is skipped instead.
    """
    # Open the runs, and choose the clips: every recording before one twice.
    opened = judged_runs.OpenedRuns(choice, options=options)
    dataset = opened.dataset
    capacity = options.crepe_capacity or dataset.info.crepe_capacity
    trackers = _make_trackers(capacity, dataset.info.data_dir)
    if tracker is not None:
        trackers = Trackers(tracker, tracker)
    ids = dataset.example_ids(range(dataset.n_examples))
    indices = dataset_clips.spread(options.max_clips, [one.recording_id for one in ids])
    # Measure the recordings, render and score each run.
    references, scored, costs = _score_runs(
        opened, indices, trackers=trackers, options=options
    )
    return documents.write(
        references,
        scored,
        output=output,
        row_facts=_row_facts(opened.runs),
        runs={
            name: run_facts.describe_run(run, cost=costs[name], rows=opened.logs[name])
            for name, run in opened.runs.items()
        },
        baseline=opened.baseline,
        settings=run_facts.describe_settings(options, capacity=capacity),
        dataset=run_facts.describe_dataset(dataset, split=options.split),
        skipped_runs=opened.skipped,
        n_media=options.n_media,
    )


@dataclasses.dataclass(frozen=True)
class Trackers:
    """Pitch trackers of recordings and of renderings."""

    recordings: clips.PitchTracker
    renderings: clips.PitchTracker


def _make_trackers(capacity: str, data_dir: pathlib.Path) -> Trackers:
    """CREPE for both, with one network and remembered; of renderings sparse."""
    crepe = pitch_tracker.CrepeTracker(capacity)
    folder = data_dir / pitch_tracking.FOLDER_NAME
    return Trackers(
        recordings=pitch_tracking.CachedTracker(
            crepe, f"crepe-{capacity}", folder / "recordings"
        ),
        renderings=pitch_tracking.CachedTracker(
            pitch_tracking.SparseTracker(crepe),
            f"crepe-{capacity}-sparse",
            folder / "renderings",
        ),
    )


def _score_runs(
    opened: judged_runs.OpenedRuns,
    indices: Sequence[int],
    *,
    trackers: Trackers,
    options: judged_runs.JudgingOptions,
) -> tuple[
    list[clips.Reference],
    dict[str, list[clips.Scored]],
    dict[str, model_rendering.Cost],
]:
    """Measures the recordings, then renders and scores every run, with a bar."""
    scored: dict[str, list[clips.Scored]] = {}
    costs: dict[str, model_rendering.Cost] = {}
    total = len(indices) * (1 + len(opened.runs))
    with progress.bar(total, unit="clips", label="recordings") as bar:
        # The recordings, whose measurements every run shares.
        references = _measure_references(
            dataset_clips.read_clips(opened.dataset, indices),
            tracker=trackers.recordings,
            options=options,
            tick=lambda: bar.update(),
        )
        for name, run in list(opened.runs.items()):
            bar.set_description(errors.printable(name))
            try:
                # A run that plays no numbers is left out, unless it was named.
                renderings, costs[name] = model_rendering.render_clips(
                    run,
                    opened.dataset,
                    indices,
                    seed=options.seed,
                    batch_size=options.batch_size,
                )
            except errors.InputError as error:
                opened.skip(name, error)
                bar.update(len(indices))
                continue
            scored[name] = []
            for ref, rendering in zip(references, renderings, strict=True):
                one = clips.score_rendering(
                    ref,
                    rendering,
                    tracker=trackers.renderings,
                    settings=options.masks,
                )
                scored[name].append(one)
                bar.update()
    opened.check_left()
    return references, scored, costs


def _measure_references(
    found: list[clips.Clip],
    *,
    tracker: clips.PitchTracker,
    options: judged_runs.JudgingOptions,
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


def _row_facts(opened: Mapping[str, runs_lib.Run]) -> dict[str, checked_json.Json]:
    """Returns what every row says of a run."""
    return {
        name: {
            "path": str(run.path),
            "step": run.step,
            "seed": run.info.get("seed"),
            "config_hash": run.info.get("config_hash"),
        }
        for name, run in opened.items()
    }
