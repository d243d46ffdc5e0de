"""Deals examples into shards, so that a shard holds a mixture of all recordings."""

import hashlib
import math
from collections.abc import Iterator

from prep.plan import plan as plan_lib
from prep.plan import splits

SHARD_BYTES = 64e6  # about, of a shard
MIN_TRAIN_SHARDS = 4  # readers shuffle the order of shards

# (track, first frame) of the examples of each split; `plan.Shard` says what a track is.
Examples = dict[str, list[tuple[int, int]]]


def deal(plan: plan_lib.Plan, examples: Examples) -> Iterator[plan_lib.Shard]:
    """Gives each example its shard.

    Args:
        plan: As far as it is made: settings and sources.
        examples: Of each split.

    Yields:
        Shards; those of training in a fixed random order, those of evaluation in the
        order of the recordings.
    """
    settings = plan.settings

    def scattered(example: tuple[int, int]) -> bytes:
        track, start = example
        pack = plan.pack_of(track)
        # All that begins in a pack has its place by its first recording.
        source = pack.pieces[0][0] if pack else track
        key = f"{plan.source_id(source)}@{start}"
        return hashlib.blake2b(key.encode(), digest_size=16).digest()

    for split, found in examples.items():
        if not found:
            continue
        ordered = sorted(found, key=scattered) if split == splits.TRAIN else found
        n_bytes = len(found) * plan_lib.example_bytes(settings)
        n_shards = max(1, math.ceil(n_bytes / SHARD_BYTES))
        if split == splits.TRAIN:
            n_shards = settings.n_shards or max(n_shards, MIN_TRAIN_SHARDS)
            n_shards = min(n_shards, len(found))
        for shard in range(n_shards):
            yield plan_lib.Shard(
                split=split,
                file_name=f"{split}.tfrecord-{shard:05d}-of-{n_shards:05d}",
                examples=tuple(ordered[shard::n_shards]),
            )
