import dataclasses
import json

import numpy as np
import pytest
import soundfile

from prep import settings as settings_lib
from prep.plan import make
from prep.plan import plan as plan_lib
from prep.plan import text
from prep.recordings import find
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from tests.helpers import plans
from tests.helpers import prep_helpers
from tests.helpers import training_helpers


def make_plan(folder, *, eval_folder=None, **changed):
    settings = settings_lib.Settings(**{"example_secs": 1.0, **changed})

    def probe(where):
        return probe_lib.probe_recordings(
            find.find_recordings([str(where)]),
            min_loudness_db=settings.min_loudness_db,
            min_input_rate=settings.min_input_rate,
        )

    return make.make_plan(
        probe(folder),
        settings,
        eval_probes=probe(eval_folder) if eval_folder else (),
        tracker_id="stub",
    )


@pytest.fixture
def folder(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 2.0, 5.5, 1.0, 4.2])
    return tmp_path / "in"


def test_splits_share_no_recording_and_hold_every_example_once(folder):
    plan = make_plan(folder)
    by_split = {"train": [], "eval": []}
    for shard in plan.shards:
        by_split[shard.split] += shard.examples
    used = {s: {plan.sources[i].recording for i, _ in e} for s, e in by_split.items()}
    assert used["train"] and used["eval"]
    assert not used["train"] & used["eval"]
    everything = by_split["train"] + by_split["eval"]
    assert len(everything) == len(set(everything))
    # 3 s: starts at 0, 1, 2; 5.5 s: 0 to 4 and 4.5; 4.2 s: 0 to 3, 0.2 s are lost.
    assert len(everything) == 3 + 2 + 6 + 1 + 4


def test_plan_depends_neither_on_names_nor_on_the_order_of_files(folder, tmp_path):
    plan = make_plan(folder)
    (tmp_path / "other").mkdir()
    for index, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        (tmp_path / "other" / f"{index}.wav").write_bytes(path.read_bytes())
    other = make_plan(tmp_path / "other")

    def dealt(plan):
        return [
            [(plan.recording_of(s).recording_id, start) for s, start in shard.examples]
            for shard in plan.shards
            if shard.split == "train"
        ]

    assert dealt(plan) == dealt(other)


def test_plan_survives_json(folder):
    plan = make_plan(folder, transpose_cents=(0.0, 50.0))
    assert plan_lib.Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["hash"] == plan.hash


def test_hash_is_what_datasets_that_exist_carry():
    """A changed hash would refuse every dataset that was begun: change it knowingly."""
    assert training_helpers.make_plan().hash == "406e8a6cc3551d60ffc57f21c0716e69"


def test_plan_has_a_line_an_element(folder):
    plan = make_plan(folder)
    lines = plan.to_json().splitlines()
    found = [json.loads(one.strip(" ,")) for one in lines if '"recording_id"' in one]
    assert [one["path"] for one in found] == [one.path for one in plan.recordings]


def test_broken_plan_file_is_called_by_its_name():
    with pytest.raises(settings_lib.PrepError, match=r"plan\.json is of another"):
        plan_lib.Plan.from_json("{}")


def test_hash_ignores_where_files_lie(folder, tmp_path):
    plan = make_plan(folder)
    folder.rename(tmp_path / "moved")
    assert make_plan(tmp_path / "moved").hash == plan.hash


def test_difference_is_named(folder):
    plan = make_plan(folder)
    changed = make_plan(folder, frame_rate=125)
    assert text.describe_difference(plan, changed) == ["--frame_rate was 250, is 125"]
    (folder / "tone0.wav").unlink()
    lines = text.describe_difference(plan, make_plan(folder))
    assert lines == ["1 recordings are gone or changed: tone0.wav"]
    assert text.describe_difference(plan, plan) == []


