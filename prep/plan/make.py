"""Makes the plan of all recordings: who trains, who evaluates, what a shard holds.

What a single recording gives, `prep.plan.recording_cuts` says.
"""

import dataclasses
from collections.abc import Sequence

from prep import settings as settings_lib
from prep.plan import cutting
from prep.plan import dealing
from prep.plan import plan as plan_lib
from prep.plan import recording_cuts as material_lib
from prep.plan import splits
from prep.recordings import recording as recordings_lib

_SHOWN = 10  # rejections in an error message

Probes = Sequence[recordings_lib.Probe | recordings_lib.Rejection]


def make_plan(
    probes: Probes,
    settings: settings_lib.Settings,
    *,
    eval_probes: Probes = (),
    tracker_id: str,
) -> plan_lib.Plan:
    """Decides what goes where.

    Args:
        probes: Of all recordings, in the order of their names.
        settings: Of the dataset.
        eval_probes: Of recordings named for evaluation; the others then all train.
        tracker_id: Names the pitch tracker.

    Returns:
        The plan.

    Raises:
        NothingLeftError: If nothing usable is left for a split.
    """
    usable, rejections = recordings_lib.reject_duplicates([*eval_probes, *probes])
    prepared = [material_lib.find_material(probe, settings) for probe in usable]
    rejections.extend(p for p in prepared if isinstance(p, recordings_lib.Rejection))
    kept = [p for p in prepared if isinstance(p, material_lib.Material)]
    n_found = len(probes) + len(eval_probes)
    if not kept:
        raise NothingLeftError(_nothing_left(rejections, n_found), rejections)
    try:
        assigned = _assign(kept, eval_probes, settings)
    except settings_lib.PrepError as error:
        raise NothingLeftError(str(error), rejections) from error
    return _lay_out(
        assigned, rejections, settings=settings, n_found=n_found, tracker_id=tracker_id
    )


class NothingLeftError(settings_lib.PrepError):
    """No example for a split; `rejections` says what became of every input."""

    def __init__(self, message: str, rejections: Sequence[recordings_lib.Rejection]):
        """Keeps the rejections for `rejected.jsonl`."""
        super().__init__(message)
        self.rejections = tuple(rejections)


def _nothing_left(rejections: Sequence[recordings_lib.Rejection], n_found: int) -> str:
    shown = "".join(f"\n  {r.name}: {r.reason}" for r in rejections[:_SHOWN])
    more = len(rejections) - _SHOWN
    rest = f"\n  and {more} more, see rejected.jsonl" if more > 0 else ""
    which = f"none of the {n_found} recordings" if n_found > 1 else "the only recording"
    cannot = "can" if n_found > 1 else "cannot"
    return f"{which} {cannot} be used:{shown}{rest}"


def _assign(
    usable: list[material_lib.Material],
    eval_probes: Probes,
    settings: settings_lib.Settings,
) -> list[material_lib.Material]:
    """Gives every recording its split, or splits the only one in time."""
    if eval_probes:
        named = {id(probe) for probe in eval_probes}
        chosen = {_id(u) for u in usable if id(u.probe) in named}
        if len(chosen) in (0, len(usable)):
            flag = "--input" if chosen else "--eval_input"
            raise settings_lib.PrepError(
                f"no recording of {flag} can be used (what is in both counts as "
                "--eval_input): one of the splits would be empty; see rejected.jsonl."
            )
    elif settings.eval_split_fraction == 0:
        chosen = set()
    elif len(usable) == 1:
        return [material_lib.split_in_time(usable[0], settings)]
    else:
        secs = {_id(u): u.probe.recording.secs for u in usable}
        chosen = splits.choose_eval(secs, settings.eval_split_fraction)
    return [material_lib.for_evaluation(u) if _id(u) in chosen else u for u in usable]


def _id(usable: material_lib.Material) -> str:
    return usable.probe.recording.recording_id


def _lay_out(
    assigned: list[material_lib.Material],
    rejections: list[recordings_lib.Rejection],
    *,
    settings: settings_lib.Settings,
    n_found: int,
    tracker_id: str,
) -> plan_lib.Plan:
    """Cuts all recordings and deals the examples into shards."""
    sources: list[plan_lib.Source] = []
    examples: dealing.Examples = {splits.TRAIN: [], splits.EVAL: []}
    seconds = dict.fromkeys(examples, 0.0)
    for index, usable in enumerate(assigned):
        for cents in sorted(settings.transpose_cents, key=abs):
            source, cuts = material_lib.cut_source(
                usable, index, cents=cents, settings=settings
            )
            for split, starts in cuts.items():
                examples[split].extend((len(sources), start) for start in starts)
                if not cents:
                    covered = cutting.n_covered(starts, settings.example_frames)
                    seconds[split] += covered / settings.frame_rate
            if source.segments:
                sources.append(source)
        rejections.extend(material_lib.lost_parts(usable, settings.frame_rate))
    _check_splits(examples, rejections, settings)
    plan = plan_lib.Plan(
        settings=settings,
        tracker_id=tracker_id,
        recordings=tuple(usable.probe.recording for usable in assigned),
        sources=tuple(sources),
        shards=(),
        rejections=tuple(rejections),
        n_found=n_found,
        seconds={k: round(v, 3) for k, v in seconds.items() if examples[k]},
        versions=plan_lib.package_versions(),
    )
    return dataclasses.replace(plan, shards=tuple(dealing.deal(plan, examples)))


def _check_splits(
    examples: dealing.Examples,
    rejections: Sequence[recordings_lib.Rejection],
    settings: settings_lib.Settings,
) -> None:
    for split, found in examples.items():
        wanted = split == splits.TRAIN or settings.eval_split_fraction > 0
        if not found and wanted:
            raise NothingLeftError(
                f"the {split} split would be empty: all its examples are silent at "
                f"--min_loudness_db={settings.min_loudness_db:g}. Lower it, add "
                "recordings or change --eval_split_fraction.",
                rejections,
            )
