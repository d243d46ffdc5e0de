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
