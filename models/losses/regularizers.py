"""Penalties on controls against collapse: flat noise, one harmonic, static timbre.

All read the final controls. Distributions sum to 1 over the harmonics below the Nyquist
frequency, so `n_valid`, their number, depends on the pitch: a high note is not
collapsed because few harmonics fit. Harmonic penalties count voiced frames only.

Source: docs/plan.md, "Losses" (noise) and E5 (entropy, concentration). They differ as
said at each class.
"""

from __future__ import annotations

import gin
import tensorflow as tf

from models import schedules
from models.losses import terms
from models.measures import frame_masks
from models.synths import harmonic as harmonic_synth

LOG_EPSILON = 1e-8  # smallest share in p ln p


def n_harmonics_below_nyquist(
    f0_hz: tf.Tensor, *, n_harmonics: int, sample_rate: int
) -> tf.Tensor:
    """Counts the harmonics that sound in each frame, at least 1; [batch, n_frames]."""
    mask = harmonic_synth.below_nyquist(
        f0_hz, n_harmonics=n_harmonics, sample_rate=sample_rate
    )
    return tf.maximum(tf.reduce_sum(mask, axis=-1), 1.0)


def entropy(distribution: tf.Tensor) -> tf.Tensor:
    """Entropy of each frame's shares in nats, [batch, n_frames]."""
    return -tf.reduce_sum(
        distribution * tf.math.log(distribution + LOG_EPSILON), axis=-1
    )


def voiced_mean(values: tf.Tensor, voiced: tf.Tensor) -> tf.Tensor:
    """Mean over voiced frames; 0 where none is voiced.

    Args:
        values: [batch, n_frames].
        voiced: 1 or 0, [batch, n_frames].

    Returns:
        Scalar.
    """
    return tf.math.divide_no_nan(tf.reduce_sum(values * voiced), tf.reduce_sum(voiced))


class _HarmonicRegularizer(terms.LadderLoss):
    """A penalty on the harmonic distribution of voiced frames."""

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        sample_rate: int = 16000,
        voiced_threshold: float = frame_masks.MIN_CONFIDENCE,
        name: str = "",
    ):
        super().__init__({name: weight}, name)
        self.sample_rate = sample_rate
        self.voiced_threshold = voiced_threshold

    def penalty(self, distribution: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
        """Penalty of each frame, [batch, n_frames]."""
        raise NotImplementedError

    def terms(self, outputs: terms.Outputs) -> dict[str, tf.Tensor]:
        """One term, the mean over voiced frames."""
        if not self.is_used(self.name):
            return {}
        distribution = outputs["controls"]["harmonic_distribution"]
        n_valid = n_harmonics_below_nyquist(
            outputs["controls"]["f0_hz"],
            n_harmonics=int(distribution.shape[-1]),
            sample_rate=self.sample_rate,
        )
        voiced = tf.cast(
            outputs["voicing"][..., 0] > self.voiced_threshold, distribution.dtype
        )
        return {self.name: voiced_mean(self.penalty(distribution, n_valid), voiced)}


@gin.register(module="models.regularizers")
class HarmonicEntropy(_HarmonicRegularizer):
    """ln(n_valid) - entropy: 0 for equal shares, ln(n_valid) for a single harmonic.

    Attributes set by gin:
        weight: Number or `Ramp`. Pulls towards equal shares, so ramp it down to 0.
        sample_rate: Hz.
        voiced_threshold: f0_confidence above which a frame counts.

    Source:
        docs/plan.md, "Losses". Differs: over the harmonics that sound, voiced frames
        only, every head (it was softmax-db only, before the Nyquist mask, all frames).
    """

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        sample_rate: int = 16000,
        voiced_threshold: float = frame_masks.MIN_CONFIDENCE,
        name: str = "harmonic_entropy",
    ):
        super().__init__(weight, sample_rate, voiced_threshold, name)

    def penalty(self, distribution: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
        """Distance of the entropy from its maximum, nats."""
        return tf.math.log(n_valid) - entropy(distribution)


@gin.register(module="models.regularizers")
class HarmonicConcentration(_HarmonicRegularizer):
    """Sum of squared shares - 1 / n_valid: 0 for equal shares, near 1 for a single one.

    Attributes set by gin:
        weight: Number or `Ramp`.
        sample_rate: Hz.
        voiced_threshold: f0_confidence above which a frame counts.

    Source:
        docs/plan.md, "Losses"; differs as `HarmonicEntropy` does.
    """

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        sample_rate: int = 16000,
        voiced_threshold: float = frame_masks.MIN_CONFIDENCE,
        name: str = "harmonic_concentration",
    ):
        super().__init__(weight, sample_rate, voiced_threshold, name)

    def penalty(self, distribution: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
        """Excess of the sum of squares over that of equal shares."""
        squares = tf.reduce_sum(tf.square(distribution), axis=-1)
        return tf.maximum(squares - 1.0 / n_valid, 0.0)


@gin.register(module="models.regularizers")
class NoiseDominance(terms.LadderLoss):
    """Mean of max(noise - target_ratio * amps, 0)^2 over all frames.

    Attributes set by gin:
        weight: Number or `Ramp`.
        target_ratio: Noise level allowed for each unit of harmonic amplitude; negative
            values act as 0.

    Source:
        docs/plan.md, "Losses", D. Differs: the noise gain is the root mean square of
        the noise bands, because the paper's noise has no gain of its own.
    """

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        target_ratio: float = 1.0,
        name: str = "noise_dominance",
    ):
        super().__init__({"noise_dominance": weight}, name)
        self.target_ratio = max(0.0, target_ratio)

    def terms(self, outputs: terms.Outputs) -> dict[str, tf.Tensor]:
        """One term."""
        if not self.is_used("noise_dominance"):
            return {}
        controls = outputs["controls"]
        noise = terms.noise_level(controls["noise_magnitudes"])
        excess = tf.nn.relu(noise - self.target_ratio * controls["amps"])
        return {"noise_dominance": tf.reduce_mean(tf.square(excess))}
