"""What a plan says, counted by hand."""

import dataclasses
import importlib.metadata

import pytest

from prep import settings as settings_lib
from prep.plan import plan as plan_lib
from prep.recordings import recording as recordings_lib
from tests.helpers import plans

SETTINGS, PLAN = plans.SETTINGS, plans.PLAN

# The first recording of the same plan is tracked an octave lower.
HIGH = dataclasses.replace(
    PLAN, sources=(plans.source(0, 12345, (0, 2), octaves=-1), *PLAN.sources[1:])
)


def test_tracks_are_sources_and_behind_them_packs():
    assert PLAN.pack_of(3) is None
    assert PLAN.pack_of(4) == PLAN.packs[0]
    assert [r.name for r in PLAN.recordings_in(0)] == ["a.wav"]
    assert [r.name for r in PLAN.recordings_in(4)] == ["b.wav", "c.wav"]
    # A pack of one is named like the recording; another like the recordings' order.
    assert [PLAN.track_id(track) for track in (0, 3, 5)] == ["a", "d", "d"]
    turned = dataclasses.replace(
        PLAN, packs=(plan_lib.Pack(((2, 0), (1, 40)), n_frames=150), PLAN.packs[1])
    )
    assert len(PLAN.track_id(4)) == len("pack-") + 16
    assert turned.track_id(4) != PLAN.track_id(4)


def test_splits_count_their_own_examples_and_recordings():
    assert PLAN.split_names() == ("train", "eval")
    assert PLAN.n_examples("train") == 4
    assert PLAN.n_examples("eval") == 1
    # The example of the pack holds the end of "b" and some of "c".
    assert [r.name for r in PLAN.recordings_of("train")] == ["a.wav", "b.wav", "c.wav"]
    assert [r.name for r in PLAN.recordings_of("eval")] == ["d.wav"]


def test_examples_say_where_their_sources_stand():
    a, pack, late = PLAN.examples_of(PLAN.shards[0])
    # With framing "ddsp_center" an example of 100 frames has 101 values.
    assert a == plan_lib.Example("a", 0.0, 0.0, (plan_lib.Span(0, 0, 101, 0),))
    assert late.start_secs == 59.5
    assert late.spans == (plan_lib.Span(0, 5950, 101, 0),)
    # "b" ends at frame 60 of the pack, "c" begins at 70 and is cut off at 100.
    assert (pack.start_secs, pack.cents) == (0.5, 50.0)
    assert pack.spans == (
        plan_lib.Span(1, first=50, n_frames=10, at=0),
        plan_lib.Span(2, first=0, n_frames=30, at=20),
    )


@pytest.mark.parametrize(
    ("start", "n_frames", "spans"),
    [
        (60, 10, []),  # the rest between two recordings
        (59, 11, [plan_lib.Span(1, 59, 1, 0)]),
        (60, 11, [plan_lib.Span(2, 0, 1, 10)]),
        (80, 15, [plan_lib.Span(2, 10, 15, 0)]),
    ],
)
def test_what_ends_where_an_example_begins_is_not_in_it(start, n_frames, spans):
    found = plan_lib.spans_of(
        PLAN.packs[0], PLAN.sources, start=start, n_frames=n_frames
    )
    assert found == spans


def test_segments_are_minutes_that_examples_touch():
    assert list(plan_lib.segments_at(5990, 10, SETTINGS)) == [0]
    assert list(plan_lib.segments_at(5990, 11, SETTINGS)) == [0, 1]
    assert list(plan_lib.segments_at(6000, 1, SETTINGS)) == [1]
    assert PLAN.segments_of(PLAN.shards[0]) == {(0, 0), (0, 1), (1, 0), (2, 0)}
    assert PLAN.segments_of(PLAN.shards[1]) == {(0, 2)}


def test_times_and_sizes_are_sums_over_sources():
    assert PLAN.source_secs(0) == [60.0, 3.45]  # 123.45 s without its second minute
    assert PLAN.segment_secs == pytest.approx(60 + 3.45 + 0.6 + 0.3 + 0.9)
    n_frames = 12345 + 60 + 30 + 90
    assert PLAN.cache_bytes == 12 * n_frames  # three float32 a frame
    # 48000 + 16000 samples, three features of 101 frames, 4 bytes each, and names.
    assert plan_lib.example_bytes(SETTINGS) == 4 * (64000 + 303) + 200
    spools = n_frames / 100 * 4 * (48000 + 16000)
    records = 5 * (4 * 64303 + 200)
    assert PLAN.n_bytes == int(records + spools + 12 * n_frames + 2e6)
    # At 16 kHz one spool serves both.
    settings = dataclasses.replace(SETTINGS, sample_rate=16000)
    plan = dataclasses.replace(PLAN, settings=settings)
    records = 5 * (4 * (32000 + 303) + 200)
    assert plan.n_bytes == int(records + spools / 4 + 12 * n_frames + 2e6)


def test_a_source_is_named_by_all_that_decides_its_samples():
    assert PLAN.source_id(0) == "a+0n"
    assert PLAN.source_id(1) == "b+50nx10-70"
    other = dataclasses.replace(
        PLAN,
        settings=dataclasses.replace(SETTINGS, normalize="peak"),
        recordings=(plans.recording("a", used_channels=(0, 2)), *PLAN.recordings[1:]),
    )
    assert other.source_id(0) == "a+0pc0c2"


