"""Numbers that tell whether the controls of a model live: entropy, shares, movement.

All are means over the frames that count, those where the recording has a pitch and can
be heard, because a frame of silence may have any distribution at no cost. NaN where no
frame counts.

- `harmonic_distribution_entropy`: -sum p ln p in nats; 0 for one harmonic, ln K for K
  equal ones. `normalized_entropy` divides by ln of the harmonics below Nyquist.
- `effective_harmonics`: exp of the entropy, frame by frame.
- `top1_share`: the largest share, 1 / K to 1.
- `gain_median_db`, `gain_range_db`: harmonic amplitude; 5th to 95th percentile.
- `noise_share`: noise power / (noise + harmonic power), 0 to 1.
- `gain_variation_db`, `distribution_variation`: mean change from frame to frame, in dB
  and in half the sum of absolute changes (0 to 1).
- `distribution_spread`: mean distance (half the sum of absolute differences) of a
  frame's distribution to the example's mean one; 0 for a static control.
- `clip_diversity`: mean Jensen-Shannon divergence of an example's mean distribution
  from the mean over the examples, in bits: 0 (all alike) to 1, as the scorecard has it.
  An example without a frame that counts is left out; NaN for fewer than two.
- `gain_spread_db`: standard deviation of the gain within an example.
"""

import dataclasses
from typing import Any

import numpy as np

from models.measures import distributions

MIN_CONFIDENCE = 0.5  # of the pitch tracker, for a frame to count as pitched
AUDIBLE_RANGE_DB = 40.0  # below the loudest frame of the batch
GAIN_FLOOR = 1e-5  # linear, -100 dB: gains below it count as it
_EPSILON = 1e-12


@dataclasses.dataclass(frozen=True)
class Controls:
    """Scaled controls of a batch, as arrays.

    Attributes:
        amps: Overall harmonic amplitude, linear, [batch, n_frames].
        harmonic_distribution: Shares that sum to 1, [batch, n_frames, n_harmonics].
        noise_magnitudes: Noise filter, linear, [batch, n_frames, n_noise_bands]; None
            for a model without noise.
        f0_hz: Fundamental in Hz, [batch, n_frames].
    """

    amps: np.ndarray
    harmonic_distribution: np.ndarray
    noise_magnitudes: np.ndarray | None
    f0_hz: np.ndarray


def controls_of(outputs: dict[str, Any], *, key: str = "controls") -> Controls | None:
    """Finds the controls among a model's outputs.

    Args:
        outputs: Outputs of one of our models, which have a 'controls' entry, or of
            ddsp's Autoencoder, where each processor lists its own.
        key: 'controls', or 'raw_controls' for those before smoothing.

    Returns:
        The controls, or None if the outputs hold none of them.
    """
    if key in outputs:
        found = outputs[key]
    elif key == "controls" and "harmonic" in outputs:
        harmonic = outputs["harmonic"]["controls"]
        noise = outputs.get("filtered_noise", {}).get("controls", {})
        found = {
            "amps": harmonic["amplitudes"],
            "harmonic_distribution": harmonic["harmonic_distribution"],
            "noise_magnitudes": noise.get("magnitudes"),
            "f0_hz": harmonic["f0_hz"],
        }
    else:
        return None
    noise_magnitudes = found.get("noise_magnitudes")
    f0_hz = found["f0_hz"] if "f0_hz" in found else outputs["f0_hz"]
    return Controls(
        amps=np.asarray(found["amps"])[..., 0],
        harmonic_distribution=np.asarray(found["harmonic_distribution"]),
        noise_magnitudes=None
        if noise_magnitudes is None
        else np.asarray(noise_magnitudes),
        f0_hz=np.asarray(f0_hz)[..., 0],
    )


def counted_frames(f0_confidence: np.ndarray, loudness_db: np.ndarray) -> np.ndarray:
    """Frames where the recording is pitched and can be heard.

    Args:
        f0_confidence: 0 to 1, [batch, n_frames].
        loudness_db: Loudness in dB, [batch, n_frames].

    Returns:
        Mask, [batch, n_frames].
    """
    audible = loudness_db > np.max(loudness_db) - AUDIBLE_RANGE_DB
    return (f0_confidence > MIN_CONFIDENCE) & audible


