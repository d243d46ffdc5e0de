"""Convolution reverb: ddsp's, block by block, with one transform of the room for all.

Audio and response are cut into blocks of some thousand samples, whose spectra are
multiplied and added up: with X_t the audio's and H_r the response's,

    Y_t = sum over r of X_(t-r) H_r

is the spectrum of what begins with block t. Many short transforms fit into a
processor's cache and vector registers, where a few of the whole length do not.

Source:
    ddsp.effects.Reverb of ddsp 3.7.0. Differs: blocks instead of one transform of the
    next power of two, the impulse response is not copied for each clip, and gradients
    come back through real transforms. Blocks: Stockham, "High-speed convolution and
    correlation", AFIPS 1966.
"""

import collections.abc

import ddsp
import gin
import tensorflow as tf
from scipy import fft

from models.layers import compiled

RESPONSE_BLOCKS = 3  # of a response; more of them cost more products than they save
MIN_BLOCK_SIZE = 1024  # samples


def _block_size(n_samples: int, response_size: int) -> int:
    """Samples in a block: small prime factors, no more than there is audio."""
    wished = max(-(-response_size // RESPONSE_BLOCKS), MIN_BLOCK_SIZE)
    return fft.next_fast_len(min(wished, n_samples))


def _spectra(signal: tf.Tensor, n_blocks: int, block_size: int) -> tf.Tensor:
    """Spectra of blocks, each with as many zeros behind. [batch, n_blocks, n_bins]."""
    signal = signal[:, : n_blocks * block_size]
    missing = n_blocks * block_size - signal.shape[1]
    blocks = tf.reshape(
        tf.pad(signal, [[0, 0], [0, missing]]), [-1, n_blocks, block_size]
    )
    return tf.signal.rfft(blocks, [2 * block_size])


def _later(blocks: tf.Tensor, n_later: int) -> tf.Tensor:
    """Moves blocks back in time; as many fall off the end. Shape stays."""
    kept = blocks[:, : blocks.shape[1] - n_later]
    return tf.pad(kept, [[0, 0], [n_later, 0], [0, 0]])


def _earlier(blocks: tf.Tensor, n_earlier: int) -> tf.Tensor:
    """The transpose of `_later`."""
    return tf.pad(blocks[:, n_earlier:], [[0, 0], [0, n_earlier], [0, 0]])


@compiled.compiled
def _forward(audio, response, block_size):
    """Wet audio, and the spectra that the way back reads."""
    n_samples = audio.shape[1]
    n_blocks = -(-n_samples // block_size)
    n_taps = min(-(-response.shape[1] // block_size), n_blocks)
    source = _spectra(audio, n_blocks, block_size)
    room = _spectra(response, n_taps, block_size)
    product = tf.add_n([_later(source, r) * room[:, r : r + 1] for r in range(n_taps)])
    wet = tf.signal.irfft(product, [2 * block_size])
    blocks = wet[..., :block_size] + _later(wet[..., block_size:], 1)
    return tf.reshape(blocks, [-1, n_blocks * block_size])[:, :n_samples], source, room


@compiled.compiled
def _backward(upstream, source, room, block_size, response_size):
    # Each block of the wet audio lasts two; the spectra of its gradient.
    n_samples, n_blocks, n_taps = upstream.shape[1], source.shape[1], room.shape[1]
    missing = n_blocks * block_size - n_samples
    blocks = tf.reshape(
        tf.pad(upstream, [[0, 0], [0, missing]]), [-1, n_blocks, block_size]
    )
    lasting = tf.concat([blocks, _earlier(blocks, 1)], axis=2)
    spectrum = tf.signal.rfft(lasting, [2 * block_size])

    # By the audio.
    taps = tf.math.conj(room)
    by_source = tf.add_n(
        [_earlier(spectrum, r) * taps[:, r : r + 1] for r in range(n_taps)]
    )
    by_audio = tf.signal.irfft(by_source, [2 * block_size])[..., :block_size]
    by_audio = tf.reshape(by_audio, [-1, n_blocks * block_size])[:, :n_samples]

    # By the response: every block that a tap has sent on.
    conjugate = tf.math.conj(source)
    axes = [0, 1] if room.shape[0] == 1 else [1]  # one response for the batch, or each
    by_tap = [
        tf.reduce_sum(spectrum[:, r:] * conjugate[:, : n_blocks - r], axis=axes)
        for r in range(n_taps)
    ]
    by_room = tf.reshape(tf.stack(by_tap, axis=-2), tf.shape(room))
    by_response = tf.signal.irfft(by_room, [2 * block_size])[..., :block_size]
    by_response = tf.reshape(by_response, [-1, n_taps * block_size])[:, :response_size]
    silent = response_size - by_response.shape[1]  # taps that no sample waits for
    return by_audio, tf.pad(by_response, [[0, 0], [0, silent]])


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
    block_size = _block_size(audio.shape[1], response_size)
    wet, source, room = _forward(audio, response, block_size)

    def gradient(upstream):
        return _backward(upstream, source, room, block_size, response_size)

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
