"""Controls of the synthesiser as a recording itself has them, measured from its audio.

Enters: audio and its tracked pitch. Leaves: the amplitude of every harmonic and the
magnitude of every noise band, frame by frame. Evaluation judges a model against them,
training teaches them. `teaching_weights` says how far a frame can be believed.

NaN or 0 Hz means no pitch there: no harmonics, all of the power is noise.

Source: own.
"""

import dataclasses

import numpy as np
import scipy.ndimage

from models.measures import control_arrays
from models.measures import noise_bands
from models.measures import pitch_refinement
from models.measures import warped_spectrum

N_NOISE_BANDS = 65  # of ddsp's noise filter
MIN_ANALYSIS_RATE = 200.0  # frames a second; fewer would leave out half of the signal
STEADY_SECS = 0.06  # over which a harmonic is averaged where only noise moves it
_TINY = 1e-20  # power

# Where a frame's weight rises from 0 to 1.
CONFIDENCE = (0.4, 0.8)  # of the tracker
EXPLAINED = (0.5, 0.9)  # share of the power that the harmonics explain
AUDIBLE_DB = (-60.0, -40.0)  # power below the loudest frame
# Share of the harmonics' power outside the multiples of 2, or of 3: where nearly all
# lies on them, the pitch is an octave, or a twelfth, higher than tracked.
OUTSIDE = (0.003, 0.03)


@dataclasses.dataclass(frozen=True)
class MeasuredControls:
    """Controls of one recording.

    Attributes:
        f0_hz: Fundamental in Hz, corrected; NaN without pitch. Shape [n_frames].
        amplitudes: Of each harmonic, linear, of sines, the noise's power taken off; 0
            from Nyquist on and without pitch. Shape [n_frames, n_harmonics].
        noise_magnitudes: As the model's scaled `noise_magnitudes`, linear gains of
            uniform noise in bands from 0 Hz to Nyquist. Shape [n_frames, n_bands].
        power: Mean square around each frame, of all that sounds. Shape [n_frames].
        sample_rate: Of the audio, Hz.
        frame_rate: Frames a second.
    """

    f0_hz: np.ndarray
    amplitudes: np.ndarray
    noise_magnitudes: np.ndarray
    power: np.ndarray
    sample_rate: int
    frame_rate: int

    @property
    def amps(self) -> np.ndarray:
        """Sum over the harmonics. Shape [n_frames]."""
        return self.amplitudes.sum(axis=1)

    @property
    def harmonic_power(self) -> np.ndarray:
        """Mean square of the harmonic part. Shape [n_frames]."""
        return 0.5 * np.square(self.amplitudes).sum(axis=1)

    @property
    def noise_power(self) -> np.ndarray:
        """Mean square of the noise part. Shape [n_frames]."""
        return control_arrays.noise_power(self.noise_magnitudes)

    def every(self, n_frames: int) -> "MeasuredControls":
        """Every n-th frame."""
        return MeasuredControls(
            f0_hz=self.f0_hz[::n_frames],
            amplitudes=self.amplitudes[::n_frames],
            noise_magnitudes=self.noise_magnitudes[::n_frames],
            power=self.power[::n_frames],
            sample_rate=self.sample_rate,
            frame_rate=self.frame_rate // n_frames,
        )


