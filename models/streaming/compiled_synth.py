"""The block synth for files: the same sound, arranged for a compiler and long blocks.

`models.streaming.block_synth` is arranged for TensorFlow Lite and a frame at a time.
Here blocks are long and XLA compiles them: harmonics are added eight at a time, in
passes that stay in cache, and only as many as sound anywhere in the block. A flute's
pitch leaves 20 of 60 below Nyquist.
"""

import tensorflow as tf

from models.streaming import block_synth
from models.streaming import phase
from models.synths import oscillators

MIN_HZ = 1e-3  # below it a pitch is none, and all harmonics may sound


class CompiledSynth(block_synth.BlockSynth):
    """Plays controls in blocks of many frames; call it inside compiled functions."""

    def _bank(
        self,
        *,
        ticks: tf.Tensor,
        rest: tf.Tensor,
        within: tf.Tensor,
        moving_hz: tf.Tensor,
        ends: tf.Tensor,
    ) -> tf.Tensor:
        """Sums harmonics between frames, each cut off where it reaches Nyquist.

        With k = 8 block + column, sin(k p) is a sum of products of sines of 8 columns
        and of the blocks, as in `models.synths.oscillators`.

        Args:
            ticks: Phase at the frame, [n_intervals].
            rest: Its rest in cycles, same shape.
            within: Cycles since the frame, [n_intervals, 1, hop_size].
            moving_hz: Pitch, same shape.
            ends: Amplitudes at both ends, [n_intervals, 2, n_harmonics].

        Returns:
            [n_intervals, hop_size].
        """
        width = oscillators.WIDTH
        n_blocks = -(-self.settings.n_harmonics // width)
        within, moving_hz = within[:, 0], moving_hz[:, 0]  # [n_intervals, hop_size]

        def waves(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Sine and cosine of a harmonic, [n_intervals, hop_size] each."""
            start = phase.wrap(ticks * (number / phase.TICKS)) + rest * number
            cycles = start[:, tf.newaxis] + phase.wrap(within * number)
            return oscillators.sine_and_cosine(phase.wrap(cycles))

        columns = [waves(tf.constant(float(c))) for c in range(1, width + 1)]
        # Both ends' amplitudes of a block's columns: [n_blocks, 2, 8, n_intervals, 1].
        missing = n_blocks * width - self.settings.n_harmonics
        ends = tf.pad(ends, [[0, 0], [0, 0], [0, missing]])
        ends = tf.reshape(ends, [-1, 2, n_blocks, width])
        ends = tf.transpose(ends, [2, 1, 3, 0])[..., tf.newaxis]

        def add_block(
            block: tf.Tensor, audio: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            first = tf.cast(block * width, tf.float32)
            amplitudes = ends[block]
            of_sine = of_cosine = tf.zeros_like(within)
            for column, (sine, cosine) in enumerate(columns):
                loud = amplitudes[0, column] * self._cross[0]
                loud += amplitudes[1, column] * self._cross[1]
                hz = moving_hz * (first + (column + 1.0))
                loud = tf.where(hz < self.settings.sample_rate / 2, loud, 0.0)
                of_sine += loud * cosine
                of_cosine += loud * sine
            sine, cosine = waves(first)
            return block + 1, audio + of_sine * sine + of_cosine * cosine

        # Blocks whose first harmonic is nowhere below Nyquist are silent.
        lowest_hz = tf.maximum(tf.reduce_min(moving_hz), MIN_HZ)
        highest = self.settings.sample_rate / 2 / lowest_hz
        n_audible = tf.minimum(tf.math.ceil(highest / width), float(n_blocks))
        n_audible = tf.cast(n_audible, tf.int32)
        _, audio = tf.while_loop(
            lambda block, audio: block < n_audible,
            add_block,
            (tf.constant(0), tf.zeros_like(within)),
            maximum_iterations=n_blocks,
        )
        return audio
