"""Makes the plan: judges lengths, splits, cuts examples, deals them into shards."""

import dataclasses
import math
from collections.abc import Iterable
from collections.abc import Sequence

from prep import cutting
from prep import dealing
from prep import features
from prep import loudness
from prep import plan as plan_lib
from prep import recordings as recordings_lib
from prep import settings as settings_lib
from prep import splits

_SHOWN = 10  # rejections in an error message

Probes = Sequence[recordings_lib.Probe | recordings_lib.Rejection]


@dataclasses.dataclass(frozen=True)
class _Usable:
    """A probed recording, the parts that are cut and the account of its frames."""

    probe: recordings_lib.Probe
    parts: tuple[cutting.Part, ...]
    leftovers: cutting.Leftovers


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
    prepared = [_prepare(probe, settings) for probe in usable]
    rejections.extend(p for p in prepared if isinstance(p, recordings_lib.Rejection))
    kept = [p for p in prepared if isinstance(p, _Usable)]
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
    return f"none of the {n_found} recordings can be used:{shown}{rest}"


def _n_at(recording: recordings_lib.Recording, rate: int, *, cents: float) -> int:
    """Whole samples or frames of a recording at `rate`, transposed by `cents`."""
    if cents == 0:
        return recording.n_in * rate // recording.in_rate
    ratio = plan_lib.frequency_ratio(cents)
    return math.floor(recording.n_in * rate / (recording.in_rate * ratio))


def _envelope_step(
    recording: recordings_lib.Recording, frame_rate: int, *, cents: float = 0.0
) -> float:
    """Values of the loudness envelope per control frame of a (transposed) recording."""
    per_sec = recording.in_rate / loudness.envelope_hop(recording.in_rate)
    return per_sec * plan_lib.frequency_ratio(cents) / frame_rate


def _prepare(
    probe: recordings_lib.Probe, settings: settings_lib.Settings
) -> _Usable | recordings_lib.Rejection:
    """The part of a recording that can be cut, or why there is none."""
    recording = probe.recording
    n_frames = _n_at(recording, settings.frame_rate, cents=0.0)
    begin, end = 0, n_frames
    if settings.trim_silence:
        begin, end = cutting.music_span(
            probe.envelope,
            n_frames,
            per_frame=_envelope_step(recording, settings.frame_rate),
            min_loudness_db=settings.min_loudness_db,
        )
    secs = (end - begin) / settings.frame_rate
    if end - begin < settings.example_frames:
        left = " without the silence at its ends" if end - begin < n_frames else ""
        return recordings_lib.Rejection(
            recording.name,
            recording.path,
            "all",
            f"too short: {secs:.2f} s{left}, and an example takes --example_secs="
            f"{settings.example_secs:g}",
            {"seconds": round(recording.secs, 3), "usable_seconds": round(secs, 3)},
        )
    leftovers = cutting.Leftovers(n_frames)
    leftovers.mark(0, begin, cutting.TRIMMED)
    leftovers.mark(end, n_frames, cutting.TRIMMED)
    return _Usable(probe, (cutting.Part(splits.TRAIN, begin, end),), leftovers)


def _assign(
    usable: list[_Usable], eval_probes: Probes, settings: settings_lib.Settings
) -> list[_Usable]:
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
        return [_split_only(usable[0], settings)]
    else:
        secs = {_id(u): u.probe.recording.secs for u in usable}
        chosen = splits.choose_eval(secs, settings.eval_split_fraction)
    return [_evaluate(u) if _id(u) in chosen else u for u in usable]


def _id(usable: _Usable) -> str:
    return usable.probe.recording.recording_id


def _evaluate(usable: _Usable) -> _Usable:
    part = dataclasses.replace(usable.parts[0], split=splits.EVAL)
    return dataclasses.replace(usable, parts=(part,))