def statistics(
    controls: Controls, *, counted: np.ndarray, sample_rate: int
) -> dict[str, float]:
    """Statistics of a batch's controls; see the module docstring.

    Args:
        controls: Scaled controls.
        counted: Which frames count, [batch, n_frames].
        sample_rate: Samples a second, for the harmonics below Nyquist.

    Returns:
        Names to values.
    """
    shares = normalized(controls.harmonic_distribution)
    n_valid = valid_harmonics(
        controls.f0_hz, sample_rate=sample_rate, n_harmonics=shares.shape[-1]
    )
    entropy_nats = distributions.entropy_nats(shares)
    gain_db = 20.0 * np.log10(np.maximum(controls.amps, GAIN_FLOOR))
    pairs = counted[:, 1:] & counted[:, :-1]
    return {
        "harmonic_distribution_entropy": _mean(entropy_nats, counted),
        "normalized_entropy": _mean(
            entropy_nats / np.log(n_valid.clip(2)), counted & (n_valid > 1)
        ),
        "effective_harmonics": _mean(np.exp(entropy_nats), counted),
        "top1_share": _mean(np.max(shares, axis=-1), counted),
        "amplitude_sum": _mean(controls.amps, counted),
        "gain_median_db": _percentile(gain_db, counted, 50),
        "gain_range_db": _percentile(gain_db, counted, 95)
        - _percentile(gain_db, counted, 5),
        "gain_spread_db": _spread(gain_db, counted),
        "gain_variation_db": _mean(np.abs(np.diff(gain_db, axis=1)), pairs),
        "distribution_variation": _mean(
            0.5 * np.sum(np.abs(np.diff(shares, axis=1)), axis=-1), pairs
        ),
        "distribution_spread": _distribution_spread(shares, counted),
        "clip_diversity": _clip_diversity(shares, n_valid, counted),
        "noise_share": _noise_share(controls, shares, counted),
    }


def normalized(shares: np.ndarray) -> np.ndarray:
    """Shares that sum to 1; equal ones where there is nothing to divide."""
    total = np.sum(shares, axis=-1, keepdims=True)
    equal = 1.0 / shares.shape[-1]
    return np.where(total > _EPSILON, shares / np.maximum(total, _EPSILON), equal)


def valid_harmonics(
    f0_hz: np.ndarray, *, sample_rate: int, n_harmonics: int
) -> np.ndarray:
    """How many harmonics lie below Nyquist, at most `n_harmonics`; same shape as f0."""
    highest = np.ceil(0.5 * sample_rate / np.maximum(f0_hz, 1.0)) - 1
    return np.clip(highest, 0, n_harmonics)


def powers(controls: Controls, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean power of the harmonic and the noise part of each frame, from the controls.

    A sine of amplitude a has power a^2 / 2. The noise generator is uniform in [-1, 1],
    power 1/3, and the filter passes the mean square of its magnitudes.
    """
    harmonic = 0.5 * np.square(controls.amps) * np.sum(np.square(shares), axis=-1)
    if controls.noise_magnitudes is None:
        return harmonic, np.zeros_like(harmonic)
    noise = np.mean(np.square(controls.noise_magnitudes), axis=-1) / 3.0
    if noise.shape != harmonic.shape:  # ddsp allows another frame rate for the noise
        noise = np.mean(noise, axis=-1, keepdims=True) * np.ones_like(harmonic)
    return harmonic, noise


def _noise_share(controls: Controls, shares: np.ndarray, counted: np.ndarray) -> float:
    harmonic, noise = powers(controls, shares)
    total = np.sum((harmonic + noise)[counted])
    return float(np.sum(noise[counted]) / total) if total > 0 else float("nan")


def _mean(values: np.ndarray, mask: np.ndarray) -> float:
    return float(np.mean(values[mask])) if mask.any() else float("nan")


def _percentile(values: np.ndarray, mask: np.ndarray, percent: float) -> float:
    return float(np.percentile(values[mask], percent)) if mask.any() else float("nan")


def _spread(values: np.ndarray, mask: np.ndarray) -> float:
    """Mean over examples of the standard deviation within each."""
    spreads = [
        np.std(row[keep]) for row, keep in zip(values, mask, strict=True) if keep.any()
    ]
    return float(np.mean(spreads)) if spreads else float("nan")


def _distribution_spread(shares: np.ndarray, mask: np.ndarray) -> float:
    """Mean over examples of the mean distance to each one's mean distribution."""
    spreads = []
    for row, keep in zip(shares, mask, strict=True):
        if keep.any():
            kept = row[keep]
            spreads.append(0.5 * np.mean(np.sum(np.abs(kept - kept.mean(0)), axis=-1)))
    return float(np.mean(spreads)) if spreads else float("nan")


def _clip_diversity(shares: np.ndarray, n_valid: np.ndarray, mask: np.ndarray) -> float:
    """Mean divergence of the examples' mean distributions from the mean over all.

    The mean over all is taken harmonic by harmonic over the frames that have it below
    Nyquist, and cut where the example's own frames are: pitch alone is no diversity.
    """
    if np.count_nonzero(mask.any(axis=1)) < 2:
        return float("nan")
    below = np.arange(shares.shape[-1]) < n_valid[..., np.newaxis]
    counted = mask[..., np.newaxis] & below
    total = np.sum(shares * counted, axis=(0, 1))
    typical = total / np.maximum(np.sum(counted, axis=(0, 1)), 1)
    divergences = []
    for row, row_below, keep in zip(shares, below, mask, strict=True):
        if keep.any():
            own = row[keep].mean(axis=0)
            others = normalized(typical * row_below[keep]).mean(axis=0)
            divergences.append(distributions.jensen_shannon(own, others))
    return float(np.mean(divergences))
