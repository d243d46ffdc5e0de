"""What degraded controls sound like, on paper: sines, coloured noise, a room."""

import functools
import types

import numpy as np
import pytest

from evaluation.collapse_index import audible
from models.measures import control_arrays
from tests.helpers import played_controls

RATE = played_controls.SAMPLE_RATE
FRAME_RATE = 125
HOP = RATE // FRAME_RATE
# The room of a draw of ones: nothing drawn, only what becomes of it.
ONES = types.SimpleNamespace(
    standard_normal=np.ones, uniform=lambda low, high, size: np.full(size, high)
)


played = functools.partial(played_controls.played, frame_rate=FRAME_RATE)


def play(clip, magnitudes=(0.0,), *, rng=ONES):
    shape = [clip.n_frames, len(magnitudes)]
    return audible.play(clip, np.broadcast_to(magnitudes, shape), rng=rng)


# --- sines ---


def test_harmonics_are_sines_of_one_phase():
    """1 kHz and 2 kHz at a quarter and three quarters of an amplitude of 0.4."""
    clip = played([[0.25, 0.75]] * 5, amps=0.4, f0_hz=1000.0)
    phase = 2 * np.pi * 1000.0 * np.arange(1, 5 * HOP + 1) / RATE
    expected = 0.1 * np.sin(phase) + 0.3 * np.sin(2 * phase)
    np.testing.assert_allclose(play(clip), expected, atol=1e-9)


def test_amplitudes_run_in_straight_lines_from_frame_to_frame():
    clip = played([[1.0]] * 3, amps=[0.0, 0.5, 0.5], f0_hz=4000.0)
    # The crests of a period of four samples: the first, fifth, ninth ...
    np.testing.assert_allclose(
        play(clip)[: HOP + 1 : 4], 0.5 * np.arange(0, HOP + 1, 4) / HOP, atol=1e-9
    )


def test_a_pitch_runs_on_where_there_is_none():
    """Unheard between 1 kHz and 2 kHz, and in step afterwards with 1.5 kHz between."""
    f0_hz = np.array([1000.0, np.nan, 2000.0, 2000.0])
    clip = played([[1.0]] * 4, f0_hz=f0_hz)
    known = played([[1.0]] * 4, f0_hz=[1000.0, 1500.0, 2000.0, 2000.0])
    np.testing.assert_allclose(play(clip), play(known), atol=1e-9)
    assert not play(played([[1.0]] * 4, f0_hz=np.nan)).any()


# --- noise ---


def test_white_noise_is_what_is_drawn_at_the_power_of_each_frame():
    """Of a mean square of a third, multiplied by the square root of three times it."""
    clip = played([[0.0]] * 8, noise_power=0.12)
    found = play(clip, [7.0, 7.0, 7.0], rng=np.random.default_rng(1))
    drawn = np.random.default_rng(1).uniform(-1.0, 1.0, 8 * HOP)
    np.testing.assert_allclose(found, 0.6 * drawn, atol=1e-9)


def test_coloured_noise_has_its_power():
    """A steady draw through bands of 2 and 1: 2 at 0 Hz, of a power of 5 / 6."""
    power = control_arrays.noise_power(np.array([2.0, 1.0]))
    assert power == pytest.approx(5 / 6)
    clip = played([[0.0]] * 8, noise_power=float(power))
    found = play(clip, [2.0, 1.0])
    # Bins beside 0 Hz, which the window fills too, have a little less.
    np.testing.assert_allclose(found[2 * HOP : -2 * HOP], 2.0, rtol=0.01)
    np.testing.assert_allclose(found, 2.0, rtol=0.02)  # at the ends too


@pytest.mark.parametrize(("hz", "gain"), [(0, 0.0), (2000, 0.5), (4000, 1.0)])
def test_bands_lie_evenly_from_0_hz_to_nyquist(hz, gain):
    """The middle one of three is at 4 kHz; a sixth is the power of what it passes."""
    tone = lambda low, high, size: (
        high * np.cos(2 * np.pi * hz * np.arange(size) / RATE)
    )
    clip = played([[0.0]] * 12, noise_power=1 / 6)
    found = play(clip, [0.0, 1.0, 0.0], rng=types.SimpleNamespace(uniform=tone))
    middle = slice(4 * HOP, 8 * HOP)
    np.testing.assert_allclose(
        found[middle], gain * tone(-1, 1, 12 * HOP)[middle], atol=0.02
    )


def test_noise_follows_the_frames_and_is_cut_to_the_clip():
    power = np.where(np.arange(40) < 20, 0.03, 0.0)
    clip = played([[0.0]] * 40, noise_power=power)
    found = np.abs(play(clip, [1.0]))
    assert found.size == 40 * HOP
    np.testing.assert_allclose(found[: 17 * HOP], 0.3, rtol=1e-6)
    np.testing.assert_allclose(found[23 * HOP :], 0.0, atol=1e-9)
    # A clip shorter than a window has its noise as well.
    short = played([[0.0]], noise_power=0.03)
    np.testing.assert_allclose(play(short, [1.0]), np.full(HOP, 0.3), rtol=1e-6)


# --- the room ---


def add_room(audio, *, rng=ONES, sample_rate=1000, **arguments):
    return audible.add_room(audio, sample_rate=sample_rate, rng=rng, **arguments)


@pytest.mark.parametrize("db", [0.0, 6.0, -20.0])
def test_a_room_by_hand(db):
    """An impulse in a room of 0.1 s: 5 ms of nothing, then 115 ms of -0.6 dB each."""
    found = add_room(np.eye(200)[0], room_secs=0.1, room_db=db)
    np.testing.assert_allclose(found[:5], [1.0, 0.0, 0.0, 0.0, 0.0], atol=1e-12)
    assert np.sum(found[5:] ** 2) == pytest.approx(10 ** (db / 10))
    np.testing.assert_allclose(found[6:120] / found[5:119], 10 ** (-0.6 / 20))
    np.testing.assert_allclose(found[120:], 0.0, atol=1e-12)


def test_a_room_is_half_a_second_as_loud_as_the_sound_and_ends_with_it():
    found = add_room(np.eye(700)[0])
    assert np.sum(found[1:] ** 2) == pytest.approx(1.0)
    assert found[505] / found[5] == pytest.approx(1e-3)
    assert found[599] > 1e-6 > np.abs(found[600:]).max()
    np.testing.assert_allclose(add_room(np.eye(300)[0]), found[:300], atol=1e-12)


def test_a_room_is_drawn():
    draws = [np.random.default_rng(seed) for seed in (1, 1, 2)]
    one, again, other = (add_room(np.eye(99)[0], rng=rng) for rng in draws)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    assert one[5:].min() < 0 < one[5:].max()


@pytest.mark.parametrize(("rate", "n_samples"), [(1330, 160), (1320, 158)])
def test_a_room_s_times_are_rounded_to_samples(rate, n_samples):
    """159.6 and 158.4 samples; its delay is 6.65 and 6.6 of them, seven."""
    found = add_room(np.eye(200)[0], sample_rate=rate, room_secs=0.1)
    sounding = np.flatnonzero(np.abs(found) > 1e-9)
    assert sounding.tolist() == [0, *range(7, n_samples)]
