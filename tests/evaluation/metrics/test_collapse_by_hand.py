"""Collapse metrics worked out on paper, the frames that count, and the limits."""

import dataclasses
import math

import numpy as np
import pytest

from evaluation.metrics import collapse
from evaluation.metrics import metric as metric_lib
from models.measures import frame_masks
from tests.helpers import metric_helpers
from tests.helpers import played_controls

FRAME_RATE = played_controls.FRAME_RATE


played = played_controls.played


def everywhere(n_frames):
    return frame_masks.Masks(np.ones(n_frames, bool), np.ones(n_frames, bool))


def measure(clip, masks=None, *, loudness_db=None, ref_power=None, heard_power=None):
    found = collapse.measure(
        clip,
        masks or everywhere(clip.n_frames),
        loudness_db=np.zeros(clip.n_frames) if loudness_db is None else loudness_db,
        ref_power=clip.power if ref_power is None else ref_power,
        heard_power=clip.power if heard_power is None else heard_power,
        amps_limits=(0.01, 2.0),
    )
    return {key: score.value for key, score in found.items()}


# --- which frames count ---

N_FRAMES = 60
FRAMES = np.arange(N_FRAMES)
# Audible with two gaps; without pitch in a stretch of what is audible.
IS_AUDIBLE = (FRAMES < 50) & ~np.isin(FRAMES, (7, 20, 21, 22))
IS_PITCHED = IS_AUDIBLE & ~((FRAMES >= 30) & (FRAMES < 38)) & (FRAMES != 11)
MASKS = frame_masks.Masks(IS_AUDIBLE, IS_PITCHED)
OF_PITCHED_FRAMES = metric_helpers.OF_PITCHED_FRAMES


@pytest.fixture
def lively(rng):
    """A clip in which everything moves, and the recording's curves."""
    shares = rng.uniform(0.1, 1.0, [N_FRAMES, 6])
    clip = played(
        shares / shares.sum(axis=1, keepdims=True),
        amps=rng.uniform(0.1, 0.9, N_FRAMES),
        noise_power=rng.uniform(1e-3, 1e-2, N_FRAMES),
        f0_hz=rng.uniform(300.0, 600.0, N_FRAMES),
    )
    curves = {
        "loudness_db": rng.uniform(-40.0, -10.0, N_FRAMES),
        "ref_power": rng.uniform(0.1, 1.0, N_FRAMES),
        "heard_power": rng.uniform(1e-5, 1.0, N_FRAMES),
    }
    return clip, curves


def spoil(clip, frames):
    """The clip with a loud, noisy sixth harmonic two octaves up in some frames."""
    last = np.eye(clip.harmonic_distribution.shape[1])[-1]
    return dataclasses.replace(
        clip,
        f0_hz=np.where(frames, 1300.0, clip.f0_hz),
        amps=np.where(frames, 1.999, clip.amps),
        harmonic_distribution=np.where(
            frames[:, np.newaxis], last, clip.harmonic_distribution
        ),
        noise_power=np.where(frames, 30.0, clip.noise_power),
    )


def test_what_happens_in_inaudible_frames_changes_no_score(lively):
    clip, curves = lively
    before = measure(clip, MASKS, **curves)
    assert not any(math.isnan(value) for value in before.values())
    loud = {"loudness_db": 30.0, "ref_power": 9e9, "heard_power": 1e-9}
    spoilt = {
        key: np.where(IS_AUDIBLE, curve, loud[key]) for key, curve in curves.items()
    }
    assert measure(spoil(clip, ~IS_AUDIBLE), MASKS, **spoilt) == pytest.approx(before)


def test_frames_without_pitch_have_a_level_and_nothing_else(lively):
    clip, curves = lively
    before = measure(clip, MASKS, **curves)
    after = measure(spoil(clip, ~IS_PITCHED), MASKS, **curves)
    same = {key for key in before if after[key] == pytest.approx(before[key])}
    heard_alone = {"silence_rate"}  # of the audio, not of the controls
    assert same == OF_PITCHED_FRAMES | heard_alone


def test_means_do_not_go_across_what_does_not_count():
    """The timbre changes where a frame is left out: no two neighbours differ."""
    shares = np.where(np.arange(25)[:, np.newaxis] < 12, [[1.0, 0.0]], [[0.0, 1.0]])
    clip = played(shares, amps=np.where(np.arange(25) < 12, 1.0, 0.1))
    heard = np.arange(25) != 12
    found = measure(clip, frame_masks.Masks(heard, heard))
    assert found["distribution_flux"] == 0.0
    assert found["gain_variation"] == 0.0
    # With all frames, one step of 24 is a bit, and 20 dB.
    found = measure(clip)
    assert found["distribution_flux"] == pytest.approx(1 / 24)
    assert found["gain_variation"] == pytest.approx(20.0 * FRAME_RATE / 24)


