"""How many shards, and what stands in which."""

import dataclasses
import hashlib

import pytest

from prep.plan import dealing
from prep.plan import plan as plan_lib
from tests.helpers import plans

EXAMPLE_BYTES = plan_lib.example_bytes(plans.SETTINGS)


def deal(examples, **changed):
    settings = dataclasses.replace(plans.SETTINGS, **changed)
    plan = dataclasses.replace(plans.PLAN, settings=settings)
    return list(dealing.deal(plan, examples))


def test_training_is_scattered_by_a_hash_and_evaluation_is_in_order():
    examples = {
        "train": [(0, start) for start in range(0, 1000, 100)] + [(4, 0), (4, 50)],
        "eval": [(3, 0), (5, 0), (2, 0)],
    }
    *train, held = deal(examples, n_shards=5)
    assert held.examples == tuple(examples["eval"])
    assert held.file_name == "eval.tfrecord-00000-of-00001"
    assert [shard.file_name for shard in train] == [
        f"train.tfrecord-0000{i}-of-00005" for i in range(5)
    ]

    def scattered(example):
        # Of a pack the first source counts.
        name = {0: "a+0n", 4: "b+50nx10-70"}[example[0]]
        key = f"{name}@{example[1]}".encode()
        return hashlib.blake2b(key, digest_size=16).digest()

    ordered = sorted(examples["train"], key=scattered)
    assert [shard.examples for shard in train] == [
        tuple(ordered[i::5]) for i in range(5)
    ]


@pytest.mark.parametrize(
    ("n_train", "n_eval", "changed", "wanted"),
    [
        (12, 0, {}, (4, 0)),  # no fewer, for readers that shuffle shards
        (3, 1, {}, (3, 1)),  # none is empty
        (50, 11, {}, (5, 2)),  # ten examples a shard, and the rest
        (60, 10, {}, (6, 1)),
        (60, 11, {"n_shards": 2}, (2, 2)),  # chosen, for training alone
        (5, 0, {"n_shards": 9}, (5, 0)),
    ],
)
def test_shards_are_as_many_as_their_size_asks_for(
    n_train, n_eval, changed, wanted, monkeypatch
):
    monkeypatch.setattr(dealing, "SHARD_BYTES", 10.0 * EXAMPLE_BYTES)
    examples = {
        "train": [(0, i) for i in range(n_train)],
        "eval": [(3, i) for i in range(n_eval)],
    }
    splits = [shard.split for shard in deal(examples, **changed)]
    assert (splits.count("train"), splits.count("eval")) == wanted


def test_a_split_without_examples_has_no_shard():
    (held,) = deal({"train": [], "eval": [(3, 0)]})
    assert held.split == "eval"


def test_shard_has_about_64_megabytes():
    assert dealing.SHARD_BYTES == 64e6
