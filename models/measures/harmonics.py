"""Harmonics of a recording, measured around its pitch: what a model is judged against.

A flute has few harmonics and a held note hardly moves, so whether controls have
collapsed can only be said against the instrument's own. This is the small, quick
measurement that training uses; `evaluation.analysis.recording` measures with more care.

Each frame is projected on multiples of f0 under a Hann window of four periods: wide
enough to part the harmonics, whose main lobes then just touch, and narrow enough that
a tracker's error of a few cents does not lose the high ones.
"""

import dataclasses

import numpy as np

from models.measures import statistics

PERIODS = 4.0  # of f0 in a window: the main lobe spans the gap to the neighbours
MIN_F0_HZ = 30.0  # below it there is no pitch to measure around
MAX_HARMONICS = 200  # measured at most, whatever lies below Nyquist
# Share of white noise that projections on every harmonic below Nyquist take up: each
# takes 2 * 1.5 / L of the noise power (1.5 bins: a Hann window of L samples), and
# there are L / (2 * PERIODS) of them.
_NOISE_TAKEN_UP = 2 * 1.5 / (2 * PERIODS)
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Measured:
    """Harmonics of some frames.

    Attributes:
        amplitudes: Linear, of sines, [n_frames, n_harmonics]; 0 above Nyquist.
        power: Mean square under the window, [n_frames].
        noise_power: What of it is in no harmonic, 0 to `power`, [n_frames].
    """

    amplitudes: np.ndarray
    power: np.ndarray
    noise_power: np.ndarray


def measure(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    hop_size: int,
    n_harmonics: int,
) -> Measured:
    """Measures the harmonics of one recording.

    Args:
        audio: Mono, [n_samples].
        f0_hz: Hz; frame i is centred on sample i * hop_size, [n_frames].
        sample_rate: Samples a second.
        hop_size: Samples between frames.
        n_harmonics: How many to return.

    Returns:
        Amplitudes and powers of each frame.
    """
    f0_hz = np.maximum(np.nan_to_num(f0_hz), MIN_F0_HZ)
    half = int(np.ceil(0.5 * PERIODS * sample_rate / f0_hz.min()))
    offsets = np.arange(-half, half + 1)
    centres = np.arange(len(f0_hz)) * hop_size
    padded = np.pad(np.asarray(audio, np.float32), (half, half + hop_size))
    frames = padded[centres[:, np.newaxis] + half + offsets]  # [n_frames, n_window]
    cycles = offsets / sample_rate * f0_hz[:, np.newaxis]
    window = np.where(
        np.abs(cycles) < 0.5 * PERIODS,
        0.5 + 0.5 * np.cos(2 * np.pi * cycles / PERIODS),
        0,
    )
    n_below = statistics.valid_harmonics(
        f0_hz, sample_rate=sample_rate, n_harmonics=MAX_HARMONICS
    )
    amplitudes = (
        _project(frames * window, cycles, n_below) / window.sum(-1)[:, np.newaxis]
    )
    power = np.sum(np.square(frames) * window, -1) / window.sum(-1)
    rest = power - 0.5 * np.sum(np.square(amplitudes), -1)
    noise = rest / (1.0 - _NOISE_TAKEN_UP)
    kept = amplitudes[:, :n_harmonics]
    missing = n_harmonics - kept.shape[1]
    return Measured(
        amplitudes=np.pad(kept, ((0, 0), (0, max(missing, 0)))),
        power=power,
        noise_power=np.clip(noise, 0.0, power),
    )


def _project(
    windowed: np.ndarray, cycles: np.ndarray, n_below: np.ndarray
) -> np.ndarray:
    """Twice the size of each frame's sum against every harmonic below Nyquist."""
    turn = np.exp(-2j * np.pi * cycles).astype(np.complex64)
    phasor = np.ones_like(turn)
    sizes = []
    for harmonic in range(1, int(n_below.max(initial=0)) + 1):
        phasor = phasor * turn
        size = 2.0 * np.abs(np.sum(windowed * phasor, axis=-1))
        sizes.append(np.where(harmonic <= n_below, size, 0.0))
    return np.stack(sizes, axis=-1) if sizes else np.zeros((len(windowed), 1))


def reference_statistics(
    batch: dict[str, np.ndarray],
    *,
    counted: np.ndarray,
    sample_rate: int,
    n_harmonics: int,
) -> dict[str, float]:
    """`control_statistics.statistics` of the recordings themselves.

    Args:
        batch: `audio` [batch, n_samples] and `f0_hz` [batch, n_frames, 1].
        counted: Frames that count, [batch, n_frames].
        sample_rate: Samples a second.
        n_harmonics: As many as the model has.

    Returns:
        The same names, `noise_share` from what the harmonics leave over.
    """
    f0_hz = batch["f0_hz"].reshape(counted.shape)
    hop_size = batch["audio"].shape[1] // counted.shape[1]
    measured = [
        measure(
            audio,
            f0,
            sample_rate=sample_rate,
            hop_size=hop_size,
            n_harmonics=n_harmonics,
        )
        for audio, f0 in zip(batch["audio"], f0_hz, strict=True)
    ]
    amplitudes = np.stack([item.amplitudes for item in measured])
    total = amplitudes.sum(-1)
    controls = statistics.Controls(
        amps=total,
        harmonic_distribution=amplitudes / np.maximum(total, _TINY)[..., np.newaxis],
        noise_magnitudes=None,
        f0_hz=f0_hz,
    )
    found = statistics.statistics(controls, counted=counted, sample_rate=sample_rate)
    noise = np.stack([item.noise_power for item in measured])[counted].sum()
    power = np.stack([item.power for item in measured])[counted].sum()
    found["noise_share"] = float(noise / power) if power > 0 else float("nan")
    return found
