"""Steps of the analysis of recordings, on numbers that can be worked out."""

import math
import types

import numpy as np
import pytest

from models.measures import measured_controls
from models.measures import noise_bands
from models.measures import pitch_refinement
from models.measures import reference
from models.measures import warped_spectrum

RATE = 16000
NAN = math.nan


# --- windows laid in phase ---


@pytest.mark.parametrize(
    ("f0_hz", "n_periods", "period_size"),
    [
        # 24 ms of 500 Hz are 12 periods; of 100 Hz less than four.
        (500.0, 12, 40),  # 1.1 * 16000 / 500 = 35.2 samples a period at least
        (510.0, 14, 40),  # 12.24 periods, an even number of them
        (100.0, 4, 192),
        (1900.0, 46, 10),
    ],
)
def test_windows_are_an_even_number_of_periods(f0_hz, n_periods, period_size):
    periods, sizes = warped_spectrum._window_sizes(
        np.array([f0_hz]), sample_rate=RATE, n_cycles=1000.0
    )
    assert (periods.tolist(), sizes.tolist()) == ([n_periods], [period_size])


@pytest.mark.parametrize(("n_cycles", "n_periods"), [(11.9, 10), (7.0, 6), (1.0, 2)])
def test_a_short_signal_has_fewer_periods_and_never_less_than_two(n_cycles, n_periods):
    periods, _ = warped_spectrum._window_sizes(
        np.array([500.0]), sample_rate=RATE, n_cycles=n_cycles
    )
    assert periods.tolist() == [n_periods]


def test_windows_overlap_by_six_at_most_and_stretches_keep_their_ends():
    """50 Hz: windows of 80 ms are 20 frames at 250/s; every second is computed."""
    f0_hz = np.full(12, 50.0)
    f0_hz[5] = NAN
    known = warped_spectrum.analysed_frames(f0_hz, frame_rate=250)
    assert known.tolist() == [0, 2, 4, 6, 8, 10, 11]
    # 24 ms of anything higher are six frames: each is computed.
    every = warped_spectrum.analysed_frames(np.full(5, 440.0), frame_rate=250)
    assert every.tolist() == [0, 1, 2, 3, 4]
    # 7 is the first of its stretch and 9 the last, though they are odd.
    f0_hz = np.full(12, NAN)
    f0_hz[7:10] = 50.0
    known = warped_spectrum.analysed_frames(f0_hz, frame_rate=250)
    assert known.tolist() == [7, 8, 9]


def test_frames_between_lie_on_straight_lines():
    f0_hz = np.full(6, 50.0)
    f0_hz[5] = NAN
    rows = np.array([[0.0], [9.0], [4.0], [9.0], [8.0], [7.0]])
    found = warped_spectrum.between_analysed(rows, f0_hz, frame_rate=250)
    np.testing.assert_allclose(found[:, 0], [0.0, 2.0, 4.0, 6.0, 8.0, 7.0])


# --- noise ---


def test_the_power_of_a_bin_and_the_gain_that_plays_a_density():
    """A Hann window of T seconds passes 1.5 / T Hz, twice for a sine's square."""
    assert noise_bands.density_to_power(np.array(440.0), 4) == pytest.approx(330.0)
    # Uniform noise of gain 0.5 has 0.25 / 3 in all, spread over 8 kHz.
    density = 0.25 / 3 / 8000
    gain = noise_bands.magnitudes(np.array(density), sample_rate=RATE)
    assert gain == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("frequency", "shares"),
    [
        (0.0, [1, 0, 0, 0, 0]),
        (2000.0, [0, 1, 0, 0, 0]),
        (3500.0, [0, 0.25, 0.75, 0, 0]),
        (8000.0, [0, 0, 0, 0, 1]),  # Nyquist itself is the last band's
        (8001.0, [0, 0, 0, 0, 0]),
    ],
)
def test_a_bin_is_shared_by_the_two_bands_beside_it(frequency, shares):
    """Five bands are 2 kHz apart."""
    bands = noise_bands.BandPowers.empty(2, 5)
    bands.add(
        np.array([1]), np.array([[frequency]]), np.array([[3.0]]), sample_rate=RATE
    )
    np.testing.assert_allclose(bands.count, [[0] * 5, shares])
    np.testing.assert_allclose(bands.power, [[0] * 5, 3.0 * np.array(shares)])


