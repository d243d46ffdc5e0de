"""The whole job: probe, plan, compute, finish.

Each stage leaves something on disk that the next run can go on from. `COMPLETED` is
written last; without it a folder is not a dataset.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from absl import logging
from apache_beam.options import pipeline_options

from prep import files
from prep import progress
from prep import settings as settings_lib
from prep.beam import pipeline
from prep.beam import probing
from prep.beam import runners
from prep.beam import steps
from prep.dataset import description
from prep.dataset import layout as dataset_layout
from prep.plan import make
from prep.plan import plan as plan_lib
from prep.plan import text
from prep.recordings import find
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from prep.report import page
from prep.report import statistics as dataset_statistics

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class PreparationRequest:
    """What the command line asks for.

    Attributes:
        inputs: Folders, files or globs.
        eval_inputs: The same, for evaluation only.
        output: The dataset's folder.
        cache_dir: Folder of features, None for the one inside `output`.
        settings: Of the dataset.
        tracker_id: Names the pitch tracker.
        make_tracker: Loads it; picklable.
        options: Of the Beam pipeline.
        max_rejected: Share of the recordings that may be unusable, [0, 1].
        overwrite: Whether another dataset in `output` is replaced.
        dry_run: Whether to stop after the plan.
        quiet: Whether only errors are shown.
    """

    inputs: Sequence[str]
    output: str
    settings: settings_lib.Settings
    tracker_id: str
    make_tracker: steps.TrackerFactory
    options: pipeline_options.PipelineOptions
    eval_inputs: Sequence[str] = ()
    cache_dir: str | None = None
    max_rejected: float = 0.1
    overwrite: bool = False
    dry_run: bool = False
    quiet: bool = False


def prepare(request: PreparationRequest, say: Say) -> None:
    """Makes a dataset, or finishes one that was begun.

    Args:
        request: What is asked for.
        say: Shows a line to the person.

    Raises:
        settings_lib.PrepError: If something is in the way; the message says what.
    """
    found = _find(request.inputs, "--input")
    eval_found = None
    if request.eval_inputs:
        eval_found = _find(request.eval_inputs, "--eval_input")
        found, eval_found = (
            find.name_apart(found, eval_found),
            find.name_apart(eval_found, found),
        )
    layout = dataset_layout.Layout(request.output, request.cache_dir)
    passed_over = [one.passed_over for one in (found, eval_found) if one]
    if request.dry_run:
        plan = _plan(request, found, eval_found, layout=None)
        say(_describe(plan, passed_over, request, layout))
        return
    dataset_layout.check_folder(layout, overwrite=request.overwrite)
    layout.make_folders()
    with _disk_errors_explained(), dataset_layout.locked(layout):
        dataset_layout.clear_unfinished(layout)
        plan = _plan(request, found, eval_found, layout=layout)
        say(_describe(plan, passed_over, request, layout))
        if _is_complete(plan, layout, request):
            dataset_layout.tidy(layout)  # a run may have been killed before it did
            say(f"{layout.output} holds exactly this dataset already: nothing to do.")
            return
        dataset_layout.write_text(layout, dataset_layout.PLAN, plan.to_json())
        job = steps.Job(
            output=str(layout.output),
            cache=request.cache_dir and str(layout.cache),
            plan_hash=plan.hash,
            make_tracker=request.make_tracker,
        )
        job.keep(plan)
        _compute(job, request)
        _finish(job, say)


def _describe(
    plan: plan_lib.Plan,
    passed_over: Sequence[Mapping[str, int]],
    request: PreparationRequest,
    layout: dataset_layout.Layout,
) -> str:
    return text.describe(
        plan,
        passed_over,
        cached_secs=_cached_secs(plan, layout),
        n_workers=runners.count_workers(request.options),
    )


@contextlib.contextmanager
def _disk_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise settings_lib.PrepError(runners.explain(error)) from error


def _find(patterns: Sequence[str], flag: str) -> find.FoundFiles:
    try:
        return find.find_recordings(patterns, flag=flag)
    except FileNotFoundError as error:
        raise settings_lib.PrepError(str(error)) from error


def _plan(
    request: PreparationRequest,
    found: find.FoundFiles,
    eval_found: find.FoundFiles | None,
    *,
    layout: dataset_layout.Layout | None,
) -> plan_lib.Plan:
    """Probes and plans; leaves `rejected.jsonl` even if that ends the job."""
    probes = _probe(request, found, "probing", layout=layout)
    eval_probes = []
    if eval_found:
        eval_probes = _probe(request, eval_found, "probing to evaluate", layout=layout)
    # rejected.jsonl of a dataset that is there is not replaced before its plan is.
    try:
        plan = make.make_plan(
            probes,
            request.settings,
            eval_probes=eval_probes,
            tracker_id=request.tracker_id,
        )
    except make.NothingLeftError as error:
        if layout and not layout.file(dataset_layout.PLAN).exists():
            _write_rejections(layout, error.rejections)
        raise
    n_rejected = sum(r.part == "all" and not r.copy_of for r in plan.rejections)
    if layout and not layout.file(dataset_layout.PLAN).exists():
        _write_rejections(layout, plan.rejections)
    if n_rejected > request.max_rejected * plan.n_found:
        raise settings_lib.PrepError(text.too_many(plan, request.max_rejected))
    return plan


def _probe(
    request: PreparationRequest,
    found: find.FoundFiles,
    label: str,
    *,
    layout: dataset_layout.Layout | None,
) -> list[recordings_lib.Probe | recordings_lib.Rejection]:
    """Probes recordings, on the engine's workers where that pays."""
    settings = request.settings
    with progress.noise_to(layout.log if layout else os.devnull) as screen:
        if layout and probing.pays(found, request.options):
            with files.scratch_folder("probes", layout.temporary) as folder:
                job = probing.ProbingJob(
                    str(folder),
                    min_loudness_db=settings.min_loudness_db,
                    min_input_rate=settings.min_input_rate,
                    normalize=settings.normalize,
                )
                weights = job.paths(len(found.paths))
                with (
                    progress.watching(
                        weights,
                        unit="files",
                        label=label,
                        quiet=request.quiet,
                        file=screen,
                    ),
                    _engine_errors_explained(layout),
                ):
                    return probing.probe_recordings(found, job, request.options)
        with progress.bar(
            len(found.paths),
            unit="files",
            label=label,
            quiet=request.quiet,
            file=screen,
        ) as bar:
            return probe_lib.probe_recordings(
                found,
                min_loudness_db=settings.min_loudness_db,
                min_input_rate=settings.min_input_rate,
                normalize=settings.normalize,
                on_done=bar.update,
            )


