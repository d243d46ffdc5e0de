"""Smoothing of control curves: one-pole, biquad, FIR, and the AR residual path.

The sequence form, `smoother(frames)`, is parallel in time. The block form,
`smoother.smooth_block(frames, state=state)`, goes on where the block before ended and
gives the same output. Recurrences start settled on the first frame: no fade-in.

Coefficients live at the frame rate. A learned coefficient is stored as a logit, so
every value that training can reach is stable; poles stay below `MAX_LEARNED_POLE`,
because a sigmoid reaches 1 in float32 and a filter with a pole at 1 forgets nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gin
import tensorflow as tf

from models.controls import filters
from models.layers import recurrences

FIR_TAPS = (0.1, 0.2, 0.4, 0.2, 0.1)  # the earlier implementation's kernel
MIN_CUTOFF_HZ = 0.1
MIN_Q, MAX_Q = 0.1, 10.0
NYQUIST_MARGIN = 0.99  # highest cutoff as a share of half the frame rate
MAX_LEARNED_POLE = 0.9999  # a memory of 10 000 frames, 40 s at 250 frames/s


def _logit(probability: float) -> float:
    """Inverse of the sigmoid."""
    return math.log(probability / (1.0 - probability))


def _pole_logit(pole: float) -> tf.keras.initializers.Initializer:
    """Initial logit of a learned pole in (0, MAX_LEARNED_POLE)."""
    return tf.keras.initializers.Constant(_logit(pole / MAX_LEARNED_POLE))


def _check_learned_pole(name: str, pole: float) -> None:
    """Raises ValueError for a value that a learned pole cannot start from."""
    if not math.ulp(0.0) <= pole < MAX_LEARNED_POLE:
        raise ValueError(
            f"{name}={pole} is to be learned: give a value above 0 and below "
            f"{MAX_LEARNED_POLE}."
        )


@gin.register(module="models.smoothing")
class OnePole(filters.Smoother):
    """y[t] = alpha y[t-1] + (1 - alpha) x[t], starting at y = x[0].

    Attributes set by gin:
        alpha: 0 leaves the curve alone, 0.9 averages over about 10 frames, near 1
            freezes it. Must be in [0, 1), in (0, 0.9999) if learned.
        learned: Whether training moves alpha, within (0, 0.9999).

    Source:
        The plan, "recurrent-lite building blocks", 1.
    """

    def __init__(self, alpha: float = 0.8, learned: bool = False, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= alpha < 1.0:
            raise ValueError(
                f"alpha={alpha} of a one-pole must be in [0, 1): 0 smooths nothing, 1 "
                "never moves."
            )
        if learned:
            _check_learned_pole("alpha", alpha)
        self.learned = learned
        self._alpha = alpha

    def build(self, input_shape: tf.TensorShape) -> None:
        """Adds the coefficient's logit where it is learned."""
        if self.learned:
            self.alpha_logit = self.add_weight(
                name="alpha_logit",
                shape=[],
                initializer=_pole_logit(self._alpha),
            )
        super().build(input_shape)

    @property
    def alpha(self) -> tf.Tensor:
        """The coefficient in use."""
        if self.learned:
            return MAX_LEARNED_POLE * tf.sigmoid(self.alpha_logit)
        return tf.constant(self._alpha, self.compute_dtype)

    def systems(self) -> list[recurrences.StateSpace]:
        """One filter."""
        return [filters.one_pole(self.alpha)]


