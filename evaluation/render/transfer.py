"""Timbre transfer: fits a performance to what a model has learned to play.

All functions take a performance and return another. Pitch is moved in semitones,
loudness in dB; nothing here hears audio.

Source: the adjustments of the "timbre transfer" demonstration of Engel et al., "DDSP",
ICLR 2020: octave shift, quantile matching of loudness, quieter rests, autotune.
Differs: pitch is corrected towards the note of the moment and keeps its vibrato.
"""

import dataclasses
import pathlib

import numpy as np
import scipy.ndimage
from absl import logging

from evaluation.render import performance
from evaluation.render import tuning as tuning_lib
from prep import checked_json
from prep import errors
from prep import loudness as loudness_lib
from prep.dataset import layout
from prep.report import distribution
from prep.report import statistics as dataset_statistics

SEMITONES = 12  # in an octave
NOTE_SECS = 0.2  # over which a pitch is averaged to find its note
EDGE_SECS = 0.02  # to either side, over which passages fade into one another
MIN_A4, MAX_A4 = 380.0, 500.0  # Hz; French baroque has 392, the old choir pitch 466
CONCERT_A4 = 440.0  # Hz, of MIDI note 69
MAX_F0_HZ = 8192.0  # what the synthesiser's phase is made for
MIN_F0_HZ = 20.0  # below, nobody hears a pitch
MIN_NOTE_SECS = 0.05  # shorter gaps and blips do not end or make a note


@dataclasses.dataclass(frozen=True)
class Adjustments:
    """What is done to a performance, in this order.

    Attributes:
        match: Whether pitch (by octaves) and loudness (by quantiles) are fitted to the
            training data.
        transpose: Semitones.
        loudness_shift: dB.
        suppress_noise: dB by which passages without notes get quieter.
        auto_tune: 0 leaves the pitch alone, 1 puts the middle of every note on the
            nearest semitone.
        a4: Hz of the A that semitones are counted from when tuning; 0 takes the tuning
            that the performance has itself.
    """

    match: bool = False
    transpose: float = 0.0
    loudness_shift: float = 0.0
    suppress_noise: float = 0.0
    auto_tune: float = 0.0
    a4: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.auto_tune <= 1.0:
            raise errors.InputError(f"--auto_tune={self.auto_tune}: give 0 to 1.")
        if self.a4 and not MIN_A4 <= self.a4 <= MAX_A4:
            raise errors.InputError(
                f"--a4={self.a4:g} Hz: give {MIN_A4:g} to {MAX_A4:g}, or leave it out "
                "to take the recording's own tuning."
            )
        if self.a4 and not self.auto_tune:
            raise errors.InputError(
                f"--a4={self.a4:g} does nothing without --auto_tune."
            )
        if self.suppress_noise < 0.0:
            raise errors.InputError(
                f"--suppress_noise={self.suppress_noise} dB would make noise "
                "louder; give 0 or more."
            )


@dataclasses.dataclass(frozen=True)
class Heard:
    """What a model has heard in training, as 101 quantiles from 0 to 100 %.

    Attributes:
        pitch_midi: Of frames with a pitch, MIDI note numbers.
        loudness_db: Of frames with a pitch, dB.
    """

    pitch_midi: np.ndarray
    loudness_db: np.ndarray


def read_heard(data_dir: pathlib.Path) -> Heard:
    """Reads the training data's quantiles.

    Args:
        data_dir: The dataset's folder.

    Raises:
        errors.InputError: If its statistics are missing or have no pitch.
    """
    path = data_dir / layout.STATISTICS
    try:
        parsed = checked_json.load(path.read_bytes(), str(path))
        found = checked_json.build(_Statistics, parsed, str(path))
        return Heard(
            np.array(found.pitch_midi.quantiles, np.float64),
            np.array(found.loudness_db_voiced.quantiles, np.float64),
        )
    except OSError as error:
        raise errors.InputError(
            f"{path} cannot be read ({error.strerror}): --match and MIDI need the "
            "statistics of the dataset that the run was trained on; say where it is "
            "with --data_dir, or leave --match out."
        ) from error
    except checked_json.DamagedError as error:
        raise errors.InputError(
            f"{error}: it says nothing of pitch and loudness; prepare the dataset "
            "again."
        ) from error