def test_lost_audio_is_reported_to_the_frame(folder):
    plan = make_plan(folder)
    parts = [r for r in plan.rejections if r.part != "all"]
    assert [(r.name, r.part) for r in parts] == [("tone4.wav", "4.000-4.200 s")]
    assert parts[0].numbers == {"seconds": 0.2}


def test_seconds_used_and_lost_add_up(folder):
    plan = make_plan(folder, hop_secs=1.0)
    lost = sum(r.numbers["seconds"] for r in plan.rejections)
    assert sum(plan.seconds.values()) + lost == pytest.approx(3 + 2 + 5.5 + 1 + 4.2)


def test_too_short_recording_is_rejected_with_numbers(folder):
    plan = make_plan(folder, example_secs=2.5, hop_secs=0.5, short="reject")
    whole = [r for r in plan.rejections if r.part == "all"]
    assert {r.name for r in whole} == {"tone1.wav", "tone3.wav"}
    assert "2.00 s, and an example takes --example_secs=2.5" in whole[0].reason
    assert "--short=pack" in whole[0].reason and "--short=pad" in whole[0].reason
    assert whole[0].numbers["seconds"] == 2.0


def test_too_short_because_cut_off_says_both(folder):
    path = folder / "tone2.wav"
    path.write_bytes(path.read_bytes()[:16044])
    plan = make_plan(folder, short="reject")
    (lost,) = [r for r in plan.rejections if r.name == path.name]
    assert "too short: 0.50 s" in lost.reason
    assert "cut off?" in lost.reason


def test_nothing_usable_lists_reasons(folder):
    with pytest.raises(make.NothingLeftError, match=r"none of the 5.*too short"):
        try:
            make_plan(folder, example_secs=20.0, short="reject")
        except make.NothingLeftError as error:
            assert len(error.rejections) == 5
            raise make.NothingLeftError(str(error).replace("\n", " "), ()) from None


def rejected(n, *, notes=()):
    """Recordings too short for examples of a second, and their probes."""
    return [
        recordings_lib.Probe(plans.recording(f"{i:02d}", notes=notes), np.zeros(50))
        for i in range(n)
    ]


@pytest.mark.parametrize(
    "n_probes, begins, ends",
    [
        (1, "the only recording cannot be used:", "fills it up with silence"),
        (10, "none of the 10 recordings can be used:", "fills it up with silence"),
        (11, "none of the 11 recordings can be used:", "and 1 more"),
    ],
)
def test_nothing_left_names_ten_and_counts_the_rest(n_probes, begins, ends):
    settings = settings_lib.Settings(short="reject")
    with pytest.raises(make.NothingLeftError) as told:
        make.make_plan(rejected(n_probes), settings, tracker_id="stub")
    first, *rest = str(told.value).splitlines()
    assert first == begins and rest[-1].endswith(ends)
    assert len(rest) == n_probes
    assert len(told.value.rejections) == n_probes


def test_plan_in_words_points_to_no_file_of_which_a_dry_run_has_none():
    lost = [recordings_lib.Rejection(f"{i}", "", "all", "why", {}) for i in range(12)]
    plan = dataclasses.replace(plans.PLAN, rejections=tuple(lost))
    assert "  not used: 9: why\n  not used: 2 more\n" in text.describe(plan)


def test_copies_follow_the_recording_the_least_transposed_first():
    settings = settings_lib.Settings(
        example_secs=0.5,
        hop_secs=0.5,
        transpose_cents=(-100.0, 50.0, 0.0),
        eval_split_fraction=0.0,
    )
    plan = make.make_plan(rejected(2), settings, tracker_id="stub")
    assert [(s.recording, s.cents) for s in plan.sources] == [
        *((0, 0.0), (0, 50.0), (0, -100.0)),
        *((1, 0.0), (1, 50.0), (1, -100.0)),
    ]
    assert plan.seconds == {"train": 2.0}  # copies are the same music again
    assert (plan.n_found, plan.tracker_id) == (2, "stub")


