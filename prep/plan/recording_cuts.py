"""What one recording gives to a dataset: its usable part, its examples, its losses.

All positions are control frames of the recording as it is; a transposed copy has frames
of its own, fewer when it is higher.
"""

import dataclasses
import math
from collections.abc import Iterator

from prep import features
from prep import loudness
from prep import settings as settings_lib
from prep.plan import cutting
from prep.plan import plan as plan_lib
from prep.plan import splits
from prep.recordings import pitch_range
from prep.recordings import recording as recordings_lib

MIN_SECS = 0.1  # s, of a recording that is worth laying behind others


@dataclasses.dataclass(frozen=True)
class RecordingCuts:
    """A probed recording, the parts that are cut and the account of its frames.

    `is_short` says that it stands in a pack with others, because its only part is
    shorter than an example.
    """

    probe: recordings_lib.Probe
    parts: tuple[cutting.Part, ...]
    leftovers: cutting.Leftovers
    is_short: bool = False

    def use(self, span: plan_lib.Span) -> None:
        """Notes that frames of a short recording stand in an example."""
        begin = self.parts[0].begin + span.first
        self.leftovers.use(begin, begin + span.n_frames)


def find_material(
    probe: recordings_lib.Probe, settings: settings_lib.Settings
) -> RecordingCuts | recordings_lib.Rejection:
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
    is_short = end - begin < settings.example_frames
    if is_short and (
        settings.short == "reject" or end - begin < MIN_SECS * settings.frame_rate
    ):
        return _too_short(recording, end - begin, n_frames, settings=settings)
    leftovers = cutting.Leftovers(n_frames)
    leftovers.mark(0, begin, cutting.TRIMMED)
    leftovers.mark(end, n_frames, cutting.TRIMMED)
    if is_short:  # its examples hold all of it but what is silent
        leftovers.mark(begin, end, cutting.SILENT)
    part = cutting.Part(splits.TRAIN, begin, end)
    return RecordingCuts(probe, (part,), leftovers, is_short)


def _too_short(
    recording: recordings_lib.Recording,
    n_usable: int,
    n_frames: int,
    *,
    settings: settings_lib.Settings,
) -> recordings_lib.Rejection:
    """Says how short a recording is and which flag would take it."""
    secs = n_usable / settings.frame_rate
    left = " without the silence at its ends" if n_usable < n_frames else ""
    if secs >= MIN_SECS:
        way = (
            f"an example takes --example_secs={settings.example_secs:g}; --short=pack "
            "lays it behind others, --short=pad fills it up with silence"
        )
    elif left:
        way = f"{MIN_SECS:g} s are needed; --notrim_silence takes it as it is"
    else:
        way = f"{MIN_SECS:g} s are needed to hold a note"
    notes = "".join(f"; {note}" for note in recording.notes)
    return recordings_lib.Rejection(
        recording.name,
        recording.path,
        "all",
        f"too short: {secs:.2f} s{left}, and {way}{notes}",
        {"seconds": round(recording.secs, 3), "usable_seconds": round(secs, 3)},
    )


def for_evaluation(material: RecordingCuts) -> RecordingCuts:
    """The same, all of it for evaluation."""
    part = dataclasses.replace(material.parts[0], split=splits.EVAL)
    return dataclasses.replace(material, parts=(part,))


def split_in_time(
    material: RecordingCuts, settings: settings_lib.Settings
) -> RecordingCuts:
    """The same, the beginning for training and the end for evaluation.

    Raises:
        settings_lib.PrepError: If it is too short for that.
    """
    part = material.parts[0]
    train, evaluation = splits.split_in_time(
        part.begin,
        part.end,
        example_frames=settings.example_frames,
        fraction=settings.eval_split_fraction,
    )
    material.leftovers.mark(train[1], evaluation[0], cutting.GAP)
    parts = (
        cutting.Part(splits.TRAIN, *train),
        cutting.Part(splits.EVAL, *evaluation),
    )
    return dataclasses.replace(material, parts=parts)


def cut_source(
    material: RecordingCuts,
    index: int,
    *,
    cents: float,
    settings: settings_lib.Settings,
) -> tuple[plan_lib.Source, dict[str, list[int]]]:
    """A recording as transposed by `cents`, and its examples by split."""
    cuts: dict[str, list[int]] = {}
    for part in material.parts:
        # Only what trains is transposed; evaluation hears what was recorded.
        if part.split == splits.TRAIN or not cents:
            cuts[part.split] = _cut_part(material, part, cents=cents, settings=settings)
    recording = material.probe.recording
    n_16k = _n_at(recording, settings_lib.CREPE_RATE, cents=cents)
    segments = {
        segment
        for starts in cuts.values()
        for start in starts
        for segment in plan_lib.segments_at(start, settings.feature_frames, settings)
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
        octaves=choose_octaves(material, cents=cents, settings=settings),
    )
    return source, cuts


