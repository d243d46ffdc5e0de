"""Probing on the workers of an engine, for jobs with many hours of recordings.

    Create(groups of files) | ProbeRecordings

A group's answers are written to a file, because a Beam graph without a sink gives
nothing back; the calling process reads the files in the order of the recordings.
"""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator

import apache_beam as beam
import numpy as np
from apache_beam.options import pipeline_options

from prep import checked_json
from prep.beam import runners
from prep.dataset import layout
from prep.recordings import find
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib

GROUP_SIZE = 64  # recordings that a worker probes at a time
# From so many bytes of recordings on, workers that start once more for it pay: about
# three hours of CD quality, of which one core probes a few hundred a minute.
MIN_BYTES = 1e9

Probed = recordings_lib.Probe | recordings_lib.Rejection


@dataclasses.dataclass(frozen=True)
class ProbingJob:
    """What a worker must know.

    Attributes:
        folder: For the answers.
        min_loudness_db: See `probe.probe_recording`.
        min_input_rate: See there.
        normalize: See there.
    """

    folder: str
    min_loudness_db: float
    min_input_rate: int
    normalize: str

    def paths(self, n_files: int) -> dict[pathlib.Path, float]:
        """The files of answers to come, with how many each will hold."""
        starts = range(0, n_files, GROUP_SIZE)
        return {
            self.path(group): float(min(GROUP_SIZE, n_files - start))
            for group, start in enumerate(starts)
        }

    def path(self, group: int) -> pathlib.Path:
        """Where the answers of a group are."""
        return pathlib.Path(self.folder) / f"probes-{group:06d}.jsonl"


class ProbeRecordings(beam.DoFn):
    """(number of a group, its files) -> a file of answers."""

    def __init__(self, job: ProbingJob):
        self._job = job

    def process(self, group: tuple[int, list[tuple[bytes, bytes]]]) -> Iterator[int]:
        """Probes a group of recordings."""
        number, recordings = group
        path = self._job.path(number)
        if not path.exists():
            lines = [
                encode(self._probe(os.fsdecode(where), os.fsdecode(name)))
                for where, name in recordings
            ]
            with layout.replacing(path, path.parent) as unfinished:
                unfinished.write_text("".join(f"{line}\n" for line in lines))
        yield number

    def _probe(self, path: str, name: str) -> Probed:
        return probe_lib.probe_recording(
            path,
            name,
            min_loudness_db=self._job.min_loudness_db,
            min_input_rate=self._job.min_input_rate,
            normalize=self._job.normalize,
        )


def pays(found: find.FoundFiles, options: pipeline_options.PipelineOptions) -> bool:
    """Tells whether the workers of an engine should probe."""
    if runners.count_workers(options) == 1:
        return False
    n_bytes = 0
    for path in found.paths:
        with contextlib.suppress(OSError):  # the probe will say what is wrong with it
            n_bytes += os.stat(path).st_size
    return n_bytes >= MIN_BYTES


def probe_recordings(
    found: find.FoundFiles,
    job: ProbingJob,
    options: pipeline_options.PipelineOptions,
) -> list[Probed]:
    """Probes all recordings on the workers; keeps their order."""
    # As bytes: names may hold what UTF-8, and so Beam's own coder of text, cannot say.
    named = zip(found.paths, found.names, strict=True)
    files = [(os.fsencode(path), os.fsencode(name)) for path, name in named]
    groups = list(
        enumerate(
            files[start : start + GROUP_SIZE]
            for start in range(0, len(files), GROUP_SIZE)
        )
    )
    folder = pathlib.Path(job.folder)
    with (
        runners.temporary_files_in(folder),
        beam.Pipeline(options=options) as pipeline,
    ):
        _ = (
            pipeline
            | "ListGroups" >> beam.Create(groups)
            | "ProbeRecordings" >> beam.ParDo(ProbeRecordings(job))
        )
    answers: list[Probed] = []
    for number, _ in groups:
        with open(job.path(number), encoding="utf-8") as lines:
            answers.extend(decode(line) for line in lines)
    return answers


def encode(answer: Probed) -> str:
    """An answer as a line of JSON."""
    if isinstance(answer, recordings_lib.Rejection):
        return json.dumps({"rejection": dataclasses.asdict(answer)})
    recording = dataclasses.asdict(answer.recording)
    return json.dumps(
        {
            "recording": recording,
            "envelope": _encode_array(answer.envelope),
            "pitch_hz": _encode_array(answer.pitch_hz),
            "audio_id": answer.audio_id,
        }
    )


def decode(line: str) -> Probed:
    """The inverse of `encode`."""
    values = checked_json.load(line, "a probe")
    if "rejection" in values:
        return checked_json.build(
            recordings_lib.Rejection, values["rejection"], "a probe"
        )
    return recordings_lib.Probe(
        checked_json.build(recordings_lib.Recording, values["recording"], "a probe"),
        _decode_array(values["envelope"]),
        pitch_hz=_decode_array(values["pitch_hz"]),
        audio_id=values["audio_id"],
    )


def _encode_array(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _decode_array(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")