def test_silence_alone_leaves_a_split_empty():
    probes = rejected(2)
    probes[0].envelope[:] = probes[1].envelope[:] = -60.0
    settings = settings_lib.Settings(
        example_secs=0.5, hop_secs=0.5, min_loudness_db=-59.5
    )
    with pytest.raises(
        make.NothingLeftError, match=r"train split .*loudness_db=-59\.5"
    ):
        make.make_plan(probes, settings, tracker_id="stub")
    probes[1].envelope[:] = 0.0  # the other evaluates, and nothing is there for it
    half = dataclasses.replace(settings, eval_split_fraction=0.5)
    with pytest.raises(make.NothingLeftError, match=r"the (train|eval) split would"):
        make.make_plan(probes, half, tracker_id="stub")
    # Without evaluation one of the two is enough.
    none = dataclasses.replace(settings, eval_split_fraction=0.0)
    plan = make.make_plan(probes, none, tracker_id="stub")
    assert plan.n_examples("train") == 2 and plan.n_examples("eval") == 0


def test_only_recording_is_split_in_time(tmp_path):
    prep_helpers.write_tones(tmp_path, [30.0])
    plan = make_plan(tmp_path, hop_secs=0.5)
    ends = [s + 250 for x in plan.shards if x.split == "train" for _, s in x.examples]
    starts = [s for x in plan.shards if x.split == "eval" for _, s in x.examples]
    assert max(ends) + 250 <= min(starts)
    gap = [r for r in plan.rejections if "between training and evaluation" in r.reason]
    assert [r.numbers["seconds"] for r in gap] == [1.0]


def test_only_recording_that_is_too_short_to_split_says_what_helps(tmp_path):
    prep_helpers.write_tones(tmp_path, [2.5])
    with pytest.raises(settings_lib.PrepError, match="--eval_split_fraction=0"):
        make_plan(tmp_path)
    plan = make_plan(tmp_path, eval_split_fraction=0.0)
    assert plan.split_names() == ("train",)


def test_eval_input_is_kept_out_of_training(folder, tmp_path):
    (tmp_path / "held").mkdir()
    copy = (folder / "tone2.wav").read_bytes()
    (tmp_path / "held" / "again.wav").write_bytes(copy)
    plan = make_plan(folder, eval_folder=tmp_path / "held")
    evaluated = {
        plan.recording_of(s).name
        for shard in plan.shards
        if shard.split == "eval"
        for s, _ in shard.examples
    }
    assert evaluated == {"again.wav"}
    rejected = {r.name: r.reason for r in plan.rejections if r.part == "all"}
    assert rejected == {"tone2.wav": "the same content as again.wav"}


def test_eval_input_that_is_all_there_is_leaves_nothing_to_train(folder):
    with pytest.raises(settings_lib.PrepError, match="no recording of --input") as told:
        make_plan(folder, eval_folder=folder)
    assert "\n  tone0.wav: the same content as tone0.wav" in str(told.value)


def test_silent_examples_are_dropped_and_reported(tmp_path):
    audio = prep_helpers.tone(20.0)
    audio[5 * 16000 : 12 * 16000] = 0
    soundfile.write(tmp_path / "a.wav", audio, 16000)
    prep_helpers.write_tones(tmp_path, [2.0])
    plan = make_plan(tmp_path)
    starts = {
        start // 250
        for shard in plan.shards
        for source, start in shard.examples
        if plan.recording_of(source).name == "a.wav"
    }
    assert not starts & set(range(6, 11))
    lost = [r for r in plan.rejections if "silent" in r.reason]
    assert sum(r.numbers["seconds"] for r in lost) == pytest.approx(7.0, abs=1.1)


