"""MIDI -> performance: one voice, with attack, release, vibrato and pitch bend.

Notes of all channels but drums become one melody: where two overlap, the later one
sounds and the earlier one ends. Velocity decides loudness between the quiet and the
loud notes that the model has heard; expression and breath take from it. A file that
moves the mod wheel decides the vibrato's depth with it. The rest of the phrasing is
`Phrasing`.

Source: own; the curve of expression is that of the General MIDI 2 recommendation.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import pretty_midi
from absl import logging

from evaluation.render import midi_file
from evaluation.render import performance
from evaluation.render import transfer
from prep import errors
from prep import loudness as loudness_lib

QUIET, LOUD = 0.1, 0.95  # quantiles of loudness for velocities 1 and 127
MAX_VELOCITY = 127
MAX_CONTROL = 127.0  # of a controller
WHEEL_CENTS = 50.0  # of vibrato to either side, with the mod wheel all the way up
CONFIDENCE = 0.95  # of frames inside notes
REST_SECS = 0.5  # after the last note, for its release


# Times and values of the changes by channel and controller: `SheetMusic.curves`.
Curves = Mapping[tuple[int, int], Sequence[tuple[float, float]]]


@dataclasses.dataclass(frozen=True)
class Phrasing:
    """How notes are played.

    Attributes:
        attack_secs: From a note's start to its full loudness.
        release_secs: From a note's end to 60 dB less.
        attack_db: How far below its loudness a note begins.
        decay_db: What a note loses in its first second after the attack.
        glide_secs: In which the pitch reaches a note that follows without a rest.
        vibrato_hz: Rate.
        vibrato_cents: Depth to either side.
        vibrato_delay_secs: After which vibrato sets in, as long again until it is full.
    """

    attack_secs: float = 0.06
    release_secs: float = 0.25
    attack_db: float = 20.0
    decay_db: float = 3.0
    glide_secs: float = 0.03
    vibrato_hz: float = 5.5
    vibrato_cents: float = 20.0
    vibrato_delay_secs: float = 0.25


def read_midi(
    path: pathlib.Path,
    *,
    frame_rate: int,
    heard: transfer.Heard,
    phrasing: Phrasing | None = None,
) -> performance.Performance:
    """Reads a MIDI file as a performance.

    Args:
        path: Of the file.
        frame_rate: Frames per second that the model plays.
        heard: The training data's quantiles, for loudness.
        phrasing: How notes are played.

    Raises:
        errors.InputError: If there is no such file, or no note in it.
    """
    if not path.is_file():
        raise errors.InputError(f"there is no MIDI file at {path}.")
    try:
        score = midi_file.read_score(path.read_bytes())
    except OSError as error:
        raise errors.InputError(f"{path}: {error.strerror}.") from error
    except midi_file.MidiFileError as error:
        raise errors.InputError(f"{path} {error}.") from error
    if score.remarks:
        logging.warning(
            "%s is broken in places and played all the same: %s.",
            path,
            ", ".join(score.remarks),
        )
    if not score.notes:
        raise errors.InputError(f"{path} has no notes (drums do not count).")
    # Several voices become one, and one becomes curves.
    notes = one_voice(score.notes, name=str(path))
    return play_notes(
        notes,
        frame_rate=frame_rate,
        heard=heard,
        phrasing=phrasing or Phrasing(),
        curves=score.curves,
    )


def one_voice(
    notes: list[midi_file.ScoreNote], *, name: str
) -> list[midi_file.ScoreNote]:
    """Ends each note where the next begins.

    Args:
        notes: By start. Of notes that begin together the highest is kept.
        name: Of the file, for the warning.

    Returns:
        Notes that do not overlap.
    """
    # Notes that begin within 10 ms are a chord; 50 ms of overlap are legato.
    kept: list[midi_file.ScoreNote] = []
    n_cut = 0
    for note in sorted(notes, key=lambda n: (n.start, n.pitch)):
        if kept and note.start - kept[-1].start < 0.01:
            kept.pop()
            n_cut += 1
        elif kept and kept[-1].end > note.start + 0.05:
            n_cut += 1
        # A copy: the notes of the file stay as they are.
        if kept:
            end = min(kept[-1].end, note.start)
            kept[-1] = dataclasses.replace(kept[-1], end=end)
        kept.append(note)
    if n_cut:
        logging.warning(
            "%s: %d of %d notes overlap others and were cut short or left out; the "
            "model plays one voice.",
            name,
            n_cut,
            len(notes),
        )
    return kept


def play_notes(
    notes: list[midi_file.ScoreNote],
    *,
    frame_rate: int,
    heard: transfer.Heard,
    phrasing: Phrasing,
    curves: Curves,
) -> performance.Performance:
    """Notes -> curves.

    Args:
        notes: By start, without overlaps.
        frame_rate: Frames per second.
        heard: The training data's quantiles, for loudness.
        phrasing: How notes are played.
        curves: Controllers of their channels, see `midi_file.SheetMusic`.
    """
    n_frames = int(np.ceil((notes[-1].end + REST_SECS) * frame_rate))
    time = np.arange(n_frames) / frame_rate
    starts = np.array([note.start for note in notes])
    # The note of each frame: the last that has begun, the first before it.
    index = np.maximum(np.searchsorted(starts, time, side="right") - 1, 0)
    pick = lambda name: np.array([getattr(note, name) for note in notes], float)[index]
    since, left = time - pick("start"), pick("end") - time
    # Controllers of the channel that the frame's note is played on.
    follow = lambda name, rest: _follow(
        curves, name, time=time, channels=pick("channel"), rest=rest
    )
    semitones = _pitch(notes, index, since, phrasing=phrasing)
    semitones = semitones + follow(midi_file.BEND, 0.0)
    depth = _vibrato_depth(since, phrasing=phrasing)
    if _is_moved(curves, midi_file.MOD_WHEEL):
        depth = WHEEL_CENTS / 100.0 * follow(midi_file.MOD_WHEEL, 0.0) / MAX_CONTROL
    since_vibrato = since - phrasing.vibrato_delay_secs
    semitones += depth * np.sin(2.0 * np.pi * phrasing.vibrato_hz * since_vibrato)
    loudness = _velocity_db(pick("velocity"), heard)
    loudness = loudness + _envelope(since, left, phrasing=phrasing)
    for name in (midi_file.EXPRESSION, midi_file.BREATH):
        loudness = loudness + _controller_db(follow(name, MAX_CONTROL))
    inside = (since >= 0) & (left > 0)
    return performance.Performance(
        frame_rate=frame_rate,
        f0_hz=pretty_midi.note_number_to_hz(semitones).astype(np.float32),
        f0_confidence=np.where(inside, CONFIDENCE, 0.0).astype(np.float32),
        loudness_db=np.maximum(loudness, loudness_lib.MIN_DB).astype(np.float32),
    )


def _pitch(
    notes: list[midi_file.ScoreNote],
    index: np.ndarray,
    since: np.ndarray,
    *,
    phrasing: Phrasing,
) -> np.ndarray:
    """MIDI note numbers with glide. Shape [n_frames]."""
    pitches = np.array([note.pitch for note in notes], float)
    rests = np.array([b.start - a.end for a, b in itertools.pairwise(notes)])
    leaps = np.where(rests < phrasing.glide_secs, np.diff(pitches), 0.0)
    leaps = np.concatenate([[0.0], leaps])
    still_to_go = np.maximum(1.0 - _share(since, phrasing.glide_secs), 0.0)
    return pitches[index] - leaps[index] * still_to_go


def _vibrato_depth(since: np.ndarray, *, phrasing: Phrasing) -> np.ndarray:
    """Semitones to either side of a note without a mod wheel. Shape [n_frames]."""
    onset = np.clip(_share(since, phrasing.vibrato_delay_secs) - 1.0, 0.0, 1.0)
    return phrasing.vibrato_cents / 100.0 * onset


def _share(secs: np.ndarray, whole_secs: float) -> np.ndarray:
    """Part of a length of time that has passed; all of a length of 0."""
    return secs / max(whole_secs, 1e-6)


def _velocity_db(velocity: np.ndarray, heard: transfer.Heard) -> np.ndarray:
    """Velocity 1 to 127 -> loudness that the model has heard, dB."""
    shares = QUIET + (LOUD - QUIET) * (velocity - 1.0) / (MAX_VELOCITY - 1.0)
    quantiles = np.linspace(0.0, 1.0, len(heard.loudness_db))
    return np.interp(shares, quantiles, heard.loudness_db)


def _envelope(since: np.ndarray, left: np.ndarray, *, phrasing: Phrasing) -> np.ndarray:
    """Attack, decay and release in dB, 0 at full loudness. Shape [n_frames]."""
    attack = phrasing.attack_db * np.maximum(
        1.0 - _share(since, phrasing.attack_secs), 0.0
    )
    decay = phrasing.decay_db * np.clip(since - phrasing.attack_secs, 0.0, 1.0)
    release = 60.0 * np.maximum(_share(-left, phrasing.release_secs), 0.0)
    before = np.where(since < 0, np.inf, 0.0)
    return -(attack + decay + release + before)


def _is_moved(curves: Curves, name: int) -> bool:
    """Tells if a file uses a controller, not only sets it to 0 at the beginning."""
    return any(
        value > 0.0
        for (_, controller), changes in curves.items()
        if controller == name
        for _, value in changes
    )


def _follow(
    curves: Curves, name: int, *, time: np.ndarray, channels: np.ndarray, rest: float
) -> np.ndarray:
    """A controller's value at each frame, of the frame's channel.

    Args:
        curves: See `midi_file.SheetMusic`.
        name: Of the controller.
        time: Seconds, shape [n_frames].
        channels: Number of the frame's channel, same shape.
        rest: Value before the first change.

    Returns:
        Shape [n_frames].
    """
    values = np.full(len(time), rest)
    for channel in np.unique(channels):
        changes = curves.get((int(channel), name))
        if not changes:
            continue
        times, levels = np.array(changes).T
        index = np.searchsorted(times, time, side="right")
        followed = np.concatenate([[rest], levels])[index]
        values = np.where(channels == channel, followed, values)
    return values


def _controller_db(value: np.ndarray) -> np.ndarray:
    """Expression or breath, 0 to 127 -> dB below full; 240 at 0."""
    return 40.0 * np.log10(np.maximum(value / MAX_CONTROL, 1e-6))
