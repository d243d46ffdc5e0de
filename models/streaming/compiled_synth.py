"""The block synth for files: the same sound, arranged for a compiler and long blocks.

`models.streaming.block_synth` is arranged for TensorFlow Lite and a frame at a time.
Here blocks are long and XLA compiles them: harmonics are added eight at a time, in
passes that stay in cache, and only as many as sound anywhere in the block. A flute's
pitch leaves 20 of 60 below Nyquist.
"""

import functools

import tensorflow as tf

from models.streaming import block_synth
from models.streaming import phase
from models.synths import oscillators
from prep import tensorflow_setup

MIN_HZ = 1e-3  # below it a pitch is none, and all harmonics may sound
MAX_CHUNK = 250  # intervals at once: 16 waves of 64 samples each are 1 MB
MIN_CHUNK = 64  # fewer would spend their time in the loop


class CompiledSynth(block_synth.BlockSynth):
    """Plays controls in blocks of many frames, by the compiled `play`.

    Args:
        settings: What decides the sound.
    """

    def __init__(self, settings: block_synth.SynthSettings):
        super().__init__(settings)
        # Compiled, because the bank's intermediates then stay in cache.
        self.play = tf.function(
            self.__call__,
            jit_compile=tensorflow_setup.compiles_kernels(),
            autograph=False,
        )

    def _bank(
        self,
        *,
        ticks: tf.Tensor,
        rest: tf.Tensor,
        within: tf.Tensor,
        moving_hz: tf.Tensor,
        ends: tf.Tensor,
    ) -> tf.Tensor:
        """Does what the inherited one does, chunk by chunk; arguments are its."""
        parts = {
            "ticks": ticks,
            "rest": rest,
            "within": within[:, 0],
            "moving_hz": moving_hz[:, 0],
            "ends": ends,
        }
        n_intervals = int(within.shape[0])
        n_chunk = _chunk_size(n_intervals)
        if n_chunk == n_intervals:
            return self._chunk(parts)
        chunks = {
            key: tf.reshape(value, [-1, n_chunk, *value.shape[1:]])
            for key, value in parts.items()
        }
        audio = tf.map_fn(self._chunk, chunks, fn_output_signature=tf.float32)
        return tf.reshape(audio, [n_intervals, self.settings.hop_size])

    def _chunk(self, parts: dict[str, tf.Tensor]) -> tf.Tensor:
        """Audio of intervals whose waves stay in cache, [n_intervals, hop_size]."""
        width = oscillators.WIDTH
        n_blocks = -(-self.settings.n_harmonics // width)
        nyquist_hz = self.settings.sample_rate / 2
        moving_hz = parts["moving_hz"]
        first = _fundamental(parts["ticks"], parts["rest"], parts["within"])
        columns = [first]
        for _ in range(1, width):
            columns.append(_next_wave(columns[-1], first))
        # Both ends' amplitudes of a block's columns: [n_blocks, 2, 8, n_intervals, 1].
        missing = n_blocks * width - self.settings.n_harmonics
        ends = tf.pad(parts["ends"], [[0, 0], [0, 0], [0, missing]])
        ends = tf.reshape(ends, [-1, 2, n_blocks, width])
        ends = tf.transpose(ends, [2, 1, 3, 0])[..., tf.newaxis]
        zeros = tf.zeros_like(moving_hz)

        def add_block(
            block: tf.Tensor, audio: tf.Tensor, sine: tf.Tensor, cosine: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            """Adds harmonics 8 block + 1 to 8 block + 8."""
            amplitudes = ends[block]
            of_sine = of_cosine = zeros
            for column, (of_column, beside) in enumerate(columns):
                loud = amplitudes[0, column] * self._cross[0]
                loud += amplitudes[1, column] * self._cross[1]
                number = tf.cast(block * width + (column + 1), tf.float32)
                loud = tf.where(moving_hz * number < nyquist_hz, loud, 0.0)
                of_sine += loud * beside
                of_cosine += loud * of_column
            audio += of_sine * sine + of_cosine * cosine
            return block + 1, audio, *_next_wave((sine, cosine), columns[-1])

        # Blocks whose first harmonic is nowhere below Nyquist are silent.
        lowest_hz = tf.maximum(tf.reduce_min(moving_hz), MIN_HZ)
        n_audible = tf.math.ceil(nyquist_hz / lowest_hz / width)
        n_audible = tf.cast(tf.minimum(n_audible, float(n_blocks)), tf.int32)
        _, audio, _, _ = tf.while_loop(
            lambda block, *_: block < n_audible,
            add_block,
            (tf.constant(0), zeros, zeros, tf.ones_like(zeros)),
            maximum_iterations=n_blocks,
        )
        return audio


@functools.lru_cache(maxsize=8)
def shared_synth(settings: block_synth.SynthSettings) -> CompiledSynth:
    """Returns the one synth of these settings, which is compiled once a block size."""
    return CompiledSynth(settings)


Wave = tuple[tf.Tensor, tf.Tensor]  # sine and cosine of a phase, same shape


def _fundamental(ticks: tf.Tensor, rest: tf.Tensor, within: tf.Tensor) -> Wave:
    """The first harmonic's wave, [n_intervals, hop_size]."""
    start = phase.wrap(ticks / phase.TICKS) + rest  # [n_intervals]
    return oscillators.sine_and_cosine(
        phase.wrap(start[:, tf.newaxis] + phase.wrap(within))
    )


def _next_wave(wave: Wave, step: Wave) -> Wave:
    """The wave whose phase is the sum of two waves' phases.

    A few roundings of float32 each, where a sine of its own takes ten times as long.
    """
    (sine, cosine), (step_sine, step_cosine) = wave, step
    return (
        sine * step_cosine + cosine * step_sine,
        cosine * step_cosine - sine * step_sine,
    )


def _chunk_size(n_intervals: int) -> int:
    """Intervals computed at once: a whole part of all, or all of them."""
    divisors = [n for n in range(1, MAX_CHUNK + 1) if n_intervals % n == 0]
    return divisors[-1] if divisors[-1] >= MIN_CHUNK else n_intervals
