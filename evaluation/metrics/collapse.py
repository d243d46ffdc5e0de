"""Collapse metrics: numbers that say how much a clip's controls still move and differ.

Every function takes arrays of one clip. A metric that the clip does not determine (no
pitch, one frame, a constant) is NaN with a reason. What each metric ranges over, which
way is better and what a healthy and a collapsed clip score stands in
`evaluation.metrics.catalogue` and docs/metrics.md.

`p[t]` is the harmonic distribution of frame t, shares of amplitude below Nyquist.
Sources: Shannon entropy and its exponential (Hill number of order 1); Jensen-Shannon
    divergence, Lin, "Divergence measures based on the Shannon entropy", IEEE Trans.
    Inf. Theory 1991. The selection is own.
"""

import numpy as np

from evaluation.metrics import metric as metric_lib
from evaluation.metrics import responses
from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import levels
from models.measures import statistics

SILENT_BELOW_DB = 30.0  # dB under the recording: the model has left the frame out
SATURATION_MARGIN = 0.01  # share of the limit, as close to it counts as reached
MIN_GAIN_RANGE_DB = 1.0  # dB; a recording that moves less has no range to keep
_TINY = 1e-12


def measure(
    clip: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    *,
    loudness_db: np.ndarray,
    ref_power: np.ndarray,
    heard_power: np.ndarray,
    amps_limits: tuple[float, float] | None = None,
) -> dict[str, metric_lib.Score]:
    """Measures all collapse metrics of one clip but those that need other clips.

    Args:
        clip: Controls of a model or measured from the recording.
        masks: Frames that count, from the recording.
        loudness_db: A-weighted loudness of the recording. Shape [n_frames].
        ref_power: Mean square of the recording's audio around each frame, against
            which silence is judged. Shape [n_frames].
        heard_power: The same of what the controls sound like in the end, after a
            reverb; of the recording itself where it is measured. Shape [n_frames].
        amps_limits: Lowest and highest amplitude that the system's head can give,
            linear; None where it has no such limits.

    Returns:
        Score by metric key.

    Raises:
        ValueError: If the arrays have different lengths.
    """
    lengths = {clip.n_frames, masks.audible.size, loudness_db.size}
    lengths |= {ref_power.size, heard_power.size}
    if len(lengths) != 1:
        raise ValueError(
            f"controls, masks, loudness and reference have {sorted(lengths)} frames; "
            "all must come from the same clip at the same frame rate"
        )
    result = _distribution_scores(clip, masks)
    result |= _gain_scores(clip, masks)
    result |= _response_scores(clip, masks, loudness_db=loudness_db)
    result["saturation_rate"] = saturation_rate(clip, masks, amps_limits=amps_limits)
    result["noise_share"] = noise_share(clip, masks, ref_power=ref_power)
    result["silence_rate"] = silence_rate(heard_power, masks, ref_power=ref_power)
    return result


def _distribution_scores(
    clip: control_arrays.ControlArrays, masks: frame_masks.Masks
) -> dict[str, metric_lib.Score]:
    """Concentration and movement of the harmonic distribution."""
    keys = (
        "harmonic_distribution_entropy",
        "effective_harmonics",
        "top1_share",
        "top3_share",
        "modal_share",
        "distribution_flux",
        "static_distance",
    )
    # Without a pitch and harmonics for long enough there is no distribution to judge.
    frames = masks.pitched & clip.has_harmonics
    if np.count_nonzero(frames) < frame_masks.MIN_FRAMES:
        has_pitch = np.count_nonzero(masks.pitched) >= frame_masks.MIN_FRAMES
        what = "frames with harmonics" if has_pitch else "pitched frames"
        reason = f"fewer than {frame_masks.MIN_FRAMES} {what}"
        return {key: metric_lib.missing(reason) for key in keys}
    shares = clip.harmonic_distribution[frames]
    entropy = distributions.entropy_nats(shares)
    # Shares in falling order, and which harmonic leads in each frame.
    ordered = np.sort(shares, axis=1)[:, ::-1]
    normalised = distributions.normalized_entropy(shares, clip.n_below_nyquist[frames])
    modes = np.bincount(np.argmax(shares, axis=1))
    return {
        "harmonic_distribution_entropy": (
            metric_lib.missing("only one harmonic lies below Nyquist")
            if np.all(np.isnan(normalised))
            else metric_lib.Score(statistics.mean_or_nan(normalised))
        ),
        "effective_harmonics": metric_lib.Score(float(np.mean(np.exp(entropy)))),
        "top1_share": metric_lib.Score(float(np.mean(ordered[:, 0]))),
        "top3_share": metric_lib.Score(float(np.mean(ordered[:, :3].sum(axis=1)))),
        "modal_share": metric_lib.Score(float(modes.max() / modes.sum())),
        "distribution_flux": distribution_flux(clip.harmonic_distribution, frames),
        "static_distance": metric_lib.Score(static_distance(shares)),
    }


def distribution_flux(distribution: np.ndarray, frames: np.ndarray) -> metric_lib.Score:
    """Mean Jensen-Shannon divergence between neighbouring frames that both count."""
    neighbours = frames[1:] & frames[:-1]
    if not np.any(neighbours):
        return metric_lib.missing("no two neighbouring pitched frames")
    steps = distributions.jensen_shannon(
        distribution[1:][neighbours], distribution[:-1][neighbours]
    )
    return metric_lib.Score(float(np.mean(steps)))