def measure(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    *,
    sample_rate: int,
    frame_rate: int,
    n_harmonics: int,
    n_noise_bands: int = N_NOISE_BANDS,
    refine_f0: bool = True,
) -> MeasuredControls:
    """Measures a recording's controls.

    Args:
        audio: Mono signal in [-1, 1]. Shape [n_samples].
        f0_hz: Tracked fundamental in Hz; NaN or 0 without pitch. Shape [n_frames].
        sample_rate: Hz; a multiple of `frame_rate`.
        frame_rate: Frames per second.
        n_harmonics: Harmonics to measure.
        n_noise_bands: Bands to measure, at least 2.
        refine_f0: Whether frequencies of the harmonics correct the tracked f0 first.

    Returns:
        The measured controls.

    Raises:
        ValueError: If the rates do not divide or f0 has more frames than the audio.
    """
    audio = np.asarray(audio, np.float32).reshape(-1)
    f0_hz = _clean_f0(f0_hz, sample_rate=sample_rate)
    hop_size = _hop_size(audio, f0_hz, sample_rate=sample_rate, frame_rate=frame_rate)
    factor = _finer(hop_size, frame_rate=frame_rate)
    if factor > 1:
        fine = measure(
            audio,
            _between_frames(f0_hz, factor, hop_size=hop_size, n_samples=audio.size),
            sample_rate=sample_rate,
            frame_rate=factor * frame_rate,
            n_harmonics=n_harmonics,
            n_noise_bands=n_noise_bands,
            refine_f0=refine_f0,
        )
        return fine.every(factor)
    if refine_f0:
        f0_hz = pitch_refinement.refine(
            audio, f0_hz, sample_rate=sample_rate, hop_size=hop_size
        )
    signal = warped_spectrum.Signal(audio)

    squares = np.zeros((f0_hz.size, n_harmonics))
    passed = np.zeros(f0_hz.size)  # noise's share in a harmonic's square, for each W/Hz
    bands = noise_bands.BandPowers.empty(f0_hz.size, n_noise_bands)
    for windows in warped_spectrum.analyse(
        signal, f0_hz, sample_rate=sample_rate, hop_size=hop_size
    ):
        squares[windows.frames] = np.square(np.abs(windows.harmonics(n_harmonics)))
        passed[windows.frames] = noise_bands.density_to_power(
            windows.f0_hz, windows.n_periods
        )
        bands.add_between(windows, sample_rate=sample_rate)
    bands = bands.filled(f0_hz, frame_rate=frame_rate)
    unpitched = np.flatnonzero(np.isnan(f0_hz))
    bands.add_unpitched(audio, unpitched, sample_rate=sample_rate, hop_size=hop_size)
    density = noise_bands.smooth(bands, frame_rate=frame_rate)

    noise = passed[:, np.newaxis] * _at_harmonics(
        density, f0_hz, n_harmonics=n_harmonics, sample_rate=sample_rate
    )
    squares = warped_spectrum.between_analysed(
        squares - noise, f0_hz, frame_rate=frame_rate
    )
    squares = _steady(
        squares, noise, np.isfinite(f0_hz), width=round(STEADY_SECS * frame_rate)
    )
    amplitudes = np.sqrt(np.maximum(squares, 0.0))
    frequency = np.nan_to_num(f0_hz)[:, np.newaxis] * np.arange(1, n_harmonics + 1)
    sounding = (frequency > 0) & (frequency < sample_rate / 2)
    return MeasuredControls(
        f0_hz=f0_hz,
        amplitudes=np.where(sounding, amplitudes, 0.0),
        noise_magnitudes=noise_bands.magnitudes(density, sample_rate=sample_rate),
        power=local_power(
            audio, n_frames=f0_hz.size, sample_rate=sample_rate, hop_size=hop_size
        ),
        sample_rate=sample_rate,
        frame_rate=frame_rate,
    )


def _finer(hop_size: int, *, frame_rate: int) -> int:
    """Frames to lay on each frame so that windows overlap; divides the hop."""
    for factor in range(1, hop_size + 1):
        if hop_size % factor == 0 and factor * frame_rate >= MIN_ANALYSIS_RATE:
            return factor
    return 1


def _between_frames(
    f0_hz: np.ndarray, factor: int, *, hop_size: int, n_samples: int
) -> np.ndarray:
    """f0 on a finer grid; a gap in the pitch stays a gap."""
    n_fine = min((f0_hz.size - 1) * factor + 1, n_samples)
    if not np.isfinite(f0_hz).any():
        return np.full(n_fine, np.nan)
    fine_hop = hop_size // factor
    track = warped_spectrum.sample_track(
        f0_hz, n_samples=(n_fine - 1) * fine_hop + 1, hop_size=hop_size
    )[::fine_hop]
    nearest = np.rint(np.arange(n_fine) / factor).astype(int)
    return np.where(np.isfinite(f0_hz[nearest]), track, np.nan)


def _steady(
    squares: np.ndarray, noise: np.ndarray, pitched: np.ndarray, *, width: int
) -> np.ndarray:
    """Averages what moves no more than the noise makes it move.

    Args:
        squares: Of amplitudes, the noise's mean taken off. Shape [n_frames, n].
        noise: Mean of the noise in them. Shape [n_frames, n].
        pitched: Which frames have values. Shape [n_frames].
        width: Frames to average over.

    Returns:
        Between each value and the mean around it, by how much of the variance around
        it the noise explains.

    Source:
        Lee, "Digital image enhancement and noise filtering by use of local
        statistics", 1980. The square of a sine in noise varies by
        2 * sine^2 * noise + noise^2.
    """
    count = scipy.ndimage.uniform_filter1d(
        pitched.astype(float), max(width, 1), mode="constant"
    )
    count = np.maximum(count, 0.5 / max(width, 1))[:, np.newaxis]
    is_pitched = pitched[:, np.newaxis]
    average = lambda rows: (
        scipy.ndimage.uniform_filter1d(
            np.where(is_pitched, rows, 0.0), max(width, 1), axis=0, mode="constant"
        )
        / count
    )
    mean = average(squares)
    variance = np.maximum(average(np.square(squares)) - np.square(mean), 0.0)
    by_noise = 2.0 * np.maximum(mean, 0.0) * noise + np.square(noise)
    share = by_noise / np.maximum(variance, np.maximum(by_noise, _TINY))
    return squares + share * (mean - squares)


