"""The steps that make a dataset, each of which may be killed, repeated or run twice.

A step looks first whether its result is there already, and results appear whole or not
at all. So it does not matter which process runs a step, nor how often:

- a recording is decoded once, to raw samples (the spool);
- the features of a segment are computed from the spool;
- a shard is written from spools and features.
"""

import dataclasses
import functools
import pathlib
import threading
from collections.abc import Callable

import numpy as np
from absl import logging

from prep import features
from prep import loudness
from prep import settings as settings_lib
from prep.dataset import feature_cache
from prep.dataset import layout as dataset_layout
from prep.dataset import records
from prep.dataset import tfrecords
from prep.pitch import octaves as octaves_lib
from prep.plan import plan as plan_lib
from prep.recordings import channels
from prep.recordings import decode
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from prep.recordings import resample

FADE_SECS = 0.01  # s, at both ends of a recording that stands behind others
MAX_MISSING = 2  # samples at a recording's end that resampling may round away

TrackerFactory = Callable[[], octaves_lib.Tracker]

# Loading a network takes seconds; a process keeps it for all the segments it gets.
_trackers: dict[str, octaves_lib.Tracker] = {}
# The plan of the job that a process works on, by folder and hash.
_plans: dict[tuple[str, str], plan_lib.Plan] = {}
_loading = threading.Lock()  # Dask's workers have several threads


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
    def layout(self) -> dataset_layout.Layout:
        """The paths of the dataset and its cache."""
        return dataset_layout.Layout(self.output, self.cache)

    @property
    def plan(self) -> plan_lib.Plan:
        """The plan, read once a process."""
        key = (self.output, self.plan_hash)
        plan = _plans.get(key)
        if plan is None:
            with _loading:
                plan = _plans.get(key) or _read_plan(*key)
                self.keep(plan)
        return plan

    def keep(self, plan: plan_lib.Plan) -> None:
        """Takes the plan of this job for the whole process, instead of reading it."""
        _plans.clear()
        _plans[self.output, self.plan_hash] = plan

    def tracker(self) -> octaves_lib.Tracker:
        """The pitch tracker, loaded once a process."""
        name = self.plan.tracker_id
        with _loading:
            if name not in _trackers:
                _trackers[name] = self.make_tracker()
            return _trackers[name]


def _read_plan(output: str, plan_hash: str) -> plan_lib.Plan:
    path = dataset_layout.Layout(output).file(dataset_layout.PLAN)
    plan = plan_lib.Plan.from_json(path.read_text())
    if plan.hash != plan_hash:
        raise settings_lib.PrepError(f"{path} changed while the job was running.")
    return plan


def spool_recording(job: Job, source: int) -> None:
    """Decodes a recording once, to raw float32 at the dataset's rate and at 16 kHz.

    Raises:
        decode.UnreadableError: If the file is not what was probed.
    """
    plan, layout = job.plan, job.layout
    recording, variant = plan.recording_of(source), plan.sources[source]
    missing = _unfinished_spools(job, source)
    if not missing:
        return
    # Guard: what was planned is what is read.
    if probe_lib.hash_file(recording.path) != recording.recording_id:
        raise decode.UnreadableError("its content changed since it was probed")
    scale = recordings_lib.find_gain(recording.peak, plan.settings.normalize)
    # Transposition: the samples are taken to be faster or slower than they are.
    in_rate = recording.in_rate * plan_lib.frequency_ratio(variant.cents)
    for rate, n_samples in missing.items():
        path = layout.spool(plan.source_id(source), rate)
        with dataset_layout.replacing(path, layout.temporary) as unfinished:
            _decode_to(
                unfinished,
                recording,
                resampler=resample.Resampler(in_rate, rate),
                scale=np.float32(scale),
            )
            if variant.excerpt:
                _take_excerpt(
                    unfinished,
                    variant.excerpt[0] * rate // plan.settings.frame_rate,
                    n_samples=n_samples,
                    fade_size=round(FADE_SECS * rate),
                )
            else:
                _set_length(unfinished, n_samples)


