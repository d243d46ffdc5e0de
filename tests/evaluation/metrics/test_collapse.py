import dataclasses
import math

import numpy as np
import pytest

from evaluation.metrics import catalogue
from evaluation.metrics import collapse
from evaluation.metrics import metric as metric_lib
from evaluation.scoring import across_clips
from evaluation.scoring import heard_sums
from models.controls import heads
from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import levels
from models.measures import statistics
from tests.helpers import evaluation_helpers as helpers
from tests.helpers import metric_helpers


@pytest.fixture
def healthy():
    """Controls of a lively note, its masks and loudness.

    It glides down a fifth while it grows louder and brighter; breath follows the level,
    and in the end the second harmonic leads.
    """
    t = np.linspace(0, 1, 500)
    f0_hz = 440 * 2 ** (-7 * t / 12)
    level_db = -40 + 26 * t + np.sin(2 * np.pi * 11 * t)
    shares = np.arange(1, 41) ** -(2.2 - 1.2 * t)[:, np.newaxis]
    shares[:, 1] *= 1 + 3 * t
    played = control_arrays.ControlArrays(
        f0_hz=f0_hz,
        amps=10 ** (level_db / 20),
        harmonic_distribution=distributions.normalise(
            shares, f0_hz=f0_hz, sample_rate=16000
        ),
        noise_power=10 ** ((level_db - 35) / 10),
        sample_rate=16000,
        frame_rate=250,
    )
    loudness = levels.power_db(played.power) + 20
    return (
        played,
        frame_masks.make_masks(loudness, np.ones(played.n_frames)),
        loudness,
    )


def measure(played, masks, loudness, ref=None):
    found = collapse.measure(
        played,
        masks,
        loudness_db=loudness,
        ref_power=(ref or played).power,
        heard_power=played.power,
        amps_limits=(heads.THRESHOLD, heads.MAX_VALUE),
    )
    return {key: score.value for key, score in found.items()}


def single_harmonic(played):
    shares = np.zeros_like(played.harmonic_distribution)
    shares[:, 0] = 1.0
    return dataclasses.replace(played, harmonic_distribution=shares)


def frozen(played):
    mean = played.harmonic_distribution[:1].repeat(played.n_frames, 0)
    return dataclasses.replace(played, harmonic_distribution=mean)


def flat(played):
    power = played.harmonic_power
    return dataclasses.replace(
        played,
        amps=played.amps * np.sqrt(np.mean(power) / power),
        noise_power=np.full(played.n_frames, 1e-6),
    )


def noise_only(played):
    return dataclasses.replace(
        played, amps=played.amps * 1e-3, noise_power=played.power
    )


def silent(played):
    return dataclasses.replace(
        played, amps=played.amps * 1e-6, noise_power=played.noise_power * 1e-12
    )


def saturated(played):
    return dataclasses.replace(played, amps=np.full(played.n_frames, 2.0))


# Metric, what collapses it. The values of both cases are those of `metrics`.
CASES = {
    "harmonic_distribution_entropy": single_harmonic,
    "effective_harmonics": single_harmonic,
    "top1_share": single_harmonic,
    "top3_share": single_harmonic,
    "modal_share": single_harmonic,
    "distribution_flux": frozen,
    "static_distance": frozen,
    "gain_variation": flat,
    "noise_variation": flat,
    "gain_range": flat,
    "loudness_response": flat,
    "brightness_loudness": frozen,
    "brightness_pitch": frozen,
    "noise_share": noise_only,
    "silence_rate": silent,
    "saturation_rate": saturated,
}


@pytest.mark.parametrize(("key", "change"), CASES.items())
def test_metric_tells_healthy_from_collapsed(healthy, key, change):
    played, masks, loudness = healthy
    metric = catalogue.BY_KEY[key]
    # Documented with two or three digits; no noise is drawn.
    lively = measure(played, masks, loudness)[key]
    documented = metric_helpers.first_number(metric.healthy)
    assert lively == pytest.approx(documented, rel=0.05, abs=1e-9)
    broken = measure(change(played), masks, loudness, ref=played)[key]
    documented = metric_helpers.first_number(metric.collapsed)
    assert broken == pytest.approx(documented, abs=1e-5)
    assert all(metric.low <= value <= metric.high for value in (lively, broken))


