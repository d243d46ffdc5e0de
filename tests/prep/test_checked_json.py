import dataclasses
import json
import random
from typing import Any

import pytest

from prep import checked_json
from prep import settings as settings_lib
from prep.dataset import info
from prep.plan import plan as plan_lib
from prep.recordings import recording as recordings_lib


@dataclasses.dataclass(frozen=True)
class Inner:
    name: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Outer:
    count: int
    share: float
    inner: Inner
    others: dict[str, Inner]
    flag: bool = False
    note: str | None = None
    free: Any = None


VALUES = {
    "count": 3,
    "share": 1,
    "inner": {"name": "a", "spans": [[0, 2], [3, 4]]},
    "others": {"x": {"name": "b"}},
    "unknown": "of a later version",
}


def test_values_become_what_the_annotations_say():
    made = checked_json.build(Outer, VALUES, "f.json")
    assert made == Outer(3, 1, Inner("a", ((0, 2), (3, 4))), {"x": Inner("b")})
    assert json.loads(json.dumps(dataclasses.asdict(made)))["inner"] == VALUES["inner"]


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"count": "3"}, "f.json, count is text where a whole number is needed"),
        ({"count": True}, "f.json, count is True where a whole number"),
        ({"count": 3.5}, "f.json, count is 3.5 where a whole number"),
        ({"flag": 1}, "f.json, flag is 1 where true or false"),
        ({"share": None}, "f.json, share is null where a number"),
        ({"inner": []}, "f.json, inner is a list where an object"),
        ({"inner": {}}, "f.json, inner lacks 'name'"),
        ({"inner": {"name": "a", "spans": [[1]]}}, r"spans\[0\] has 1 values, not 2"),
        ({"others": {"x": 5}}, "f.json, others, x is 5 where an object"),
        ({"note": 5}, "f.json, note is 5 where text"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_place(changed, message):
    with pytest.raises(checked_json.DamagedError, match=message):
        checked_json.build(Outer, {**VALUES, **changed}, "f.json")


@pytest.mark.parametrize(
    "text", ["{", "", "[" * 100_000, b"\xff\xfe{", "nul"], ids=repr
)
def test_text_that_is_no_json_is_one_sentence(text):
    with pytest.raises(checked_json.DamagedError, match=r"f\.json is not valid JSON"):
        checked_json.load(text, "f.json")


# --- a fuzz of the files that preparation reads back ---

N_MUTATIONS = 400  # of each file; all of them take less than a second
JUNK = (None, True, -1, 10**30, 1.5, "text", [], {}, [[]], {"a": [None]})


def _mutate(values: Any, rng: random.Random) -> Any:
    """A copy with one value anywhere exchanged, or one key or element missing."""
    if isinstance(values, dict | list) and values and rng.random() < 0.8:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        key = rng.choice(keys)
        copy = values.copy()
        if rng.random() < 0.3:
            del copy[key]
        else:
            copy[key] = _mutate(values[key], rng)
        return copy
    return rng.choice(JUNK)


def _plan() -> plan_lib.Plan:
    recording = recordings_lib.Recording(
        "a.wav", "/a.wav", "ab", 9, 16000, 64000, 1, "WAV", 0.5, 0.0, 0.0, 0.0, 1.0,
        0.0, ("note",),
    )  # fmt: skip
    source = plan_lib.Source(0, 0.0, 64000, 64000, 1000, (0,), (0, 900))
    return plan_lib.Plan(
        settings=settings_lib.Settings(),
        tracker_id="stub",
        recordings=(recording,),
        sources=(source,),
        shards=(plan_lib.Shard("train", "train.tfrecord-0", ((1, 0),)),),
        rejections=(recordings_lib.Rejection("b", "/b", "all", "bad", {"s": 1}),),
        n_found=2,
        seconds={"train": 4.0},
        versions={"numpy": "1"},
        packs=(plan_lib.Pack(((0, 0),), 1000),),
    )


def test_mutated_plan_is_read_or_refused_in_one_sentence():
    values = json.loads(_plan().to_json())
    rng, refused = random.Random(3), 0
    for _ in range(N_MUTATIONS):
        try:
            plan_lib.Plan.from_json(json.dumps(_mutate(values, rng)))
        except settings_lib.PrepError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > N_MUTATIONS / 2


def test_mutated_description_is_read_or_refused_in_one_sentence(tmp_path):
    facts = info.DatasetInfo(
        sample_rate=16000,
        frame_rate=250,
        n_samples=16000,
        n_frames=250,
        splits={
            "train": info.SplitInfo(
                "train.tfrecord-*", 1, 3, 4.0, (info.RecordingInfo("ab", "a.wav", 4.0),)
            )
        },
    )
    (tmp_path / info.COMPLETED_NAME).touch()
    rng, refused = random.Random(4), 0
    for _ in range(N_MUTATIONS):
        mutated = json.dumps(_mutate(json.loads(facts.to_json()), rng))
        (tmp_path / info.INFO_NAME).write_text(mutated)
        try:
            info.read_dataset_info(tmp_path).macros()
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > N_MUTATIONS / 4


def test_description_is_read_as_it_was_written(tmp_path):
    facts = info.DatasetInfo(
        data_dir=tmp_path,
        sample_rate=48000,
        frame_rate=250,
        n_samples=192000,
        n_frames=1000,
        splits={
            "eval": info.SplitInfo(
                "eval.tfrecord-*",
                1,
                3,
                4.0,
                (info.RecordingInfo("ab", "a.wav", 4.0),),
                (info.PackInfo("pack-1", "a + b", ("ab", "cd")),),
            )
        },
        transpose_cents=(0.0, 50.0),
        versions={"numpy": "1"},
    )
    (tmp_path / info.INFO_NAME).write_text(facts.to_json())
    read = info.read_dataset_info(tmp_path, require_completed=False)
    assert read == facts
    assert read.recording_names() == {"ab": "a.wav", "pack-1": "a + b"}


def test_dataset_of_ddsps_own_framing_or_of_a_later_version_is_refused(tmp_path):
    facts = info.DatasetInfo(
        sample_rate=16000, frame_rate=250, n_samples=16000, n_frames=250, splits={}
    )
    for changed, message in (
        ({"framing": "ddsp_center", "n_frames": 251}, "for ddsp's own programs"),
        ({"schema_version": 2}, "schema_version 2 is a later"),
        ({"n_frames": 251}, "contradicts itself"),
    ):
        values = {**json.loads(facts.to_json()), **changed}
        (tmp_path / info.INFO_NAME).write_text(json.dumps(values))
        with pytest.raises(ValueError, match=message):
            info.read_dataset_info(tmp_path, require_completed=False)