def excerpt_source(
    material: RecordingCuts,
    index: int,
    *,
    cents: float,
    settings: settings_lib.Settings,
) -> plan_lib.Source:
    """A short recording as transposed by `cents`, to stand in a pack."""
    part = material.parts[0]
    if cents:
        part = _transposed(part, cents)
    n_frames = part.end - part.begin
    n_segments = features.count_segments(n_frames, settings.frame_rate)
    return plan_lib.Source(
        recording=index,
        cents=cents,
        n_samples=n_frames * settings.hop_size,
        n_samples_16k=n_frames * settings.hop_16k,
        n_frames=n_frames,
        segments=tuple(range(n_segments)),
        excerpt=(part.begin, part.end),
        octaves=choose_octaves(material, cents=cents, settings=settings),
    )


def choose_octaves(
    material: RecordingCuts, *, cents: float, settings: settings_lib.Settings
) -> int:
    """Octaves by which the tracker hears a recording, as transposed, higher."""
    if settings.pitch_range == "crepe":
        return 0
    return pitch_range.choose_octaves(
        material.probe.pitch_hz * plan_lib.frequency_ratio(cents),
        hop_size=settings.hop_16k,
    )


def describe_range(
    material: RecordingCuts, settings: settings_lib.Settings
) -> recordings_lib.Recording:
    """The recording with notes of what lies outside the tracker's range."""
    recording = material.probe.recording
    octaves = choose_octaves(material, cents=0.0, settings=settings)
    notes = pitch_range.describe(material.probe.pitch_hz, octaves=octaves)
    return dataclasses.replace(recording, notes=(*recording.notes, *notes))


def loudest_in_span(
    material: RecordingCuts, span: plan_lib.Span, *, cents: float, frame_rate: int
) -> float:
    """Highest loudness of a short recording within a span of its frames, dB."""
    begin = material.parts[0].begin / plan_lib.frequency_ratio(cents)
    return cutting.loudest(
        material.probe.envelope,
        int(begin) + span.first,
        n_frames=span.n_frames,
        per_frame=_envelope_step(material.probe.recording, frame_rate, cents=cents),
    )


def _cut_part(
    material: RecordingCuts,
    part: cutting.Part,
    *,
    cents: float,
    settings: settings_lib.Settings,
) -> list[int]:
    """First frames of the examples of one part that are not silent."""
    recording = material.probe.recording
    if cents:
        part = _transposed(part, cents)
    length = settings.example_frames
    hop = length if part.split == splits.EVAL else settings.hop_frames
    step = _envelope_step(recording, settings.frame_rate, cents=cents)
    # The envelope decides: features are not computed yet.
    loud: list[int] = []
    silent: list[int] = []
    for start in cutting.cut(part, example_frames=length, hop_frames=hop):
        level = cutting.loudest(
            material.probe.envelope, start, n_frames=length, per_frame=step
        )
        (loud if level >= settings.min_loudness_db else silent).append(start)
    if not cents:
        for start in silent:
            material.leftovers.mark(start, start + length, cutting.SILENT)
        # A frame in a silent example and in another one is used.
        for start in loud:
            material.leftovers.use(start, start + length)
    return loud


def _transposed(part: cutting.Part, cents: float) -> cutting.Part:
    """The same music in a transposed copy, which is shorter when it is higher."""
    ratio = plan_lib.frequency_ratio(cents)
    begin, end = math.ceil(part.begin / ratio), math.floor(part.end / ratio)
    return cutting.Part(part.split, begin, end)


def lost_parts(
    material: RecordingCuts, frame_rate: int
) -> Iterator[recordings_lib.Rejection]:
    """The parts of a recording that no example holds."""
    recording = material.probe.recording
    for begin, end, reason in material.leftovers.lost():
        begin_secs, end_secs = begin / frame_rate, end / frame_rate
        yield recordings_lib.Rejection(
            recording.name,
            recording.path,
            f"{begin_secs:.3f}-{end_secs:.3f} s",
            reason,
            {"seconds": round(end_secs - begin_secs, 3)},
        )


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
