"""The Beam graph: recordings → segments of features → whole shards.

One line, so that every runner can run it: no side inputs, no tags, no second branch, no
sink of Beam's. What travels between the steps are small keys, never audio:

    Create(sources) | SpoolRecording | GroupByKey | AnalyseSegment | GroupByKey
                    | WriteShard

A GroupByKey hands nothing on before all that comes before it is finished, so segments
find their recording decoded and shards find their features computed. Every step looks
first whether its result is there already; results appear whole or not at all. So any
step may be killed, repeated or run twice at the same time.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
from apache_beam.options import pipeline_options

from prep import audio
from prep import features
from prep import plan as plan_lib
from prep import probe as probe_lib
from prep import records
from prep import settings as settings_lib
from prep import store

NORMALIZED_PEAK = 0.99  # of full scale
MAX_MISSING = 2  # samples at a recording's end that resampling may round away

TrackerFactory = Callable[[], features.Tracker]

# Loading a network takes seconds; a process keeps it for all the segments it gets.
_trackers: dict[str, features.Tracker] = {}


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker must know; small, and picklable if the factory is.

    Attributes:
        output: The dataset's folder.
        cache: Folder of features, None for the one inside `output`.
        plan_hash: Of the plan in `plan.json`.
        make_tracker: Loads the pitch tracker.
    """

    output: str
    cache: str | None
    plan_hash: str
    make_tracker: TrackerFactory

    @property
    def layout(self) -> store.Layout:
        """Where things lie."""
        return store.Layout(self.output, self.cache)

    @property
    def plan(self) -> plan_lib.Plan:
        """The plan, read once a process."""
        return _read_plan(self.output, self.plan_hash)

    def tracker(self) -> features.Tracker:
        """The pitch tracker, loaded once a process."""
        name = self.plan.tracker_id
        if name not in _trackers:
            _trackers[name] = self.make_tracker()
        return _trackers[name]


@functools.lru_cache(maxsize=2)
def _read_plan(output: str, plan_hash: str) -> plan_lib.Plan:
    path = store.Layout(output).file(store.PLAN)
    plan = plan_lib.Plan.from_json(path.read_text())
    if plan.hash != plan_hash:
        raise settings_lib.PrepError(f"{path} changed while the job was running.")
    return plan


def spool_recording(job: Job, source: int) -> None:
    """Decodes a recording once, to raw float32 at the dataset's rate and at 16 kHz.

    Raises:
        audio.UnreadableError: If the file is not what was probed.
    """
    plan, layout = job.plan, job.layout
    recording, variant = plan.recording_of(source), plan.sources[source]
    wanted = {
        plan.settings.sample_rate: variant.n_samples,
        settings_lib.CREPE_RATE: variant.n_samples_16k,
    }
    missing = {
        rate: n
        for rate, n in wanted.items()
        if not layout.spool(plan.source_id(source), rate).exists()
    }
    if not missing:
        return
    if probe_lib.hash_file(recording.path) != recording.recording_id:
        raise audio.UnreadableError("its content changed since it was probed")
    scale = np.float32(1)
    if plan.settings.normalize == "peak":
        scale = np.float32(NORMALIZED_PEAK / recording.peak)
    in_rate = recording.in_rate * plan_lib.frequency_ratio(variant.cents)
    for rate, n_samples in missing.items():
        path = layout.spool(plan.source_id(source), rate)
        with store.replacing(path, layout.temporary) as unfinished:
            _decode_to(
                unfinished,
                recording.path,
                resampler=audio.Resampler(in_rate, rate),
                scale=scale,
            )
            _set_length(unfinished, n_samples)


def _decode_to(
    path: pathlib.Path, recording: str, *, resampler: audio.Resampler, scale: np.float32
) -> None:
    with audio.open_recording(recording) as file, open(path, "wb") as spool:
        for block in audio.read_blocks(file):
            spool.write(resampler.push(audio.downmix(block) * scale).tobytes())
        spool.write(resampler.finish().tobytes())


def _set_length(path: pathlib.Path, n_samples: int) -> None:
    """Rounds the length of a resampled stream as the plan does."""
    n_bytes = np.dtype(np.float32).itemsize * n_samples
    missing = n_samples - path.stat().st_size // np.dtype(np.float32).itemsize
    if missing > MAX_MISSING:
        raise audio.UnreadableError(
            f"its decoded length changed since it was probed: {missing} samples fewer"
        )
    with open(path, "rb+") as file:
        file.truncate(n_bytes)


def analyse_segment(job: Job, source: int, *, segment: int) -> None:
    """Computes the features of one segment of a spooled recording."""
    plan, layout = job.plan, job.layout
    path = layout.features(plan.features_id(source), segment)
    if path.exists():
        return
    spool = layout.spool(plan.source_id(source), settings_lib.CREPE_RATE)
    values = features.analyse_segment(
        functools.partial(store.read_span, spool),
        segment,
        n_frames=plan.sources[source].n_frames,
        frame_rate=plan.settings.frame_rate,
        framing=plan.settings.framing,
        tracker=job.tracker(),
    )
    store.write_array(path, values, temporary=layout.temporary)


