"""What the lessons are taught from: a decoder's inputs and their measured controls.

Conditioning is computed once, clip by clip, so that the inputs' trends are right; the
lessons then pick single frames or stretches of them.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from models.data import provider as provider_lib
from models.losses import teacher

MAX_EXAMPLES = 600  # kept in memory; more are thinned out evenly
CHUNK = 16  # examples conditioned at a time


@dataclasses.dataclass(frozen=True)
class Material:
    """Training examples without audio.

    Attributes:
        inputs: The decoder's input keys and f0_hz, [n_examples, n_frames, 1] each.
        measured: The `teacher.KEYS`, [n_examples, n_frames, n] each, float16.
    """

    inputs: dict[str, tf.Tensor]
    measured: dict[str, tf.Tensor]

    @property
    def n_examples(self) -> int:
        """Returns the number of clips."""
        return int(self.inputs["f0_hz"].shape[0])

    @property
    def n_frames(self) -> int:
        """Frames of a clip."""
        return int(self.inputs["f0_hz"].shape[1])

    def stretches(
        self, seed: tf.Tensor, *, n_stretches: int, n_frames: int
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Draws stretches of neighbouring frames.

        Args:
            seed: Two whole numbers; the same, the same stretches.
            n_stretches: How many.
            n_frames: Frames of each. 1 draws frames one by one, laid side by side as
                one clip of `n_stretches` frames.

        Returns:
            Inputs and measured controls, [n_stretches, n_frames, n] each, or
            [1, n_stretches, n] for single frames.
        """
        which = tf.random.stateless_uniform(
            [n_stretches, 1], seed, maxval=self.n_examples, dtype=tf.int32
        )
        start = tf.random.stateless_uniform(
            [n_stretches, 1],
            seed + 1,
            maxval=self.n_frames - n_frames + 1,
            dtype=tf.int32,
        )
        # Places in the examples laid one behind another, [n_stretches, n_frames].
        index = which * self.n_frames + start + tf.range(n_frames)
        if n_frames == 1:
            index = tf.transpose(index)
        pick = lambda value: tf.gather(
            tf.reshape(value, [-1, value.shape[-1]]), index, axis=0
        )
        return (
            {key: pick(value) for key, value in self.inputs.items()},
            {
                key: tf.cast(pick(value), tf.float32)
                for key, value in self.measured.items()
            },
        )


def gather(
    model: tf.keras.Model,
    provider: provider_lib.PreparedDataset,
    measured: dict[str, np.ndarray],
) -> Material:
    """Collects the examples of a split.

    Args:
        model: Its conditioning and the decoder's input keys are used.
        provider: The split.
        measured: From `targets.measured_for`.
    """
    n_kept = min(provider.n_examples, MAX_EXAMPLES)
    kept = [i * provider.n_examples // n_kept for i in range(n_kept)]
    keys = {*model.decoder.input_keys, "f0_hz"}
    parts: dict[str, list[np.ndarray]] = {key: [] for key in keys}
    for first in range(0, n_kept, CHUNK):
        batch = provider.examples(kept[first : first + CHUNK])
        features = {key: tf.constant(batch[key]) for key in provider_lib.FRAME_KEYS}
        features["audio"] = tf.constant(batch["audio"])
        conditioned = model.conditioning(features)
        for key in keys:
            parts[key].append(conditioned[key].numpy())
    return Material(
        inputs={key: tf.constant(np.concatenate(part)) for key, part in parts.items()},
        measured={
            key: tf.constant(np.asarray(measured[key][kept])) for key in teacher.KEYS
        },
    )
