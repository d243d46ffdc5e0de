"""Files that the report shows: audio, spectrograms and control curves of some clips.

They are written once, below `report/media/`; the page only embeds them. Audio is FLAC,
16 bit, which every current browser plays; pictures are PNG with 64 colours.
"""

import json
import math
import pathlib
from collections.abc import Mapping

import matplotlib
import numpy as np
import PIL.Image
import scipy.fft
import scipy.signal
import soundfile

from evaluation.metrics import collapse
from evaluation.scoring import clips
from evaluation.scoring import rows as rows_lib
from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import levels
from prep import checked_json

MEDIA_NAME = "media"  # folder beside report.html
PICTURE_COLUMNS = 480  # pixels along time
SPECTROGRAM_ROWS = 144  # pixels along frequency, logarithmic
MIN_FREQUENCY_HZ = 60.0  # Hz at the bottom of a spectrogram
SPECTROGRAM_FFT_SIZE = 1024  # samples
PICTURE_RANGE_DB = 70.0  # dB from the brightest to black
PICTURE_HARMONICS = 40  # harmonics in the timbre picture, at most
N_COLOURS = 64
CURVE_POINTS = 240  # points of a curve, the mean over what lies between


def write_clip(
    ref: clips.Reference, scored: Mapping[str, clips.Scored], folder: pathlib.Path
) -> list[checked_json.Json]:
    """Writes audio, pictures and curves of one clip.

    Args:
        ref: The clip and its recording.
        scored: What each run makes of it, by name.
        folder: Where the files go; made if needed.

    Returns:
        The tracks, recording first: `who`, and names of files in the folder.

    Raises:
        ValueError: If a run is named as the recording is.
    """
    if rows_lib.RECORDING in scored:
        raise ValueError(
            f"a run is named {rows_lib.RECORDING!r}, which here is the recording's "
            "own name; rename the run."
        )
    folder.mkdir(parents=True, exist_ok=True)
    # The recording first, then the systems in their order.
    audios = {rows_lib.RECORDING: ref.clip.audio}
    audios |= {name: one.rendering.audio for name, one in scored.items()}
    played = {rows_lib.RECORDING: ref.controls}
    played |= {name: one.controls for name, one in scored.items()}
    rate = ref.clip.sample_rate
    # One scale for all pictures of a clip, or they could not be compared.
    loudest = np.max(spectrogram(ref.clip.audio, sample_rate=rate))
    n_harmonics = _picture_harmonics(ref)
    tracks = []
    for number, (who, audio) in enumerate(audios.items()):
        stem = f"{number}-{_safe_name(who)}"
        write_audio(audio, folder / f"{stem}.flac", sample_rate=rate)
        write_picture(
            spectrogram(audio, sample_rate=rate),
            folder / f"{stem}-spectrogram.png",
            brightest=loudest,
        )
        write_picture(
            timbre_picture(
                played[who], frames=ref.masks.pitched, n_harmonics=n_harmonics
            ),
            folder / f"{stem}-timbre.png",
            brightest=0.0,
            range_db=50.0,
        )
        tracks.append(
            {
                "who": who,
                "audio": f"{stem}.flac",
                "spectrogram": f"{stem}-spectrogram.png",
                "timbre": f"{stem}-timbre.png",
                "peak_dbfs": _peak_db(audio),
            }
        )
    # Curves as numbers: the page draws them.
    curves = {
        who: control_curves(
            played[who],
            ref.masks,
            ref.hearing if who == rows_lib.RECORDING else scored[who].hearing,
        )
        for who in audios
    }
    (folder / "curves.json").write_text(
        json.dumps({"secs": _points(_times(ref)), "systems": curves}), "utf-8"
    )
    return tracks


def _safe_name(name: str) -> str:
    """A name that any file system takes."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:60]


def _peak_db(audio: np.ndarray) -> float | None:
    """Peak in dB re full scale, None for silence."""
    peak = float(np.max(np.abs(audio)))
    return round(20 * math.log10(peak), 2) if peak > 0 else None


def _picture_harmonics(ref: clips.Reference) -> int:
    """As many harmonics as the clip's highest pitched frame lets through."""
    valid = ref.controls.valid_harmonics.sum(axis=1)
    pitched = valid[valid > 0]
    return int(min(PICTURE_HARMONICS, max(8, np.max(pitched, initial=0))))


def write_audio(audio: np.ndarray, path: pathlib.Path, *, sample_rate: int) -> None:
    """Writes 16-bit FLAC; what exceeds full scale is clipped, as a player would.

    Args:
        audio: Finite samples.
        path: Of the file.
        sample_rate: Hz.
    """
    clipped = np.clip(np.asarray(audio, np.float32), -1.0, 1.0)
    soundfile.write(path, clipped, sample_rate, format="FLAC", subtype="PCM_16")