def test_trimmed_silence_moves_the_first_example(tmp_path):
    audio = prep_helpers.tone(6.0)
    audio[: 2 * 16000] = 0
    soundfile.write(tmp_path / "a.wav", audio, 16000)
    prep_helpers.write_tones(tmp_path, [9.0])

    def first(**changed):
        plan = make_plan(tmp_path, **changed)
        return min(
            start
            for shard in plan.shards
            for source, start in shard.examples
            if plan.recording_of(source).name == "a.wav"
        )

    assert first(min_loudness_db=-80.0) == 0
    assert 480 <= first(trim_silence=True) <= 500


def test_transposed_copies_only_train(folder):
    plan = make_plan(folder, transpose_cents=(-100.0, 0.0, 100.0))
    cents = {"train": set(), "eval": set()}
    for shard in plan.shards:
        for source, _ in shard.examples:
            cents[shard.split].add(plan.sources[source].cents)
    assert cents == {"train": {-100.0, 0.0, 100.0}, "eval": {0.0}}
    lengths = {
        s.cents: s.n_samples for s in plan.sources if s.recording == 2
    } or pytest.fail("recording 2 is not used")
    if 100.0 in lengths:
        assert lengths[100.0] == int(5.5 * 16000 / 2 ** (100 / 1200))


def test_number_of_shards_can_be_chosen(folder):
    plan = make_plan(folder, n_shards=3)
    names = [s.file_name for s in plan.shards if s.split == "train"]
    assert names == [f"train.tfrecord-{i:05d}-of-00003" for i in range(3)]
    sizes = [len(s.examples) for s in plan.shards if s.split == "train"]
    assert max(sizes) - min(sizes) <= 1


def test_cache_key_follows_what_features_depend_on(folder):
    base = make_plan(folder)
    assert base.features_id(0) == make_plan(folder, hop_secs=0.5).features_id(0)
    assert base.features_id(0) == make_plan(folder, sample_rate=48000).features_id(0)
    assert base.features_id(0) != make_plan(folder, frame_rate=125).features_id(0)
    assert base.features_id(0) != make_plan(folder, normalize="peak").features_id(0)
    assert base.features_id(0) != make_plan(folder, framing="ddsp_same").features_id(0)


def test_plan_without_short_recordings_opens_and_hashes_as_before_they_were_used(
    folder,
):
    plan = make_plan(folder)
    values = json.loads(plan.to_json())
    assert "packs" not in values
    assert not any("excerpt" in source for source in values["sources"])
    # plan.json of an older version
    del values["settings"]["short"], values["settings"]["pitch_range"]
    old = plan_lib.Plan.from_json(json.dumps(values))
    assert (old.settings.short, old.settings.pitch_range) == ("reject", "crepe")
    assert old.hash == plan.hash
    assert text.describe_difference(old, plan) == []


@pytest.fixture
def high_folder(tmp_path):
    """A piccolo's note beyond CREPE's range, and one that is not."""
    (tmp_path / "high").mkdir()
    for f0_hz in (1500.0, 3000.0):
        audio = prep_helpers.tone(3.0, f0_hz=f0_hz)
        soundfile.write(tmp_path / "high" / f"{f0_hz:.0f}.wav", audio, 16000)
    return tmp_path / "high"


@pytest.mark.parametrize(
    ("example_secs", "short"), [(1.0, "reject"), (4.0, "pack")], ids=["long", "short"]
)
def test_each_copy_is_tracked_by_the_pitch_that_it_has(
    high_folder, example_secs, short
):
    plan = make_plan(
        high_folder,
        transpose_cents=(-1200.0, 0.0, 1200.0),
        eval_split_fraction=0.0,
        example_secs=example_secs,
        short=short,
    )
    found = {
        (plan.recording_of(index).name, source.cents): source.octaves
        for index, source in enumerate(plan.sources)
    }
    assert found == {
        ("1500.wav", -1200.0): 0,
        ("1500.wav", 0.0): 0,
        ("1500.wav", 1200.0): -1,
        ("3000.wav", -1200.0): 0,
        ("3000.wav", 0.0): -1,
        ("3000.wav", 1200.0): 0,  # 6 kHz: beyond an octave lower too
    }