@contextlib.contextmanager
def _engine_errors_explained(layout: dataset_layout.Layout) -> Iterator[None]:
    try:
        yield
    # A runner may raise anything, and wraps what its workers raise.
    except Exception as error:
        if runners.is_interrupt(error):
            raise KeyboardInterrupt from error
        logging.exception("the pipeline stopped")
        raise settings_lib.PrepError(
            f"{runners.explain(error)} (All that the libraries said is in "
            f"{layout.log}.)"
        ) from error


def _write_rejections(
    layout: dataset_layout.Layout, rejections: Sequence[recordings_lib.Rejection]
) -> None:
    lines = [json.dumps(dataclasses.asdict(r), sort_keys=True) for r in rejections]
    dataset_layout.write_text(
        layout, dataset_layout.REJECTED, "".join(f"{line}\n" for line in lines)
    )


def _is_complete(
    plan: plan_lib.Plan, layout: dataset_layout.Layout, request: PreparationRequest
) -> bool:
    """Compares the plan with what `output` holds; clears it if `overwrite`.

    Raises:
        settings_lib.PrepError: If it holds something else.
    """
    path = layout.file(dataset_layout.PLAN)
    if path.exists() and not request.overwrite:
        try:
            old = plan_lib.Plan.from_json(path.read_bytes())
            differences = text.describe_difference(old, plan)
        except settings_lib.PrepError as error:
            differences = [str(error)]
        if not differences:
            names = [*dataset_layout.OWN_FILES, *(one.file_name for one in plan.shards)]
            if all(layout.file(name).exists() for name in names):
                return True
            _check_space(plan, layout)
            # Nobody shall take it for whole while what is gone is made again.
            layout.file(dataset_layout.COMPLETED).unlink(missing_ok=True)
            return False
        listed = "".join(f"\n  {line}" for line in differences)
        raise settings_lib.PrepError(
            f"{layout.output} holds another dataset, finished or begun:{listed}\n"
            "Choose another --output, or replace it with --overwrite."
        )
    # Before anything is removed: a good dataset is worth more than none.
    _check_space(plan, layout)
    dataset_layout.remove_dataset(layout)
    layout.make_folders()
    _write_rejections(layout, plan.rejections)
    return False