def spectrogram(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Magnitudes in dB on a logarithmic frequency axis.

    Args:
        audio: Shape [n_samples].
        sample_rate: Hz.

    Returns:
        dB, row 0 the highest frequency. Shape [SPECTROGRAM_ROWS, PICTURE_COLUMNS].
    """
    size = SPECTROGRAM_FFT_SIZE
    padded = np.pad(np.asarray(audio, np.float32), size // 2)
    starts = np.linspace(0, audio.size - 1, PICTURE_COLUMNS).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[starts]
    window = scipy.signal.get_window("hann", size).astype(np.float32)
    magnitudes = np.abs(scipy.fft.rfft(frames * window, axis=1)) * (2 / window.sum())
    bins_hz = np.linspace(0, sample_rate / 2, magnitudes.shape[1])
    rows_hz = np.geomspace(sample_rate / 2, MIN_FREQUENCY_HZ, SPECTROGRAM_ROWS)
    values = np.stack([np.interp(rows_hz, bins_hz, frame) for frame in magnitudes], 1)
    return 20.0 * np.log10(np.maximum(values, 1e-6))


def timbre_picture(
    played: control_arrays.ControlArrays, *, frames: np.ndarray, n_harmonics: int
) -> np.ndarray:
    """Share of each harmonic over time, in dB below the frame's strongest.

    Args:
        played: Controls of a clip.
        frames: Frames that count; the rest stays dark, because what a model answers
            in a rest is not heard. Shape [n_frames], bool.
        n_harmonics: Rows.

    Returns:
        dB, row 0 the highest harmonic. Shape [n_harmonics, n_columns].
    """
    shares = np.zeros((played.n_frames, n_harmonics))
    given = played.harmonic_distribution[:, :n_harmonics]
    shares[:, : given.shape[1]] = np.where(frames[:, np.newaxis], given, 0.0)
    strongest = np.maximum(shares.max(axis=1, keepdims=True), 1e-9)
    n_columns = min(PICTURE_COLUMNS // 2, played.n_frames)
    chosen = np.linspace(0, played.n_frames - 1, n_columns).astype(int)
    values = 20.0 * np.log10(np.maximum(shares / strongest, 1e-6))
    return values[chosen].T[::-1]


def write_picture(
    values: np.ndarray,
    path: pathlib.Path,
    *,
    brightest: float,
    range_db: float = PICTURE_RANGE_DB,
) -> None:
    """Writes values in dB as a picture, the same bytes each time."""
    scaled = (values - brightest + range_db) / range_db * (N_COLOURS - 1)
    indices = np.clip(np.round(np.nan_to_num(scaled)), 0, N_COLOURS - 1)
    image = PIL.Image.fromarray(indices.astype(np.uint8), mode=None).convert("L")
    image = PIL.Image.frombytes("P", image.size, image.tobytes())
    colours = matplotlib.colormaps["magma"](np.linspace(0, 1, N_COLOURS))[:, :3]
    image.putpalette(np.round(colours * 255).astype(np.uint8).tobytes())
    image.save(path, format="PNG", optimize=True, bits=6)


def control_curves(
    played: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    hearing: clips.Hearing,
) -> checked_json.Json:
    """Curves of a clip that the report plots, with gaps where nothing is defined.

    Args:
        played: Controls of a system or measured from the recording.
        masks: Frames that count.
        hearing: Loudness and pitch of the audio.

    Returns:
        Points by curve: `pitch_hz`, `loudness_db`, `level_db`, `noise_db`,
        `entropy` and `brightness`.
    """
    shares = played.harmonic_distribution
    sounding = masks.pitched & played.has_harmonics
    entropy = distributions.normalized_entropy(shares, played.n_below_nyquist)
    return {
        "pitch_hz": _points(np.where(masks.pitched, hearing.pitch.f0_hz, np.nan)),
        "loudness_db": _points(hearing.loudness_db),
        "level_db": _points(levels.power_db(played.harmonic_power, floor_db=-90.0)),
        "noise_db": _points(levels.power_db(played.noise_power, floor_db=-90.0)),
        "entropy": _points(np.where(sounding, entropy, np.nan)),
        "brightness": _points(
            np.where(sounding, collapse.brightness_octaves(played), np.nan)
        ),
    }


def _times(ref: clips.Reference) -> np.ndarray:
    """Time of every frame in seconds."""
    return np.arange(ref.controls.n_frames) / ref.clip.frame_rate


def _points(values: np.ndarray) -> list[float | None]:
    """Means over groups of frames, None where a group has no value."""
    groups = np.array_split(values, min(CURVE_POINTS, values.size))
    return [
        round(float(np.mean(known)), 4) if known.size else None
        for known in (group[np.isfinite(group)] for group in groups)
    ]
