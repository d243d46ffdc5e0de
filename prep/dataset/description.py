"""The description of a dataset, made from its plan: dataset_info.json and dataset.gin.

`prep.dataset.info` reads dataset_info.json back.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from prep import features
from prep import loudness
from prep.plan import plan as plan_lib
from prep.plan import splits
from prep.recordings import recording as recordings_lib

NAMES_SHOWN = 3  # recordings in the name of a pack


def dataset_info(plan: plan_lib.Plan) -> dict[str, Any]:
    """What a reader needs to know, for dataset_info.json; no absolute path."""
    settings = plan.settings
    return {
        "schema_version": plan_lib.SCHEMA_VERSION,
        "sample_rate": settings.sample_rate,
        "frame_rate": settings.frame_rate,
        "hop_size": settings.hop_size,
        "example_secs": settings.example_secs,
        "hop_secs": settings.hop_secs,
        "n_samples": settings.n_samples,
        "n_samples_16k": settings.n_samples_16k,
        "n_frames": settings.feature_frames,
        "framing": settings.framing,
        "centered": settings.framing == "ddsp_center",
        "tracker": plan.tracker_id,
        "crepe_capacity": settings.crepe_capacity,
        "f0_decoder": settings.f0_decoder,
        "segment_secs": features.SEGMENT_SECS,
        "loudness_n_fft": loudness.REFERENCE_FFT,
        "loudness_sample_rate": features.CREPE_RATE,
        "voiced_confidence": settings.voiced_confidence,
        "voiced_loudness_db": settings.voiced_loudness_db,
        "min_loudness_db": settings.min_loudness_db,
        "short": settings.short,
        "trim_silence": settings.trim_silence,
        "normalize": settings.normalize,
        "transpose_cents": list(settings.transpose_cents),
        "eval_split_fraction": settings.eval_split_fraction,
        "plan_hash": plan.hash,
        "versions": plan.versions,
        "splits": {split: _split_info(plan, split) for split in plan.split_names()},
    }


def _split_info(plan: plan_lib.Plan, split: str) -> dict[str, Any]:
    shards = [shard for shard in plan.shards if shard.split == split]
    info: dict[str, Any] = {
        "file_pattern": f"{split}.tfrecord-*-of-{len(shards):05d}",
        "n_shards": len(shards),
        "n_examples": plan.n_examples(split),
        "seconds": plan.seconds[split],
        "recordings": [
            {
                "recording_id": recording.recording_id,
                "name": _utf8(recording.name),
                "seconds": round(recording.secs, 3),
            }
            for recording in plan.recordings_of(split)
        ],
    }
    tracks = sorted({track for shard in shards for track, _ in shard.examples})
    packs = {
        plan.track_id(track): plan.recordings_in(track)
        for track in tracks
        if len(plan.recordings_in(track)) > 1
    }
    if packs:
        info["packs"] = [
            {
                "recording_id": pack_id,
                "name": _pack_name(recordings),
                "recordings": [one.recording_id for one in recordings],
            }
            for pack_id, recordings in packs.items()
        ]
    return info


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
    settings = plan.settings
    secs = settings.example_secs
    macros = {
        "DATA_DIR": os.fspath(output),
        "SAMPLE_RATE": settings.sample_rate,
        "FRAME_RATE": settings.frame_rate,
        "HOP_SIZE": settings.hop_size,
        "N_SAMPLES": settings.n_samples,
        "TIME_STEPS": settings.feature_frames,
    }
    provider = {
        "file_pattern": os.fspath(output / f"{splits.TRAIN}.tfrecord-*"),
        "example_secs": int(secs) if float(secs).is_integer() else secs,
        "sample_rate": settings.sample_rate,
        "frame_rate": settings.frame_rate,
        "centered": settings.framing == "ddsp_center",
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
