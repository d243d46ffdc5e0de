"""Clips of a dataset: which are judged, what they are called, their audio."""

import hashlib
from collections.abc import Sequence
from typing import Any

from evaluation.scoring import clips
from models.data import provider


def read_clips(
    dataset: provider.PreparedDataset, indices: Sequence[int]
) -> list[clips.Clip]:
    """Reads the audio of some examples.

    Args:
        dataset: An open split.
        indices: Which examples.
    """
    ids = dataset.example_ids(indices)
    info = dataset.info
    names = recording_names(info.fields)
    audio = [dataset.examples([index])["audio"][0] for index in indices]
    return [
        clips.Clip(
            name=f"{names.get(identity.recording_id, identity.recording_id)} "
            f"@ {identity.start_secs:.2f} s",
            recording_id=identity.recording_id,
            start_secs=identity.start_secs,
            audio=samples,
            sample_rate=info.sample_rate,
            frame_rate=info.frame_rate,
        )
        for identity, samples in zip(ids, audio, strict=True)
    ]


def recording_names(fields: dict[str, Any]) -> dict[str, str]:
    """Name of each recording and pack by its id, from dataset_info.json."""
    return {
        recording["recording_id"]: recording["name"]
        for split in fields.get("splits", {}).values()
        for recording in [*split.get("recordings", []), *split.get("packs", [])]
    }


def spread(n_wanted: int, recordings: Sequence[str]) -> list[int]:
    """Picks clips so that every recording is heard before one is heard twice.

    Args:
        n_wanted: How many; 0 for all.
        recordings: Recording of each clip.

    Returns:
        Indices of clips, ascending.
    """
    if not 0 < n_wanted < len(recordings):
        return list(range(len(recordings)))
    seen: dict[str, int] = {}
    ranked = []
    for index, name in enumerate(recordings):
        seen[name] = seen.get(name, 0) + 1
        tie = hashlib.sha256(f"{name}/{seen[name]}".encode()).hexdigest()
        ranked.append((seen[name], tie, index))
    return sorted(index for _, _, index in sorted(ranked)[:n_wanted])
