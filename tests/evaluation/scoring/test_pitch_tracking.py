"""Sparse and remembered pitch: what they ask the tracker, and what they answer."""

import numpy as np
import pytest

from evaluation.scoring import pitch_tracking
from prep.pitch import tracker as crepe
from tests.helpers import evaluation_helpers as helpers

FRAME_RATE = helpers.FRAME_RATE
# A straight line over 16 ms misses a vibrato of 20 cents at 5.5 Hz by 0.8 cents.
LINE_CENTS = 1.0


class CurveTracker:
    """Answers a known curve at any rate, and remembers how often it was asked."""

    def __init__(self, curve):
        self.curve = curve
        self.asked = []

    def __call__(self, audio_16k, frame_rate):
        self.asked.append(frame_rate)
        times = np.arange(round(audio_16k.size / 16000 * frame_rate)) / frame_rate
        return self.curve(times), np.clip(times, 0, 1)


def vibrato(times):
    return 440.0 * 2 ** (0.2 * np.sin(2 * np.pi * 5.5 * times) / 12)


def cents_apart(ref, est):
    return np.abs(1200 * np.log2(est / ref))


def test_a_vibrato_is_followed_between_a_quarter_of_the_frames():
    dense = CurveTracker(vibrato)
    audio = np.zeros(16000)
    f0_hz, confidence = pitch_tracking.SparseTracker(dense)(audio, FRAME_RATE)
    assert dense.asked == [62.5]
    expected, sure = CurveTracker(vibrato)(audio, FRAME_RATE)
    assert f0_hz.shape == confidence.shape == expected.shape
    # Past the last answer, of frame 244, the pitch stands still.
    assert cents_apart(expected[:245], f0_hz[:245]).max() < LINE_CENTS
    np.testing.assert_allclose(confidence[:245], sure[:245])


def test_a_new_note_is_no_glide():
    notes = CurveTracker(lambda times: np.where(times < 0.5, 220.0, 440.0))
    f0_hz, _ = pitch_tracking.SparseTracker(notes)(np.zeros(16000), FRAME_RATE)
    assert set(np.round(f0_hz, 6)) == {220.0, 440.0}
    assert abs(np.count_nonzero(f0_hz < 300) - 125) <= 2


@pytest.mark.parametrize("rise", [1, -1])
def test_a_jump_up_or_down_is_to_the_nearer_answer(rise):
    """Half a second and a bit: 124.5 frames are 124 of 249 a second, four apart."""
    answers = 440.0 * 2.0 ** (rise * np.repeat([0, 1], [10, 22]))
    sparse = pitch_tracking.SparseTracker(lambda *_: (answers, np.ones(32)))
    f0_hz, _ = sparse(np.zeros(8000), 249)
    assert f0_hz.size == 124
    np.testing.assert_allclose(f0_hz[:38], 440.0)  # 38 lies midway: to even, the tenth
    np.testing.assert_allclose(f0_hz[38:], 440.0 * 2.0**rise)
    f0_hz, _ = sparse(np.zeros(8016), 249)
    assert f0_hz.size == 125  # 124.75


@pytest.mark.parametrize(
    ("rate", "asked"), [(50, 50), (100, 100), (120, 60), (125, 62.5)]
)
def test_few_frames_are_not_made_fewer(rate, asked):
    tracker = CurveTracker(vibrato)
    f0_hz, _ = pitch_tracking.SparseTracker(tracker)(np.zeros(16000), rate)
    assert tracker.asked == [asked] and f0_hz.size == rate


@pytest.mark.slow
@pytest.mark.crepe
def test_crepe_answers_nearly_the_same_at_a_quarter_of_the_frames(rng):
    """Within 2 cents and a hundredth of confidence, where a note sounds."""
    note = helpers.instrument(69, rng=rng)
    audio = note.audio.astype(np.float32)
    dense = crepe.CrepeTracker("tiny")
    f0_hz, confidence = dense(audio, FRAME_RATE)
    sparse_f0, sparse_confidence = pitch_tracking.SparseTracker(dense)(
        audio, FRAME_RATE
    )
    sounding = confidence > 0.5
    assert np.count_nonzero(sounding) > 300
    assert np.median(cents_apart(f0_hz, sparse_f0)[sounding]) < 2.0
    assert np.median(np.abs(confidence - sparse_confidence)[sounding]) < 0.01


@pytest.fixture
def cached(tmp_path):
    tracker = CurveTracker(vibrato)
    return tracker, pitch_tracking.CachedTracker(tracker, "curve", tmp_path / "a" / "b")


def test_an_answer_is_computed_once_and_never_for_other_audio(cached, rng):
    tracker, remembering = cached
    audio = rng.standard_normal(16000).astype(np.float32)
    first = remembering(audio, FRAME_RATE)
    again = remembering(audio.copy(), FRAME_RATE)
    assert len(tracker.asked) == 1
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    audio[7] += 1e-3
    remembering(audio, FRAME_RATE)
    remembering(audio, 125)
    other = pitch_tracking.CachedTracker(tracker, "other", remembering.folder)
    other(audio, FRAME_RATE)
    assert len(tracker.asked) == 4


def test_a_remembered_answer_is_pitch_and_confidence(cached):
    _, remembering = cached
    times = np.arange(FRAME_RATE) / FRAME_RATE
    for _ in range(2):
        f0_hz, confidence = remembering(np.zeros(16000, np.float32), FRAME_RATE)
        np.testing.assert_allclose(f0_hz, vibrato(times), rtol=1e-6)
        np.testing.assert_allclose(confidence, times, rtol=1e-6)


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_entry_is_computed_anew(cached, damage):
    tracker, remembering = cached
    audio = np.zeros(16000, np.float32)
    expected = remembering(audio, FRAME_RATE)
    (entry,) = remembering.folder.iterdir()
    content = bytearray(entry.read_bytes())
    content[-9] ^= 1
    whole = {"bit": content, "cut": content[:-1], "empty": b""}
    entry.write_bytes(whole[damage])
    np.testing.assert_array_equal(remembering(audio, FRAME_RATE), expected)
    assert len(tracker.asked) == 2
    np.testing.assert_array_equal(remembering(audio, FRAME_RATE), expected)
    assert len(tracker.asked) == 2  # and it is whole again


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("in the way")
    tracker = CurveTracker(vibrato)
    remembering = pitch_tracking.CachedTracker(tracker, "curve", tmp_path / "file/x")
    assert remembering(np.zeros(16000), FRAME_RATE)[0].size == FRAME_RATE
