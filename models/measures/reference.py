"""Controls of recordings, measured: what a model's are judged against.

A clarinet has few harmonics and a held note hardly moves; whether a model's controls
have collapsed can only be said against the instrument's own. They are measured by
`models.measures.measured_controls` and handed on as the arrays that metrics read.
"""

from collections.abc import Mapping

import numpy as np

from models.measures import control_arrays
from models.measures import distributions
from models.measures import measured_controls


def measure_controls(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    frame_rate: int,
    n_harmonics: int,
) -> control_arrays.ControlArrays:
    """Measures a recording's controls.

    Args:
        audio: Mono signal in [-1, 1]. Shape [n_samples].
        f0_hz: Tracked fundamental in Hz; NaN or 0 without pitch. Shape [n_frames].
        sample_rate: Hz; a multiple of `frame_rate`.
        frame_rate: Frames per second.
        n_harmonics: Harmonics to measure; those above Nyquist are zero.

    Returns:
        The measured controls, `f0_hz` corrected; a frame without pitch is all noise,
        and no frame has more noise than sound.

    Raises:
        ValueError: If the rates do not divide or f0 has more frames than the audio.
    """
    measured = measured_controls.measure(
        audio,
        f0_hz,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
        n_harmonics=n_harmonics,
    )
    # Read between the harmonics, noise is an estimate; all that sounds bounds it.
    noise = np.minimum(measured.noise_power, measured.power)
    noise = np.where(np.isfinite(measured.f0_hz), noise, measured.power)
    return control_arrays.ControlArrays(
        f0_hz=measured.f0_hz,
        amps=measured.amps,
        harmonic_distribution=distributions.normalise(
            measured.amplitudes, f0_hz=measured.f0_hz, sample_rate=sample_rate
        ),
        noise_power=noise,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )


def measure_batch(
    batch: Mapping[str, np.ndarray], *, sample_rate: int, n_harmonics: int
) -> list[control_arrays.ControlArrays]:
    """Measures the recordings of a batch.

    Args:
        batch: `audio` [batch, n_samples] and `f0_hz` [batch, n_frames, 1].
        sample_rate: Samples a second.
        n_harmonics: As many as the model has.

    Returns:
        Controls, recording by recording.
    """
    f0_hz = batch["f0_hz"].reshape(len(batch["audio"]), -1)
    hop_size = batch["audio"].shape[1] // f0_hz.shape[1]
    return [
        measure_controls(
            audio,
            f0,
            sample_rate=sample_rate,
            frame_rate=sample_rate // hop_size,
            n_harmonics=n_harmonics,
        )
        for audio, f0 in zip(batch["audio"], f0_hz, strict=True)
    ]