@dataclasses.dataclass(frozen=True)
class _Distribution:
    """What is read of a distribution in statistics.json."""

    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for what is no row of quantiles."""
        values = np.array(self.quantiles, np.float64)
        is_whole = len(values) == distribution.N_QUANTILES
        if not is_whole or not np.isfinite(values).all() or np.any(np.diff(values) < 0):
            raise ValueError(
                f"its quantiles are not {distribution.N_QUANTILES} rising numbers"
            )


@dataclasses.dataclass(frozen=True)
class _Statistics:
    """What is read of statistics.json."""

    pitch_midi: _Distribution
    loudness_db_voiced: _Distribution


def adjust(
    played: performance.Performance, adjustments: Adjustments, *, heard: Heard | None
) -> performance.Performance:
    """Applies adjustments in their order.

    Args:
        played: The performance.
        adjustments: What to do.
        heard: The training data's quantiles; needed to match.

    Raises:
        errors.InputError: If what comes out cannot be played.
    """
    if adjustments.match:
        if heard is None:
            raise ValueError("adjustments.match needs `heard`.")
        played = match(played, heard)
    if adjustments.transpose:
        played = transpose(played, adjustments.transpose)
    if adjustments.loudness_shift:
        played = shift_loudness(played, adjustments.loudness_shift)
    if adjustments.suppress_noise:
        played = suppress_noise(played, adjustments.suppress_noise)
    check_playable(played)
    if adjustments.auto_tune:
        played = auto_tune(played, adjustments.auto_tune, a4=adjustments.a4)
    check_playable(played)
    return played


def check_playable(played: performance.Performance) -> None:
    """Refuses what the synthesiser has no pitch or no loudness for.

    Raises:
        errors.InputError: If a frame lies beyond `MAX_F0_HZ`, all of them lie below
            `MIN_F0_HZ`, or a loudness is no number.
    """
    highest = played.f0_hz.max()
    if highest > MAX_F0_HZ:
        raise errors.InputError(
            f"its highest pitch, {highest:.0f} Hz, lies above the {MAX_F0_HZ:.0f} Hz "
            "that the synthesiser plays up to; bring it down with --transpose=-12 or "
            "--match."
        )
    if highest < MIN_F0_HZ:
        raise errors.InputError(
            f"its highest pitch, {highest:.2g} Hz, lies below the {MIN_F0_HZ:.0f} Hz "
            "from which a pitch is heard; bring it up with --transpose=12 or --match."
        )
    if not np.isfinite(played.loudness_db).all():
        raise errors.InputError(
            "its loudness is no number everywhere, and would be none in the output; "
            "give smaller numbers for --loudness_shift and --suppress_noise."
        )


def transpose(
    played: performance.Performance, semitones: float
) -> performance.Performance:
    """Moves the pitch by semitones; what float32 cannot say becomes infinite."""
    with np.errstate(over="ignore"):
        ratio = np.exp2(np.float32(semitones / SEMITONES))
        return played.replace(f0_hz=played.f0_hz * ratio)


def shift_loudness(
    played: performance.Performance, decibels: float
) -> performance.Performance:
    """Moves the loudness by decibels, down to the floor."""
    with np.errstate(over="ignore"):  # `check_playable` refuses what is infinite
        moved = played.loudness_db + np.float32(decibels)
    return played.replace(loudness_db=np.maximum(moved, loudness_lib.MIN_DB))


def match(played: performance.Performance, heard: Heard) -> performance.Performance:
    """Fits pitch and loudness to the training data.

    Pitch moves by whole octaves, so that the key stays. Loudness goes through the curve
    that maps the quantiles of the performance's notes to those of the training data;
    below and above them it moves in parallel.

    Args:
        played: The performance; without a single pitched frame it is returned as it is.
        heard: The training data's quantiles.
    """
    voiced = played.voiced
    if not voiced.any():
        logging.warning("Nothing to match: no frame has a pitch.")
        return played
    middle = np.median(dataset_statistics.hz_to_midi(played.f0_hz[voiced]))
    octaves = round((heard.pitch_midi[50] - middle) / SEMITONES)
    shares = np.linspace(0.05, 0.95, 19)
    source = np.quantile(played.loudness_db[voiced], shares)
    target = np.interp(
        shares, np.linspace(0, 1, len(heard.loudness_db)), heard.loudness_db
    )
    loudness = map_curve(played.loudness_db, source, target)
    logging.info(
        "matched: %+d octaves, loudness %+.1f dB in the middle",
        octaves,
        target[9] - source[9],
    )
    moved = transpose(played, SEMITONES * octaves)
    return moved.replace(loudness_db=np.maximum(loudness, loudness_lib.MIN_DB))


def map_curve(values: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Maps values through points, in parallel to the diagonal outside them.

    Args:
        values: Any shape.
        source: Ascending, [n_points]; equal neighbours count as one.
        target: Ascending, same shape.
    """
    keep = np.concatenate([[True], np.diff(source) > 1e-6])
    source, target = source[keep], target[keep]
    inside = np.interp(values, source, target)
    below = np.minimum(values - source[0], 0.0)
    above = np.maximum(values - source[-1], 0.0)
    return inside + below + above


