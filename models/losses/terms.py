"""Losses on audio and envelopes, each term with a weight that may follow a schedule.

A loss of the ladder reads the model's whole outputs dictionary and reports its terms
apart: `terms` gives plain values, `get_losses_dict` the same times their weights, which
is what is trained on. Weights are relative to a spectral loss that is a mean over bins
and frames and a sum over FFT sizes, as ddsp's; `weight_from_earlier` converts those of
the earlier implementation, whose spectral loss was about 8000 times smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import ddsp
import gin
import tensorflow as tf
from ddsp import spectral_ops

from models import schedules
from models.losses import spectral
from models.measures import spectra

REFERENCE_RATE = 16000  # Hz
FFT_MULTIPLE = 8  # samples, so that a quarter of a window is a whole number
LOG_EPSILON = 1e-5  # linear magnitude; 16-bit noise has about 3e-4 at 2048 points
LEVEL_EPSILON = 1e-4  # linear level, -80 dB
EARLIER_PER_BIN = 1.235e-4  # the earlier loss per unit of mean difference per bin
Outputs = Mapping[str, Any]


def weight_from_earlier(
    weight: float, *, n_fft_sizes: int = len(spectra.FFT_SIZES)
) -> float:
    """Weight here that balances the spectral loss as `weight` did there.

    Args:
        weight: Weight of a loudness, noise, entropy or concentration term beside a
            spectral weight of 1 in the earlier implementation.
        n_fft_sizes: FFT sizes of the loss here; it sums over them where the earlier one
            averaged.

    Returns:
        The equivalent weight, hundreds to thousands of times larger. A starting point:
        re-tune.

    Source:
        docs/plan.md, "Losses": it divided by the number of samples twice.
    """
    return weight * n_fft_sizes / EARLIER_PER_BIN


class LadderLoss(ddsp.losses.Loss):
    """Base of the ladder's losses: named terms, each with a scheduled weight.

    Subclasses implement `terms`, a value for each of the `weights` given.
    """

    def __init__(self, weights: Mapping[str, schedules.Scheduled], name: str):
        super().__init__(name=name)
        self.term_weights = {
            key: schedules.as_ramp(value) for key, value in weights.items()
        }

    def is_used(self, key: str) -> bool:
        """Returns whether a term ever has a weight; others are no losses."""
        return self.term_weights[key].largest > 0.0

    def terms(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """Unweighted terms.

        Args:
            outputs: The model's outputs: features, `audio`, `audio_synth`, `controls`.

        Returns:
            Scalar for each term; a loss without any weight may leave it out.
        """
        raise NotImplementedError

    def weighted(
        self, terms: Mapping[str, tf.Tensor], step: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """Terms times their weights at a step; None takes each schedule's end."""
        return {
            key: tf.cast(self.term_weights[key].at(step), value.dtype) * value
            for key, value in terms.items()
            if self.is_used(key)
        }

    def get_losses_dict(
        self, outputs: Outputs, step: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Weighted terms by name; the trainer trains on their sum."""
        return self.weighted(self.terms(outputs), step)

    def call(self, outputs: Outputs, step: tf.Tensor | None = None) -> tf.Tensor:
        """Sum of the weighted terms."""
        return tf.add_n(list(self.get_losses_dict(outputs, step).values()))


@gin.register(module="models.losses")
class SpectralTerms(LadderLoss):
    """ddsp's multi-scale spectral loss, with its two terms apart.

    Attributes set by gin:
        fft_sizes: Window sizes at 16 kHz, samples; scaled to `sample_rate`, so that
            windows last equally long at any rate.
        sample_rate: Hz.
        loss_type: "L1" or "L2".
        mag_weight, logmag_weight: Numbers or `Ramp`s.
        log_epsilon: Added to magnitudes before the logarithm; 1e-5 to 1e-3. 0 is ddsp's
            own rule, which replaces only magnitudes of exactly 0, so that nearly empty
            bins reach ln(1e-12) with a gradient of 1e12.

    Source:
        ddsp.losses.SpectralLoss; equal to it with log_epsilon = 0 at 16 kHz.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = spectra.FFT_SIZES,
        sample_rate: int = REFERENCE_RATE,
        loss_type: str = "L1",
        mag_weight: schedules.Scheduled = 1.0,
        logmag_weight: schedules.Scheduled = 1.0,
        log_epsilon: float = LOG_EPSILON,
        name: str = "spectral",
    ):
        super().__init__(
            {"spectral_mag": mag_weight, "spectral_logmag": logmag_weight}, name
        )
        if loss_type not in spectral.LOSS_TYPES:
            raise ValueError(
                f"loss_type={loss_type!r} is not one of {spectral.LOSS_TYPES}."
            )
        if log_epsilon < 0.0:
            raise ValueError(f"log_epsilon={log_epsilon}: give 0 (ddsp's) or more.")
        if not fft_sizes or min(fft_sizes) < FFT_MULTIPLE:
            raise ValueError(
                f"fft_sizes={tuple(fft_sizes)}: give sizes of {FFT_MULTIPLE} and more."
            )
        scale = sample_rate / REFERENCE_RATE / FFT_MULTIPLE
        self.frame_sizes = tuple(
            FFT_MULTIPLE * round(size * scale) for size in fft_sizes
        )
        self.loss_type = loss_type
        self.log_epsilon = log_epsilon

    def terms(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """Magnitude and log-magnitude difference, summed over FFT sizes."""
        both = spectral.spectral_terms(
            outputs["audio_synth"],
            outputs["audio"],
            fft_sizes=self.frame_sizes,
            log_epsilon=self.log_epsilon or None,
            loss_type=self.loss_type,
        )
        return {"spectral_mag": both["mag"], "spectral_logmag": both["logmag"]}


def noise_level(noise_magnitudes: tf.Tensor) -> tf.Tensor:
    """Root mean square of the noise bands: the noise's gain, [batch, n_frames, 1]."""
    power = tf.reduce_mean(tf.square(noise_magnitudes), axis=-1, keepdims=True)
    return tf.sqrt(power + 1e-14)  # (1e-7)^2: the gradient stays finite at silence


@gin.register(module="models.losses")
class LoudnessEnvelope(LadderLoss):
    """Distance of the synthesised level from the recording's loudness.

    Attributes set by gin:
        weight: Number or `Ramp`.
        mode: "db_l1" compares both in dB, scaled to [0, 1]. "linear_l2" is the earlier
            implementation's: squared difference of linear gain and scaled dB.
        source: "controls" reads the level from amps (voiced) and noise (unvoiced);
            "audio" measures A-weighted loudness of both signals, db_l1 only.
        sample_rate, frame_rate: Hz; only read with source="audio".

    Source:
        docs/plan.md, "Losses", L; the audio form is ddsp.losses.SpectralLoss's
        loudness term, here with the dataset's rates and as a share of 80 dB.
    """

    def __init__(
        self,
        weight: schedules.Scheduled = 0.0,
        mode: str = "db_l1",
        source: str = "controls",
        sample_rate: int = REFERENCE_RATE,
        frame_rate: int = 250,
        name: str = "loudness",
    ):
        super().__init__({"loudness": weight}, name)
        if mode not in ("db_l1", "linear_l2"):
            raise ValueError(f"mode={mode!r} is not 'db_l1' or 'linear_l2'.")
        if source not in ("controls", "audio") or (source, mode) == (
            "audio",
            "linear_l2",
        ):
            raise ValueError(
                f"source={source!r} with mode={mode!r}: give 'controls', or 'audio' "
                "with mode='db_l1'."
            )
        self.mode, self.source = mode, source
        self.sample_rate, self.frame_rate = sample_rate, frame_rate

    def terms(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """One term."""
        if not self.is_used("loudness"):
            return {}
        if self.source == "audio":
            return {"loudness": self._of_audio(outputs)}
        if "ld_scaled" not in outputs:
            raise ValueError(
                "the loudness loss compares controls with ld_scaled, and this model is "
                "told power: set models.losses.LoudnessEnvelope.source = 'audio'."
            )
        ld_scaled = tf.clip_by_value(outputs["ld_scaled"], 0.0, 1.0)
        return {
            "loudness": envelope_distance(
                outputs["controls"],
                ld_scaled,
                voicing=outputs["voicing"],
                mode=self.mode,
            )
        }

    def _of_audio(self, outputs: Outputs) -> tf.Tensor:
        """Mean absolute difference of A-weighted loudness, as a share of 80 dB."""
        ref, est = (
            spectral_ops.compute_loudness(
                outputs[key], sample_rate=self.sample_rate, frame_rate=self.frame_rate
            )
            for key in ("audio", "audio_synth")
        )
        return tf.reduce_mean(tf.abs(ref - est)) / spectral_ops.DB_RANGE


def envelope_distance(
    controls: Mapping[str, tf.Tensor],
    ld_scaled: tf.Tensor,
    *,
    voicing: tf.Tensor,
    mode: str,
) -> tf.Tensor:
    """Distance of the controls' level from scaled loudness.

    Args:
        controls: Scaled `amps` and `noise_magnitudes`.
        ld_scaled: In [0, 1], [batch, n_frames, 1]; 0 is -80 dB.
        voicing: In [0, 1], same shape: how much of the level is the harmonics'.
        mode: "db_l1" or "linear_l2".

    Returns:
        Scalar.
    """
    noise = noise_level(controls["noise_magnitudes"])
    level = controls["amps"] * voicing + noise * (1.0 - voicing)
    if mode == "linear_l2":
        return tf.reduce_mean(tf.square(level - ld_scaled))
    level_db = (
        20.0
        / tf.math.log(tf.cast(10.0, level.dtype))
        * tf.math.log(level + LEVEL_EPSILON)
    )
    level_scaled = tf.clip_by_value(level_db / spectral_ops.DB_RANGE + 1.0, 0.0, 1.0)
    return tf.reduce_mean(tf.abs(level_scaled - ld_scaled))


@gin.register(module="models.losses")
class WaveformMse(LadderLoss):
    """Mean squared difference of samples; phases are random, so for completeness only.

    Attributes set by gin:
        weight: Number or `Ramp`.
    """

    def __init__(self, weight: schedules.Scheduled = 0.0, name: str = "mse"):
        super().__init__({"mse": weight}, name)

    def terms(self, outputs: Outputs) -> dict[str, tf.Tensor]:
        """One term."""
        if not self.is_used("mse"):
            return {}
        error = outputs["audio"] - outputs["audio_synth"]
        return {"mse": tf.reduce_mean(tf.square(error))}
