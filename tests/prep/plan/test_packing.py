"""Short recordings in rows: nothing is lost, nothing stands in both splits."""

import functools
import json

import numpy as np
import pytest
import soundfile

from prep import settings as settings_lib
from prep.plan import make
from prep.plan import packing
from prep.plan import plan as plan_lib
from prep.plan import text
from prep.recordings import find
from prep.recordings import probe as probe_lib
from tests.helpers import prep_helpers

REST = 25  # frames, at 250 frames/s


def settings(**changed):
    return settings_lib.Settings(**{"example_secs": 1.0, **changed})


@functools.cache  # of a folder's files, which no test changes
def probe(folder):
    return probe_lib.probe_recordings(
        find.find_recordings([str(folder)]),
        min_loudness_db=settings().min_loudness_db,
        min_input_rate=settings().min_input_rate,
    )


def make_plan(folder, **changed):
    return make.make_plan(probe(folder), settings(**changed), tracker_id="stub")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Forty notes of 0.3 to 0.69 s, in quarter tones from 220 Hz on."""
    folder = tmp_path_factory.mktemp("notes")
    for index in range(40):
        audio = prep_helpers.tone(0.3 + index / 100, f0_hz=220 * 2 ** (index / 24))
        soundfile.write(folder / f"{index:02d}.wav", audio, 16000)
    return folder


def ids_by_split(plan):
    return {
        split: {one.recording_id for one in plan.recordings_of(split)}
        for split in plan.split_names()
    }


def test_every_second_of_short_recordings_is_used(notes):
    plan = make_plan(notes)
    assert not plan.rejections
    total = sum(recording.secs for recording in plan.recordings)
    # A recording's last, incomplete frame is left out.
    assert sum(plan.seconds.values()) == pytest.approx(total, abs=40 / 250)


def test_short_recordings_stand_in_one_split_and_in_one_pack(notes):
    plan = make_plan(notes)
    by_split = ids_by_split(plan)
    assert not by_split["train"] & by_split["eval"]
    assert len(by_split["train"] | by_split["eval"]) == 40
    pieces = [source for pack in plan.packs for source, _ in pack.pieces]
    assert sorted(pieces) == list(range(40))


def test_an_evaluation_example_cuts_no_recording_and_shares_none(notes):
    plan = make_plan(notes)
    seen = []
    for shard in plan.shards:
        for example in plan.examples_of(shard) if shard.split == "eval" else ():
            for span in example.spans:
                assert span.first == 0
                assert span.n_frames == plan.sources[span.source].n_frames
                seen.append(span.source)
    assert seen and len(seen) == len(set(seen))


def test_both_splits_reach_over_the_compass(notes):
    plan = make_plan(notes)
    names = sorted(int(one.name[:2]) for one in plan.recordings_of("eval"))
    # Four of forty: one of each quarter of the pitches, give or take a note.
    assert len(names) in (4, 5)
    assert names[0] < 13 and names[-1] > 26


def test_strips_have_rests_and_an_end_that_examples_reach():
    packs = packing.lay_out(
        [(0, 100), (1, 240), (2, 60)], "train", settings=settings(hop_secs=0.5)
    )
    (pack,) = packs
    assert pack.pieces == ((0, 0), (1, 100 + REST), (2, 340 + 2 * REST))
    # 450 frames: an example of 250 and two hops of 125.
    assert pack.n_frames == 500
    assert packing.cut_pack(pack, "train", settings(hop_secs=0.5)) == [0, 125, 250]


@pytest.mark.parametrize(
    "lengths, n_frames",
    [
        ([100, 125], 250),  # with the rest between them exactly an example
        ([100, 126], 375),  # a frame more, a hop more
        ([100, 250], 375),
        ([100, 251], 500),
    ],
)
def test_pack_ends_where_an_example_does(lengths, n_frames):
    chosen = settings(hop_secs=0.5)
    (pack,) = packing.lay_out(list(enumerate(lengths)), "train", settings=chosen)
    assert pack.n_frames == n_frames
    # Hops longer than an example would lose what lies between.
    wide = settings(hop_secs=2.0)
    (pack,) = packing.lay_out(list(enumerate(lengths)), "train", settings=wide)
    assert packing.cut_pack(pack, "train", wide) == list(range(0, pack.n_frames, 250))


@pytest.mark.parametrize(
    "lengths, sizes",
    [
        ([225] * 11, [11]),  # with rests 2750 frames, 1.4 times eight examples
        ([225] * 13, [7, 6]),  # 1.6 times: middles from 112 on, in halves of 1625
        ([225] * 21, [7, 7, 7]),
        ([600, 3400, 1200], [1, 1, 1]),  # middles at 300, 2325, 4650 of 5275 frames
        ([1224, 800, 1200], [2, 1]),  # the second's at 1649, half a frame from the half
        ([100, 9000], [1, 1]),  # five strips, of which three stay empty
    ],
)
def test_strips_are_about_eight_examples_long_and_equal(lengths, sizes):
    packs = packing.lay_out(list(enumerate(lengths)), "train", settings=settings())
    assert [len(pack.pieces) for pack in packs] == sizes
    ordered = [source for pack in packs for source, _ in pack.pieces]
    assert ordered == list(range(len(lengths)))


def test_rest_is_a_tenth_of_a_second_and_one_frame_at_least():
    for frame_rate, rest in ((250, 25), (160, 16), (4, 1)):
        (pack,) = packing.lay_out(
            [(0, 1), (1, 1)], "train", settings=settings(frame_rate=frame_rate)
        )
        assert pack.pieces[1][1] == 1 + rest


def test_evaluation_fills_examples_the_longest_first():
    lengths = [(0, 100), (1, 240), (2, 120), (3, 5), (4, 100)]
    packs = packing.lay_out(lengths, "eval", settings=settings())
    assert [pack.pieces for pack in packs] == [
        ((1, 0),),
        ((2, 0), (0, 120 + REST)),  # 5 frames are left, and no rest before them
        ((4, 0), (3, 100 + REST)),
    ]
    # What fits exactly does.
    packs = packing.lay_out([(0, 125), (1, 100)], "eval", settings=settings())
    assert [pack.pieces for pack in packs] == [((0, 0), (1, 150))]
    packs = packing.lay_out([(0, 125), (1, 101)], "eval", settings=settings())
    assert [pack.n_frames for pack in packs] == [250, 250]


def test_pad_gives_each_recording_an_example_and_its_own_name(notes):
    plan = make_plan(notes, short="pad")
    assert len(plan.packs) == 40
    ids = {plan.track_id(len(plan.sources) + i) for i in range(40)}
    assert ids == {recording.recording_id for recording in plan.recordings}


def test_pack_is_named_by_its_recordings(notes):
    plan = make_plan(notes)
    track = len(plan.sources) + len(plan.packs) - 1
    assert plan.track_id(track).startswith("pack-")
    assert make_plan(notes, hop_secs=0.5).track_id(track) == plan.track_id(track)


def test_hop_longer_than_an_example_loses_no_short_recording(notes):
    plan = make_plan(notes, hop_secs=3.0)
    total = sum(recording.secs for recording in plan.recordings)
    assert sum(plan.seconds.values()) == pytest.approx(total, abs=40 / 250)


def fill_one_by_one(lengths, rest, example_frames):
    """First fit, by looking at every example in turn."""
    examples, left = [], []
    for source, n_frames in sorted(lengths, key=lambda piece: -piece[1]):
        fitting = (i for i, room in enumerate(left) if room >= n_frames)
        index = next(fitting, len(left))
        if index == len(left):
            examples.append([])
            left.append(example_frames)
        examples[index].append((source, n_frames))
        left[index] -= n_frames + rest
    return examples


@pytest.mark.parametrize("n_pieces", [1, 2, 7, 64, 300])
def test_short_recordings_fill_the_first_example_with_room(rng, n_pieces):
    lengths = [(i, int(n)) for i, n in enumerate(rng.integers(25, 999, n_pieces))]
    filled = packing._fill_examples(lengths, REST, 1000)
    assert filled == fill_one_by_one(lengths, REST, 1000)


def test_plan_with_packs_survives_json(notes):
    plan = make_plan(notes, transpose_cents=(0.0, 50.0))
    assert plan_lib.Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["hash"] == plan.hash


def test_transposed_copies_of_short_recordings_only_train(notes):
    plan = make_plan(notes, transpose_cents=(0.0, 50.0))
    cents = {
        (shard.split, example.cents)
        for shard in plan.shards
        for example in plan.examples_of(shard)
    }
    assert cents == {("train", 0.0), ("train", 50.0), ("eval", 0.0)}


@pytest.mark.parametrize("short", ["pack", "pad"])
def test_no_recording_stands_in_two_packs_whatever_the_transposition(notes, short):
    """Statistics by pack are statistics by recording only then."""
    plan = make_plan(notes, short=short, transpose_cents=(0.0, -1200.0, 50.0))
    packs_of = {}
    for track in range(len(plan.sources), len(plan.sources) + len(plan.packs)):
        for recording in plan.recordings_in(track):
            packs_of.setdefault(recording.recording_id, set()).add(plan.track_id(track))
    assert len(packs_of) == 40
    assert {len(packs) for packs in packs_of.values()} == {1}


def test_trimmed_recordings_stand_without_their_silence(tmp_path):
    for index in range(4):
        audio = prep_helpers.tone(2.0, f0_hz=220.0 + 50 * index)
        audio[:16000] = 0
        soundfile.write(tmp_path / f"{index}.wav", audio, 16000)
    plan = make_plan(tmp_path, example_secs=1.5, trim_silence=True)
    for source in plan.sources:
        assert source.excerpt[0] == pytest.approx(250, abs=8)
        assert source.excerpt[1] == 500


def test_what_is_too_short_for_a_note_is_refused(tmp_path):
    prep_helpers.write_tones(tmp_path, [0.05, 0.5, 0.5])
    (lost,) = make_plan(tmp_path).rejections
    assert "0.05 s, and 0.1 s are needed" in lost.reason


def test_one_short_recording_alone_says_what_helps(tmp_path):
    prep_helpers.write_tones(tmp_path, [0.5])
    with pytest.raises(settings_lib.PrepError, match="--eval_split_fraction=0"):
        make_plan(tmp_path)
    assert make_plan(tmp_path, eval_split_fraction=0.0).n_examples("train") == 1


def test_example_of_a_strip_between_two_attacks_is_dropped_as_silent(tmp_path):
    for index in range(4):
        audio = prep_helpers.tone(0.996, f0_hz=200.0 + 50 * index)
        audio[160:] *= 1e-5
        soundfile.write(tmp_path / f"{index}.wav", audio, 16000, "FLOAT")
    plan = make_plan(tmp_path, hop_secs=0.06)
    starts = [
        start for s in plan.shards if s.split == "train" for _, start in s.examples
    ]
    # 0.06 to 1.06 s lies between the attacks at 0 and 1.096 s.
    assert 0 in starts and 15 not in starts
    assert not plan.rejections  # other examples hold every second of them


def test_plan_in_words_says_what_became_of_short_recordings(notes):
    said = text.describe(make_plan(notes))
    assert "40 recordings of 19.8 s, each shorter than an example" in said
    assert "(--short=pack)" in said and "silence" not in said


def test_plan_in_words_says_when_examples_are_mostly_silence(tmp_path):
    prep_helpers.write_tones(tmp_path, [0.5, 0.5, 0.5])
    said = text.describe(make_plan(tmp_path, short="pad", example_secs=2.0))
    assert "75% of them is silence: --example_secs may be shorter" in said


def test_another_treatment_of_short_recordings_is_named(notes):
    lines = text.describe_difference(make_plan(notes, short="pad"), make_plan(notes))
    assert lines == ["--short was pad, is pack"]


def test_uniform_notes_longer_than_half_an_example_all_evaluate_alone(tmp_path):
    for index in range(30):
        tone = prep_helpers.tone(0.6, f0_hz=200.0 + 10 * index)
        soundfile.write(tmp_path / f"{index}.wav", tone, 16000)
    plan = make_plan(tmp_path)
    assert plan.n_examples("eval") == len(plan.recordings_of("eval"))
    spans = [len(e.spans) for s in plan.shards for e in plan.examples_of(s)]
    assert np.mean(spans) > 1.3  # training has them close together
