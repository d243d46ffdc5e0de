"""What is played: pitch, loudness and confidence over time, from any recording.

A recording of any length passes through in blocks; its 16 kHz version waits on disk, so
memory holds four numbers a frame (an hour: 14 MB). The arithmetic, the time grid and
the pitch tracker are those of preparation.
"""

import dataclasses
import functools
import math
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging

from models.measures import measured_controls
from prep import errors
from prep import features
from prep import files as whole_files
from prep.dataset import layout
from prep.dataset import records
from prep.pitch import tracker as pitch_tracker
from prep.recordings import channels
from prep.recordings import decode
from prep.recordings import pitch_range
from prep.recordings import resample

MIN_CONFIDENCE = pitch_tracker.MIN_CONFIDENCE
MIN_LOUDNESS_DB = pitch_tracker.MIN_LOUDNESS_DB
MIN_POWER_DB = records.MIN_DB
LOW_RATE = features.CREPE_RATE  # below, half of what the tracker hears is missing
BYTES_A_SECOND = 4 * features.CREPE_RATE  # on disk
LOW_VOICED_SHARE = 0.5  # of the audible frames; below, the pitch is doubtful
# Share of a moment's power that is at no multiple of its pitch, median over moments.
# Real solo recordings have up to 0.03, chords of them 0.14 and more (docs/render.md).
MANY_VOICES = 0.1
MAX_HARMONICS = 200  # measured at most, whatever lies below Nyquist
_TINY = 1e-12  # power of digital silence