def _unfinished_spools(job: Job, source: int) -> dict[int, int]:
    """Finds the rates at which a source is not on disk in full, with its samples."""
    plan, variant = job.plan, job.plan.sources[source]
    # Lengths as the plan has them; at 16 kHz one spool serves for both rates.
    wanted = {
        plan.settings.sample_rate: variant.n_samples,
        settings_lib.CREPE_RATE: variant.n_samples_16k,
    }
    return {
        rate: n_samples
        for rate, n_samples in wanted.items()
        if not dataset_layout.holds_samples(
            job.layout.spool(plan.source_id(source), rate), n_samples
        )
    }


def _take_excerpt(
    path: pathlib.Path, first: int, *, n_samples: int, fade_size: int
) -> None:
    """Keeps `n_samples` from `first` on of a raw file, faded in and out."""
    audio = dataset_layout.read_span(path, first, first + n_samples)
    size = min(fade_size, n_samples // 2)
    # A half of a Hann window: 0 before the first sample, 1 after the last of the fade.
    fade = np.sin(np.pi / 2 * (np.arange(size) + 0.5) / size) ** 2
    audio[:size] *= fade
    audio[len(audio) - size :] *= fade[::-1]
    path.write_bytes(audio.tobytes())  # numpy's tofile is silent about a full disk


def _decode_to(
    path: pathlib.Path,
    recording: recordings_lib.Recording,
    *,
    resampler: resample.Resampler,
    scale: np.float32,
) -> None:
    used = recording.used_channels
    with decode.open_recording(recording.path) as file, open(path, "wb") as spool:
        for block in file.blocks():
            mono = channels.downmix(block, used)
            spool.write(resampler.push(mono * scale).tobytes())
        spool.write(resampler.finish().tobytes())


def _set_length(path: pathlib.Path, n_samples: int) -> None:
    """Rounds the length of a resampled stream as the plan does."""
    missing = n_samples - path.stat().st_size // dataset_layout.SAMPLE_BYTES
    if missing > MAX_MISSING:
        raise decode.UnreadableError(
            f"its decoded length changed since it was probed: {missing} samples fewer"
        )
    with open(path, "rb+") as file:
        file.truncate(dataset_layout.SAMPLE_BYTES * n_samples)


def analyse_segment(job: Job, source: int, *, segment: int) -> None:
    """Computes the features of one segment of a spooled recording."""
    plan, layout = job.plan, job.layout
    path = layout.features(plan.features_id(source), segment)
    if feature_cache.read(path) is not None:
        return
    spool = layout.spool(plan.source_id(source), settings_lib.CREPE_RATE)
    values = features.analyse_segment(
        functools.partial(dataset_layout.read_span, spool),
        segment,
        n_frames=plan.sources[source].n_frames,
        frame_rate=plan.settings.frame_rate,
        framing=plan.settings.framing,
        tracker=job.tracker(),
        octaves=plan.sources[source].octaves,
    )
    feature_cache.write(path, values, temporary=layout.temporary)


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
        values = feature_cache.read(path)
        if values is None:
            raise settings_lib.PrepError(
                f"{path} was removed or damaged while the job was running; run "
                "the same command again, and it is computed anew."
            )
        parts.append(values[:, max(0, start - first) : start + n_frames - first])
    return np.concatenate(parts, axis=1)


def assemble_features(job: Job, example: plan_lib.Example) -> np.ndarray:
    """Features of an example, shape [3, n_frames].

    Each recording has its own, as if it stood alone. A rest has no confidence, the
    lowest loudness, and the pitch before it (behind it where nothing stands before).
    """
    n_frames = job.plan.settings.feature_frames
    values = np.zeros((3, n_frames), np.float32)
    values[2] = loudness.MIN_DB
    source_of = np.full(n_frames, -1)  # frame → the last frame with a pitch, or -1
    for span in example.spans:
        frames = np.arange(span.at, span.at + span.n_frames)
        values[:, frames] = read_features(
            job, span.source, start=span.first, n_frames=span.n_frames
        )
        source_of[frames] = frames
    held = np.maximum.accumulate(source_of)
    values[0] = values[0, np.where(held < 0, example.spans[0].at, held)]
    return values


def assemble_power(job: Job, example: plan_lib.Example) -> np.ndarray:
    """Power of an example, shape [n_frames]; the lowest where no recording stands.

    Measured when a record is written, as it takes no time beside pitch: so the cache of
    features holds none.
    """
    settings = job.plan.settings
    values = np.full(settings.feature_frames, loudness.MIN_DB, np.float32)
    for span in example.spans:
        spool = job.layout.spool(
            job.plan.source_id(span.source), settings_lib.CREPE_RATE
        )
        values[span.at : span.at + span.n_frames] = features.power_db(
            functools.partial(dataset_layout.read_span, spool),
            first=span.first,
            n_frames=span.n_frames,
            frame_rate=settings.frame_rate,
            framing=settings.framing,
        )
    return values


def assemble_audio(job: Job, example: plan_lib.Example, rate: int) -> np.ndarray:
    """Samples of an example at `rate`; silence where no recording stands."""
    settings = job.plan.settings
    hop = rate // settings.frame_rate
    audio = np.zeros(settings.example_frames * hop, np.float32)
    for span in example.spans:
        # Features may have one frame more than the audio (--framing=ddsp_center).
        n_frames = min(span.n_frames, settings.example_frames - span.at)
        audio[span.at * hop : (span.at + n_frames) * hop] = dataset_layout.read_span(
            job.layout.spool(job.plan.source_id(span.source), rate),
            span.first * hop,
            (span.first + n_frames) * hop,
        )
    return audio


def load_example(job: Job, track: int, *, start: int) -> bytes:
    """One record, from spooled recordings and their features."""
    plan, settings = job.plan, job.plan.settings
    example = plan.example(track, start)
    f0_hz, f0_confidence, loudness_db = assemble_features(job, example)
    # Which recordings stand where, for an example that holds several.
    sources = [
        records.SourceSpan(
            plan.recording_of(span.source).recording_id,
            begin_secs=span.at / settings.frame_rate,
            end_secs=(span.at + span.n_frames) / settings.frame_rate,
        )
        for span in example.spans
    ]
    return records.encode_example(
        {
            "audio": assemble_audio(job, example, settings.sample_rate),
            "audio_16k": assemble_audio(job, example, settings_lib.CREPE_RATE),
            "f0_hz": f0_hz,
            "f0_confidence": f0_confidence,
            "loudness_db": loudness_db,
            "power_db": assemble_power(job, example),
        },
        recording_id=example.recording_id,
        start_secs=example.start_secs,
        transpose_cents=example.cents,
        sources=sources if plan.pack_of(track) else (),
    )


def write_shard(job: Job, shard: int) -> None:
    """Writes one file of records."""
    layout = job.layout
    planned = job.plan.shards[shard]
    path = layout.file(planned.file_name)
    if path.exists():
        return
    with dataset_layout.replacing(path, layout.temporary) as unfinished:
        tfrecords.write_records(
            unfinished,
            (
                load_example(job, track, start=start)
                for track, start in planned.examples
            ),
        )


def unfinished_shards(job: Job) -> list[int]:
    """Shards that are not on disk."""
    return [
        index
        for index, shard in enumerate(job.plan.shards)
        if not job.layout.file(shard.file_name).exists()
    ]


def unfinished_sources(job: Job) -> list[int]:
    """Finds sources of which something is missing on disk or damaged.

    Statistics and page need features and spools too, when all shards are there already.
    """
    plan = job.plan
    waiting = {
        span.source
        for shard in unfinished_shards(job)
        for example in plan.examples_of(plan.shards[shard])
        for span in example.spans
    }
    for index in range(len(plan.sources)):
        if index in waiting:
            continue
        if _unfinished_spools(job, index) or any(
            feature_cache.read(path) is None for path in feature_paths(job, index)
        ):
            waiting.add(index)
    return sorted(waiting)


def feature_paths(job: Job, source: int) -> list[pathlib.Path]:
    """Cache entries of a source, in the order of its segments."""
    features_id = job.plan.features_id(source)
    return [
        job.layout.features(features_id, s) for s in job.plan.sources[source].segments
    ]


def load_crepe(capacity: str, decoder: str, precision: str) -> octaves_lib.Tracker:
    """CREPE with a fixed number of threads; called once in every worker process.

    How many threads share a matrix product decides the order of its sums and with it
    the last bits of a pitch. So it may not depend on the machine or on `--workers`.
    """
    import tensorflow as tf  # seconds to import; only workers come here

    from prep.pitch import tracker

    try:
        tf.config.threading.set_intra_op_parallelism_threads(settings_lib.THREADS)
    except RuntimeError:  # TensorFlow has computed something in this process already
        logging.warning("TensorFlow keeps the number of threads that it started with.")
    return tracker.CrepeTracker(capacity, decoder, precision=precision)