@pytest.mark.parametrize(("n_frames", "is_scored"), [(10, True), (9, False)])
def test_ten_frames_are_enough_to_score(n_frames, is_scored, lively):
    clip, curves = lively
    some, every = FRAMES < n_frames, np.ones(N_FRAMES, bool)
    few_pitched = measure(clip, frame_masks.Masks(every, some), **curves)
    few_audible = measure(clip, frame_masks.Masks(some, every), **curves)
    for key in OF_PITCHED_FRAMES:
        assert math.isfinite(few_pitched[key]) == is_scored, key
        assert math.isfinite(few_audible[key]), key
    for key in few_audible.keys() - OF_PITCHED_FRAMES:
        assert math.isfinite(few_audible[key]) == is_scored, key
        assert math.isfinite(few_pitched[key]), key


# --- values on paper ---

# Ten frames of three shares: a half, a quarter, a quarter, and a single harmonic.
SPREAD, SINGLE = [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]


def test_entropy_and_shares_are_means_of_frames():
    """Entropies of 1.5 bits and 0; exp(0.75 bits) would be that of the mean."""
    clip = played([SPREAD, SINGLE] * 10, f0_hz=2000.0)  # three lie below 8 kHz
    found = measure(clip)
    nats = 1.5 * math.log(2)
    assert found["harmonic_distribution_entropy"] == pytest.approx(
        0.5 * nats / math.log(3)
    )
    assert found["effective_harmonics"] == pytest.approx(0.5 * (2**1.5 + 1.0))
    assert found["top1_share"] == pytest.approx(0.75)
    assert found["top3_share"] == pytest.approx(1.0)
    assert found["modal_share"] == 1.0


def test_top_shares_are_of_the_largest_wherever_they_are():
    clip = played([[0.1, 0.4, 0.2, 0.3], [0.3, 0.2, 0.4, 0.1]] * 10)
    found = measure(clip)
    assert found["top1_share"] == pytest.approx(0.4)
    assert found["top3_share"] == pytest.approx(0.9)
    assert found["modal_share"] == 0.5  # the second leads in half of the frames


def test_entropy_is_over_what_fits_below_nyquist_and_not_over_the_model_s_harmonics():
    """At 2 kHz the fourth harmonic lies at Nyquist itself and does not fit."""
    shares = [[1 / 3, 1 / 3, 1 / 3, 0.0, 0.0]] * 20
    assert measure(played(shares, f0_hz=2000.0))["harmonic_distribution_entropy"] == (
        pytest.approx(1.0)
    )
    wider = measure(played(shares, f0_hz=1999.0))["harmonic_distribution_entropy"]
    assert wider == pytest.approx(math.log(3) / math.log(4))


def test_static_distance_is_kullback_leibler_s_from_the_mean():
    """[1, 0] and [0, 1] lie ln 2 nats from [0.5, 0.5]."""
    clip = played([[1.0, 0.0], [0.0, 1.0]] * 10)
    assert measure(clip)["static_distance"] == pytest.approx(math.log(2))
    # [0.8, 0.2] and [0.4, 0.6] from [0.6, 0.4], and not the mean from them.
    clip = played([[0.8, 0.2], [0.4, 0.6]] * 10)
    by_hand = 0.5 * (
        0.8 * math.log(8 / 6)
        + 0.2 * math.log(2 / 4)
        + 0.4 * math.log(4 / 6)
        + 0.6 * math.log(6 / 4)
    )
    assert measure(clip)["static_distance"] == pytest.approx(by_hand)


def test_flux_is_in_bits():
    """Neighbours without overlap are one bit apart."""
    clip = played([[1.0, 0.0], [0.0, 1.0]] * 10)
    assert measure(clip)["distribution_flux"] == pytest.approx(1.0)


def test_variation_is_in_db_a_second():
    """The tone goes up and down by 20 dB a frame, the noise by 10 dB."""
    n_frames = np.arange(20)
    clip = played(
        [SINGLE] * 20,
        amps=np.where(n_frames % 2, 1.0, 0.1),
        noise_power=np.where(n_frames % 2, 1e-3, 1e-4),
    )
    found = measure(clip)
    assert found["gain_variation"] == pytest.approx(20.0 * FRAME_RATE)
    assert found["noise_variation"] == pytest.approx(10.0 * FRAME_RATE)


def test_gain_range_is_between_the_percentiles_of_tone_and_noise_together():
    """Levels of 0, 1, ..., 100 dB: from 5 to 95."""
    level_db = np.arange(101.0) - 100.0
    power = 10 ** (level_db / 10)
    clip = played([SINGLE] * 101, amps=np.sqrt(power), noise_power=0.5 * power)
    assert measure(clip)["gain_range"] == pytest.approx(90.0)
    # Where noise covers what moves, the level stands still.
    covered = dataclasses.replace(clip, noise_power=np.full(101, 1e6))
    assert measure(covered)["gain_range"] < 1e-3


