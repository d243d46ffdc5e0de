"""How well an exported run agrees with the model it was made from.

All files are loaded again from disk and played beside the model, whose own sequence
form is the reference.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import ddsp
import numpy as np
import tensorflow as tf

from models import autoencoder
from models.export import onnx
from models.streaming import block_model
from models.streaming import block_noise
from models.streaming import lite
from models.synths import harmonic as harmonic_synth

N_FRAMES = 130  # no multiple of the exported block
BATCH_SIZE = 2


def make_features(
    n_frames: int, batch_size: int, *, level_key: str = "loudness_db"
) -> dict[str, np.ndarray]:
    """Features that glide, swell and pause; [batch_size, n_frames] each."""
    frame = np.arange(n_frames)
    row = np.arange(batch_size)[:, np.newaxis]
    voiced = (frame // 40 + row) % 3 > 0
    return {
        "f0_hz": (220.0 * 2.0 ** (row / 3 + np.sin(frame / 20.0) / 2)).astype("f"),
        level_key: np.where(voiced, -30.0 + 8.0 * np.cos(frame / 11.0), -70.0).astype(
            "f"
        ),
        "f0_confidence": np.where(voiced, 0.95, 0.05).astype("f"),
    }


def reference(
    model: autoencoder.LadderAutoencoder,
    features: dict[str, np.ndarray],
    noise: np.ndarray,
) -> dict[str, np.ndarray]:
    """Computes controls and dry audio by the model's sequence form.

    Args:
        model: The model.
        features: [batch, n_frames] each.
        noise: [batch, n_samples].

    Returns:
        Controls by name, `harmonic`, `noise_audio` and `reverb`.
    """
    # Controls of the sequence, and its harmonics and noise by the synths' functions.
    batch = {
        key: tf.constant(value[..., np.newaxis]) for key, value in features.items()
    }
    controls = model.decode(batch)["controls"]
    settings = block_model.synth_settings(model)
    harmonic = harmonic_synth.synthesize_harmonics(
        controls["amps"] * controls["harmonic_distribution"],
        controls["f0_hz"],
        n_samples=noise.shape[1],
        sample_rate=settings.sample_rate,
        fade=settings.amplitude_method,
    )
    filtered = ddsp.core.frequency_filter(
        noise, controls["noise_magnitudes"], window_size=settings.noise_window
    )

    # The reverb's part alone: the response starts after the direct sound.
    response = block_model.impulse_response(model)
    wet = ddsp.core.fft_convolve(
        harmonic + filtered,
        np.repeat(response[np.newaxis], len(noise), axis=0),
        delay_compensation=0,
    )
    outputs = {**controls, "harmonic": harmonic, "noise_audio": filtered, "reverb": wet}
    return {key: np.asarray(value) for key, value in outputs.items()}


def measure(
    model: autoencoder.LadderAutoencoder, folder: pathlib.Path
) -> dict[str, float]:
    """Largest absolute differences between files and model.

    Args:
        model: The model.
        folder: With what `models.export.writer` wrote.

    Returns:
        By what was compared: `decoder <control>`, `synth <stem>`, `step <stem>`,
        and `onnx <stem>` where that step was written and can be run.
    """
    # Features and noise that all sides are given, and what the model makes of them.
    hop = block_model.synth_settings(model).hop_size
    level_key = model.conditioning.level.feature
    features = make_features(N_FRAMES, BATCH_SIZE, level_key=level_key)
    source = block_noise.WhiteNoise(1)
    noise = np.stack(
        [source.span(n * 10**6, N_FRAMES * hop) for n in range(BATCH_SIZE)]
    )
    expected = reference(model, features, noise)

    # The SavedModels, over the whole sequence at once.
    decoder = tf.saved_model.load(str(folder / "decoder")).signatures["serving_default"]
    synth = tf.saved_model.load(str(folder / "synth")).signatures["serving_default"]
    tensors = {key: tf.constant(value) for key, value in features.items()}
    controls = decoder(**tensors)
    played = synth(**tensors, noise=tf.constant(noise), reverb_gain=tf.constant(1.0))
    differences = {
        f"decoder {key}": _largest(controls[key], expected[key]) for key in controls
    }
    for key in ("harmonic", "noise_audio", "reverb"):
        differences[f"synth {key}"] = _largest(played[key], expected[key])

    # The step forms, frame by frame.
    runners: dict[str, lite.LiteRunner | onnx.OnnxRunner] = {
        "step": lite.LiteRunner((folder / "step.tflite").read_bytes())
    }
    if (folder / onnx.NAME).exists() and onnx.can_run():
        runners["onnx"] = onnx.OnnxRunner(folder / onnx.NAME)
    for name, runner in runners.items():
        stepped = _play_steps(model, runner, features=features, noise=noise)
        for key, audio in stepped.items():
            found = expected[key][0, : len(audio)]
            differences[f"{name} {key}"] = _largest(audio, found)
    return differences


def _largest(found: Any, expected: np.ndarray) -> float:
    """Largest absolute difference."""
    return float(np.max(np.abs(np.asarray(found) - expected)))


def _play_steps(
    model: autoencoder.LadderAutoencoder,
    run: Callable[..., list[np.ndarray]],
    *,
    features: dict[str, np.ndarray],
    noise: np.ndarray,
) -> dict[str, np.ndarray]:
    """The first row of a batch through the exported step, frame by frame."""
    block = block_model.BlockModel(model)
    step = lite.FlatStep(block)
    hop, late = block.hop_size, block.controls.latency_frames
    padded = np.concatenate([np.zeros(late * hop, np.float32), noise[0]])
    state, parts = np.zeros(step.n_state, np.float32), []
    for frame in range(features["f0_hz"].shape[1]):
        now = {
            key: features[key][0, frame : frame + 1]
            for key in block.controls.feature_keys
        }
        drawn = padded[frame * hop : (frame + 1) * hop]
        harmonic, filtered, state = run(**now, noise=drawn, state=state)
        parts.append((harmonic, filtered))
    lag = block.latency_frames * hop
    names = ("harmonic", "noise_audio")
    joined = zip(names, zip(*parts, strict=True), strict=True)
    return {name: np.concatenate(audio)[lag:] for name, audio in joined}
