"""First layers that see the data's own range, not the scale of all music.

A flute's pitch spans a third of `f0_scaled`, its loudness a fifth of `ld_scaled`: first
layers drawn for inputs between -1 and 1 hardly tell its notes apart, and with ddsp's
biases of zero a layer-normalised stack of one input is deaf to all but its sign. Here
weights are drawn for standardised inputs and biases so that each unit bends at a value
that occurs in the data. Names, shapes and what a checkpoint holds stay the same.

Source: own; data-dependent initialisation after Krähenbühl et al., ICLR 2016.
"""

import numpy as np
import tensorflow as tf

MIN_DEVIATION = 0.01  # of an input; one that stands still is not blown up


def fit(decoder: tf.keras.layers.Layer, inputs: dict[str, tf.Tensor], *, seed: int):
    """Draws the first layers anew.

    Args:
        decoder: A built decoder; one that names no `first_layers` stays as it is.
        inputs: Values of its input keys over the training data, [..., 1].
        seed: Of the drawing.
    """
    rng = np.random.default_rng(seed)
    values = [np.asarray(inputs[key]).reshape(-1) for key in decoder.input_keys]
    for layer, places in decoder.first_layers():
        kernel, bias = layer.kernel, layer.bias
        n_units = kernel.shape[-1]
        columns = np.stack([values[place] for place in places], axis=1)
        deviation = np.maximum(columns.std(axis=0), MIN_DEVIATION)
        drawn = rng.uniform(-1.0, 1.0, [len(places), n_units])
        drawn *= np.sqrt(3.0 / len(places)) / deviation[:, np.newaxis]
        bends = columns[rng.integers(0, len(columns), n_units)]
        new = np.array(kernel)
        new[: len(places)] = drawn
        kernel.assign(new)
        bias.assign(-np.sum(bends.T * drawn, axis=0))
