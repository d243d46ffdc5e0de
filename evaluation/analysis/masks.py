"""Synthesiser controls of one clip as plain arrays, and the masks metrics count under.

The same class holds the controls that a model predicts and those measured from a
recording (`evaluation.analysis.recording`), so that one metric reads both. All controls
are *scaled* (linear amplitudes), one value a frame, frame i centred on sample i *
hop_size. Harmonics at or above Nyquist are zero and the rest sums to one, as the
synthesiser plays them. NaN in `f0_hz` means that the frame has no pitch. Silence is an
amplitude of zero, never NaN.
"""

import dataclasses

import numpy as np

MIN_CONFIDENCE = 0.5  # CREPE confidence from which a frame counts as pitched
AUDIBLE_RANGE_DB = 40.0  # dB below a clip's loudest frame that still count
AUDIBLE_FLOOR_DB = -70.0  # dB, A-weighted loudness; the scale's floor is -80
MIN_LEVEL_STD_DB = 1.0  # dB; a recording whose level varies less has none to follow
MIN_FRAMES = 10  # frames; fewer (40 ms) carry no statistics of a movement
SILENT_SHARE = 1e-8  # of power; 80 dB below: what counts as no sound at all
UNIFORM_NOISE_POWER = 1.0 / 3.0  # mean square of U(-1, 1), what ddsp filters


@dataclasses.dataclass(frozen=True)
class Controls:
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
        """Which harmonics lie below Nyquist. Shape [n_frames, n_harmonics], bool."""
        return below_nyquist(
            self.f0_hz,
            n_harmonics=self.harmonic_distribution.shape[1],
            sample_rate=self.sample_rate,
        )

    @property
    def n_below_nyquist(self) -> np.ndarray:
        """How many harmonics fit below Nyquist, however many there are controls for.

        Shape [n_frames], int; 0 without pitch.
        """
        limit = np.nan_to_num(self.sample_rate / 2 / self.f0_hz, nan=0.0)
        return np.maximum(np.ceil(limit).astype(int) - 1, 0)

    @property
    def harmonic_power(self) -> np.ndarray:
        """Mean square of the harmonic part. Shape [n_frames]."""
        squares = np.sum(np.square(self.harmonic_distribution), axis=1)
        return 0.5 * np.square(self.amps) * squares

    @property
    def power(self) -> np.ndarray:
        """Mean square of both parts together. Shape [n_frames]."""
        return self.harmonic_power + self.noise_power


def below_nyquist(
    f0_hz: np.ndarray, *, n_harmonics: int, sample_rate: int
) -> np.ndarray:
    """Tells which harmonics can be played.

    Args:
        f0_hz: Fundamental frequency in Hz; NaN or 0 without pitch. Shape [n_frames].
        n_harmonics: Number of harmonics, counted from the fundamental.
        sample_rate: Hz.

    Returns:
        True below Nyquist, False without pitch. Shape [n_frames, n_harmonics].

    Source:
        ddsp.core.remove_above_nyquist, which zeroes at and above the same limit.
    """
    pitched = np.nan_to_num(np.asarray(f0_hz, np.float64), nan=0.0)
    frequencies = pitched[:, np.newaxis] * np.arange(1, n_harmonics + 1)
    return (frequencies < sample_rate / 2) & (frequencies > 0)


def normalise_distribution(
    distribution: np.ndarray, *, f0_hz: np.ndarray, sample_rate: int
) -> np.ndarray:
    """Zeroes what lies above Nyquist and makes every frame sum to one.

    Args:
        distribution: Non-negative shares. Shape [n_frames, n_harmonics].
        f0_hz: Fundamental frequency in Hz. Shape [n_frames].
        sample_rate: Hz.

    Returns:
        Shares as the synthesiser plays them; a frame with nothing left is all zero.
        Shape [n_frames, n_harmonics].
    """
    shares = np.asarray(distribution, np.float64)
    valid = below_nyquist(f0_hz, n_harmonics=shares.shape[1], sample_rate=sample_rate)
    shares = np.where(valid, np.maximum(shares, 0.0), 0.0)
    total = shares.sum(axis=1, keepdims=True)
    return np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)