def _check_space(plan: plan_lib.Plan, layout: dataset_layout.Layout) -> None:
    """Refuses a job for which a disk has no room.

    What lies there of this dataset, or of the one that it replaces, takes no new room.

    Raises:
        settings_lib.PrepError: Says what is needed and what is free.
    """
    own = [*dataset_layout.own_paths(layout), *layout.audio.iterdir()]
    there = sum(path.lstat().st_size for path in own)
    cached = sum(
        path.stat().st_size for path in _segment_secs(plan, layout) if path.exists()
    )
    needed = {layout.output: plan.n_bytes - there}
    if _disk_of(layout.cache) == _disk_of(layout.output):
        needed[layout.output] -= cached
    else:
        needed[layout.cache] = plan.cache_bytes - cached
    for folder, n_bytes in needed.items():
        free = shutil.disk_usage(folder).free
        if n_bytes > free:
            raise settings_lib.PrepError(
                f"the dataset needs about {text.show_bytes(n_bytes)} in {folder}, and "
                f"{text.show_bytes(free)} are free there. Make room, choose another "
                "--output or --cache_dir, or use a longer --hop_secs."
            )


def _disk_of(folder: pathlib.Path) -> int:
    """Number of the file system that a folder lies on."""
    return os.stat(folder).st_dev


def _segment_secs(
    plan: plan_lib.Plan, layout: dataset_layout.Layout
) -> dict[pathlib.Path, float]:
    """The cache entries that a plan needs, and the audio of each, s."""
    weights = {}
    for index, source in enumerate(plan.sources):
        features_id = plan.features_id(index)
        for segment, secs in zip(source.segments, plan.source_secs(index), strict=True):
            weights[layout.features(features_id, segment)] = secs
    return weights


def _cached_secs(plan: plan_lib.Plan, layout: dataset_layout.Layout) -> float:
    """Audio whose features are in the cache, s."""
    return sum(
        secs for path, secs in _segment_secs(plan, layout).items() if path.exists()
    )


def _compute(job: steps.Job, request: PreparationRequest) -> None:
    plan, layout = job.plan, job.layout
    if not steps.unfinished_sources(job):
        return
    weights = _segment_secs(plan, layout)
    with (
        progress.noise_to(layout.log) as screen,
        progress.watching(
            weights,
            unit="s of audio",
            label="computing",
            quiet=request.quiet,
            file=screen,
        ),
        _engine_errors_explained(layout),
    ):
        pipeline.run(job, request.options)
    missing = steps.unfinished_shards(job)
    if missing:
        raise settings_lib.PrepError(_failed(job, len(missing)))


def _failed(job: steps.Job, n_missing: int) -> str:
    notes = [json.loads(p.read_text()) for p in sorted(job.layout.failures.iterdir())]
    # Transposed copies fail as their recording does.
    failures = list(dict.fromkeys((note["name"], note["reason"]) for note in notes))
    listed = text.list_reasons(failures) or " nothing that was noted"
    return (
        f"{n_missing} of {len(job.plan.shards)} shards could not be written, because of"
        f"{listed}\nWhat is finished is kept. Put the recordings right, or take them "
        "out, and run the same command again."
    )


def _finish(job: steps.Job, say: Say) -> None:
    """Writes what describes the dataset, then `COMPLETED`, then tidies up."""
    plan, layout = job.plan, job.layout
    _write_rejections(layout, plan.rejections)
    statistics = dataset_statistics.measure(job)
    dataset_layout.write_text(
        layout, dataset_layout.STATISTICS, dataset_layout.to_json(statistics)
    )
    dataset_layout.write_text(
        layout, dataset_layout.GIN, description.dataset_gin(plan, layout.output)
    )
    dataset_layout.write_text(
        layout,
        dataset_layout.INFO,
        description.dataset_info(plan).to_json(),
    )
    dataset_layout.write_text(layout, dataset_layout.PAGE, page.render(job, statistics))
    # The dataset is one from here on.
    dataset_layout.write_text(layout, dataset_layout.COMPLETED, plan.hash + "\n")
    dataset_layout.tidy(layout)
    for line in dataset_statistics.summarize(statistics):
        say(line)
    say(f"dataset: {layout.output}, shown in {layout.file(dataset_layout.PAGE)}")
