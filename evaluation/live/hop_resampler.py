"""Resampling of a stream whose every hop is the same number of samples, in and out.

A hop of control frames is a whole number of samples at the model's rate and at 16 kHz,
so the output samples of every hop lie at the same places between its input samples: one
small matrix resamples each hop, and the same hop gives the same numbers however the
stream was cut. The delay is the reach of the filter alone, 1 ms; the preparation's
resampler is sharper and comes 75 ms late.

Source: own; windowed sinc as in J. O. Smith, "Digital Audio Resampling".
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

ZEROS = 16  # zero crossings of the sinc to either side
PASS_BAND = 0.94  # middle of the filter's edge, of the lower Nyquist frequency


@dataclasses.dataclass(frozen=True)
class HopResampler:
    """A matrix, and where its input lies.

    Attributes:
        first: Input sample that hop 0 begins to need; may be negative.
        stop: The first input sample behind what it needs.
        matrix: float32 [n_out, stop - first]; None where the rates are equal.
    """

    first: int
    stop: int
    matrix: np.ndarray | None

    def __call__(self, held: np.ndarray) -> np.ndarray:
        """Resamples one hop.

        Args:
            held: Input samples `first` to `stop` of the hop, float32 [n_in].

        Returns:
            float32 [n_out].
        """
        return held.copy() if self.matrix is None else self.matrix @ held


def make(
    in_rate: int, out_rate: int, *, first_output: int, n_outputs: int
) -> HopResampler:
    """Makes the resampler of a hop.

    Args:
        in_rate: Samples/s.
        out_rate: Samples/s; equal rates pass through untouched.
        first_output: Output sample that hop 0 begins with.
        n_outputs: Output samples of a hop.
    """
    if in_rate == out_rate:
        return HopResampler(first_output, first_output + n_outputs, None)
    ratio = in_rate / out_rate
    cutoff = PASS_BAND * min(1.0, 1.0 / ratio)  # of the input's Nyquist frequency
    reach = ZEROS / cutoff  # input samples to either side
    # Places of output and input samples, counted in input samples.
    places = ratio * (first_output + np.arange(n_outputs))
    first = math.floor(places[0] - reach)
    inputs = first + np.arange(math.ceil(places[-1] + reach) - first + 1)
    distance = inputs - places[:, np.newaxis]  # [n_out, n_in]
    window = np.where(
        np.abs(distance) < reach, 0.5 + 0.5 * np.cos(np.pi * distance / reach), 0.0
    )
    matrix = window * np.sinc(cutoff * distance)
    # A constant stays what it is, whichever place it is read at.
    matrix /= matrix.sum(axis=1, keepdims=True)
    return HopResampler(first, first + len(inputs), matrix.astype(np.float32))