def widen(clip: Controls, *, n_harmonics: int) -> Controls:
    """Adds silent harmonics, so that clips of different pitch have the same width.

    Args:
        clip: Controls with at most so many harmonics.
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
        noise_magnitudes: Scaled magnitudes, linear. Shape [n_frames, n_noise_bands].

    Returns:
        Power a frame. Shape [n_frames].

    Source:
        own; agrees with ddsp.synths.FilteredNoise within 1 dB (tested), where its
        window smooths the response.
    """
    squares = np.square(np.asarray(noise_magnitudes, np.float64))
    weights = np.ones(squares.shape[1])
    if weights.size > 1:
        weights[[0, -1]] = 0.5
    return UNIFORM_NOISE_POWER * squares @ weights / weights.sum()


def from_model(
    outputs: dict[str, np.ndarray], *, sample_rate: int, frame_rate: int
) -> Controls:
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
    f0_hz = _curve(outputs["f0_hz"])
    f0_hz = np.where(f0_hz > 0, f0_hz, np.nan)
    magnitudes = outputs.get("noise_magnitudes")
    return Controls(
        f0_hz=f0_hz,
        amps=_curve(outputs["amps"]),
        harmonic_distribution=normalise_distribution(
            outputs["harmonic_distribution"], f0_hz=f0_hz, sample_rate=sample_rate
        ),
        noise_power=(
            np.zeros_like(f0_hz) if magnitudes is None else noise_power(magnitudes)
        ),
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )


def _curve(values: np.ndarray) -> np.ndarray:
    """Drops the channel axis of a one-channel control."""
    values = np.asarray(values, np.float64)
    return values[:, 0] if values.ndim == 2 else values


@dataclasses.dataclass(frozen=True)
class MaskSettings:
    """What counts as pitched and as audible; written into every report.

    Attributes:
        min_confidence: Confidence in [0, 1] from which a frame counts as pitched.
        range_db: dB below the clip's loudest frame that still count as audible.
        floor_db: dB of A-weighted loudness below which nothing is audible.
    """

    min_confidence: float = MIN_CONFIDENCE
    range_db: float = AUDIBLE_RANGE_DB
    floor_db: float = AUDIBLE_FLOOR_DB


@dataclasses.dataclass(frozen=True)
class Masks:
    """Which frames of a clip a metric counts; measured from the recording alone.

    Attributes:
        audible: Loud enough. Shape [n_frames], bool.
        pitched: Audible and with a pitch. Shape [n_frames], bool.
    """

    audible: np.ndarray
    pitched: np.ndarray


def make_masks(
    loudness_db: np.ndarray,
    f0_confidence: np.ndarray,
    *,
    settings: MaskSettings = MaskSettings(),
) -> Masks:
    """Decides which frames of a clip count.

    Both sides of a comparison are counted over the recording's frames, so a model
    cannot hide its silence by being silent.

    Args:
        loudness_db: A-weighted loudness of the recording. Shape [n_frames].
        f0_confidence: The tracker's confidence in [0, 1]. Shape [n_frames].
        settings: The thresholds.

    Returns:
        The masks.
    """
    loudness = np.asarray(loudness_db, np.float64)
    floor = max(np.max(loudness) - settings.range_db, settings.floor_db)
    audible = loudness >= floor
    confident = np.asarray(f0_confidence) >= settings.min_confidence
    return Masks(audible=audible, pitched=audible & confident)


def level_db(power: np.ndarray, *, floor_db: float = -100.0) -> np.ndarray:
    """Mean square in dB re full scale, not below `floor_db`."""
    return 10.0 * np.log10(np.maximum(power, 10.0 ** (floor_db / 10.0)))