@pytest.mark.parametrize(
    ("n_periods", "n_free"),
    # Of each period's bins, those two and more from both harmonics; with a steeper
    # window, from eight periods on, three and more.
    [(4, 1), (6, 3), (8, 3), (12, 7)],
)
def test_bins_between_harmonics_are_free_of_them(n_periods, n_free):
    spectrum = np.ones([1, 3 * n_periods + 1], np.complex64)
    windows = warped_spectrum.Windows(
        frames=np.array([0]),
        f0_hz=np.array([1000.0]),
        n_periods=n_periods,
        spectrum=spectrum,
        slope=None,
    )
    bands = noise_bands.BandPowers.empty(1, 9)  # 1 kHz apart
    bands.add_between(windows, sample_rate=RATE)
    assert bands.count.sum() == pytest.approx(3 * n_free)


def test_bands_without_a_bin_take_from_their_neighbours():
    power = np.array([[2.0, 0.0, 0.0, 6.0]])
    count = np.array([[1.0, 0.0, 0.0, 3.0]])
    found = noise_bands._fill(power, count)
    np.testing.assert_allclose(found, [[2.0, 2.0, 2.0, 2.0]])
    found = noise_bands._fill(power, np.ones([1, 4]))
    np.testing.assert_allclose(found, power, atol=1e-12)


def test_a_gain_is_followed_from_frame_to_frame_whatever_the_bins(rng):
    """White noise four times as strong from frame 150 on, in bins of any number."""
    strength = np.where(np.arange(300) < 150, 1.5, 6.0)[:, np.newaxis]
    count = rng.uniform(1.0, 5.0, [300, 4])
    raw = noise_bands.BandPowers(count * strength, count)
    found = noise_bands.smooth(raw, frame_rate=250)
    far = np.abs(np.arange(300) - 149.5) > 2  # the gain is averaged over three frames
    np.testing.assert_allclose(
        found[far], np.broadcast_to(strength, [300, 4])[far], rtol=0.01
    )


# --- pitch ---


@pytest.mark.parametrize(
    ("wanted", "n_frames"), [(0.4, 1), (1.0, 1), (6.9, 7), (7.0, 7), (9.0, 9), (9.9, 9)]
)
def test_windows_of_frames_are_odd(wanted, n_frames):
    assert pitch_refinement._odd(wanted) == n_frames


def test_a_track_is_smoothed_in_octaves_stretch_by_stretch():
    """Three frames by 1, 2, 1: two octaves up in the middle are one on average."""
    track = np.array([100.0, 400.0, 100.0, NAN, 800.0, 800.0])
    found = pitch_refinement._smooth_track(track, n_frames=3)
    expected = [100 * 2**0.5, 200.0, 100 * 2**0.5, NAN, 800.0, 800.0]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("off_cents", "found_cents"), [(30.0, 30.0), (90.0, 60.0)])
