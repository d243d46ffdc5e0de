"""Raw decoder outputs -> synth controls: four parameterisations, one contract.

Every head takes raw `amps` [batch, n_frames, 1], `harmonic_distribution`
[batch, n_frames, n_harmonics] and `noise_magnitudes` [batch, n_frames, n_noise_bands]
and returns the same keys *scaled*: amplitudes linear and not negative, the distribution
summing to 1 over the harmonics below the Nyquist frequency (to 0 in a frame that has
none). The synths then need no `scale_fn`.

Sources: ddsp.core and ddsp.synths for `ExpSigmoidHead`; the plan's earlier
implementation (docs/plan.md, "Heads") for the others. Own code; keeps the dtype, so
that gradients can be checked in float64.
"""

from __future__ import annotations

import math

import gin
import tensorflow as tf

from models import schedules
from models.synths import harmonic

EXPONENT = 10.0  # factor of the output for a change of the input by 1, far below 0
MAX_VALUE = 2.0  # linear amplitude at +inf
THRESHOLD = 1e-7  # linear amplitude at -inf
SUM_EPSILON = 1e-7  # below float32's resolution of a sum near 1
MIN_TEMPERATURE = 1e-4
NOISE_BIAS = -5.0  # ddsp.synths.FilteredNoise.initial_bias: quiet noise at the start
LARGE = 1e9  # a logit that no other reaches
DB_TO_LOG = math.log(10.0) / 20.0

ControlTensors = dict[str, tf.Tensor]


def exp_sigmoid(raw: tf.Tensor) -> tf.Tensor:
    """2 * sigmoid(x)^ln(10) + 1e-7, by way of the logarithm.

    Args:
        raw: Any shape, any value.

    Returns:
        Linear amplitude in (1e-7, 2], same shape. The gradient is finite everywhere.

    Source:
        ddsp.core.exp_sigmoid; differs in going through log_sigmoid, whose gradient does
        not become 0 * inf where sigmoid underflows.
    """
    power = tf.exp(math.log(EXPONENT) * tf.math.log_sigmoid(raw))
    return MAX_VALUE * power + THRESHOLD


def normalize(distribution: tf.Tensor) -> tf.Tensor:
    """Divides by the sum over harmonics; a frame of zeros stays zero.

    Args:
        distribution: Not negative, [batch, n_frames, n_harmonics].

    Returns:
        Distribution that sums to 1 in every frame that has a sum.
    """
    total = tf.reduce_sum(distribution, axis=-1, keepdims=True)
    return distribution / tf.where(total > 0.0, total, SUM_EPSILON)


NOISE_ACTIVATIONS = {"exp_sigmoid": exp_sigmoid, "sigmoid": tf.nn.sigmoid}


