import math

import numpy as np
import pytest

from evaluation.pairs import alignment

RATE = 16000
FRAME_SECS = 0.004  # a delay shorter than a control frame moves no frame


def play(rng, *, secs=2.0, phase=0.0, noise=0.003):
    """Three notes with attacks and rests, each harmonic at a phase of its own."""
    times = np.arange(round(secs * RATE)) / RATE
    audio = noise * rng.standard_normal(times.size)
    for start, midi in ((0.15, 60), (0.75, 67), (1.3, 64)):
        after = np.maximum(times - start, 0.0)
        envelope = np.clip(after / 0.03, 0, 1) * np.exp(-3.0 * after)
        envelope = np.where(after < 0.5, envelope, 0.0)
        f0_hz = 440.0 * 2.0 ** ((midi - 69) / 12)
        for k in range(1, 9):
            turn = 2 * np.pi * k * f0_hz * times + phase * k**2
            audio += 0.2 / k * envelope * np.sin(turn)
    return audio.astype(np.float32)


def delayed(audio, secs):
    n_samples = round(secs * RATE)
    if n_samples < 0:
        return audio[-n_samples:]
    return np.concatenate([np.zeros(n_samples, np.float32), audio])


@pytest.mark.parametrize("secs", [-0.09, -0.03, 0.02, 0.0735, 0.15])
def test_the_delay_of_another_rendering_is_found_within_a_frame(rng, secs):
    ref, est = play(rng), 0.3 * delayed(play(rng, phase=1.3, noise=0.01), secs)
    found = alignment.estimate_delay(ref, est, sample_rate=RATE)
    assert found == pytest.approx(secs, abs=FRAME_SECS)


def test_the_delay_of_a_copy_is_found_to_the_sample(rng):
    ref = play(rng)
    est = delayed(0.5 * ref, 501 / RATE)
    assert alignment.estimate_delay(ref, est, sample_rate=RATE) == 501 / RATE


def test_no_delay_is_no_delay(rng):
    ref = play(rng)
    assert alignment.estimate_delay(ref, ref, sample_rate=RATE) == 0.0
    other = play(rng, phase=1.3)
    assert alignment.estimate_delay(ref, other, sample_rate=RATE) == 0.0


def test_unrelated_and_silent_sounds_have_no_delay(rng):
    ref = play(rng)
    noise = rng.standard_normal(ref.size).astype(np.float32)
    for other in (noise, np.zeros_like(ref)):
        assert math.isnan(alignment.estimate_delay(ref, other, sample_rate=RATE))


@pytest.mark.parametrize("secs", [-0.05, 0.05])
def test_a_delay_is_removed_and_a_gain_is_told(rng, secs):
    ref = play(rng)
    est = delayed(0.5 * play(rng, phase=1.3), secs)
    one, other, found = alignment.align(ref, est, sample_rate=RATE)
    assert found.is_removed
    assert one.size == other.size >= ref.size - round(0.06 * RATE)
    assert alignment.estimate_delay(one, other, sample_rate=RATE) == 0.0
    assert found.gain_db == pytest.approx(-6.02, abs=0.1)
    assert found.missing_secs == found.extra_secs == 0.0


@pytest.mark.parametrize(("n_samples", "shift"), [(0.4, 0), (0.6, 1), (-0.6, -1)])
def test_what_is_no_whole_sample_is_not_removed(rng, monkeypatch, n_samples, shift):
    ref = play(rng)
    monkeypatch.setattr(alignment, "estimate_delay", lambda *a, **k: n_samples / RATE)
    one, other, found = alignment.align(ref, ref, sample_rate=RATE)
    assert found.is_removed == (shift != 0)
    assert one[100 + shift] == other[100]


def test_a_delay_beyond_the_limit_is_told_and_left(rng):
    ref = play(rng)
    _, other, found = alignment.align(ref, delayed(ref, 0.15), sample_rate=RATE)
    assert found.delay_secs == pytest.approx(0.15)
    assert not found.is_removed
    assert not other[: round(0.14 * RATE)].any()


def test_an_early_end_is_silence_and_a_late_one_is_not_judged(rng):
    ref = play(rng)
    short, long = ref[: RATE // 2], np.concatenate([ref, ref])
    one, other, found = alignment.align(ref, short, sample_rate=RATE)
    assert one.size == other.size == ref.size
    assert found.missing_secs == pytest.approx(1.5)
    assert found.gain_db == pytest.approx(0.0, abs=1e-6)
    assert not other[RATE // 2 :].any()
    one, other, found = alignment.align(ref, long, sample_rate=RATE)
    assert one.size == other.size == ref.size
    assert found.extra_secs == pytest.approx(2.0)


# --- exactly at the limits, with delays that are given ---


def align_with(monkeypatch, delay_secs, ref, est):
    monkeypatch.setattr(
        alignment, "estimate_delay", lambda ref, est, sample_rate: delay_secs
    )
    return alignment.align(ref, est, sample_rate=1000)


def count(n_samples):
    return np.arange(1.0, n_samples + 1.0, dtype=np.float32)


@pytest.mark.parametrize(
    ("delay_secs", "is_removed"),
    [(0.1, True), (-0.1, True), (0.101, False), (0.0, False), (math.nan, False)],
)
def test_delays_of_100_ms_are_removed(delay_secs, is_removed, monkeypatch):
    one, other, found = align_with(monkeypatch, delay_secs, count(1000), count(1000))
    assert found.is_removed == is_removed
    # What comes late loses its beginning, and the recording what has no counterpart.
    late = 100 if is_removed and delay_secs > 0 else 0
    early = 100 if is_removed and delay_secs < 0 else 0
    assert (one[0], other[0]) == (1.0 + early, 1.0 + late)
    assert one.size == other.size == 1000 - late - early


@pytest.mark.parametrize(
    ("n_est", "size", "missing", "extra"),
    [
        (900, 900, 0.0, 0.0),  # 100 ms less: the common part
        (899, 1000, 0.101, 0.0),  # more than that is silence
        (1100, 1000, 0.0, 0.0),
        (1101, 1000, 0.0, 0.101),
    ],
)
def test_ends_of_100_ms_are_cut(n_est, size, missing, extra, monkeypatch):
    one, other, found = align_with(monkeypatch, 0.0, count(1000), count(n_est))
    assert one.size == other.size == size
    assert (found.missing_secs, found.extra_secs) == pytest.approx((missing, extra))
    assert not other[n_est:].any()


def test_gain_is_over_what_the_rendering_has(monkeypatch):
    """Half as loud over the 500 samples that there are; the rest is no part of it."""
    ref = np.concatenate([np.full(500, 1.0), np.full(500, 9.0)])
    _, _, found = align_with(monkeypatch, 0.0, ref, np.full(500, 0.5))
    assert found.gain_db == pytest.approx(20 * math.log10(0.5))
    for silent in (np.zeros(1000), ref):
        one, other = (silent, ref) if silent.any() else (ref, silent)
        _, _, found = align_with(monkeypatch, 0.0, one, other)
        assert math.isnan(found.gain_db) != silent.any()