@dataclasses.dataclass(frozen=True)
class Performance:
    """Controls of a player, one value a frame.

    Attributes:
        frame_rate: Frames per second.
        f0_hz: Pitch, above 0. Shape [n_frames].
        f0_confidence: 0 to 1. Shape [n_frames].
        loudness_db: A-weighted, floor -80. Shape [n_frames].
        off_pitch_share: Share of the power at no multiple of the pitch, median over
            voiced moments; NaN where there was no audio or no pitch to measure.
        power_db: Unweighted, floor -80, for models that are told that instead; None
            where there was no recording to measure. Shape [n_frames].
    """

    frame_rate: int
    f0_hz: np.ndarray
    f0_confidence: np.ndarray
    loudness_db: np.ndarray
    off_pitch_share: float = float("nan")
    power_db: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        """Length in frames."""
        return len(self.f0_hz)

    @property
    def secs(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.frame_rate

    @property
    def voiced(self) -> np.ndarray:
        """Returns which frames have a pitch. Bool, shape [n_frames]."""
        return pitch_tracker.voiced(
            self.f0_confidence,
            self.loudness_db,
            min_confidence=MIN_CONFIDENCE,
            min_loudness_db=MIN_LOUDNESS_DB,
        )

    @property
    def voiced_share(self) -> float:
        """Share of the audible frames that have a pitch; 0 if none is audible."""
        audible = int(np.count_nonzero(self.loudness_db >= MIN_LOUDNESS_DB))
        return int(np.count_nonzero(self.voiced)) / max(audible, 1)

    def replace(self, **changes: np.ndarray) -> "Performance":
        """A copy with other curves; power changes by as many dB as loudness."""
        curves: dict[str, Any] = {
            key: np.asarray(curve, np.float32) for key, curve in changes.items()
        }
        if self.power_db is not None and "loudness_db" in curves:
            change = curves["loudness_db"] - self.loudness_db
            curves["power_db"] = np.maximum(self.power_db + change, MIN_POWER_DB)
        return dataclasses.replace(self, **curves)


def listen(
    path: pathlib.Path, *, frame_rate: int, tracker: features.Tracker
) -> Performance:
    """Measures a recording.

    What lies outside the tracker's range is tracked an octave lower or higher, by the
    same measure as in preparation.

    Args:
        path: Audio of any length and sample rate.
        frame_rate: Frames per second that the model was trained with.
        tracker: Measures pitch.

    Raises:
        errors.InputError: If there is no such file, or nothing in it to be heard.
    """
    if not path.is_file():
        raise errors.InputError(f"there is no recording at {path}.")
    with whole_files.scratch_folder("ddsp_render") as folder:
        spool = folder / "audio_16k.f32"
        try:
            n_samples, pitch_hz = _spool(path, spool)
        except decode.UnreadableError as error:
            raise errors.InputError(f"{path}: {error}.") from error
        if not n_samples:
            raise errors.InputError(f"{path} holds no sample.")
        octaves = pitch_range.choose_octaves(
            pitch_hz, hop_size=features.CREPE_RATE // frame_rate
        )
        for note in pitch_range.describe(pitch_hz, octaves=octaves):
            logging.warning("%s: %s.", path, note)
        played = _analyse(
            spool,
            n_samples=n_samples,
            frame_rate=frame_rate,
            tracker=tracker,
            octaves=octaves,
        )
    check_audible(played, name=str(path))
    return played


def mono_blocks(
    path: pathlib.Path,
    *,
    sample_rate: int,
    spool: pathlib.Path | None = None,
    watch: pitch_range.Watch | None = None,
) -> Iterator[np.ndarray]:
    """Reads a recording block by block, and warns of what is odd in it.

    Args:
        path: Audio of any length and sample rate.
        sample_rate: Of what comes out, samples/s.
        spool: Where the blocks will lie, if on a disk, which must have room for them.
        watch: Hears them at the recording's own rate.

    Yields:
        Mono float32 [n_samples] each, finite.

    Raises:
        decode.UnreadableError: If it cannot be read, or the disk cannot hold it.
    """
    choice = decode.choose_channels(path)
    if choice.note:
        logging.warning("%s: %s.", path, choice.note)
    with decode.open_recording(path) as file:
        if spool is not None and file.n_declared is not None:
            _check_space(file.n_declared / file.sample_rate, spool)
        if file.sample_rate < LOW_RATE:
            logging.warning(
                "%s has %d samples a second, less than the %d at which pitch and "
                "loudness are measured: it will sound duller to the model than it is.",
                path,
                file.sample_rate,
                LOW_RATE,
            )
        resampler = resample.Resampler(file.sample_rate, sample_rate)
        for block in file.blocks():
            if not np.isfinite(block).all():
                raise decode.UnreadableError("holds samples that are NaN or infinite")
            mono = channels.downmix(block, choice.used)
            if watch is not None:
                watch.add(mono)
            yield resampler.push(mono)
        yield resampler.finish()
        for remark in file.remarks:
            logging.warning("%s: %s.", path, remark)


def _spool(path: pathlib.Path, spool: pathlib.Path) -> tuple[int, np.ndarray]:
    """Writes a recording as raw mono float32 at 16 kHz.

    Returns:
        Number of samples, and the pitch of what is audible
        (`pitch_range.Watch.audible_hz`).
    """
    n_samples = 0
    with decode.open_recording(path) as file:
        watch = pitch_range.Watch(file.sample_rate)
    blocks = mono_blocks(
        path, sample_rate=features.CREPE_RATE, spool=spool, watch=watch
    )
    with open(spool, "wb") as raw:
        for block in blocks:
            raw.write(np.ascontiguousarray(block, np.float32).tobytes())
            n_samples += len(block)
    return n_samples, watch.audible_hz()


def _check_space(secs: float, spool: pathlib.Path) -> None:
    """Refuses what the disk could not hold while it is measured."""
    needed = secs * BYTES_A_SECOND
    free = shutil.disk_usage(spool.parent).free
    if needed > free:
        raise decode.UnreadableError(
            f"{secs:.0f} s need {needed / 1e9:.1f} GB on disk while they are measured, "
            f"and {spool.parent} has {free / 1e9:.1f} GB; set TMPDIR to a larger disk"
        )


def _analyse(
    spool: pathlib.Path,
    *,
    n_samples: int,
    frame_rate: int,
    tracker: features.Tracker,
    octaves: int,
) -> Performance:
    """Pitch and loudness of a spooled recording, segment by segment."""
    n_frames = features.count_frames(n_samples, features.CREPE_RATE // frame_rate)
    segments, off_pitch, powers = [], [], []
    read = functools.partial(layout.read_span, spool)
    for segment in range(features.count_segments(n_frames, frame_rate)):
        segments.append(
            features.analyse_segment(
                read,
                segment,
                n_frames=n_frames,
                frame_rate=frame_rate,
                framing="aligned",
                tracker=tracker,
                octaves=octaves,
            )
        )
        powers.append(
            features.power_db(
                read,
                first=segment * features.SEGMENT_SECS * frame_rate,
                n_frames=segments[-1].shape[1],
                frame_rate=frame_rate,
            )
        )
        off_pitch.append(
            _off_pitch(
                read,
                segment * features.SEGMENT_SECS,
                Performance(frame_rate, *segments[-1]),
            )
        )
        done = min(1.0, (segment + 1) * features.SEGMENT_SECS * frame_rate / n_frames)
        logging.info("measured %.0f %% of %.0f s", 100 * done, n_frames / frame_rate)
    # All segments as one; its share off pitch is the median of the voiced frames.
    f0_hz, f0_confidence, loudness_db = np.concatenate(segments, axis=1)
    shares = np.concatenate(off_pitch)
    share = float(np.median(shares)) if len(shares) else float("nan")
    power_db = np.concatenate(powers)
    return Performance(frame_rate, f0_hz, f0_confidence, loudness_db, share, power_db)


def _off_pitch(
    read_16k: features.ReadSpan, start_secs: int, played: Performance
) -> np.ndarray:
    """Share of the power at no multiple of the pitch, in a segment's voiced frames."""
    f0_hz, voiced = played.f0_hz, played.voiced
    if not voiced.any():
        return np.empty(0)
    hop_size = features.CREPE_RATE // played.frame_rate
    start = start_secs * features.CREPE_RATE
    measured = measured_controls.measure(
        read_16k(start, start + len(f0_hz) * hop_size),
        np.where(voiced, f0_hz, math.nan),
        sample_rate=features.CREPE_RATE,
        frame_rate=played.frame_rate,
        n_harmonics=MAX_HARMONICS,
    )
    off_pitch = 1.0 - measured.harmonic_power / np.maximum(measured.power, _TINY)
    return off_pitch[voiced]


def check_audible(played: Performance, *, name: str) -> None:
    """Refuses silence; warns of what has no single pitch.

    Args:
        played: The performance.
        name: Of its source, for the message.

    Raises:
        errors.InputError: If no frame is audible.
    """
    loudest = float(np.max(played.loudness_db))
    if loudest < MIN_LOUDNESS_DB:
        raise errors.InputError(
            f"{name} is silent: its loudest moment has {loudest:.1f} dB, and below "
            f"{MIN_LOUDNESS_DB:g} dB nothing is played."
        )
    # Usable but suspect: no pitch, or a pitch that most of the sound does not share.
    if played.voiced_share < LOW_VOICED_SHARE:
        logging.warning(
            "Only %.0f %% of the audible part of %s has a clear pitch: is it "
            "polyphonic, noisy or unpitched? The model plays one voice; "
            "--mask_unvoiced silences its harmonics where there is none.",
            100 * played.voiced_share,
            name,
        )
    elif played.off_pitch_share > MANY_VOICES:
        logging.warning(
            "%.0f %% of the sound of %s lies at no multiple of its pitch (of a solo "
            "recording, below %.0f %%): is it a chord, or is something else playing? "
            "The model plays one voice.",
            100 * played.off_pitch_share,
            name,
            100 * MANY_VOICES,
        )