def test_noise_share_is_of_the_power_and_not_a_mean_of_shares():
    """Loud frames of tone alone, soft frames of noise alone: 0.1 of 5.1."""
    is_loud = np.arange(20) % 2 == 0
    clip = played(
        [SINGLE] * 20,
        amps=np.where(is_loud, math.sqrt(10.0), 0.0),
        noise_power=np.where(is_loud, 0.0, 0.1),
    )
    assert measure(clip)["noise_share"] == pytest.approx(0.1 / 5.1)


@pytest.mark.parametrize(("below_db", "is_known"), [(79.9, True), (80.1, False)])
def test_noise_has_a_share_of_what_is_heard_beside_the_recording(below_db, is_known):
    """Pitched frames decide, half of all here; a soft recording's system is soft."""
    masks = frame_masks.Masks(np.ones(40, bool), np.arange(40) < 20)
    clip = played([SINGLE] * 40, amps=1e-5, noise_power=1e-10)
    ref_power = np.where(masks.pitched, clip.power * 10 ** (below_db / 10), 1.0)
    share = measure(clip, masks, ref_power=ref_power)["noise_share"]
    assert math.isfinite(share) == is_known


def test_harmonics_power_is_half_of_the_squares():
    """Two harmonics of 0.8 and 0.6 and noise of 0.5: 0.5 of 1."""
    clip = played([[4 / 7, 3 / 7]] * 20, amps=1.4, noise_power=0.5)
    assert measure(clip)["noise_share"] == pytest.approx(0.5)


@pytest.mark.parametrize(("below_db", "rate"), [(30.0, 0.0), (30.1, 0.5)])
def test_a_frame_is_silent_more_than_30_db_under_the_recording(below_db, rate):
    clip = played([SINGLE] * 20)
    heard = np.where(np.arange(20) < 10, 10 ** (-below_db / 10), 1.0)
    found = measure(clip, ref_power=np.ones(20), heard_power=heard)
    assert found["silence_rate"] == rate


@pytest.mark.parametrize(
    ("amplitude", "rate"),
    [
        (2.0, 0.5),
        (1.98, 0.5),  # within 1 % of the upper end
        (1.97, 0.0),
        (0.01, 0.5),
        (0.0101, 0.5),  # within 1 % of the lower end
        (0.0103, 0.0),
    ],
)
def test_an_amplitude_is_stuck_within_a_percent_of_an_end(amplitude, rate):
    amps = np.where(np.arange(20) < 10, amplitude, 0.5)
    assert measure(played([SINGLE] * 20, amps=amps))["saturation_rate"] == rate


def test_brightness_is_the_centroid_in_octaves():
    clip = played([SINGLE, [0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(collapse.brightness_octaves(clip), [0.0, 1.0, 1.0, 0.0])


def test_responses_follow_what_they_are_named_after():
    """It gets brighter as it gets louder and lower, and the level does not move."""
    rising = np.linspace(0.0, 1.0, 30)[:, np.newaxis]
    clip = played(
        (1 - rising) * [[1.0, 0.0]] + rising * [[0.0, 1.0]],
        f0_hz=np.linspace(800.0, 400.0, 30),
    )
    flat = clip.harmonic_power
    clip = dataclasses.replace(clip, amps=clip.amps / np.sqrt(flat))
    found = measure(clip, loudness_db=np.linspace(-40.0, -20.0, 30))
    assert found["brightness_loudness"] == pytest.approx(1.0)
    assert found["brightness_pitch"] == pytest.approx(-1.0)
    assert found["loudness_response"] == 0.0
    louder = dataclasses.replace(clip, amps=clip.amps * np.linspace(2.0, 1.0, 30))
    found = measure(louder, loudness_db=np.linspace(-40.0, -20.0, 30))
    assert found["loudness_response"] == pytest.approx(-1.0)
    # The level is that of tone and noise together.
    breathy = dataclasses.replace(clip, noise_power=np.linspace(1.0, 2.0, 30))
    found = measure(breathy, loudness_db=np.linspace(-40.0, -20.0, 30))
    assert found["loudness_response"] == pytest.approx(1.0)


@pytest.mark.parametrize(("range_db", "ratio"), [(1.0, 4.0), (0.999, math.nan)])
def test_a_recording_that_moves_by_a_db_has_a_range_to_keep(range_db, ratio):
    own, recording = metric_lib.Score(4.0), metric_lib.Score(range_db)
    found = collapse.gain_range_ratio(own, recording)
    assert found.value == pytest.approx(ratio, nan_ok=True)


@pytest.mark.parametrize(
    ("better", "value", "recording", "badness"),
    [
        (metric_lib.LOWER, 3.0, 9.0, 3.0),
        (metric_lib.HIGHER, 3.0, 9.0, -3.0),
        (metric_lib.RECORDING, 3.0, 9.0, 6.0),
        (metric_lib.RECORDING, 9.0, 3.0, 6.0),  # above is as bad as below
    ],
)
def test_badness_is_what_the_direction_says(better, value, recording, badness):
    metric = metric_lib.Metric("", "", "", better, 0.0, 1.0, "", "", "")
    assert metric.badness(value, recording) == badness