def _split_only(usable: _Usable, settings: settings_lib.Settings) -> _Usable:
    part = usable.parts[0]
    train, evaluation = splits.split_in_time(
        part.begin,
        part.end,
        example_frames=settings.example_frames,
        fraction=settings.eval_split_fraction,
    )
    usable.leftovers.mark(train[1], evaluation[0], cutting.GAP)
    parts = (
        cutting.Part(splits.TRAIN, *train),
        cutting.Part(splits.EVAL, *evaluation),
    )
    return dataclasses.replace(usable, parts=parts)


def _transposed(part: cutting.Part, cents: float, *, n_frames: int) -> cutting.Part:
    """The same music in a transposed copy, which is shorter when it is higher."""
    ratio = plan_lib.frequency_ratio(cents)
    begin, end = math.ceil(part.begin / ratio), math.floor(part.end / ratio)
    return cutting.Part(part.split, begin, min(end, n_frames))


def _cut_part(
    usable: _Usable,
    part: cutting.Part,
    *,
    cents: float,
    settings: settings_lib.Settings,
) -> list[int]:
    """First frames of the examples of one part that are not silent."""
    recording = usable.probe.recording
    if cents:
        n_frames = _n_at(recording, settings.frame_rate, cents=cents)
        part = _transposed(part, cents, n_frames=n_frames)
    length = settings.example_frames
    hop = length if part.split == splits.EVAL else settings.hop_frames
    step = _envelope_step(recording, settings.frame_rate, cents=cents)
    loud: list[int] = []
    silent: list[int] = []
    for start in cutting.cut(part, example_frames=length, hop_frames=hop):
        level = cutting.loudest(
            usable.probe.envelope, start, n_frames=length, per_frame=step
        )
        (loud if level >= settings.min_loudness_db else silent).append(start)
    if not cents:
        for start in silent:
            usable.leftovers.mark(start, start + length, cutting.SILENT)
        for start in loud:
            usable.leftovers.use(start, start + length)
    return loud


def _lay_out(
    assigned: list[_Usable],
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
            source, cuts = _cut_source(usable, index, cents=cents, settings=settings)
            for split, starts in cuts.items():
                examples[split].extend((len(sources), start) for start in starts)
                if not cents:
                    covered = cutting.n_covered(starts, settings.example_frames)
                    seconds[split] += covered / settings.frame_rate
            if source.segments:
                sources.append(source)
        rejections.extend(_report_lost(usable, settings.frame_rate))
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


def _cut_source(
    usable: _Usable, index: int, *, cents: float, settings: settings_lib.Settings
) -> tuple[plan_lib.Source, dict[str, list[int]]]:
    """A recording as transposed by `cents`, and its examples by split."""
    cuts: dict[str, list[int]] = {}
    for part in usable.parts:
        # Only what trains is transposed; evaluation hears what was recorded.
        if part.split == splits.TRAIN or not cents:
            cuts[part.split] = _cut_part(usable, part, cents=cents, settings=settings)
    recording = usable.probe.recording
    n_16k = _n_at(recording, settings_lib.CREPE_RATE, cents=cents)
    segments = {
        segment
        for starts in cuts.values()
        for start in starts
        for segment in plan_lib.segments_at(start, settings)
    }
    source = plan_lib.Source(
        recording=index,
        cents=cents,
        n_samples=_n_at(recording, settings.sample_rate, cents=cents),
        n_samples_16k=n_16k,
        n_frames=features.count_frames(
            n_16k, settings.hop_16k, framing=settings.framing
        ),
        segments=tuple(sorted(segments)),
    )
    return source, cuts


def _report_lost(
    usable: _Usable, frame_rate: int
) -> Iterable[recordings_lib.Rejection]:
    """The parts of a recording that no example holds."""
    recording = usable.probe.recording
    for begin, end, reason in usable.leftovers.lost():
        begin_secs, end_secs = begin / frame_rate, end / frame_rate
        yield recordings_lib.Rejection(
            recording.name,
            recording.path,
            f"{begin_secs:.3f}-{end_secs:.3f} s",
            reason,
            {"seconds": round(end_secs - begin_secs, 3)},
        )


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
