"""Statistics of the controls of a batch: entropy, shares, level, movement.

All are means over the frames that count (`models.measures.frame_masks`), NaN where none
does. What the report measures too is computed by the same functions.

- `entropy_nats`: -sum p ln p; 0 for one harmonic, ln K for K equal ones.
- `normalized_entropy`: the same over ln of the number of harmonics below Nyquist, the
  report's `harmonic_distribution_entropy`.
- `effective_harmonics`: exp of the entropy, frame by frame.
- `top1_share`: the largest share, 1 / K to 1.
- `amplitude_sum`: `amps`, linear.
- `gain_median_db`, `gain_range_db`: level of both parts; 5th to 95th percentile.
- `gain_spread_db`: standard deviation of the harmonics' level within a clip.
- `gain_variation_db`, `noise_variation_db`: mean change of the harmonics' and of the
  noise's level from frame to frame.
- `distribution_variation`: half the sum of absolute changes, 0 to 1, frame to frame.
- `distribution_spread`: mean distance (half the sum of absolute differences) of a
  frame's distribution to the clip's mean one; 0 for a static control.
- `clip_diversity`: mean Jensen-Shannon divergence of a clip's mean distribution from
  the mean over the clips, bits: 0 (all alike) to 1. NaN for fewer than two clips.
- `noise_share`: noise power / power of both parts, 0 to 1.
"""

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from models.measures import control_arrays
from models.measures import distributions
from models.measures import levels

RANGE_PERCENTILES = (5.0, 95.0)  # what "dynamic range" spans
Clips = Sequence[control_arrays.ControlArrays]


def statistics(clips: Clips, counted: Sequence[np.ndarray]) -> dict[str, float]:
    """Computes the statistics of a batch's controls; see the module docstring.

    Args:
        clips: Controls, clip by clip, with equally many harmonics.
        counted: Frames that count, clip by clip. Shape [n_frames] each, bool.

    Returns:
        Names to values.
    """
    # Power: over all frames that count.
    level = _frames(clips, counted, lambda clip: levels.power_db(clip.power))
    power = _frames(clips, counted, lambda clip: clip.power).sum()
    noise = _frames(clips, counted, lambda clip: clip.noise_power).sum()
    low, high = _percentiles(level, RANGE_PERCENTILES)

    # Shares: over those of them in which a harmonic sounds.
    sounding = [
        frames & clip.has_harmonics for clip, frames in zip(clips, counted, strict=True)
    ]
    shares = _frames(clips, sounding, lambda clip: clip.harmonic_distribution)
    n_valid = _frames(clips, sounding, lambda clip: clip.n_below_nyquist)
    entropy = distributions.entropy_nats(shares)
    return {
        "entropy_nats": mean_or_nan(entropy),
        "normalized_entropy": mean_or_nan(
            distributions.normalized_entropy(shares, n_valid)
        ),
        "effective_harmonics": mean_or_nan(np.exp(entropy)),
        "top1_share": mean_or_nan(shares.max(axis=1)),
        "amplitude_sum": mean_or_nan(_frames(clips, counted, lambda clip: clip.amps)),
        "gain_median_db": _percentiles(level, (50.0,))[0],
        "gain_range_db": high - low,
        "noise_share": float(noise / power) if power > 0 else math.nan,
        "clip_diversity": _clip_diversity(clips, sounding),
        **movement(clips, sounding),
    }


def movement(clips: Clips, counted: Sequence[np.ndarray]) -> dict[str, float]:
    """Computes how the controls move in time, a part of `statistics`.

    Args:
        clips: Controls, clip by clip.
        counted: Frames that count, clip by clip. Shape [n_frames] each, bool.

    Returns:
        `gain_spread_db`, `gain_variation_db`, `noise_variation_db`,
        `distribution_spread` and `distribution_variation`.
    """
    pairs = list(zip(clips, counted, strict=True))

    def change(curve: Callable[[control_arrays.ControlArrays], np.ndarray]) -> float:
        """Mean change of a curve between neighbouring frames that both count."""
        steps = [
            np.abs(np.diff(curve(clip), axis=0))[frames[1:] & frames[:-1]]
            for clip, frames in pairs
        ]
        joined = np.concatenate(steps)
        return mean_or_nan(joined if joined.ndim == 1 else 0.5 * joined.sum(axis=1))

    # Movement within each clip, about its mean.
    harmonic_level = lambda clip: levels.power_db(clip.harmonic_power)
    spreads, distances = [], []
    for clip, frames in pairs:
        if frames.any():
            spreads.append(np.std(harmonic_level(clip)[frames]))
            shares = clip.harmonic_distribution[frames]
            apart = np.abs(shares - shares.mean(axis=0))
            distances.append(0.5 * np.mean(apart.sum(axis=1)))
    return {
        "gain_spread_db": mean_or_nan(np.array(spreads)),
        "gain_variation_db": change(harmonic_level),
        "noise_variation_db": change(lambda clip: levels.power_db(clip.noise_power)),
        "distribution_spread": mean_or_nan(np.array(distances)),
        "distribution_variation": change(lambda clip: clip.harmonic_distribution),
    }


def mean_or_nan(values: np.ndarray) -> float:
    """Mean of the values that are no NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _frames(
    clips: Clips,
    counted: Sequence[np.ndarray],
    values: Callable[[control_arrays.ControlArrays], np.ndarray],
) -> np.ndarray:
    """Values of the frames that count, of all clips. Shape [n_counted, ...]."""
    return np.concatenate(
        [values(clip)[frames] for clip, frames in zip(clips, counted, strict=True)]
    )


def _percentiles(values: np.ndarray, percents: Sequence[float]) -> list[float]:
    """Percentiles; NaN without values."""
    if not values.size:
        return [math.nan] * len(percents)
    return [float(value) for value in np.percentile(values, percents)]


def _clip_diversity(clips: Clips, counted: Sequence[np.ndarray]) -> float:
    """Mean diversity of the clips that have frames; NaN for fewer than two."""
    pairs = [
        (clip, frames)
        for clip, frames in zip(clips, counted, strict=True)
        if frames.any()
    ]
    if len(pairs) < 2:
        return math.nan
    typical = control_arrays.typical_distribution(*zip(*pairs, strict=True))
    values = [
        control_arrays.diversity(clip, frames, typical=typical)
        for clip, frames in pairs
    ]
    return float(np.mean(values))
