"""Distance of the decoder's controls from those measured in the recording.

The multi-scale spectral loss says little about which control is wrong, least of all
when all are. This distance names each: dB by dB, harmonic by harmonic, band by band,
without synth or spectra. Recordings do not tell everything (a tracker's errors, a room,
a second voice), so frames are weighted and the loss's own weight falls over training.

Related: Masuda and Saito, "Synthesizer sound matching with differentiable DSP", ISMIR
2021, a parameter loss before the spectral one; Turian and Henry, "I'm sorry for your
loss", 2020, on the gradients of spectral losses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import gin
import tensorflow as tf

from models import schedules
from models.losses import terms
from models.synths import harmonic as harmonic_synth

# What a batch holds beside its features (`models.teaching.targets`), dB and 0 to 1.
HARMONICS_KEY = "measured_harmonics_db"  # [batch, n_frames, n_harmonics]
NOISE_KEY = "measured_noise_db"  # [batch, n_frames, n_noise_bands]
WEIGHTS_KEY = "measured_weights"  # [batch, n_frames, 2]: of harmonics, of noise
KEYS = (HARMONICS_KEY, NOISE_KEY, WEIGHTS_KEY)

FLOOR = 1e-5  # linear amplitude, -100 dB: what is softer counts as that
_DB = 20.0 / math.log(10.0)


def to_db(amplitude: tf.Tensor) -> tf.Tensor:
    """Amplitude in dB, above the floor; finite gradients at 0."""
    return _DB * tf.math.log(amplitude + FLOOR)


def control_distances(
    controls: Mapping[str, tf.Tensor],
    measured: Mapping[str, tf.Tensor],
    *,
    sample_rate: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean absolute differences of controls from measured ones, in dB.

    Args:
        controls: Scaled `amps`, `harmonic_distribution`, `noise_magnitudes`, and
            `f0_hz`, each [batch, n_frames, n_channels].
        measured: The `KEYS` of this module.
        sample_rate: Hz; harmonics at and above Nyquist do not count.

    Returns:
        Distance of the harmonics, and of the noise bands; scalars.
    """
    dtype = controls["amps"].dtype
    target = tf.cast(measured[HARMONICS_KEY], dtype)
    weights = tf.cast(measured[WEIGHTS_KEY], dtype)
    counted = harmonic_synth.below_nyquist(
        controls["f0_hz"], n_harmonics=target.shape[-1], sample_rate=sample_rate
    )
    amplitudes = controls["amps"] * controls["harmonic_distribution"]
    off = tf.abs(to_db(amplitudes) - target) * tf.cast(counted, dtype)
    in_frame = tf.reduce_sum(off, -1) / tf.maximum(
        tf.reduce_sum(tf.cast(counted, dtype), -1), 1.0
    )
    noise_off = tf.abs(
        to_db(controls["noise_magnitudes"]) - tf.cast(measured[NOISE_KEY], dtype)
    )
    return (
        _weighted_mean(in_frame, weights[..., 0]),
        _weighted_mean(tf.reduce_mean(noise_off, -1), weights[..., 1]),
    )


def _weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean over frames; 0 where no frame counts."""
    total = tf.reduce_sum(weights)
    return tf.reduce_sum(values * weights) / tf.where(total > 0.0, total, 1.0)


@gin.register(module="models.losses")
class TaughtControls(terms.LadderLoss):
    """The anchor: distance of the final controls from the measured ones.

    Attributes set by gin:
        weight: Number or `Ramp`, for each dB that the harmonics are off; 0.02 is a
            tenth of a usual spectral loss at 10 dB. A teacher that is wrong must not
            have the last word: let it end at 0.
        noise_share: Weight of the noise bands beside the harmonics', 0 to 1.
        sample_rate: Hz.

    Batches without measured controls (held-out ones) have no such term.
    """

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        noise_share: float = 0.5,
        sample_rate: int = terms.REFERENCE_RATE,
        name: str = "taught",
    ):
        ramp = schedules.as_ramp(weight)
        super().__init__({"taught_harmonics": ramp, "taught_noise": ramp}, name)
        if noise_share < 0.0:
            raise ValueError(f"noise_share={noise_share}: give 0 or more.")
        self.noise_share = noise_share
        self.sample_rate = sample_rate

    def terms(self, outputs: terms.Outputs) -> dict[str, tf.Tensor]:
        """Two terms, in dB; the noise's times its share."""
        if not self.is_used("taught_harmonics") or HARMONICS_KEY not in outputs:
            return {}
        harmonics, noise = control_distances(
            outputs["controls"], outputs, sample_rate=self.sample_rate
        )
        return {
            "taught_harmonics": harmonics,
            "taught_noise": self.noise_share * noise,
        }
