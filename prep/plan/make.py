"""Makes the plan of all recordings: who trains, who evaluates, what a shard holds.

What a single recording gives, `prep.plan.recording_cuts` says.
"""

import dataclasses
from collections.abc import Sequence

from prep import loudness
from prep import settings as settings_lib
from prep.plan import cutting
from prep.plan import dealing
from prep.plan import packing
from prep.plan import plan as plan_lib
from prep.plan import recording_cuts as material_lib
from prep.plan import splits
from prep.plan import text
from prep.recordings import pitch_range
from prep.recordings import recording as recordings_lib

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
    kept = [p for p in prepared if isinstance(p, material_lib.RecordingCuts)]
    n_found = len(probes) + len(eval_probes)
    if not kept:
        raise NothingLeftError(_nothing_left(rejections, n_found), rejections)
    try:
        assigned = _assign(kept, eval_probes, settings, rejections=rejections)
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
    which = f"none of the {n_found} recordings" if n_found > 1 else "the only recording"
    cannot = "can" if n_found > 1 else "cannot"
    return f"{which} {cannot} be used:{_reasons(rejections)}"


def _reasons(rejections: Sequence[recordings_lib.Rejection]) -> str:
    return text.list_reasons([(r.name, r.reason) for r in rejections])


def _assign(
    usable: list[material_lib.RecordingCuts],
    eval_probes: Probes,
    settings: settings_lib.Settings,
    *,
    rejections: Sequence[recordings_lib.Rejection],
) -> list[material_lib.RecordingCuts]:
    """Gives every recording its split, or splits the only one in time."""
    # The person says which recordings evaluate.
    if eval_probes:
        named = {id(probe) for probe in eval_probes}
        chosen = {_id(u) for u in usable if id(u.probe) in named}
        if len(chosen) in (0, len(usable)):
            flag = "--input" if chosen else "--eval_input"
            raise settings_lib.PrepError(
                f"no recording of {flag} can be used (what is in both counts as "
                "--eval_input): one of the splits would be empty. Not used:"
                + _reasons(rejections)
            )
    elif settings.eval_split_fraction == 0:
        chosen = set()
    elif len(usable) == 1:
        return [material_lib.split_in_time(usable[0], settings)]
    else:
        # Short recordings are single notes as a rule: both splits need every pitch.
        secs = {_id(u): u.probe.recording.secs for u in usable}
        if any(u.is_short for u in usable):
            rough_hz = {_id(u): pitch_range.median_hz(u.probe.pitch_hz) for u in usable}
            chosen = splits.choose_eval_by_pitch(
                secs, rough_hz, settings.eval_split_fraction
            )
        else:
            chosen = splits.choose_eval(secs, settings.eval_split_fraction)
    return [material_lib.for_evaluation(u) if _id(u) in chosen else u for u in usable]


def _id(usable: material_lib.RecordingCuts) -> str:
    return usable.probe.recording.recording_id


def _lay_out(
    assigned: list[material_lib.RecordingCuts],
    rejections: list[recordings_lib.Rejection],
    *,
    settings: settings_lib.Settings,
    n_found: int,
    tracker_id: str,
) -> plan_lib.Plan:
    """Cuts all recordings and deals the examples into shards."""
    drafts = _Drafts(assigned, settings)
    for index, usable in enumerate(assigned):
        # Only what trains is transposed; evaluation hears what was recorded.
        trains = usable.parts[0].split == splits.TRAIN
        for cents in sorted(settings.transpose_cents, key=abs):
            if not usable.is_short:
                drafts.add_long(usable, index, cents)
            elif trains or not cents:
                drafts.add_short(usable, index, cents)
    # Tracks of packs are counted from the number of sources on, which is known now.
    packs = drafts.add_packs()
    for usable in assigned:
        rejections.extend(material_lib.lost_parts(usable, settings.frame_rate))
    examples = drafts.examples
    _check_splits(examples, rejections, settings)
    plan = plan_lib.Plan(
        settings=settings,
        tracker_id=tracker_id,
        recordings=tuple(
            material_lib.describe_range(usable, settings) for usable in assigned
        ),
        sources=tuple(drafts.sources),
        shards=(),
        rejections=tuple(rejections),
        n_found=n_found,
        seconds={k: round(v, 3) for k, v in drafts.seconds.items() if examples[k]},
        versions=plan_lib.package_versions(u.probe.recording for u in assigned),
        packs=tuple(packs),
    )
    return dataclasses.replace(plan, shards=tuple(dealing.deal(plan, examples)))


