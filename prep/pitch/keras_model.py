"""The published CREPE network as a Keras model, with the published weights.

This is the plain way to compute it, slow and differentiable: what ddsp's pretrained
losses need, and the reference that `prep.pitch.network` is tested against. Layer names
are the published ones, because `ddsp.losses.PretrainedCREPE` picks layers by name.
Input are frames of 1024 samples at 16 kHz that the caller has brought to mean 0 and
deviation 1.

Source: Kim, Salamon, Li and Bello, "CREPE: A Convolutional Representation for Pitch
    Estimation", ICASSP 2018, fig. 1.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from prep.pitch import weights as crepe_weights

FRAME_SIZE = crepe_weights.FRAME_SIZE
DROPOUT_RATE = 0.25


def build_model(weights: crepe_weights.CrepeWeights) -> Any:
    """Builds the network and gives it its weights.

    Args:
        weights: What `crepe_weights.load_weights` returns.

    Returns:
        A compiled `tf.keras.Model`, [n_frames, 1024] -> [n_frames, 360].
    """
    keras = tf.keras
    frames = keras.layers.Input(shape=(FRAME_SIZE,), name="input", dtype="float32")
    hidden = keras.layers.Reshape((FRAME_SIZE, 1, 1), name="input-reshape")(frames)
    for number in range(1, crepe_weights.N_LAYERS + 1):
        hidden = _convolution_block(hidden, number, weights=weights)
    hidden = keras.layers.Permute((2, 1, 3), name="transpose")(hidden)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    activations = keras.layers.Dense(
        crepe_weights.N_BINS, activation="sigmoid", name="classifier"
    )(hidden)
    model = keras.Model(inputs=frames, outputs=activations)
    _set_weights(model, weights)
    model.compile("adam", "binary_crossentropy")
    return model


def _convolution_block(
    hidden: Any, number: int, *, weights: crepe_weights.CrepeWeights
) -> Any:
    """Convolution, ReLU, normalisation, pooling by two; dropout, which is off."""
    layers = tf.keras.layers
    width, _, n_out = weights.convolutions[number - 1].kernel.shape
    hidden = layers.Conv2D(
        n_out,
        (width, 1),
        strides=(4 if number == 1 else 1, 1),
        padding="same",
        activation="relu",
        name=f"conv{number}",
    )(hidden)
    hidden = layers.BatchNormalization(
        epsilon=crepe_weights.BATCH_NORM_EPSILON, name=f"conv{number}-BN"
    )(hidden)
    hidden = layers.MaxPool2D((2, 1), padding="valid", name=f"conv{number}-maxpool")(
        hidden
    )
    return layers.Dropout(DROPOUT_RATE, name=f"conv{number}-dropout")(hidden)


def _set_weights(model: Any, weights: crepe_weights.CrepeWeights) -> None:
    for number, layer in enumerate(weights.convolutions, start=1):
        convolution = model.get_layer(f"conv{number}")
        convolution.set_weights([layer.kernel[:, np.newaxis], layer.bias])
        model.get_layer(f"conv{number}-BN").set_weights(
            [layer.gamma, layer.beta, layer.mean, layer.variance]
        )
    classifier = model.get_layer("classifier")
    classifier.set_weights([weights.classifier_kernel, weights.classifier_bias])


def cut_frames(audio_16k: np.ndarray, hop_size: int, *, center: bool) -> np.ndarray:
    """Cuts audio into frames as the crepe package does.

    Args:
        audio_16k: Shape [n_samples], float32.
        hop_size: Samples between frames.
        center: Whether frame i is centred on sample `i * hop_size` (zeros beyond the
            ends) or begins there.

    Returns:
        Copied frames, [n_frames, 1024]; `n_frames` is `1 + (n_padded - 1024) //
        hop_size`.

    Raises:
        ValueError: If there is not one whole frame.
    """
    if center:
        audio_16k = np.pad(audio_16k, FRAME_SIZE // 2)
    if len(audio_16k) < FRAME_SIZE:
        raise ValueError(
            f"The audio has {len(audio_16k)} samples at 16 kHz; without centring a "
            f"frame needs {FRAME_SIZE}. Pad it, or use center=True."
        )
    windows = np.lib.stride_tricks.sliding_window_view(audio_16k, FRAME_SIZE)
    return windows[::hop_size].copy()


def normalize_frames(frames: np.ndarray, *, dtype: type = np.float32) -> np.ndarray:
    """Brings each frame to mean 0 and deviation 1, as the crepe package does.

    Args:
        frames: Shape [n_frames, 1024].
        dtype: Precision of mean and deviation; crepe uses float32, which is noise when
            a faint signal sits on a large offset.

    Returns:
        Normalised copies, float32; a constant frame becomes zeros.
    """
    frames = frames.astype(dtype)
    frames = frames - frames.mean(axis=1, keepdims=True)
    deviation = np.clip(
        frames.std(axis=1, keepdims=True), crepe_weights.MIN_DEVIATION, None
    )
    return (frames / deviation).astype(np.float32)