def find_notes(played: performance.Performance) -> np.ndarray:
    """Finds notes: voiced stretches without short gaps and blips.

    Args:
        played: The performance.

    Returns:
        Bool, shape [n_frames].
    """
    size = _count_frames(MIN_NOTE_SECS, played.frame_rate)
    shape = np.ones(size, bool)
    closed = scipy.ndimage.binary_closing(np.pad(played.voiced, size), shape)
    return scipy.ndimage.binary_opening(closed, shape)[size:-size]


def note_weight(played: performance.Performance) -> np.ndarray:
    """1 in notes, 0 between them, with soft edges. Shape [n_frames]."""
    weight = fade(find_notes(played).astype(np.float64), played.frame_rate)
    return weight.astype(np.float32)


def fade(curve: np.ndarray, frame_rate: int) -> np.ndarray:
    """Averages a curve over `EDGE_SECS` to either side. Shape [n_frames]."""
    size = 2 * _count_frames(EDGE_SECS, frame_rate) + 1
    return scipy.ndimage.uniform_filter1d(curve, size, mode="nearest")


def _count_frames(secs: float, frame_rate: int) -> int:
    """The frames nearest to a time, at least one."""
    return max(1, round(secs * frame_rate))


def suppress_noise(
    played: performance.Performance, decibels: float
) -> performance.Performance:
    """Makes passages without notes quieter by so many decibels."""
    with np.errstate(over="ignore", invalid="ignore"):  # refused by `check_playable`
        quieter = played.loudness_db - np.float32(decibels) * (
            1.0 - note_weight(played)
        )
    return played.replace(loudness_db=np.maximum(quieter, loudness_lib.MIN_DB))


def auto_tune(
    played: performance.Performance, amount: float, *, a4: float = 0.0
) -> performance.Performance:
    """Pulls notes to the nearest semitone and leaves vibrato and slides in.

    A note has one semitone from its beginning to its end, though its pitch drift.

    Args:
        played: The performance.
        amount: 0 to 1.
        a4: Hz of the A that semitones are counted from; 0 takes the performance's own
            tuning.
    """
    midi = dataset_statistics.hz_to_midi(played.f0_hz)
    size = 2 * _count_frames(0.5 * NOTE_SECS, played.frame_rate) + 1
    middle = scipy.ndimage.median_filter(midi, size, mode="nearest")
    middle = scipy.ndimage.uniform_filter1d(middle, size, mode="nearest")
    if a4:
        tuning = SEMITONES * np.log2(a4 / CONCERT_A4)
    else:
        tuning = tuning_lib.estimate_tuning(middle[find_notes(played)])
        logging.info("tuning: A4 = %.1f Hz", CONCERT_A4 * 2.0 ** (tuning / SEMITONES))
    target = tuning_lib.hold_semitones(middle - tuning) + tuning
    # A step from one semitone to the next takes as long as a passage's edge.
    correction = fade(target - middle, played.frame_rate)
    return played.replace(f0_hz=played.f0_hz * 2.0 ** (amount * correction / SEMITONES))


def warn_if_unheard(played: performance.Performance, heard: Heard) -> None:
    """Warns where most of a performance lies outside the training data's range."""
    voiced = played.voiced
    if not voiced.any():
        return
    pitches = dataset_statistics.hz_to_midi(played.f0_hz[voiced])
    for name, values, known in (
        ("pitch", pitches, heard.pitch_midi),
        ("loudness", played.loudness_db[voiced], heard.loudness_db),
    ):
        # Quantiles of the training data: 98 % of it lies between.
        low, high = known[1], known[99]
        outside = np.mean((values < low) | (values > high))
        if outside > 0.5:
            show = (
                dataset_statistics.note_name if name == "pitch" else "{:.0f} dB".format
            )
            logging.warning(
                "%.0f %% of the notes lie outside the %s that the model has heard, %s "
                "to %s: --match moves them there, --transpose and --loudness_shift by "
                "hand.",
                100 * outside,
                name,
                show(low),
                show(high),
            )