class _Drafts:
    """Sources, packs and examples of a plan while it is made."""

    def __init__(
        self,
        materials: list[material_lib.RecordingCuts],
        settings: settings_lib.Settings,
    ):
        self._materials = materials
        self._settings = settings
        # Sources of short recordings, by split and transposition, and by recording.
        self._short: dict[tuple[str, float], dict[int, int]] = {}
        self.sources: list[plan_lib.Source] = []
        self.examples: dealing.Examples = {splits.TRAIN: [], splits.EVAL: []}
        self.seconds = dict.fromkeys(self.examples, 0.0)

    def add_long(
        self, material: material_lib.RecordingCuts, index: int, cents: float
    ) -> None:
        """Cuts a recording into examples."""
        settings = self._settings
        source, cuts = material_lib.cut_source(
            material, index, cents=cents, settings=settings
        )
        for split, starts in cuts.items():
            self.examples[split].extend((len(self.sources), start) for start in starts)
            if not cents:
                covered = cutting.n_covered(starts, settings.example_frames)
                self.seconds[split] += covered / settings.frame_rate
        if source.segments:
            self.sources.append(source)

    def add_short(
        self, material: material_lib.RecordingCuts, index: int, cents: float
    ) -> None:
        """Notes a recording that will stand in a pack."""
        source = material_lib.excerpt_source(
            material, index, cents=cents, settings=self._settings
        )
        split = material.parts[0].split
        self._short.setdefault((split, cents), {})[index] = len(self.sources)
        self.sources.append(source)

    def add_packs(self) -> list[plan_lib.Pack]:
        """Lays the short recordings out and cuts the packs into examples."""
        packs: list[plan_lib.Pack] = []
        for split in sorted({split for split, _ in self._short}):
            # In the order of the content's hash, which mixes the pitches.
            found = sorted(
                self._short[split, 0.0].values(),
                key=lambda source: _id(self._material_of(source)),
            )
            groups = [
                [self.sources[source].recording for source, _ in pack.pieces]
                for pack in packing.lay_out(
                    self._with_lengths(found), split, settings=self._settings
                )
            ]
            # Copies stand together as the recordings do, so none is in two packs.
            for cents in sorted(cents for of, cents in self._short if of == split):
                sources = self._short[split, cents]
                for group in groups:
                    pieces = self._with_lengths([sources[one] for one in group])
                    pack = packing.make_pack(pieces, split, settings=self._settings)
                    starts = self._cut(pack, split, cents)
                    track = len(self.sources) + len(packs)
                    self.examples[split].extend((track, start) for start in starts)
                    packs.append(pack)
        return packs

    def _with_lengths(self, sources: list[int]) -> list[tuple[int, int]]:
        return [(source, self.sources[source].n_frames) for source in sources]

    def _material_of(self, source: int) -> material_lib.RecordingCuts:
        return self._materials[self.sources[source].recording]

    def _cut(self, pack: plan_lib.Pack, split: str, cents: float) -> list[int]:
        """First frames of a pack's examples that are not silent; keeps account."""
        settings = self._settings
        loud: list[int] = []
        for start in packing.cut_pack(pack, split, settings):
            spans = plan_lib.spans_of(
                pack, self.sources, start=start, n_frames=settings.example_frames
            )
            if max(map(self._loudness, spans), default=loudness.MIN_DB) < (
                settings.min_loudness_db
            ):
                continue
            # Copies are the same music again and count for nothing.
            loud.append(start)
            if not cents:
                for span in spans:
                    self._material_of(span.source).use(span)
        if not cents:
            self.seconds[split] += (
                sum(
                    self._material_of(source).leftovers.n_used
                    for source, _ in pack.pieces
                )
                / settings.frame_rate
            )
        return loud

    def _loudness(self, span: plan_lib.Span) -> float:
        """Highest loudness of a span, dB."""
        return material_lib.loudest_in_span(
            self._material_of(span.source),
            span,
            cents=self.sources[span.source].cents,
            frame_rate=self._settings.frame_rate,
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
