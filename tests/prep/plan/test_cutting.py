import numpy as np
import pytest

from prep.plan import cutting


def starts(n_frames, *, example=1000, hop=250):
    part = cutting.Part("train", 0, n_frames)
    return cutting.cut(part, example_frames=example, hop_frames=hop)


@pytest.mark.parametrize(
    "n_frames, wanted",
    [
        (999, []),
        (1000, [0]),
        (1062, [0]),  # 62 new frames are less than a quarter of the hop
        (1063, [0, 63]),
        (1250, [0, 250]),
        (1900, [0, 250, 500, 750, 900]),
    ],
)
def test_examples_overlap_and_the_last_is_aligned_to_the_end(n_frames, wanted):
    assert starts(n_frames) == wanted


@pytest.mark.parametrize(
    "n_frames, hop, wanted",
    [
        (1900, 1000, [0, 900]),  # 7.6 s: one example, and a second one for the rest
        (1250, 1000, [0, 250]),  # exactly a quarter of the hop
        (1001, 2, [0, 1]),  # a hop whose quarter is less than a frame
        (5000, 2000, [0, 2000, 4000]),
        (4900, 2000, [0, 2000, 3900]),
        # With gaps of 1000 frames: what is new is 250 frames, and one less.
        (4250, 2000, [0, 2000, 3250]),
        (4249, 2000, [0, 2000]),
    ],
)
def test_end_is_covered_if_it_adds_a_quarter_of_hop_or_example(n_frames, hop, wanted):
    assert starts(n_frames, hop=hop) == wanted


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


def test_used_frames_are_counted():
    leftovers = cutting.Leftovers(100)
    leftovers.use(10, 30)
    leftovers.use(20, 35)
    assert leftovers.n_used == 25
    leftovers.mark(10, 12, cutting.SILENT)
    assert leftovers.n_used == 23


@pytest.mark.parametrize(
    "first, last, per_frame, span",
    [
        # One value of the envelope, 5 frames, before the first loud one and behind.
        (20, 59, 0.2, (95, 305)),
        (20, 59, 0.3, (63, 204)),  # 63.3 and 203.3: nothing is lost
        (0, 99, 0.2, (0, 500)),  # no further than the recording
    ],
)
def test_music_span_keeps_the_attack(first, last, per_frame, span):
    envelope = np.full(100, -50.1)
    envelope[first] = envelope[last] = -50.0  # as loud as is asked for
    found = cutting.music_span(envelope, 500, per_frame=per_frame, min_loudness_db=-50)
    assert found == span


@pytest.mark.parametrize(
    "frame, n_frames, per_frame, wanted",
    [
        (4, 4, 0.5, [2, 3]),
        (5, 4, 0.5, [2, 3, 4]),  # values 2.5 to 4.5
        (0, 1, 0.2, [0]),
        (18, 100, 0.5, [9]),
        (30, 4, 0.5, [9]),  # behind the last value
    ],
)
def test_loudest_value_is_found_within_its_frames(frame, n_frames, per_frame, wanted):
    for envelope in (np.arange(10.0), -np.arange(10.0)):
        found = cutting.loudest(envelope, frame, n_frames=n_frames, per_frame=per_frame)
        assert found == max(envelope[wanted])


def test_music_span_of_silence_is_empty():
    silence = np.full(10, -80.0)
    assert cutting.music_span(silence, 50, per_frame=0.2, min_loudness_db=-50) == (0, 0)
