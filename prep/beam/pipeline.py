"""The Beam graph: recordings → segments of features → whole shards.

One line, so that every runner can run it: no side inputs, no tags, no second branch, no
sink of Beam's. What travels between the steps are small keys, never audio:

    Create(sources) | SpoolRecording | GroupByKey | AnalyseSegment | GroupByKey
                    | WriteShard

A GroupByKey hands nothing on before all that comes before it is finished, so segments
find their recording decoded and shards find their features computed.
"""

import json
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.options import pipeline_options

from prep.beam import runners
from prep.beam import steps
from prep.dataset import layout
from prep.recordings import decode


class SpoolRecording(beam.DoFn):
    """Source number → keys of its segments, when the recording is decoded."""

    def __init__(self, job: steps.Job):
        self._job = job

    def process(self, source: int) -> Iterator[tuple[str, int]]:
        """Decodes the recording; one that cannot be read is noted and left out."""
        try:
            steps.spool_recording(self._job, source)
        except (decode.UnreadableError, FileNotFoundError, PermissionError) as error:
            _note_failure(self._job, source, error)
            return
        for segment in self._job.plan.sources[source].segments:
            yield f"{source}:{segment}", 0


class AnalyseSegment(beam.DoFn):
    """Segment key → the shards that can be written when all segments are done."""

    def __init__(self, job: steps.Job):
        self._job = job

    def process(self, keyed: tuple[str, object]) -> Iterator[tuple[int, int]]:
        """Computes a segment's features."""
        source, segment = map(int, keyed[0].split(":"))
        steps.analyse_segment(self._job, source, segment=segment)
        for shard in self._job.plan.shards_by_segment.get((source, segment), ()):
            yield shard, 0


class WriteShard(beam.DoFn):
    """Shard number → a file."""

    def __init__(self, job: steps.Job):
        self._job = job

    def process(self, keyed: tuple[int, object]) -> Iterator[int]:
        """Writes a shard unless some of its features could not be computed."""
        job, plan = self._job, self._job.plan
        shard = int(keyed[0])
        if all(
            job.layout.features(plan.features_id(source), segment).exists()
            for source, segment in plan.segments_of(plan.shards[shard])
        ):
            steps.write_shard(job, shard)
            yield shard


def _note_failure(job: steps.Job, source: int, error: Exception) -> None:
    recording = job.plan.recording_of(source)
    path = job.layout.failures / f"{source}.json"
    with layout.replacing(path, job.layout.temporary) as unfinished:
        unfinished.write_text(
            json.dumps({"name": recording.name, "reason": str(error)})
        )


def run(job: steps.Job, options: pipeline_options.PipelineOptions) -> None:
    """Computes all shards that are missing; returns when the runner has finished."""
    with (
        runners.temporary_files_in(job.layout.temporary),
        beam.Pipeline(options=options) as pipeline,
    ):
        _ = (
            pipeline
            | "ListRecordings" >> beam.Create(steps.unfinished_sources(job))
            | "SpoolRecording" >> beam.ParDo(SpoolRecording(job))
            | "CollectSegments" >> beam.GroupByKey()
            | "AnalyseSegment" >> beam.ParDo(AnalyseSegment(job))
            | "CollectShards" >> beam.GroupByKey()
            | "WriteShard" >> beam.ParDo(WriteShard(job))
        )
