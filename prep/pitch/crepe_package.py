"""What programs call under the name `crepe`, with this project's own network behind it.

`ddsp_compat` offers this module as `crepe` and `crepe.core` where the crepe package is
not installed. Names, arguments, shapes and meanings are those of crepe 0.0.12 and
later. What
differs: nothing is printed (`verbose` logs a line), other sample rates are converted by
soxr instead of resampy, and audio shorter than a frame without centring is an error
instead of a read behind the array's end.

Source: Kim, Salamon, Li and Bello's crepe package, the interface only.
"""

import functools
from typing import Any

import numpy as np
from absl import logging

from prep.pitch import keras_model
from prep.pitch import network as crepe_network
from prep.pitch import tracker
from prep.pitch import viterbi as pitch_viterbi
from prep.pitch import weights as crepe_weights

__all__ = [
    "build_and_load_model",
    "get_activation",
    "model_srate",
    "models",
    "predict",
    "to_local_average_cents",
    "to_viterbi_cents",
]

model_srate = crepe_network.SAMPLE_RATE
# Keras models by capacity, None before they are asked for. ddsp resets the entries to
# None, because a model belongs to the graph and the strategy that it was built in.
models: dict[str, Any] = dict.fromkeys(crepe_weights.CAPACITIES)


def build_and_load_model(model_capacity: str) -> Any:
    """The published network as a Keras model, with the published layer names.

    Args:
        model_capacity: `full` or `tiny`; others only with an installed crepe package.

    Returns:
        A model of normalised frames [n_frames, 1024], built once until `models` is
        reset.

    Raises:
        ValueError: If there is no such capacity.
        FileNotFoundError: If no installed package has the weights.
    """
    if models.get(model_capacity) is None:
        weights = crepe_weights.load_weights(model_capacity)
        models[model_capacity] = keras_model.build_model(weights)
    return models[model_capacity]


@functools.lru_cache(maxsize=1)
def _network(model_capacity: str) -> crepe_network.CrepeNetwork:
    """The fast network; the last one asked for is kept, it is a few hundred MB."""
    return crepe_network.CrepeNetwork(model_capacity)


def get_activation(
    audio: np.ndarray,
    sr: int,
    model_capacity: str = "full",
    center: bool = True,
    step_size: float = 10,
    verbose: int = 1,
) -> np.ndarray:
    """The raw activations of an audio signal.

    Args:
        audio: Shape [n_samples] or [n_samples, n_channels], mixed down.
        sr: Its sample rate; other than 16000 is converted.
        model_capacity: See `build_and_load_model`.
        center: Whether frame i is centred on its time or begins there.
        step_size: Milliseconds between frames.
        verbose: Above 0 logs what is being done.

    Returns:
        Float32 [n_frames, 360].

    Raises:
        ValueError: If the audio is too short, not finite or of a wrong shape.
    """
    audio = np.asarray(audio)
    if audio.ndim == 2:
        audio = audio.mean(axis=1)
    audio = audio.astype(np.float32)
    if sr != model_srate:
        import soxr  # only audio of another rate needs it

        audio = soxr.resample(audio, sr, model_srate)
    hop_size = int(model_srate * step_size / 1000)
    if verbose:
        logging.info("CREPE %s: %.1f s of audio", model_capacity, len(audio) / 16000)
    network = _network(model_capacity)
    return network.activations(audio, hop_size, center=center)


def to_local_average_cents(
    salience: np.ndarray, center: int | None = None
) -> np.ndarray:
    """The average cents near the strongest bin, weighted by activation.

    Args:
        salience: One frame [360] or many [n_frames, 360].
        center: The bin to look around, for one frame only.

    Returns:
        Cents above 10 Hz, a number or [n_frames]; NaN where all activations are 0.

    Raises:
        ValueError: If the shape is neither.
    """
    salience = np.asarray(salience)
    if salience.ndim not in (1, 2):
        raise ValueError(
            f"salience has shape {salience.shape}; 1 or 2 axes are allowed."
        )
    if salience.ndim == 2:
        return tracker.local_average_cents(salience, salience.argmax(axis=1))
    bins = np.array([salience.argmax() if center is None else center])
    return tracker.local_average_cents(salience[np.newaxis], bins)[0]


def to_viterbi_cents(salience: np.ndarray) -> np.ndarray:
    """The average cents along the most likely path, [n_frames, 360] -> [n_frames]."""
    path = pitch_viterbi.viterbi_path(np.argmax(salience, axis=1))
    return tracker.local_average_cents(np.asarray(salience), path)


def predict(
    audio: np.ndarray,
    sr: int,
    model_capacity: str = "full",
    viterbi: bool = False,
    center: bool = True,
    step_size: float = 10,
    verbose: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tracks the pitch of an audio signal.

    Args:
        audio: Shape [n_samples] or [n_samples, n_channels], mixed down.
        sr: Its sample rate; other than 16000 is converted.
        model_capacity: See `build_and_load_model`.
        viterbi: Whether to smooth the pitch with the hidden Markov model.
        center: Whether frame i is centred on its time or begins there.
        step_size: Milliseconds between frames.
        verbose: Above 0 logs what is being done.

    Returns:
        Times in seconds, frequencies in Hz (0 where all activations are 0),
        confidences, each [n_frames], and the activations [n_frames, 360].
    """
    activation = get_activation(
        audio,
        sr,
        model_capacity=model_capacity,
        center=center,
        step_size=step_size,
        verbose=verbose,
    )
    decode = to_viterbi_cents if viterbi else to_local_average_cents
    frequency = np.nan_to_num(tracker.cents_to_hz(decode(activation)), nan=0.0)
    time = np.arange(len(activation)) * step_size / 1000.0
    return time, frequency, activation.max(axis=1), activation
