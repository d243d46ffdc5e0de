"""Masks, levels, distributions and statistics worked out on paper."""

import math

import numpy as np
import pytest

from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import levels
from models.measures import measured_controls
from models.measures import spectra
from models.measures import statistics
from tests.helpers import played_controls

SAMPLE_RATE, FRAME_RATE = played_controls.SAMPLE_RATE, played_controls.FRAME_RATE


played = played_controls.played


# --- masks ---


@pytest.mark.parametrize(
    ("loudest", "edge"),
    [(-10.0, -50.0), (-20.0, -60.0), (-30.0, -70.0), (-40.0, -70.0)],
    ids=["range", "range too", "both", "floor"],
)
def test_a_frame_is_audible_from_the_edge_on(loudest, edge):
    """40 dB below the loudest, or -70 dB, whichever is higher."""
    loudness = np.array([loudest, edge, edge - 0.001])
    masks = frame_masks.make_masks(loudness, np.ones(3))
    assert masks.audible.tolist() == [True, True, False]


def test_a_frame_has_a_pitch_from_the_confidence_on_where_it_is_audible():
    loudness = np.array([-10.0, -10.0, -60.0])
    masks = frame_masks.make_masks(loudness, np.array([0.5, 0.499, 0.9]))
    assert masks.pitched.tolist() == [True, False, False]
    assert masks.audible.tolist() == [True, True, False]


def test_settings_move_every_threshold():
    loudness, confidence = np.array([0.0, -30.0, -60.0]), np.array([0.6, 0.9, 0.9])
    make = lambda **changes: frame_masks.make_masks(
        loudness, confidence, settings=frame_masks.MaskSettings(**changes)
    )
    assert make().audible.tolist() == [True, True, False]
    assert make(range_db=20.0).audible.tolist() == [True, False, False]
    assert make(range_db=70.0).audible.tolist() == [True, True, True]
    assert make(floor_db=-25.0).audible.tolist() == [True, False, False]
    assert make(min_confidence=0.7).pitched.tolist() == [False, True, False]


# --- controls ---


@pytest.mark.parametrize(
    ("f0_hz", "n_below"),
    [(2000.0, 3), (1999.9, 4), (8000.0, 0), (7999.0, 1), (math.nan, 0)],
)
def test_a_harmonic_at_nyquist_does_not_fit(f0_hz, n_below):
    clip = played([[1.0, 0.0]], f0_hz=f0_hz)
    assert clip.n_below_nyquist.tolist() == [n_below]
    below = distributions.below_nyquist(
        np.array([f0_hz]), n_harmonics=9, sample_rate=SAMPLE_RATE
    )
    assert below.sum() == n_below


def test_power_is_half_of_the_squares_and_the_noise():
    clip = played([[0.5, 0.25, 0.25]], amps=4.0, noise_power=3.0)
    assert clip.harmonic_power == pytest.approx([0.5 * (4.0 + 1.0 + 1.0)])
    assert clip.power == pytest.approx([6.0])


def test_noise_of_equal_bands_has_a_third_of_their_square():
    assert control_arrays.noise_power(np.full([2, 65], 0.3)) == pytest.approx(0.03)


def test_the_bands_at_the_ends_are_half_as_wide():
    """Of three bands the ends take a quarter each: (1 / 4 + 4 / 2 + 9 / 4) / 3."""
    found = control_arrays.noise_power(np.array([1.0, 2.0, 3.0]))
    assert found == pytest.approx(4.5 / 3)
    assert control_arrays.noise_power(np.array([3.0])) == pytest.approx(3.0)


def test_curves_of_a_model_may_have_a_channel_axis_or_none():
    shares = np.full([3, 2], 0.5)
    for shape in ((3,), (3, 1)):
        curve = np.reshape([440.0, 450.0, 460.0], shape)
        clip = control_arrays.from_model(
            {"f0_hz": curve, "amps": curve, "harmonic_distribution": shares},
            sample_rate=SAMPLE_RATE,
            frame_rate=FRAME_RATE,
        )
        assert clip.f0_hz.tolist() == clip.amps.tolist() == [440.0, 450.0, 460.0]


def test_noise_of_another_rate_is_taken_at_the_frame_it_lies_in():
    values = np.array([[10.0], [20.0]])
    taken = lambda n: control_arrays.nearest_frames(values, n_frames=n)[:, 0].tolist()
    assert taken(5) == [10.0, 10.0, 10.0, 20.0, 20.0]
    assert taken(4) == [10.0, 10.0, 20.0, 20.0]
    assert taken(1) == [10.0]