@pytest.mark.parametrize(
    "changed",
    [
        dict(tracker_id="another"),
        dict(versions={"numpy": "3"}),
        dict(sources=(plans.source(0, 12346, (0, 2)), *PLAN.sources[1:])),
        dict(recordings=(plans.recording("e"), *PLAN.recordings[1:])),
        dict(settings=dataclasses.replace(SETTINGS, frame_rate=50)),
        dict(settings=dataclasses.replace(SETTINGS, framing="ddsp_same")),
        dict(sources=(plans.source(0, 12345, (0, 2), octaves=-1), *PLAN.sources[1:])),
        dict(sources=(plans.source(0, 12345, (0, 2), octaves=1), *PLAN.sources[1:])),
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_cached_features_are_those_of_the_same_audio_and_programs(changed):
    other = dataclasses.replace(PLAN, **changed)
    assert other.features_id(0) != PLAN.features_id(0)
    aligned = dataclasses.replace(SETTINGS, framing="aligned")
    same = dataclasses.replace(PLAN, settings=aligned)
    assert same.features_id(0) == PLAN.features_id(0)


def test_features_of_a_wav_stay_valid_beside_an_mp3():
    by_ffmpeg = plans.recording("b", codec="MP3 MP3FLOAT (FFmpeg)")
    alone, beside, newer = (
        dataclasses.replace(
            PLAN,
            recordings=(PLAN.recordings[0], by_ffmpeg, *PLAN.recordings[2:]),
            versions={"numpy": "2", **more},
        )
        for more in ({}, {"av": "18"}, {"av": "19"})
    )
    assert alone.features_id(0) == beside.features_id(0) == newer.features_id(0)
    assert alone.features_id(0) == PLAN.features_id(0)
    assert beside.features_id(1) != newer.features_id(1)


def test_hash_follows_records_and_not_places_or_words():
    lost = recordings_lib.Rejection("e", "/in/e", "all", "why", {"seconds": 1.0})
    plan = dataclasses.replace(PLAN, rejections=(lost,))
    reworded = dataclasses.replace(
        plan,
        settings=dataclasses.replace(SETTINGS, short="pad", pitch_range="crepe"),
        recordings=tuple(
            dataclasses.replace(r, path="/elsewhere", notes=("a note",))
            for r in plan.recordings
        ),
        rejections=(
            recordings_lib.Rejection("e", "/out", "all", "because", {"seconds": 2.0}),
        ),
    )
    assert reworded.hash == plan.hash
    others = (
        PLAN,
        dataclasses.replace(plan, packs=PLAN.packs[:1]),
        dataclasses.replace(plan, shards=PLAN.shards[:2]),
        dataclasses.replace(plan, seconds={}),
        dataclasses.replace(plan, sources=HIGH.sources),
    )
    assert len({plan.hash, *(other.hash for other in others)}) == 6


def test_precision_decides_the_hash_and_its_absence_stands_for_float32():
    rounded = dataclasses.replace(SETTINGS, crepe_precision="bfloat16")
    other = dataclasses.replace(PLAN, settings=rounded)
    assert other.hash != PLAN.hash
    assert plan_lib.Plan.from_json(other.to_json()) == other
    older = PLAN.to_json().replace('"crepe_precision": "float32", ', "")
    assert "crepe_precision" not in older
    assert plan_lib.Plan.from_json(older) == PLAN
    # As worked out before there was the choice.
    assert PLAN.hash == "dfef74b84ea78c2cc732bd7aac1e2780"


def test_transposition_is_a_ratio_of_frequencies():
    assert plan_lib.frequency_ratio(1200.0) == 2.0
    assert plan_lib.frequency_ratio(-600.0) == pytest.approx(2**-0.5)


def test_json_has_a_line_an_element_and_opens_again():
    text = PLAN.to_json()
    assert f'{{\n "hash": "{PLAN.hash}",\n "schema_version": 1,\n' in text
    assert '\n "shards": [\n  {"examples": [[0, 0], [4, 50], [0, 5950]], ' in text
    assert text.endswith("]\n}\n")
    assert plan_lib.Plan.from_json(text) == PLAN
    assert "octaves" not in text
    assert HIGH.to_json().count('"octaves": -1') == 1
    assert plan_lib.Plan.from_json(HIGH.to_json()) == HIGH
    older = text.replace('"schema_version": 1', '"schema_version": 2')
    with pytest.raises(settings_lib.PrepError, match="another version"):
        plan_lib.Plan.from_json(older)


def test_packages_are_named_by_their_release_and_av_where_it_decodes(monkeypatch):
    def version(name):
        if name == "crepe":
            raise importlib.metadata.PackageNotFoundError
        return f"{name} 1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    names = ["numpy", "scipy", "soundfile", "soxr", "tensorflow", "torchcrepe"]
    by_file = [plans.recording("a"), plans.recording("b")]
    assert plan_lib.package_versions(by_file) == {name: f"{name} 1" for name in names}
    decoded = plans.recording("c", codec="MOV AAC (FFmpeg)")
    assert list(plan_lib.package_versions([*by_file, decoded])) == [*names, "av"]
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2")
    assert plan_lib.package_versions([])["crepe"] == "2"
