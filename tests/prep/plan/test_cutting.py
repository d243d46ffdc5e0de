import numpy as np
import pytest

from prep import settings as settings_lib
from prep.plan import cutting
from prep.plan import splits


def starts(n_frames, *, example=1000, hop=250):
    part = cutting.Part("train", 0, n_frames)
    return cutting.cut(part, example_frames=example, hop_frames=hop)


@pytest.mark.parametrize(
    "n_frames, wanted",
    [
        (999, []),
        (1000, [0]),
        (1061, [0]),  # 61 new frames are less than a quarter of the hop
        (1063, [0, 63]),
        (1250, [0, 250]),
        (1900, [0, 250, 500, 750, 900]),
    ],
)
def test_examples_overlap_and_the_last_is_aligned_to_the_end(n_frames, wanted):
    assert starts(n_frames) == wanted


def test_examples_without_overlap_cover_a_note():
    # 7.6 s: one example, and a second one for the rest.
    assert starts(1900, hop=1000) == [0, 900]


def test_hop_longer_than_the_example_leaves_gaps_but_covers_the_end():
    assert starts(5000, hop=2000) == [0, 2000, 4000]
    assert starts(4900, hop=2000) == [0, 2000, 3900]


def test_cutting_begins_where_the_part_begins():
    part = cutting.Part("train", 100, 2200)
    assert cutting.cut(part, example_frames=1000, hop_frames=1000) == [100, 1100]


def test_covered_frames_count_overlaps_once():
    assert cutting.n_covered([0, 250, 900], 1000) == 1900
    assert cutting.n_covered([0, 2000], 1000) == 2000
    assert cutting.n_covered([], 1000) == 0


def test_every_frame_is_accounted_for():
    leftovers = cutting.Leftovers(5000)
    leftovers.mark(0, 300, cutting.TRIMMED)
    leftovers.mark(2000, 3000, cutting.SILENT)
    leftovers.use(300, 2100)
    leftovers.use(3000, 4000)
    lost = [(begin, end) for begin, end, _ in leftovers.lost()]
    assert lost == [(0, 300), (2100, 3000), (4000, 5000)]
    reasons = [reason for _, _, reason in leftovers.lost()]
    assert "trim_silence" in reasons[0]
    assert "min_loudness_db" in reasons[1]
    assert "the rest at the end" in reasons[2]


def test_overlapping_uses_are_kept_as_one():
    """So that the account of a recording does not grow with its length."""
    leftovers = cutting.Leftovers(100_000)
    for start in range(0, 99_000, 250):
        leftovers.use(start, start + 1000)
    assert leftovers._marks == [(0, 99_750, 0)]
    assert leftovers.n_used == 99_750
    assert [(b, e) for b, e, _ in leftovers.lost()] == [(99_750, 100_000)]


def test_a_later_mark_stands_over_an_earlier_one():
    leftovers = cutting.Leftovers(10)
    leftovers.use(0, 6)
    leftovers.mark(2, 4, cutting.SILENT)
    leftovers.use(6, 8)
    assert [(b, e) for b, e, _ in leftovers.lost()] == [(2, 4), (8, 10)]
    assert leftovers.n_used == 6


def test_music_span_keeps_the_attack():
    envelope = np.full(100, -80.0)
    envelope[20:60] = -10.0
    begin, end = cutting.music_span(envelope, 500, per_frame=0.2, min_loudness_db=-50)
    assert begin == 95  # one value of the envelope, 5 frames, before the first loud one
    assert end == 305


def test_music_span_of_silence_is_empty():
    silence = np.full(10, -80.0)
    assert cutting.music_span(silence, 50, per_frame=0.2, min_loudness_db=-50) == (0, 0)


def test_eval_share_comes_near_the_fraction():
    secs = {f"{i:02x}": 10.0 for i in range(40)}
    assert len(splits.choose_eval(secs, 0.1)) == 4


def test_eval_choice_does_not_depend_on_the_order(rng):
    secs = {f"{i:02x}": float(5 + i % 7) for i in range(30)}
    names = list(secs)
    rng.shuffle(names)
    shuffled = {name: secs[name] for name in names}
    assert splits.choose_eval(secs, 0.2) == splits.choose_eval(shuffled, 0.2)


@pytest.mark.parametrize("secs", [[3600.0, 300.0], [300.0, 3600.0], [60.0, 60.0]])
def test_two_recordings_never_lose_the_longer_one_to_evaluation(secs):
    by_id = {"a": secs[0], "b": secs[1]}
    chosen = splits.choose_eval(by_id, 0.1)
    assert len(chosen) == 1
    assert sum(by_id[c] for c in chosen) <= sum(secs) / 2


def test_only_recording_is_split_in_time_with_a_gap():
    train, held = splits.split_in_time(0, 30000, example_frames=1000, fraction=0.1)
    assert train == (0, 26000)
    assert held == (27000, 30000)


def test_shortest_recording_that_can_be_split_gives_one_example_each():
    train, held = splits.split_in_time(0, 3000, example_frames=1000, fraction=0.1)
    assert (train, held) == ((0, 1000), (2000, 3000))


def test_too_short_to_be_split_says_what_helps():
    with pytest.raises(settings_lib.PrepError, match=r"2\.90 example.*--eval_input"):
        splits.split_in_time(0, 2900, example_frames=1000, fraction=0.1)