def test_a_track_is_corrected_by_60_cents_at_most(off_cents, found_cents):
    """A tracker further off is lost, and not rough."""
    times = np.arange(RATE // 2) / RATE
    true = 440.0 * 2 ** (off_cents / 1200)
    audio = sum(np.sin(2 * np.pi * k * true * times) / k for k in (1, 2, 3))
    found = pitch_refinement.refine(
        audio, np.full(125, 440.0), sample_rate=RATE, hop_size=64
    )
    cents = 1200 * np.log2(found[20:-20] / 440.0)
    np.testing.assert_allclose(cents, found_cents, atol=1.0)


# --- controls ---


def test_a_pitch_that_cannot_be_one_is_none():
    f0_hz = np.array([[440.0], [0.0], [-1.0], [math.inf], [8000.0], [7999.0]])
    found = measured_controls._clean_f0(f0_hz, sample_rate=RATE)
    np.testing.assert_array_equal(found, [440.0, NAN, NAN, NAN, NAN, 7999.0])


@pytest.mark.parametrize(
    ("hop_size", "frame_rate", "factor"),
    [(64, 250, 1), (80, 200, 1), (320, 50, 4), (160, 100, 2), (7, 50, 7), (1, 50, 1)],
)
def test_frames_are_laid_between_until_there_are_200_a_second(
    hop_size, frame_rate, factor
):
    """The factor divides the hop; without one that does, frames stay as they are."""
    assert measured_controls._finer(hop_size, frame_rate=frame_rate) == factor


def test_density_at_harmonics_lies_between_bands():
    """Five bands, 2 kHz apart, of 0, 1, 4, 9 and 16."""
    density = np.array([[0.0, 1.0, 4.0, 9.0, 16.0]])
    found = measured_controls._at_harmonics(
        density, np.array([1000.0]), n_harmonics=9, sample_rate=RATE
    )
    expected = [0.5, 1.0, 2.5, 4.0, 6.5, 9.0, 12.5, 16.0, 16.0]
    np.testing.assert_allclose(found, [expected])


def test_what_moves_no_more_than_noise_makes_it_is_averaged():
    """0 and 2 in turn vary by 1: what noise of sqrt(2) - 1 makes of a square of 1."""
    squares = np.tile([[0.0], [2.0]], (10, 1))
    pitched = np.ones(20, bool)
    steady = lambda noise: measured_controls._steady(
        squares, np.full([20, 1], noise), pitched, width=4
    )[5:-5]
    np.testing.assert_allclose(steady(math.sqrt(2) - 1), 1.0)
    np.testing.assert_allclose(steady(0.0), squares[5:-5])
    # Noise that explains half of it takes half of the way to the mean.
    half = steady(math.sqrt(1.5) - 1)
    np.testing.assert_allclose(half, 0.5 * (squares[5:-5] + 1.0))


def test_no_frame_has_more_noise_than_sound(monkeypatch):
    """And one without a pitch is noise altogether."""
    measured = types.SimpleNamespace(
        f0_hz=np.array([440.0, 440.0, NAN]),
        amps=np.ones(3),
        amplitudes=np.array([[0.5, 0.5]] * 3),
        noise_power=np.array([0.1, 9.0, 0.1]),
        power=np.array([1.0, 2.0, 3.0]),
    )
    monkeypatch.setattr(
        reference.measured_controls, "measure", lambda *a, **k: measured
    )
    found = reference.measure_controls(
        np.zeros(9), np.zeros(3), sample_rate=RATE, frame_rate=250, n_harmonics=2
    )
    np.testing.assert_allclose(found.noise_power, [0.1, 2.0, 3.0])
    np.testing.assert_allclose(
        found.harmonic_distribution, [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    )


def test_noise_of_unpitched_frames_is_where_it_sounds(rng):
    # Silence, then white noise of one unit of power from frame 20 of 40 on.
    sample_rate, hop = 16000, 64
    audio = np.where(np.arange(40 * hop) < 20 * hop, 0.0, rng.normal(size=40 * hop))
    found = noise_bands.BandPowers.empty(40, 5)
    found.add_unpitched(audio, np.arange(40), sample_rate=sample_rate, hop_size=hop)
    density = found.power.sum(axis=1) / found.count.sum(axis=1)
    size = round(warped_spectrum.MIN_WINDOW_SECS * sample_rate)
    reach = -(-size // 2 // hop)  # frames to either side of which a window knows
    assert not density[: 20 - reach].any()
    inside = density[20 + reach : 40 - reach]
    assert inside.mean() == pytest.approx(2.0 / sample_rate, rel=0.2)
    assert 0.25 < density[20] / inside.mean() < 0.75