def _at_harmonics(
    density: np.ndarray, f0_hz: np.ndarray, *, n_harmonics: int, sample_rate: int
) -> np.ndarray:
    """Power density at each harmonic, straight lines between bands."""
    n_bands = density.shape[1]
    frequency = np.nan_to_num(f0_hz)[:, np.newaxis] * np.arange(1, n_harmonics + 1)
    place = np.minimum(frequency * (2.0 * (n_bands - 1) / sample_rate), n_bands - 1)
    lower = np.minimum(place.astype(int), n_bands - 2)
    share = place - lower
    rows = np.arange(len(density))[:, np.newaxis]
    return (1 - share) * density[rows, lower] + share * density[rows, lower + 1]


def local_power(
    audio: np.ndarray, *, n_frames: int, sample_rate: int, hop_size: int
) -> np.ndarray:
    """Mean square of a signal around each frame.

    Args:
        audio: Mono signal. Shape [n_samples].
        n_frames: Frames, at most as many as the signal has.
        sample_rate: Hz.
        hop_size: Samples between frames.

    Returns:
        Power over `warped_spectrum.MIN_WINDOW_SECS`. Shape [n_frames].
    """
    width = max(1, int(warped_spectrum.MIN_WINDOW_SECS * sample_rate))
    squares = np.square(audio, dtype=np.float64)
    power = scipy.ndimage.uniform_filter1d(squares, width, mode="nearest")
    # A running sum does not come back to 0 exactly where silence follows sound.
    return np.maximum(power[np.arange(n_frames) * hop_size], 0.0)


def _clean_f0(f0_hz: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """f0 with NaN where there is none or where it cannot be one."""
    f0_hz = np.asarray(f0_hz, np.float64).reshape(-1)
    possible = np.isfinite(f0_hz) & (f0_hz > 0) & (f0_hz < sample_rate / 2)
    return np.where(possible, f0_hz, np.nan)


def _hop_size(
    audio: np.ndarray, f0_hz: np.ndarray, *, sample_rate: int, frame_rate: int
) -> int:
    """Samples between frames, after checking that frames and audio belong together."""
    if sample_rate % frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate} does not divide sample_rate={sample_rate}; "
            "use the rates of dataset_info.json"
        )
    hop_size = sample_rate // frame_rate
    if f0_hz.size == 0 or (f0_hz.size - 1) * hop_size >= audio.size:
        raise ValueError(
            f"{f0_hz.size} frames of f0 do not fit {audio.size} samples at hop_size="
            f"{hop_size}; expected 1 to {-(-audio.size // hop_size)} frames"
        )
    return hop_size


@dataclasses.dataclass(frozen=True)
class TeachingWeights:
    """How far each frame can be believed, 0 to 1.

    Attributes:
        harmonics: Weight of the harmonics' amplitudes. Shape [n_frames].
        noise: Weight of the noise bands. Shape [n_frames].
    """

    harmonics: np.ndarray
    noise: np.ndarray


def teaching_weights(
    measured: MeasuredControls, f0_confidence: np.ndarray, *, loudest_power: float
) -> TeachingWeights:
    """Judges which frames can teach.

    Args:
        measured: Controls of a recording.
        f0_confidence: The tracker's, 0 to 1. Shape [n_frames].
        loudest_power: Power of the loudest frame of all recordings, or of this one.

    Returns:
        Harmonics count where the tracker is sure, they explain the power, and no octave
        is in doubt; noise counts wherever it can be heard.
    """
    level_db = 10.0 * np.log10((measured.power + _TINY) / (loudest_power + _TINY))
    audible = _ramp(level_db, AUDIBLE_DB)
    harmonic = measured.harmonic_power
    explained = harmonic / (harmonic + measured.noise_power + _TINY)
    weight = audible * _ramp(np.asarray(f0_confidence).reshape(-1), CONFIDENCE)
    weight = weight * _ramp(explained, EXPLAINED) * np.isfinite(measured.f0_hz)
    squares = np.square(measured.amplitudes)
    total = squares.sum(axis=1) + _TINY
    for multiple in (2, 3):
        inside = squares[:, multiple - 1 :: multiple].sum(axis=1)
        weight = weight * _ramp(1.0 - inside / total, OUTSIDE)
    return TeachingWeights(harmonics=weight, noise=audible)


def _ramp(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Straight line from 0 at the lower limit to 1 at the upper."""
    low, high = limits
    return np.clip((values - low) / (high - low), 0.0, 1.0)
