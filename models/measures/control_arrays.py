"""Synthesiser controls of one clip as plain arrays, for all that is measured of them.

The same class holds the controls that a model predicts (`from_model`) and those
measured from a recording (`models.measures.reference`), so that one metric reads both.
All controls are *scaled* (linear amplitudes), one value a frame, frame i centred on
sample i * hop_size. Harmonics at or above Nyquist are zero and the rest sums to one, as
the synthesiser plays them. NaN in `f0_hz` means that the frame has no pitch. Silence is
an amplitude of zero, never NaN.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.measures import distributions
from models.measures import levels


@dataclasses.dataclass(frozen=True)
class ControlArrays:
    """Scaled controls of one clip.

    Attributes:
        f0_hz: Fundamental frequency in Hz; NaN without pitch. Shape [n_frames].
        amps: Overall harmonic amplitude, linear. Shape [n_frames].
        harmonic_distribution: Share of each harmonic in the amplitude; rows sum to
            one, or to zero without pitch. Shape [n_frames, n_harmonics].
        noise_power: Mean square of the noise part. Shape [n_frames].
        sample_rate: Of the audio, Hz.
        frame_rate: Of the controls, frames per second.
    """

    f0_hz: np.ndarray
    amps: np.ndarray
    harmonic_distribution: np.ndarray
    noise_power: np.ndarray
    sample_rate: int
    frame_rate: int

    def __post_init__(self) -> None:
        """Checks that all arrays have the same number of frames."""
        n_frames = self.f0_hz.shape[0]
        shapes = {
            name: np.shape(getattr(self, name))
            for name in ("f0_hz", "amps", "harmonic_distribution", "noise_power")
        }
        if any(shape[:1] != (n_frames,) for shape in shapes.values()) or (
            self.harmonic_distribution.ndim != 2
        ):
            raise ValueError(
                f"controls of one clip need [n_frames] curves and an [n_frames, "
                f"n_harmonics] distribution of the same length; got {shapes}"
            )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.f0_hz.shape[0]

    @property
    def valid_harmonics(self) -> np.ndarray:
        """Marks the harmonics below Nyquist. Shape [n_frames, n_harmonics], bool."""
        return distributions.below_nyquist(
            self.f0_hz,
            n_harmonics=self.harmonic_distribution.shape[1],
            sample_rate=self.sample_rate,
        )

    @property
    def n_below_nyquist(self) -> np.ndarray:
        """Number of harmonics that fit below Nyquist, however many the controls have.

        Shape [n_frames], int; 0 without pitch.
        """
        limit = np.nan_to_num(self.sample_rate / 2 / self.f0_hz)
        return np.maximum(np.ceil(limit).astype(int) - 1, 0)

    @property
    def has_harmonics(self) -> np.ndarray:
        """Frames with an audible harmonic below Nyquist. Shape [n_frames], bool."""
        return self.harmonic_distribution.sum(axis=1) > 0

    @property
    def harmonic_power(self) -> np.ndarray:
        """Mean square of the harmonic part. Shape [n_frames]."""
        squares = np.sum(np.square(self.harmonic_distribution), axis=1)
        return 0.5 * np.square(self.amps) * squares

    @property
    def power(self) -> np.ndarray:
        """Mean square of both parts together. Shape [n_frames]."""
        return self.harmonic_power + self.noise_power


def widen(clip: ControlArrays, *, n_harmonics: int) -> ControlArrays:
    """Adds silent harmonics, so that clips of different pitch have the same width.

    Args:
        clip: ControlArrays with at most so many harmonics.
        n_harmonics: Width of the result.

    Raises:
        ValueError: If the clip has more harmonics.
    """
    missing = n_harmonics - clip.harmonic_distribution.shape[1]
    if missing < 0:
        raise ValueError(
            f"the clip has {n_harmonics - missing} harmonics, more than {n_harmonics}"
        )
    padded = np.pad(clip.harmonic_distribution, ((0, 0), (0, missing)))
    return dataclasses.replace(clip, harmonic_distribution=padded)


def noise_power(noise_magnitudes: np.ndarray) -> np.ndarray:
    """Mean square of the noise that the filter bank plays.

    ddsp filters uniform noise of mean square 1/3; a filter multiplies the power by the
    mean of its squared response, whose samples the magnitudes are (the first and the
    last of them, at 0 Hz and at Nyquist, border half a band).

    Args:
        noise_magnitudes: Scaled magnitudes, linear. Shape [..., n_noise_bands].

    Returns:
        Power a frame. Shape [...].

    Source:
        own; agrees with ddsp.synths.FilteredNoise within 1 dB (tested), where its
        window smooths the response.
    """
    squares = np.square(np.asarray(noise_magnitudes, np.float64))
    weights = np.ones(squares.shape[-1])
    if weights.size > 1:
        weights[[0, -1]] = 0.5
    return levels.UNIFORM_NOISE_POWER * squares @ weights / weights.sum()


def from_model(
    outputs: Mapping[str, Any], *, sample_rate: int, frame_rate: int
) -> ControlArrays:
    """Takes the controls of one clip from a model's `controls` dictionary.

    Args:
        outputs: `amps`, `harmonic_distribution`, `f0_hz` and, where the model has a
            noise part, `noise_magnitudes`; one clip without batch axis, shapes
            [n_frames, 1] or [n_frames, n_channels].
        sample_rate: Hz.
        frame_rate: Frames per second.

    Returns:
        The controls, masked and normalised.

    Raises:
        KeyError: If a control is missing.
    """
    missing = {"amps", "harmonic_distribution", "f0_hz"} - set(outputs)
    if missing:
        raise KeyError(
            f"the model's controls lack {sorted(missing)}; they have {sorted(outputs)}"
        )
    # 0 Hz and NaN both mean no pitch; the arrays have NaN.
    f0_hz = _curve(outputs["f0_hz"])
    f0_hz = np.where(f0_hz > 0, f0_hz, np.nan)

    # Noise as power, at the frames of the other controls.
    magnitudes = outputs.get("noise_magnitudes")
    noise = np.zeros_like(f0_hz)
    if magnitudes is not None:
        noise = nearest_frames(noise_power(magnitudes), n_frames=f0_hz.size)
    return ControlArrays(
        f0_hz=f0_hz,
        amps=_curve(outputs["amps"]),
        harmonic_distribution=distributions.normalise(
            outputs["harmonic_distribution"], f0_hz=f0_hz, sample_rate=sample_rate
        ),
        noise_power=noise,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )


def _curve(values: np.ndarray) -> np.ndarray:
    """Drops the channel axis of a one-channel control."""
    values = np.asarray(values, np.float64)
    return values[:, 0] if values.ndim == 2 else values


def nearest_frames(values: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Takes the nearest frames; ddsp allows the noise another frame rate.

    Args:
        values: One row a frame. Shape [n_other_frames, ...].
        n_frames: Frames of the result.
    """
    if len(values) == n_frames:
        return values
    return values[np.arange(n_frames) * len(values) // n_frames]


def typical_distribution(
    clips: Sequence[ControlArrays], counted: Sequence[np.ndarray]
) -> np.ndarray:
    """Averages the harmonic distribution over clips.

    Args:
        clips: Controls clip by clip.
        counted: Frames that count, clip by clip. Shape [n_frames] each, bool.

    Returns:
        Mean share of each harmonic over the frames in which it lies below Nyquist;
        zero where there is none. Shape [n_harmonics].
    """
    pairs = list(zip(clips, counted, strict=True))
    total = sum(
        clip.harmonic_distribution[frames].sum(axis=0) for clip, frames in pairs
    )
    count = sum(clip.valid_harmonics[frames].sum(axis=0) for clip, frames in pairs)
    return np.divide(total, count, out=np.zeros(len(total)), where=count > 0)


def diversity(
    clip: ControlArrays, counted: np.ndarray, *, typical: np.ndarray
) -> float:
    """Measures how far a clip's mean distribution is from the typical one.

    The typical distribution is cut where the clip's own frames are, so that pitch
    alone is no diversity.

    Args:
        clip: Controls of the clip.
        counted: Frames that count, at least one. Shape [n_frames], bool.
        typical: From `typical_distribution`.

    Returns:
        Jensen-Shannon divergence, bits in [0, 1].
    """
    shares = clip.harmonic_distribution[counted]
    expected = distributions.normalise(
        np.broadcast_to(typical, shares.shape),
        f0_hz=clip.f0_hz[counted],
        sample_rate=clip.sample_rate,
    )
    return float(
        distributions.jensen_shannon(shares.mean(axis=0), expected.mean(axis=0))
    )
