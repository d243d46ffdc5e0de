"""The description of a dataset, made from its plan: its facts and dataset.gin."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from prep import features
from prep import loudness
from prep import settings as settings_lib
from prep.dataset import info
from prep.plan import plan as plan_lib
from prep.plan import splits
from prep.recordings import recording as recordings_lib

NAMES_SHOWN = 3  # recordings in the name of a pack


def dataset_info(plan: plan_lib.Plan) -> info.DatasetInfo:
    """Returns what a reader needs to know of a plan's dataset."""
    settings = plan.settings
    return info.DatasetInfo(
        sample_rate=settings.sample_rate,
        frame_rate=settings.frame_rate,
        n_samples=settings.n_samples,
        n_frames=settings.feature_frames,
        splits={split: _split_info(plan, split) for split in plan.split_names()},
        plan_hash=plan.hash,
        hop_secs=settings.hop_secs,
        framing=settings.framing,
        tracker=plan.tracker_id,
        crepe_capacity=settings.crepe_capacity,
        crepe_precision=settings.crepe_precision,
        f0_decoder=settings.f0_decoder,
        segment_secs=features.SEGMENT_SECS,
        loudness_n_fft=loudness.REFERENCE_FFT,
        loudness_sample_rate=settings_lib.CREPE_RATE,
        voiced_confidence=settings.voiced_confidence,
        voiced_loudness_db=settings.voiced_loudness_db,
        min_loudness_db=settings.min_loudness_db,
        short=settings.short,
        trim_silence=settings.trim_silence,
        normalize=settings.normalize,
        transpose_cents=settings.transpose_cents,
        eval_split_fraction=settings.eval_split_fraction,
        versions=plan.versions,
    )


def _split_info(plan: plan_lib.Plan, split: str) -> info.SplitInfo:
    shards = [shard for shard in plan.shards if shard.split == split]
    # A track of one recording needs no name of its own.
    tracks = sorted({track for shard in shards for track, _ in shard.examples})
    packs = {
        plan.track_id(track): plan.recordings_in(track)
        for track in tracks
        if len(plan.recordings_in(track)) > 1
    }
    return info.SplitInfo(
        file_pattern=f"{split}.tfrecord-*-of-{len(shards):05d}",
        n_shards=len(shards),
        n_examples=plan.n_examples(split),
        seconds=plan.seconds[split],
        recordings=tuple(
            info.RecordingInfo(one.recording_id, _utf8(one.name), round(one.secs, 3))
            for one in plan.recordings_of(split)
        ),
        packs=tuple(
            info.PackInfo(
                pack_id,
                _pack_name(recordings),
                tuple(r.recording_id for r in recordings),
            )
            for pack_id, recordings in packs.items()
        ),
    )


def _pack_name(recordings: Sequence[recordings_lib.Recording]) -> str:
    """Names a pack by its first recordings."""
    names = " + ".join(_utf8(one.name) for one in recordings[:NAMES_SHOWN])
    more = len(recordings) - NAMES_SHOWN
    return f"{names} + {more} more" if more > 0 else names


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def dataset_gin(plan: plan_lib.Plan, output: pathlib.Path) -> str:
    """Gin macros and the stock provider's arguments, for dataset.gin.

    ddsp_run reads dataset_info.json instead and needs none of this; the file is for
    ddsp's own programs, and it names this folder: it does not move with the dataset.
    """
    facts = dataclasses.replace(dataset_info(plan), data_dir=output)
    # The macros of a training, and what ddsp's provider calls the same things.
    macros = facts.macros()
    secs = macros.pop("EXAMPLE_SECS")
    provider = {
        "file_pattern": os.fspath(output / f"{splits.TRAIN}.tfrecord-*"),
        "example_secs": secs,
        "sample_rate": facts.sample_rate,
        "frame_rate": facts.frame_rate,
        "centered": facts.framing == "ddsp_center",
    }
    lines = [
        "# Rates, lengths and place of one dataset; written by prep/run_beam.py.",
        "# Required: nothing.",
        "# Commonly overridden: TFRecordProvider.file_pattern (eval.tfrecord-*).",
        "",
        *(f"{key} = {value!r}" for key, value in macros.items()),
        "",
        "import ddsp.training",
        "",
        *(f"TFRecordProvider.{key} = {value!r}" for key, value in provider.items()),
    ]
    return "\n".join(lines) + "\n"
