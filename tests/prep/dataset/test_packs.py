"""A dataset of short recordings: each measured by itself, named in its records."""

import json

import numpy as np
import pytest

from prep import features
from prep import loudness
from prep.recordings import decode
from tests.helpers import prep_helpers

FADE = 160  # samples of 16 kHz, 10 ms
LENGTHS = [0.5, 0.4, 0.62, 0.3, 0.55, 0.7, 0.45, 0.8, 0.35, 0.6, 0.5, 0.44]  # s


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    prep_helpers.write_tones(folder / "in", [*LENGTHS, 2.5])
    prep_helpers.prepare(folder / "in", folder / "out")
    return folder


def spans(example):
    """(recording id, first frame, end frame) of the recordings in an example."""
    begins, ends = example["source_begin_secs"], example["source_end_secs"]
    return [
        (name, round(float(begin) * 250), round(float(end) * 250))
        for name, begin, end in zip(example["source_ids"], begins, ends, strict=True)
    ]


def test_each_recording_in_a_pack_is_what_it_is_alone(made):
    """Audio, pitch and loudness of a piece equal those of the faded recording."""
    alone = {}
    info = json.loads((made / "out" / "dataset_info.json").read_text())
    for split in info["splits"].values():
        for recording in split["recordings"]:
            audio = decode.load_audio(made / "in" / recording["name"], 16000)
            audio = audio[: len(audio) // 64 * 64]
            fade = np.sin(np.pi / 2 * (np.arange(FADE) + 0.5) / FADE) ** 2
            audio[:FADE] *= fade
            audio[-FADE:] *= fade[::-1]
            alone[recording["recording_id"].encode()] = features.compute_features(
                audio, tracker=prep_helpers.StubTracker()
            )
    n_whole = 0
    for example in prep_helpers.read_examples(made / "out", "eval") + (
        prep_helpers.read_examples(made / "out", "train")
    ):
        rest = np.ones(250, bool)
        for name, begin, end in spans(example) if "source_ids" in example else ():
            rest[begin:end] = False
            wanted = alone[name]
            n_frames = len(wanted["f0_hz"])
            # A recording that an example cuts off at its end begins where it begins.
            if begin > 0 or end - begin == n_frames:
                n_whole += 1
                for key in ("f0_hz", "f0_confidence", "loudness_db", "power_db"):
                    np.testing.assert_array_equal(
                        example[key][begin:end], wanted[key][: end - begin]
                    )
                np.testing.assert_allclose(
                    example["audio"][begin * 64 : end * 64],
                    wanted["audio"][: (end - begin) * 64],
                    atol=1e-7,  # float32 against float64 in the fade
                )
        if "source_ids" in example:
            assert rest.any()
            assert not example["audio"].reshape(250, 64)[rest].any()
            assert (example["f0_confidence"][rest] == 0).all()
            assert (example["loudness_db"][rest] == loudness.MIN_DB).all()
            assert (example["power_db"][rest] == loudness.MIN_DB).all()
            assert (example["f0_hz"] > 0).all()
    assert n_whole >= len(LENGTHS)


def test_ids_of_packs_are_named_and_share_no_recording(made):
    info = json.loads((made / "out" / "dataset_info.json").read_text())
    for split, described in info["splits"].items():
        known = {one["recording_id"] for one in described["recordings"]}
        packs = {one["recording_id"]: one for one in described.get("packs", [])}
        stands_in = {}
        for example in prep_helpers.read_examples(made / "out", split):
            identity = example["recording_id"].decode()
            assert identity in known | set(packs)
            for name in example.get("source_ids", []):
                assert stands_in.setdefault(name, identity) == identity
                assert name.decode() in known
    assert packs or info["splits"]["train"]["packs"]


def test_statistics_have_a_row_a_recording_and_count_no_rest(made):
    found = json.loads((made / "out" / "statistics.json").read_text())
    assert len(found["recordings"]) == len(LENGTHS) + 1
    for row in found["recordings"]:
        assert row["seconds_used"] == pytest.approx(row["seconds"], abs=1 / 250)
    assert found["loudness_db"]["min"] > loudness.MIN_DB


def test_page_names_the_recordings_of_an_example(made):
    page = (made / "out" / "dataset.html").read_text()
    shown = page.split("<h2>Listen</h2>")[1].split("<h2>Recordings</h2>")[0]
    assert shown.count(">at 0.00 s<") >= 2  # two examples, each of several recordings
    assert shown.count(">at ") > shown.count(">at 0.00 s<")
    for index in range(len(LENGTHS)):
        assert f"tone{index}.wav" in page


def test_long_recordings_have_the_records_that_they_had(tmp_path):
    """The new keys are in examples of packs alone; old datasets stay as they were."""
    prep_helpers.write_tones(tmp_path / "in", [2.0, 3.0])
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out")
    for example in prep_helpers.read_examples(tmp_path / "out", "train"):
        assert not [key for key in example if key.startswith("source_")]
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert not any("packs" in split for split in info["splits"].values())


@pytest.mark.parametrize(
    "changed",
    [
        {"framing": "ddsp_center"},
        {"framing": "ddsp_same"},
        {"sample_rate": 48000},
        {"short": "pad"},
        {"trim_silence": True},
        {"transpose_cents": (0.0, -700.0, 300.0)},
        {"normalize": "peak"},
    ],
    ids=str,
)
@pytest.mark.long
def test_packs_with_other_settings_have_whole_examples(tmp_path, changed):
    prep_helpers.write_tones(tmp_path / "in", [0.5, 0.4, 0.62, 0.9])
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out", **changed)
    rate = changed.get("sample_rate", 16000)
    n_frames = 250 + (changed.get("framing") == "ddsp_center")
    for split in ("train", "eval"):
        examples = prep_helpers.read_examples(tmp_path / "out", split)
        assert examples
        for example in examples:
            assert len(example["audio"]) == rate
            assert len(example["f0_hz"]) == n_frames
            assert np.abs(example["audio"]).max() > 0.1


@pytest.mark.long
def test_stopped_run_of_short_recordings_goes_on_to_the_same_bytes(
    made, tmp_path, monkeypatch
):
    from prep import settings as settings_lib
    from prep.beam import steps

    real, calls = steps.write_shard, []

    def stop_at_third(job, shard):
        calls.append(shard)
        if len(calls) == 3:
            raise OSError("pulled the plug")
        real(job, shard)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_shard", stop_at_third)
        with pytest.raises(settings_lib.PrepError, match="pulled the plug"):
            prep_helpers.prepare(made / "in", tmp_path / "out")
    prep_helpers.prepare(made / "in", tmp_path / "out")
    assert prep_helpers.contents(tmp_path / "out") == prep_helpers.contents(
        made / "out"
    )