def test_diversity_is_of_the_mean_of_the_frames_that_count():
    """Mean (0.5, 0.5) against a typical (1, 0): 0.8113 - 0.5 bits of divergence."""
    clip = played([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    counted = np.array([True, True, False])
    found = control_arrays.diversity(clip, counted, typical=np.array([3.0, 0.0]))
    assert found == pytest.approx(0.75 * math.log2(4 / 3) + 0.25 * 2 - 0.5)


# --- distributions ---


def test_divergence_is_in_bits_between_0_and_1():
    first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert distributions.jensen_shannon(first, second) == pytest.approx([1.0])
    assert distributions.jensen_shannon(first, first) == pytest.approx([0.0])
    # (1, 0) and (1/2, 1/2): the entropy of (3/4, 1/4) less half a bit.
    even = np.array([[0.5, 0.5]])
    expected = 0.75 * math.log2(4 / 3) + 0.5 - 0.5
    assert distributions.jensen_shannon(first, even) == pytest.approx([expected])


def test_entropy_is_over_the_logarithm_of_what_fits():
    shares = np.tile([0.5, 0.5, 0.0], (3, 1))
    found = distributions.normalized_entropy(shares, np.array([2, 4, 1]))
    np.testing.assert_allclose(found, [1.0, 0.5, np.nan])
    assert distributions.entropy_nats(shares[0]) == pytest.approx(math.log(2))


# --- levels ---


def test_levels_are_ten_times_the_logarithm_of_power():
    found = levels.power_db(np.array([1.0, 0.01, 1e-10, 0.0]))
    np.testing.assert_allclose(found, [0.0, -20.0, -100.0, -100.0])
    assert levels.level_db(np.full([2, 8], 0.1)) == pytest.approx(-20.0)
    assert levels.level_db(np.zeros([1, 8])) == -120.0


def test_moments_by_hand():
    """x of 0, 2, 4 and y of 1, 2, 6: covariance 10 / 3, variance 8 / 3."""
    found = levels.regression_moments(n=3, x=6.0, y=9.0, xx=20.0, xy=28.0)
    assert found == pytest.approx((10 / 3, 8 / 3))


SLOW_RATE = 10  # frames a second, of which 50 ms are less than one


def clip_of(*levels_db, n_samples=100):
    """A clip of constant samples, a frame each level. Shape [1, n_samples]."""
    return np.repeat(10 ** (np.array(levels_db) / 20), n_samples)[np.newaxis]


def slope_of(audio, recordings, counted=None):
    if counted is None:
        counted = np.ones([len(audio), audio.shape[1] // 100], bool)
    return levels.slope(
        audio, recordings, counted=np.array(counted), frame_rate=SLOW_RATE
    )


def test_slope_by_hand():
    """The recording rises by 10 dB a frame, the system by 3."""
    ref, est = clip_of(-40, -30, -20), clip_of(-33, -30, -27)
    assert slope_of(est, ref) == pytest.approx(0.3)
    assert slope_of(ref, ref) == pytest.approx(1.0)
    # A frame that does not count, however loud.
    ref, est = clip_of(-40, -30, -20, 0), clip_of(-33, -30, -27, -90)
    assert slope_of(est, ref, [[True, True, True, False]]) == pytest.approx(0.3)


def test_slope_needs_a_db_of_movement():
    """Levels of 1 and -1 dB have a standard deviation of 1."""
    moving, still = clip_of(1.001, -1.001), clip_of(0.999, -0.999)
    assert slope_of(moving, moving) == pytest.approx(1.0)
    assert math.isnan(slope_of(moving, still))


def test_slope_is_unknown_where_no_frame_counts():
    assert math.isnan(slope_of(clip_of(0, -9), clip_of(0, -9), [[False, False]]))


def test_slope_leaves_out_what_lies_60_db_below_the_recording():
    """-100 dB counts as -70 on both sides, so the line goes through 60 of 60 dB."""
    assert slope_of(clip_of(-10, -80), clip_of(-10, -100)) == pytest.approx(1.0)
    assert slope_of(clip_of(-10, -40), clip_of(-10, -100)) == pytest.approx(0.5)


def test_slope_smooths_over_50_ms():
    """At 60 frames a second three frames: (10 + 0.1 + 0.1) / 3 in the middle."""
    ref = clip_of(-10, -10, -10, -40, -40, -40)
    counted = np.array([[False, False, True, True, False, False]])
    found = levels.slope(ref**2, ref, counted=counted, frame_rate=60)
    theirs = 10 * np.log10([(0.2 + 1e-4) / 3, (0.1 + 2e-4) / 3])
    squared = 10 * np.log10([(2e-2 + 1e-8) / 3, (1e-2 + 2e-8) / 3])
    assert found == pytest.approx(np.diff(squared)[0] / np.diff(theirs)[0])


def test_local_power_is_a_mean_square_of_24_ms_around_each_frame():
    """A click of 1: in the 384 samples around it, 1 / 384."""
    audio = np.zeros(1600)
    audio[800] = 1.0
    found = measured_controls.local_power(
        audio, n_frames=25, sample_rate=SAMPLE_RATE, hop_size=64
    )
    near = np.abs(np.arange(25) * 64 - 800) < 192
    np.testing.assert_allclose(found[near], 1 / 384)
    np.testing.assert_allclose(found[~near], 0.0, atol=1e-12)


# --- statistics ---


def test_statistics_are_over_frames_and_not_over_clips():
    """A clip of three frames of one harmonic, one of a frame of two: 3 of 4, not 1/2.

    The third clip has no frame that counts.
    """
    one = played([[1.0, 0.0]] * 3, amps=1.0, noise_power=0.1)
    two = played([[0.5, 0.5], [1.0, 0.0]], amps=3.0, noise_power=0.2)
    three = played([[0.0, 1.0]], amps=9.0, noise_power=9.0)
    counted = [np.ones(3, bool), np.array([True, False]), np.zeros(1, bool)]
    found = statistics.statistics([one, two, three], counted)
    assert found["top1_share"] == pytest.approx(3.5 / 4)
    assert found["entropy_nats"] == pytest.approx(math.log(2) / 4)
    assert found["normalized_entropy"] == pytest.approx(math.log(2) / math.log(15) / 4)
    assert found["effective_harmonics"] == pytest.approx((3 + 2) / 4)
    assert found["amplitude_sum"] == pytest.approx((3 * 1.0 + 3.0) / 4)
    # Powers of 0.6 three times, and of 0.5 * 9 * 0.5 + 0.2 = 2.45.
    assert found["noise_share"] == pytest.approx((0.3 + 0.2) / (1.8 + 2.45))
    assert found["gain_median_db"] == pytest.approx(10 * math.log10(0.6))
    low, high = 10 * math.log10(0.6), 10 * math.log10(2.45)
    # The 95th percentile of four values lies 0.85 of the way from the third on.
    assert found["gain_range_db"] == pytest.approx(0.85 * (high - low))


def test_movement_is_within_clips_and_between_frames_that_count():
    """Levels of 0, 20 and 0 dB; a distribution that turns over once in three frames."""
    shares = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    clip = played(
        shares, amps=np.array([1.0, 10.0, 1.0, 99.0]), noise_power=[1.0, 0.1, 0.1, 9.0]
    )
    other = played([[0.5, 0.5]] * 2, amps=5.0, noise_power=1e-3)
    counted = [np.array([True, True, True, False]), np.ones(2, bool)]
    found = statistics.movement([clip, other], counted)
    # Two steps of the one clip and one of the other.
    assert found["gain_variation_db"] == pytest.approx((20.0 + 20.0 + 0.0) / 3)
    assert found["noise_variation_db"] == pytest.approx((10.0 + 0.0 + 0.0) / 3)
    assert found["distribution_variation"] == pytest.approx((0.0 + 1.0 + 0.0) / 3)
    # Spreads are means over clips: deviation of 0, 20, 0 dB, and none.
    assert found["gain_spread_db"] == pytest.approx(0.5 * math.sqrt(800 / 9))
    # Distances from (2/3, 1/3): 1/3, 1/3, 2/3; and none.
    assert found["distribution_spread"] == pytest.approx(0.5 * (4 / 3) / 3)


def test_a_frame_without_harmonics_has_no_timbre():
    clip = played([[1.0, 0.0], [0.0, 0.0]], amps=[1.0, 0.0], noise_power=[0.5, 1.5])
    found = statistics.statistics([clip], [np.ones(2, bool)])
    assert found["top1_share"] == 1.0
    assert found["noise_share"] == pytest.approx(2.0 / 2.5)
    assert math.isnan(found["gain_variation_db"])  # no two that have one


# --- spectra ---


def test_magnitudes_are_of_a_periodic_hann_window_every_quarter():
    """A cosine in the middle of a bin: half of the window's sum, size / 4."""
    size = 64
    audio = np.cos(2 * np.pi * 8 * np.arange(160) / size)
    found = spectra.magnitudes(audio, fft_size=size)
    assert found.shape == (10, 33)  # a frame each 16 samples, up to the end
    np.testing.assert_allclose(found[0, 7:10], [8.0, 16.0, 8.0], atol=1e-4)
    np.testing.assert_allclose(found[0, 12:], 0.0, atol=1e-4)
    # What lies beyond the end is silence.
    assert not spectra.magnitudes(np.zeros(70), fft_size=size).any()


def test_differences_are_means_and_zeros_are_lifted(monkeypatch):
    of = {
        1.0: np.array([[1.0, math.e], [0.0, 1.0]]),
        2.0: np.array([[3.0, 1.0], [1.0, 1e-9]]),
    }
    monkeypatch.setattr(spectra, "magnitudes", lambda audio, *, fft_size: of[audio])
    mag, logmag = spectra.mean_differences(1.0, 2.0, fft_size=64)
    assert mag == pytest.approx((2.0 + (math.e - 1.0) + 1.0 + 1.0) / 4)
    zero = math.log(1e5)  # 0 counts as 1e-5, and 1e-9 as itself
    assert logmag == pytest.approx((math.log(3) + 1.0 + zero + math.log(1e9)) / 4)


# --- how far recordings can be believed ---


def recorded(**changes):
    """Two frames of two harmonics, in which nothing is in doubt."""
    values = {
        "f0_hz": np.full(2, 500.0),
        "amplitudes": np.full([2, 7], 0.1),
        "noise_magnitudes": np.zeros([2, 5]),
        "power": np.ones(2),
        "sample_rate": SAMPLE_RATE,
        "frame_rate": FRAME_RATE,
    }
    return measured_controls.MeasuredControls(**values | changes)


def weigh(measured, confidence=(1.0, 1.0), loudest_power=1.0):
    return measured_controls.teaching_weights(
        measured, np.array(confidence), loudest_power=loudest_power
    )


def test_frames_in_which_nothing_is_in_doubt_teach_all():
    found = weigh(recorded())
    assert found.harmonics.tolist() == found.noise.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("confidence", "weight"), [(0.4, 0.0), (0.5, 0.25), (0.6, 0.5), (0.8, 1.0)]
)
def test_the_tracker_is_believed_between_0_4_and_0_8(confidence, weight):
    found = weigh(recorded(), (confidence, 1.0))
    assert found.harmonics == pytest.approx([weight, 1.0], abs=1e-9)
    assert found.noise.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("level_db", "weight"), [(-61.0, 0.0), (-55.0, 0.25), (-45.0, 0.75), (-39.0, 1.0)]
)
def test_sounds_teach_between_60_and_40_db_below_the_loudest(level_db, weight):
    power = np.array([2.0 * 10 ** (level_db / 10), 2.0])
    found = weigh(recorded(power=power), loudest_power=2.0)
    assert found.harmonics == pytest.approx([weight, 1.0])
    assert found.noise == pytest.approx([weight, 1.0])


@pytest.mark.parametrize(
    ("share", "weight"), [(0.5, 0.0), (0.6, 0.25), (0.7, 0.5), (0.9, 1.0)]
)
def test_harmonics_teach_where_they_explain_the_power(share, weight):
    """Seven harmonics of 0.1 have 0.035; noise has the rest."""
    noise = 0.035 * (1.0 / share - 1.0)
    magnitudes = np.full([2, 5], math.sqrt(3.0 * noise))
    found = weigh(recorded(noise_magnitudes=magnitudes))
    assert found.harmonics == pytest.approx([weight] * 2, abs=1e-6)
    assert found.noise.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("multiple", [2, 3])
@pytest.mark.parametrize(
    ("outside", "weight"), [(0.003, 0.0), (0.0165, 0.5), (0.03, 1.0)]
)
def test_octaves_and_twelfths_in_doubt_teach_nothing(multiple, outside, weight):
    """Nearly all of the power lies on the multiples of 2, or of 3."""
    squares = np.zeros([2, 7])
    squares[:, multiple - 1] = 1.0 - outside
    squares[:, 4] = outside  # the fifth is neither
    found = weigh(recorded(amplitudes=np.sqrt(squares)))
    assert found.harmonics == pytest.approx([weight] * 2, abs=1e-6)


def test_a_frame_without_pitch_teaches_its_noise_alone():
    found = weigh(recorded(f0_hz=np.array([math.nan, 500.0])))
    assert found.harmonics.tolist() == [0.0, 1.0]
    assert found.noise.tolist() == [1.0, 1.0]