class Head(tf.keras.layers.Layer):
    """Base of all heads; a subclass implements `scale_harmonics` and `amps_limits`.

    A head scales every frame by itself, so a block of frames needs no other form.

    Attributes set by gin:
        sample_rate: Hz, for the Nyquist mask.
        mask_above_nyquist: Whether harmonics above the Nyquist frequency are set to 0
            and the rest renormalised. False is for A/B runs: such harmonics keep their
            share, but the synth mutes them, and loudness depends on pitch.
        noise_bias: Added to raw noise magnitudes; at -5 training starts with noise
            near 2e-5.
        noise_activation: "exp_sigmoid" or "sigmoid".
    """

    default_noise_activation = "exp_sigmoid"

    def __init__(
        self,
        sample_rate: int = 16000,
        mask_above_nyquist: bool = True,
        noise_bias: float = NOISE_BIAS,
        noise_activation: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        noise_activation = noise_activation or self.default_noise_activation
        if noise_activation not in NOISE_ACTIVATIONS:
            raise ValueError(
                f"noise_activation={noise_activation!r} is not one of "
                f"{sorted(NOISE_ACTIVATIONS)}."
            )
        self.sample_rate = sample_rate
        self.mask_above_nyquist = mask_above_nyquist
        self.noise_bias = noise_bias
        self.noise_activation = NOISE_ACTIVATIONS[noise_activation]

    def mask(self, distribution: tf.Tensor, f0_hz: tf.Tensor) -> tf.Tensor:
        """Zeros above the Nyquist frequency, unless switched off."""
        if not self.mask_above_nyquist:
            return distribution
        n_harmonics = int(distribution.shape[-1])
        return distribution * harmonic.below_nyquist(
            f0_hz, n_harmonics=n_harmonics, sample_rate=self.sample_rate
        )

    def renormalize(self, distribution: tf.Tensor, f0_hz: tf.Tensor) -> tf.Tensor:
        """Masks and normalises; also called after smoothing moved shares in time."""
        return normalize(self.mask(distribution, f0_hz))

    def scale_harmonics(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scales raw amps and distribution, before mask and sum.

        Args:
            raw: Raw controls.
            f0_hz: Hz, [batch, n_frames, 1].
            step: Training step for schedules, scalar, or None outside training.

        Returns:
            Amps and distribution, not negative; the distribution need not sum to 1.
        """
        raise NotImplementedError

    @property
    def amps_limits(self) -> tuple[float, float] | None:
        """Lowest and highest amplitude that the scale ends at, linear.

        The report counts the frames that stick to one of them. None where the scale
        has no fixed ends.
        """
        raise NotImplementedError

    def call(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None = None
    ) -> ControlTensors:
        """Raw controls -> scaled controls.

        Args:
            raw: amps, harmonic_distribution, noise_magnitudes as the module says.
            f0_hz: Hz, [batch, n_frames, 1].
            step: Training step for schedules; None takes each schedule's end.

        Returns:
            The same keys and shapes, scaled.
        """
        amps, distribution = self.scale_harmonics(raw, f0_hz, step)
        return {
            "amps": amps,
            "harmonic_distribution": self.renormalize(distribution, f0_hz),
            "noise_magnitudes": self.noise_activation(
                raw["noise_magnitudes"] + self.noise_bias
            ),
        }


@gin.register(module="models.heads")
class ExpSigmoidHead(Head):
    """The paper's head: exp_sigmoid of gain and distribution.

    Source:
        ddsp.synths.Harmonic.get_controls and FilteredNoise.get_controls.
    """

    amps_limits = (THRESHOLD, MAX_VALUE)

    def scale_harmonics(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies exp_sigmoid to both; see the base class."""
        del f0_hz, step
        return exp_sigmoid(raw["amps"]), exp_sigmoid(raw["harmonic_distribution"])


@gin.register(module="models.heads")
class LegacyHead(Head):
    """Sigmoids, one for each harmonic and one for the gain, nothing normalised.

    Harmonic k sounds with amplitude sigmoid(gain) * sigmoid(raw_k) / n_harmonics. The
    same sound is handed on in the common form: `amps` holds the sum over harmonics and
    the distribution its shares. Masked harmonics take their energy with them.

    Source:
        docs/plan.md, "Heads", mode `legacy`.
    """

    default_noise_activation = "sigmoid"

    amps_limits = None  # the mean over harmonics moves the ends from frame to frame

    def scale_harmonics(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies sigmoids; amps hold the sum over harmonics. See the base class."""
        del step
        shares = self.mask(tf.nn.sigmoid(raw["harmonic_distribution"]), f0_hz)
        mean = tf.reduce_mean(shares, axis=-1, keepdims=True)
        return tf.nn.sigmoid(raw["amps"]) * mean, shares


@gin.register(module="models.heads")
class NormalizedHead(Head):
    """Softplus over its sum; softplus gain.

    Source:
        docs/plan.md, "Heads", mode `normalized`; the sum is guarded by `normalize`.
    """

    amps_limits = None  # softplus has no upper end

    def scale_harmonics(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies softplus to both; see the base class."""
        del f0_hz, step
        return tf.nn.softplus(raw["amps"]), tf.nn.softplus(raw["harmonic_distribution"])


@gin.register(module="models.heads")
class SoftmaxDbHead(Head):
    """Softmax with a temperature over harmonics; gain as decibels in a range.

    Attributes set by gin:
        temperature: Number or `Ramp`. 1 is a plain softmax, larger is flatter;
            values below 1e-4 act as 1e-4.
        amp_floor: Share in [0, 1] that is spread evenly over all harmonics.
        gain_min_db, gain_max_db: Range of `amps`, dB of linear amplitude.

    Source:
        docs/plan.md, "Heads", mode `softmax-db`. Differs: the softmax is over the
        harmonics that sound, so that a strong one above the Nyquist frequency does not
        leave the others nothing.
    """

    def __init__(
        self,
        temperature: schedules.Scheduled = 1.0,
        amp_floor: float = 0.0,
        gain_min_db: float = -50.0,
        gain_max_db: float = 6.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0.0 <= amp_floor <= 1.0:
            raise ValueError(f"amp_floor={amp_floor} is a share: give 0 to 1.")
        if gain_min_db >= gain_max_db:
            raise ValueError(
                f"gain_min_db={gain_min_db} must be below gain_max_db={gain_max_db}."
            )
        self.temperature = schedules.as_ramp(temperature)
        self.amp_floor = amp_floor
        self.gain_min_db = gain_min_db
        self.gain_max_db = gain_max_db

    def scale_harmonics(
        self, raw: ControlTensors, f0_hz: tf.Tensor, step: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the gain in dB and a floored softmax; see the base class."""
        logits = raw["harmonic_distribution"]
        temperature = tf.cast(self.temperature.at(step), logits.dtype)
        logits = logits / tf.maximum(temperature, MIN_TEMPERATURE)
        sounding = self.mask(tf.ones_like(logits), f0_hz) > 0.0
        shares = tf.nn.softmax(tf.where(sounding, logits, -LARGE), axis=-1)
        shares = (1.0 - self.amp_floor) * shares + self.amp_floor / shares.shape[-1]
        gain_db = self.gain_min_db + tf.nn.sigmoid(raw["amps"]) * (
            self.gain_max_db - self.gain_min_db
        )
        return tf.exp(DB_TO_LOG * gain_db), shares

    @property
    def amps_limits(self) -> tuple[float, float]:
        """Both ends of the gain's range."""
        return 10 ** (self.gain_min_db / 20), 10 ** (self.gain_max_db / 20)