@gin.register(module="models.smoothing")
class Biquad(filters.Smoother):
    """RBJ low-pass by cutoff and Q at the frame rate, one or more in series.

    Attributes set by gin:
        cutoff_hz: Above 0 and below 0.495 * frame_rate. Vibrato lives at 4-8 Hz, note
            onsets need 20 Hz and more.
        q: 0.1 to 10; 0.7071 is the flattest, 0.5 the fastest without overshoot.
        n_sections: Sections in series; each has its own coefficients if learned.
        frame_rate: Frames per second.
        learned: Whether training moves cutoff and Q; their logits are bounded to the
            ranges above, so that no value is unstable.

    Source:
        The plan, "optional stronger smoothing mode"; the formulas stand at
        `models.controls.filters.biquad_lowpass`.
    """

    def __init__(
        self,
        cutoff_hz: float = 20.0,
        q: float = 0.7071,
        n_sections: int = 1,
        frame_rate: float = 250.0,
        learned: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.max_cutoff_hz = NYQUIST_MARGIN * frame_rate / 2.0
        if not MIN_CUTOFF_HZ < cutoff_hz < self.max_cutoff_hz:
            raise ValueError(
                f"cutoff_hz={cutoff_hz} must be between {MIN_CUTOFF_HZ} and "
                f"{self.max_cutoff_hz} Hz at frame_rate={frame_rate}."
            )
        if not MIN_Q < q < MAX_Q:
            raise ValueError(f"q={q} must be between {MIN_Q} and {MAX_Q}.")
        if n_sections < 1:
            raise ValueError(f"n_sections={n_sections}: give at least 1.")
        self.cutoff_hz, self.q = cutoff_hz, q
        self.n_sections = n_sections
        self.frame_rate = frame_rate
        self.learned = learned

    def build(self, input_shape: tf.TensorShape) -> None:
        """Adds the coefficients' logits where they are learned."""
        if self.learned:
            self.cutoff_logit = self._logit_weight(
                "cutoff_logit",
                self.cutoff_hz,
                low=MIN_CUTOFF_HZ,
                high=self.max_cutoff_hz,
            )
            self.q_logit = self._logit_weight("q_logit", self.q, low=MIN_Q, high=MAX_Q)
        super().build(input_shape)

    def _logit_weight(
        self, name: str, value: float, *, low: float, high: float
    ) -> tf.Variable:
        """One logit a section, starting at `value` on a log scale from low to high."""
        position = math.log(value / low) / math.log(high / low)
        return self.add_weight(
            name=name,
            shape=[self.n_sections],
            initializer=tf.keras.initializers.Constant(_logit(position)),
        )

    def _coefficients(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Cutoff in Hz and Q of every section, each [n_sections]."""
        if not self.learned:
            of_all = lambda value: tf.constant(
                value, self.compute_dtype, [self.n_sections]
            )
            return of_all(self.cutoff_hz), of_all(self.q)
        cutoff = MIN_CUTOFF_HZ * tf.pow(
            self.max_cutoff_hz / MIN_CUTOFF_HZ, tf.sigmoid(self.cutoff_logit)
        )
        return cutoff, MIN_Q * tf.pow(MAX_Q / MIN_Q, tf.sigmoid(self.q_logit))

    def systems(self) -> list[recurrences.StateSpace]:
        """One filter a section."""
        cutoff, q = self._coefficients()
        return [
            filters.biquad_lowpass(
                cutoff[section], q[section], frame_rate=self.frame_rate
            )
            for section in range(self.n_sections)
        ]


@gin.register(module="models.smoothing")
class ArResidual(filters.Smoother):
    """Reads the curve as changes and adds them up, with a leak.

    y[t] = leak y[t-1] + x[t] from y[-1] = 0. With a leak below 1 the curve forgets
    within 1 / (1 - leak) frames. Meant for raw controls, before the head: integrated
    amplitudes would only grow.

    Attributes set by gin:
        leak: In (0, 1]; 1 adds up for ever. Must be below 0.9999 if learned.
        learned: Whether training moves the leak, within (0, 0.9999).

    Source:
        The plan, "recurrent-lite building blocks", 2.
    """

    def __init__(self, leak: float = 0.95, learned: bool = False, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 < leak <= 1.0:
            raise ValueError(f"leak={leak} of the AR residual must be in (0, 1].")
        if learned:
            _check_learned_pole("leak", leak)
        self.learned = learned
        self._leak = leak

    def build(self, input_shape: tf.TensorShape) -> None:
        """Adds the leak's logit where it is learned."""
        if self.learned:
            self.leak_logit = self.add_weight(
                name="leak_logit",
                shape=[],
                initializer=_pole_logit(self._leak),
            )
        super().build(input_shape)

    @property
    def leak(self) -> tf.Tensor:
        """The leak in use."""
        if self.learned:
            return MAX_LEARNED_POLE * tf.sigmoid(self.leak_logit)
        return tf.constant(self._leak, self.compute_dtype)

    def systems(self) -> list[recurrences.StateSpace]:
        """One filter."""
        return [filters.leaky_integrator(self.leak)]


@gin.register(module="models.smoothing")
class Fir(filters.Smoother):
    """Symmetric five-tap average; not causal, repeats the edges.

    The block form needs the two following frames: it lags behind by two, and its first
    two outputs are to be dropped.

    Source:
        docs/plan.md, "Losses": taps [0.1, 0.2, 0.4, 0.2, 0.1], edges replicated.
    """

    latency_frames = len(FIR_TAPS) // 2

    def initial_state(self, frame: tf.Tensor) -> list[tf.Tensor]:
        """Returns the frames before the first one, which repeat it."""
        return [tf.repeat(frame[:, tf.newaxis], len(FIR_TAPS) - 1, axis=1)]

    def smooth_block(
        self, frames: tf.Tensor, *, state: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Averages the last frames of the block before and a block."""
        joined = tf.concat([state[0], frames], axis=1)
        return _weighted_sums(joined), [joined[:, frames.shape[1] :]]

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Averages a sequence whose edges are repeated; see the base class."""
        first = tf.repeat(frames[:, :1], self.latency_frames, axis=1)
        last = tf.repeat(frames[:, -1:], self.latency_frames, axis=1)
        return _weighted_sums(tf.concat([first, frames, last], axis=1))


def _weighted_sums(frames: tf.Tensor) -> tf.Tensor:
    """Sums of `FIR_TAPS` neighbours, as many as there are complete ones."""
    n_sums = frames.shape[1] - len(FIR_TAPS) + 1
    return tf.add_n(
        [tap * frames[:, lag : lag + n_sums] for lag, tap in enumerate(FIR_TAPS)]
    )
