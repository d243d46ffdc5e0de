"""Convolution reverb: ddsp's, with one transform of the room for the whole batch.

Source:
    ddsp.effects.Reverb of ddsp 3.7.0. Differs: the impulse response is not copied for
    each clip, transforms have a length of small prime factors instead of the next power
    of two, gradients come back through real transforms, and each way is one compiled
    program, in which transforms do not wait for one another.
"""

import collections.abc

import ddsp
import gin
import tensorflow as tf
from scipy import fft

from models.layers import compiled


def _transform_size(n_samples: int) -> int:
    """The next even length with small prime factors."""
    return 2 * fft.next_fast_len(-(-n_samples // 2))


@compiled.compiled
def _forward(audio, response, fft_size):
    """Wet audio, and the spectra that the way back reads."""
    source = tf.signal.rfft(audio, [fft_size])
    room = tf.signal.rfft(response, [fft_size])
    wet = tf.signal.irfft(source * room, [fft_size])
    return wet[:, : audio.shape[1]], source, room


@compiled.compiled
def _backward(upstream, source, room, fft_size, response_size):
    spectrum = tf.signal.rfft(upstream, [fft_size])
    by_audio = tf.signal.irfft(spectrum * tf.math.conj(room), [fft_size])
    by_room = spectrum * tf.math.conj(source)
    if room.shape[0] == 1:  # one response for the batch
        by_room = tf.reduce_sum(by_room, axis=0, keepdims=True)
    by_response = tf.signal.irfft(by_room, [fft_size])
    return by_audio[:, : upstream.shape[1]], by_response[:, :response_size]


@tf.custom_gradient
def convolve(
    audio: tf.Tensor, response: tf.Tensor
) -> tuple[tf.Tensor, collections.abc.Callable]:
    """Convolves and keeps the audio's length.

    Both arguments are positional because TensorFlow differentiates by position.

    Args:
        audio: Shape [batch, n_samples].
        response: Impulse response of every clip, or one for all. Shape
            [batch or 1, response_size].

    Returns:
        The first n_samples of the convolution. Shape [batch, n_samples].
    """
    response_size = response.shape[1]
    fft_size = _transform_size(audio.shape[1] + response_size - 1)
    wet, source, room = _forward(audio, response, fft_size)

    def gradient(upstream):
        return _backward(upstream, source, room, fft_size, response_size)

    return wet, gradient


@gin.register(module="models.effects")
class FastReverb(ddsp.effects.Reverb):
    """ddsp's `Reverb`: its arguments, its weight `ir` and its sound."""

    def _match_dimensions(self, audio: tf.Tensor, ir: tf.Tensor) -> tf.Tensor:
        """One response for the batch instead of a copy for each clip."""
        del audio
        return ir[tf.newaxis] if len(ir.shape) == 1 else ir

    def get_signal(self, audio: tf.Tensor, ir: tf.Tensor) -> tf.Tensor:
        """Applies the impulse response.

        Args:
            audio: Dry audio. Shape [batch, n_samples].
            ir: Shape [batch or 1, response_size], or with a channel axis.

        Returns:
            Wet audio, with the dry added if so configured. Shape [batch, n_samples].
        """
        audio, ir = ddsp.core.tf_float32(audio), ddsp.core.tf_float32(ir)
        wet = convolve(audio, self._mask_dry_ir(ir))
        return wet + audio if self._add_dry else wet
