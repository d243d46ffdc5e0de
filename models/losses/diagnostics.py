"""Scalars that show what the controls do while training; never trained on.

Distributions are those after the Nyquist mask; harmonic figures are means over voiced
frames (f0_confidence above 0.5). evaluation/ judges runs with more care; these are
cheap enough for every logged step.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from models.losses import regularizers
from models.losses import terms

MIN_LEVEL = 1e-7  # linear, the floor of exp_sigmoid
DB = 8.685889638065037  # 20 / ln(10)


def _level_db(level: tf.Tensor) -> tf.Tensor:
    """Linear amplitude in dB."""
    return DB * tf.math.log(tf.maximum(level, MIN_LEVEL))


def _variation(curve: tf.Tensor) -> tf.Tensor:
    """Mean absolute change from frame to frame; 0 for a single frame."""
    if curve.shape[1] == 1:
        return tf.constant(0.0)
    return tf.reduce_mean(tf.abs(curve[:, 1:] - curve[:, :-1]))


def _harmonic_figures(
    distribution: tf.Tensor, voiced: tf.Tensor
) -> dict[str, tf.Tensor]:
    """How many harmonics carry the sound."""
    entropy = regularizers.entropy(distribution)
    top_share = tf.reduce_max(distribution, axis=-1)
    mean = lambda values: regularizers.voiced_mean(values, voiced)
    return {
        "harmonic_distribution_entropy": mean(entropy),
        "effective_harmonics": mean(tf.exp(entropy)),
        "top1_share": mean(top_share),
        "sum_of_squared_shares": mean(tf.reduce_sum(tf.square(distribution), axis=-1)),
        "voiced_share": tf.reduce_mean(voiced),
    }


def control_figures(
    controls: Mapping[str, tf.Tensor],
    raw_controls: Mapping[str, tf.Tensor],
    *,
    voicing: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Figures of a batch of controls.

    Args:
        controls: Final controls: amps, harmonic_distribution, noise_magnitudes.
        raw_controls: The same before smoothing.
        voicing: [batch, n_frames, 1].

    Returns:
        Scalars: entropy in nats and exp of it (effective harmonics), share of the
        strongest harmonic, amps (mean, least and greatest in dB), share of the noise in
        the summed level, and mean change from frame to frame of amps, noise level and
        distribution, the first two also before smoothing.
    """
    voiced = tf.cast(voicing[..., 0] > regularizers.VOICED_THRESHOLD, tf.float32)
    amps = controls["amps"]
    noise = terms.noise_level(controls["noise_magnitudes"])
    amps_db = _level_db(amps)
    return {
        **_harmonic_figures(controls["harmonic_distribution"], voiced),
        "amps_mean": tf.reduce_mean(amps),
        "amps_min_db": tf.reduce_min(amps_db),
        "amps_max_db": tf.reduce_max(amps_db),
        "amps_range_db": tf.reduce_max(amps_db) - tf.reduce_min(amps_db),
        "noise_mean": tf.reduce_mean(noise),
        "noise_share": tf.reduce_mean(noise / (noise + amps + MIN_LEVEL)),
        "amps_variation": _variation(amps),
        "amps_variation_unsmoothed": _variation(raw_controls["amps"]),
        "noise_variation": _variation(noise),
        "noise_variation_unsmoothed": _variation(
            terms.noise_level(raw_controls["noise_magnitudes"])
        ),
        "distribution_variation": _variation(controls["harmonic_distribution"]),
    }