def static_distance(shares: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of the frames from their mean, in nats."""
    mean = shares.mean(axis=0)
    ratio = np.log(np.maximum(shares, _TINY)) - np.log(np.maximum(mean, _TINY))
    return max(0.0, float(np.mean(np.sum(shares * ratio, axis=1))))


def _gain_scores(
    clip: control_arrays.ControlArrays, masks: frame_masks.Masks
) -> dict[str, metric_lib.Score]:
    """Movement and range of the gains."""
    keys = ("gain_variation", "noise_variation", "gain_range")
    frames = masks.audible
    if np.count_nonzero(frames) < frame_masks.MIN_FRAMES:
        reason = f"fewer than {frame_masks.MIN_FRAMES} audible frames"
        return {key: metric_lib.missing(reason) for key in keys}
    neighbours = frames[1:] & frames[:-1]
    level = levels.power_db(clip.harmonic_power)
    noise_level = levels.power_db(clip.noise_power)
    low, high = np.percentile(
        levels.power_db(clip.power)[frames], statistics.RANGE_PERCENTILES
    )
    return {
        "gain_variation": _variation(level, neighbours, frame_rate=clip.frame_rate),
        "noise_variation": _variation(
            noise_level, neighbours, frame_rate=clip.frame_rate
        ),
        "gain_range": metric_lib.Score(float(high - low)),
    }


def saturation_rate(
    clip: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    *,
    amps_limits: tuple[float, float] | None,
) -> metric_lib.Score:
    """Share of the audible frames whose amplitude sticks to an end of its scale.

    Args:
        clip: Controls of a model.
        masks: Frames that count.
        amps_limits: Ends of the scale, linear; None where the head has none.
    """
    if amps_limits is None:
        return metric_lib.missing("this head has no such limits")
    if np.count_nonzero(masks.audible) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} audible frames")
    bottom, top = amps_limits
    saturated = (clip.amps >= top * (1 - SATURATION_MARGIN)) | (
        clip.amps <= bottom * (1 + SATURATION_MARGIN)
    )
    return metric_lib.Score(float(np.mean(saturated[masks.audible])))


def gain_range_ratio(
    own: metric_lib.Score, recording: metric_lib.Score
) -> metric_lib.Score:
    """A system's dynamic range as a multiple of the recording's.

    Args:
        own: `gain_range` of the system.
        recording: `gain_range` of the recording, dB.
    """
    for score in (recording, own):
        if score.reason:
            return score
    if recording.value < MIN_GAIN_RANGE_DB:
        return metric_lib.missing(
            f"the recording moves by less than {MIN_GAIN_RANGE_DB} dB"
        )
    return metric_lib.Score(own.value / recording.value)


def _variation(
    level: np.ndarray, neighbours: np.ndarray, *, frame_rate: int
) -> metric_lib.Score:
    """Total variation of a level in dB per second."""
    if not np.any(neighbours):
        return metric_lib.missing("no two neighbouring audible frames")
    return metric_lib.Score(
        float(np.mean(np.abs(np.diff(level)[neighbours])) * frame_rate)
    )


def _response_scores(
    clip: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    *,
    loudness_db: np.ndarray,
) -> dict[str, metric_lib.Score]:
    """Rank correlations: does the sound follow what is asked of it?"""
    sounding = masks.pitched & clip.has_harmonics
    brightness = brightness_octaves(clip)[sounding]
    level = levels.power_db(clip.power)[masks.audible]
    return {
        "loudness_response": responses.follow_loudness(
            level, loudness_db[masks.audible]
        ),
        "brightness_loudness": responses.follow_loudness(
            brightness, loudness_db[sounding]
        ),
        "brightness_pitch": responses.follow_pitch(brightness, clip.f0_hz[sounding]),
    }


def brightness_octaves(clip: control_arrays.ControlArrays) -> np.ndarray:
    """Centroid of the harmonic amplitudes in octaves above f0. Shape [n_frames]."""
    index = np.arange(1, clip.harmonic_distribution.shape[1] + 1)
    centroid = clip.harmonic_distribution @ index
    return np.log2(np.maximum(centroid, 1.0))


def noise_share(
    clip: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    *,
    ref_power: np.ndarray,
) -> metric_lib.Score:
    """Share of the noise part in the power of the pitched frames.

    Where the recording has no pitch all of it counts as noise, so only frames with a
    pitch tell tone from noise. A system that has next to none of the recording's power
    in them has no share, as in the index.
    """
    if np.count_nonzero(masks.pitched) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} pitched frames")
    total = np.sum(clip.power[masks.pitched])
    if total <= frame_masks.SILENT_SHARE * np.sum(ref_power[masks.pitched]):
        return metric_lib.missing("the system is silent")
    return metric_lib.Score(float(np.sum(clip.noise_power[masks.pitched]) / total))


def silence_rate(
    heard_power: np.ndarray, masks: frame_masks.Masks, *, ref_power: np.ndarray
) -> metric_lib.Score:
    """Share of the audible frames that lie `SILENT_BELOW_DB` under the recording."""
    if np.count_nonzero(masks.audible) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} audible frames")
    gap = levels.power_db(ref_power) - levels.power_db(heard_power)
    return metric_lib.Score(float(np.mean(gap[masks.audible] > SILENT_BELOW_DB)))