def read_features(job: Job, source: int, *, start: int, n_frames: int) -> np.ndarray:
    """Features of frames from `start` on, from the segments; shape [3, n_frames]."""
    plan, layout = job.plan, job.layout
    per_segment = features.SEGMENT_SECS * plan.settings.frame_rate
    parts = []
    for segment in range(
        start // per_segment, (start + n_frames - 1) // per_segment + 1
    ):
        path = layout.features(plan.features_id(source), segment)
        first = segment * per_segment
        values = np.load(path)
        parts.append(values[:, max(0, start - first) : start + n_frames - first])
    return np.concatenate(parts, axis=1)


def load_example(job: Job, source: int, *, start: int) -> bytes:
    """One record, from the spooled recording and its features."""
    plan, layout, settings = job.plan, job.layout, job.plan.settings
    f0_hz, f0_confidence, loudness_db = read_features(
        job, source, start=start, n_frames=settings.feature_frames
    )

    def read(rate: int, hop: int, n_samples: int) -> np.ndarray:
        spool = layout.spool(plan.source_id(source), rate)
        return store.read_span(spool, start * hop, start * hop + n_samples)

    return records.encode_example(
        {
            "audio": read(settings.sample_rate, settings.hop_size, settings.n_samples),
            "audio_16k": read(
                settings_lib.CREPE_RATE, settings.hop_16k, settings.n_samples_16k
            ),
            "f0_hz": f0_hz,
            "f0_confidence": f0_confidence,
            "loudness_db": loudness_db,
        },
        recording_id=plan.recording_of(source).recording_id,
        start_secs=start / settings.frame_rate,
        transpose_cents=plan.sources[source].cents,
    )


def write_shard(job: Job, shard: int) -> None:
    """Writes one file of records."""
    layout = job.layout
    planned = job.plan.shards[shard]
    path = layout.file(planned.file_name)
    if path.exists():
        return
    with store.replacing(path, layout.temporary) as unfinished:
        records.write_records(
            unfinished,
            (
                load_example(job, source, start=start)
                for source, start in planned.examples
            ),
        )


class SpoolRecording(beam.DoFn):
    """Source number → keys of its segments, when the recording is decoded."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, source: int) -> Iterator[tuple[str, int]]:
        """Decodes the recording; one that cannot be read is noted and left out."""
        try:
            spool_recording(self._job, source)
        except (audio.UnreadableError, FileNotFoundError, PermissionError) as error:
            _note_failure(self._job, source, error)
            return
        for segment in self._job.plan.sources[source].segments:
            yield f"{source}:{segment}", 0


class AnalyseSegment(beam.DoFn):
    """Segment key → the shards that can be written when all segments are done."""

    def __init__(self, job: Job):
        self._job = job
        self._listed: dict[tuple[int, int], list[int]] | None = None

    def process(self, keyed: tuple[str, object]) -> Iterator[tuple[int, int]]:
        """Computes a segment's features."""
        source, segment = map(int, keyed[0].split(":"))
        analyse_segment(self._job, source, segment=segment)
        if self._listed is None:
            self._listed = shards_by_segment(self._job.plan)
        for shard in self._listed.get((source, segment), ()):
            yield shard, 0


class WriteShard(beam.DoFn):
    """Shard number → a file."""

    def __init__(self, job: Job):
        self._job = job

    def process(self, keyed: tuple[int, object]) -> Iterator[int]:
        """Writes a shard unless some of its features could not be computed."""
        job, plan = self._job, self._job.plan
        shard = int(keyed[0])
        if all(
            job.layout.features(plan.features_id(source), segment).exists()
            for source, segment in plan.segments_of(plan.shards[shard])
        ):
            write_shard(job, shard)
            yield shard


def shards_by_segment(plan: plan_lib.Plan) -> dict[tuple[int, int], list[int]]:
    """Under which segment each shard is listed: the first that it needs."""
    listed: dict[tuple[int, int], list[int]] = {}
    for index, shard in enumerate(plan.shards):
        listed.setdefault(min(plan.segments_of(shard)), []).append(index)
    return listed


def _note_failure(job: Job, source: int, error: Exception) -> None:
    recording = job.plan.recording_of(source)
    path = job.layout.failures / f"{source}.json"
    with store.replacing(path, job.layout.temporary) as unfinished:
        unfinished.write_text(
            json.dumps({"name": recording.name, "reason": str(error)})
        )


def unfinished_shards(job: Job) -> list[int]:
    """Shards that are not on disk."""
    return [
        index
        for index, shard in enumerate(job.plan.shards)
        if not job.layout.file(shard.file_name).exists()
    ]


def unfinished_sources(job: Job) -> list[int]:
    """Recordings that unfinished shards need."""
    plan = job.plan
    return sorted(
        {
            source
            for shard in unfinished_shards(job)
            for source, _ in plan.shards[shard].examples
        }
    )


def run(job: Job, options: pipeline_options.PipelineOptions) -> None:
    """Computes all shards that are missing; returns when the runner has finished."""
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "ListRecordings" >> beam.Create(unfinished_sources(job))
            | "SpoolRecording" >> beam.ParDo(SpoolRecording(job))
            | "CollectSegments" >> beam.GroupByKey()
            | "AnalyseSegment" >> beam.ParDo(AnalyseSegment(job))
            | "CollectShards" >> beam.GroupByKey()
            | "WriteShard" >> beam.ParDo(WriteShard(job))
        )
