import dataclasses
import json
from typing import Any

import pytest

from prep import checked_json
from prep.dataset import info


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
