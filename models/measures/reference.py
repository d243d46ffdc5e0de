"""Statistics of the recordings' own controls: what a model's are judged against.

A flute has few harmonics and a held note hardly moves, so whether controls have
collapsed can only be said against the instrument's own.
"""

import numpy as np

from models.measures import measured_controls
from models.measures import statistics

_TINY = 1e-12  # amplitude of silence


def reference_statistics(
    batch: dict[str, np.ndarray],
    *,
    counted: np.ndarray,
    sample_rate: int,
    n_harmonics: int,
) -> dict[str, float]:
    """Computes `statistics.statistics` of the recordings themselves.

    Args:
        batch: `audio` [batch, n_samples] and `f0_hz` [batch, n_frames, 1].
        counted: Frames that count, [batch, n_frames].
        sample_rate: Samples a second.
        n_harmonics: As many as the model has.

    Returns:
        The same names.
    """
    f0_hz = batch["f0_hz"].reshape(counted.shape)
    hop_size = batch["audio"].shape[1] // counted.shape[1]
    measured = [
        measured_controls.measure(
            audio,
            f0,
            sample_rate=sample_rate,
            frame_rate=sample_rate // hop_size,
            n_harmonics=n_harmonics,
        )
        for audio, f0 in zip(batch["audio"], f0_hz, strict=True)
    ]
    amplitudes = np.stack([item.amplitudes for item in measured])
    total = amplitudes.sum(-1)
    controls = statistics.Controls(
        amps=total,
        harmonic_distribution=amplitudes / np.maximum(total, _TINY)[..., np.newaxis],
        noise_magnitudes=np.stack([item.noise_magnitudes for item in measured]),
        f0_hz=f0_hz,
    )
    return statistics.statistics(controls, counted=counted, sample_rate=sample_rate)