def test_range_ratio_is_one_for_the_recording_and_zero_when_flat(healthy):
    played, masks, loudness = healthy

    def gain_range(clip):
        return metric_lib.Score(measure(clip, masks, loudness)["gain_range"])

    own = gain_range(played)
    assert collapse.gain_range_ratio(own, own).value == 1.0
    lost = collapse.gain_range_ratio(gain_range(flat(played)), own)
    assert lost.value == pytest.approx(0.0, abs=1e-6)
    half = collapse.gain_range_ratio(metric_lib.Score(own.value / 2), own)
    assert half.value == pytest.approx(0.5)
    steady = collapse.gain_range_ratio(own, metric_lib.Score(0.3))
    assert math.isnan(steady.value) and "less than" in steady.reason
    unknown = collapse.gain_range_ratio(metric_lib.missing("no frames"), own)
    assert unknown.reason == "no frames"


def test_every_metric_is_told_apart_in_a_test_of_this_file():
    elsewhere = {"gain_range_ratio", "clip_diversity"}  # below; above
    assert set(CASES) | elsewhere == {m.key for m in catalogue.COLLAPSE}


def test_what_is_measured_is_what_is_described(healthy):
    described = {metric.key for metric in catalogue.COLLAPSE}
    # The one compares clips, the other two sides; a single clip's controls do neither.
    elsewhere = {"clip_diversity", "gain_range_ratio"}
    assert set(measure(*healthy)) == described - elsewhere


def test_training_and_the_report_count_the_same(healthy):
    played, masks, loudness = healthy
    report = measure(played, masks, loudness)
    training = statistics.statistics([played], [masks.pitched])
    for ours, theirs in {
        "normalized_entropy": "harmonic_distribution_entropy",
        "effective_harmonics": "effective_harmonics",
        "top1_share": "top1_share",
        "noise_share": "noise_share",
        "gain_range_db": "gain_range",
    }.items():
        assert training[ours] == pytest.approx(report[theirs], rel=1e-9), ours


@pytest.mark.parametrize("frames", ["none pitched", "none audible", "one frame"])
def test_degenerate_clips_give_nan_with_a_reason(healthy, frames):
    played, _, loudness = healthy
    n_frames = played.n_frames
    audible = np.zeros(n_frames, bool)
    if frames == "none pitched":
        audible[:] = True
    if frames == "one frame":
        audible[5] = True
    pitched = audible & (frames == "one frame")
    found = collapse.measure(
        played,
        frame_masks.Masks(audible, pitched),
        loudness_db=loudness,
        ref_power=played.power,
        heard_power=played.power,
    )
    score = found["harmonic_distribution_entropy"]
    assert math.isnan(score.value) and "pitched" in score.reason
    for score in found.values():
        assert math.isnan(score.value) == bool(score.reason)
    if frames != "none pitched":
        assert all(math.isnan(score.value) for score in found.values())


def test_a_silent_system_has_no_noise_share_but_a_silence_rate(healthy):
    played, masks, loudness = healthy
    found = collapse.measure(
        silent(played),
        masks,
        loudness_db=loudness,
        ref_power=played.power,
        heard_power=silent(played).power,
    )
    assert "silent" in found["noise_share"].reason
    assert found["silence_rate"].value == 1.0


def test_what_a_system_lacks_is_not_said_of_the_recording(healthy):
    """The frames have a pitch; the system plays no harmonic in them."""
    played, masks, loudness = healthy
    nothing = np.zeros_like(played.harmonic_distribution)
    mute = dataclasses.replace(played, harmonic_distribution=nothing)
    found = collapse.measure(
        mute,
        masks,
        loudness_db=loudness,
        ref_power=played.power,
        heard_power=played.power,
    )
    assert found["top1_share"].reason == "fewer than 10 frames with harmonics"


def test_diversity_is_lost_when_all_clips_share_a_timbre(rng):
    refs, trackers = helpers.references([55, 65, 75, 85], rng=rng)
    values = [ref.scores["clip_diversity"].value for ref in refs]
    one_timbre = helpers.system(
        refs, trackers, change=helpers.degraded("frozen distribution", 1.0), rng=rng
    )
    across_clips.compare_across_clips(heard_sums.Recordings(refs), one_timbre)
    lost = [one.scores["clip_diversity"].value for one in one_timbre]
    assert np.mean(lost) < 0.02 * np.mean(values)
    documented = catalogue.BY_KEY["clip_diversity"].healthy
    assert np.mean(values) == pytest.approx(
        metric_helpers.first_number(documented), rel=0.1
    )


def test_lengths_must_agree(healthy):
    played, masks, loudness = healthy
    with pytest.raises(ValueError, match="same clip"):
        measure(played, masks, loudness[:-1])


def test_a_held_note_has_no_response_of_the_timbre_to_its_pitch(healthy):
    played, masks, loudness = healthy
    held = dataclasses.replace(played, f0_hz=440 + 0.01 * np.arange(500))
    found = measure(held, masks, loudness)
    assert math.isnan(found["brightness_pitch"])
    assert found["brightness_loudness"] > 0.8