def test_a_recording_out_of_range_carries_a_note_of_what_was_done(high_folder):
    for pitch_range, said in (("auto", "tracked an octave lower"), ("crepe", "wrong")):
        plan = make_plan(high_folder, pitch_range=pitch_range)
        notes = {r.name: " ".join(r.notes) for r in plan.recordings}
        assert notes["1500.wav"] == ""
        assert said in notes["3000.wav"]
        assert said in text.describe(plan)


def test_a_dataset_of_the_range_is_the_same_by_either_flag(folder, high_folder):
    auto, crepe = (make_plan(folder, pitch_range=one) for one in ("auto", "crepe"))
    assert text.describe_difference(crepe, auto) == []
    assert auto.features_id(0) == crepe.features_id(0)
    auto, crepe = (make_plan(high_folder, pitch_range=one) for one in ("auto", "crepe"))
    assert text.describe_difference(crepe, auto) == ["--pitch_range was crepe, is auto"]


def test_a_plan_from_before_the_flag_is_one_of_crepes_range(high_folder):
    values = json.loads(make_plan(high_folder, pitch_range="crepe").to_json())
    assert not any("octaves" in source for source in values["sources"])
    del values["settings"]["pitch_range"]
    old = plan_lib.Plan.from_json(json.dumps(values))
    for pitch_range in ("crepe", "auto"):
        plan = make_plan(high_folder, pitch_range=pitch_range)
        assert (old.hash == plan.hash) == (pitch_range == "crepe")


def test_reworded_reasons_and_notes_leave_a_dataset_what_it_is(folder):
    (folder / "broken.wav").write_bytes(b"no audio")
    plan = make_plan(folder)
    reworded = json.loads(plan.to_json())
    reworded["rejections"][0]["reason"] = "said otherwise"
    reworded["recordings"][0]["notes"] = ["a new note"]
    assert plan_lib.Plan.from_json(json.dumps(reworded)).hash == plan.hash


def test_recordings_that_are_decoded_by_another_package_are_named(folder):
    plan = make_plan(folder)
    other = dataclasses.replace(plan.recordings[0], codec="WAV PCM_S16LE (FFmpeg)")
    changed = dataclasses.replace(plan, recordings=(other, *plan.recordings[1:]))
    (line,) = text.describe_difference(plan, changed)
    assert line == (
        "1 recordings were decoded as WAV PCM_16, are as WAV PCM_S16LE (FFmpeg)"
    )
    assert "av" in plan_lib.package_versions(changed.recordings)
    assert "av" not in plan_lib.package_versions(plan.recordings)


@pytest.mark.parametrize(
    ("n_there", "n_workers", "secs", "cores"),
    [
        (1, 1, 48, "1 core;"),
        (2, 1, 24, "2 cores;"),
        (16, 1, 24, "2 of 16 cores, all with --workers=8;"),
        (15, 3, 8, "6 of 15 cores, all with --workers=8;"),
        (16, 8, 3, "16 cores;"),
        (16, None, 3, "16 cores;"),  # an engine's
    ],
)
def test_time_is_that_of_the_cores_that_are_used(
    folder, monkeypatch, n_there, n_workers, secs, cores
):
    monkeypatch.setattr(text.os, "cpu_count", lambda: n_there)
    plan = make_plan(folder)
    said = text.describe(plan, cached_secs=plan.segment_secs - 100, n_workers=n_workers)
    assert f"about {8 + secs:.1f} s on {cores}" in said


def test_names_in_a_message_of_many_lines_hold_no_line_break(folder):
    (folder / "tone0.wav").rename(folder / "a\nb\x1b.wav")
    with pytest.raises(make.NothingLeftError) as told:
        make_plan(folder, example_secs=20.0, short="reject")
    assert "\n  a\\nb\\x1b.wav: too short" in str(told.value)
    assert told.value.has_lines
