"""MIDI -> performance: one voice, with attack, release, vibrato and pitch bend.

Notes of all channels but drums become one melody: where two overlap, the later one
sounds and the earlier one ends. Velocity decides loudness between the quiet and the
loud notes that the model has heard; the rest of the phrasing is `Phrasing`.

Source: own.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pretty_midi
from absl import logging

from evaluation.render import performance
from evaluation.render import transfer
from prep import errors
from prep import loudness as loudness_lib

QUIET, LOUD = 0.1, 0.95  # quantiles of loudness for velocities 1 and 127
MAX_VELOCITY = 127
BEND_SEMITONES = 2.0  # of a full pitch bend, the MIDI default
BEND_UNITS = 8192.0
CONFIDENCE = 0.95  # of frames inside notes
REST_SECS = 0.5  # after the last note, for its release


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
        score = pretty_midi.PrettyMIDI(str(path))
    except (OSError, ValueError, EOFError, KeyError, IndexError) as error:
        raise errors.InputError(f"{path} is no MIDI file: {error}.") from error
    instruments = [one for one in score.instruments if not one.is_drum]
    notes = sorted(
        (note for one in instruments for note in one.notes), key=lambda n: n.start
    )
    if not notes:
        raise errors.InputError(f"{path} has no notes (drums do not count).")
    phrasing = phrasing or Phrasing()
    notes = one_voice(notes, name=str(path))
    played = play_notes(notes, frame_rate=frame_rate, heard=heard, phrasing=phrasing)
    bend = _bend(instruments, played)
    return played.replace(f0_hz=played.f0_hz * 2.0 ** (bend / transfer.SEMITONES))


def one_voice(
    notes: list[pretty_midi.Note], *, name: str = "the file"
) -> list[pretty_midi.Note]:
    """Ends each note where the next begins.

    Args:
        notes: By start. Of notes that begin together the highest is kept.
        name: Of the file, for the warning.

    Returns:
        Notes that do not overlap.
    """
    kept: list[pretty_midi.Note] = []
    n_cut = 0
    for note in sorted(notes, key=lambda n: (n.start, n.pitch)):
        if kept and note.start - kept[-1].start < 0.01:
            kept.pop()
            n_cut += 1
        elif kept and kept[-1].end > note.start + 0.05:
            n_cut += 1
        if kept and kept[-1].end > note.start:
            last = kept[-1]
            kept[-1] = pretty_midi.Note(
                last.velocity, last.pitch, last.start, note.start
            )
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
    notes: list[pretty_midi.Note],
    *,
    frame_rate: int,
    heard: transfer.Heard,
    phrasing: Phrasing,
) -> performance.Performance:
    """Notes -> curves.

    Args:
        notes: By start, without overlaps.
        frame_rate: Frames per second.
        heard: The training data's quantiles, for loudness.
        phrasing: How notes are played.
    """
    n_frames = int(np.ceil((notes[-1].end + REST_SECS) * frame_rate))
    time = np.arange(n_frames) / frame_rate
    starts = np.array([note.start for note in notes])
    # The note of each frame: the last that has begun, the first before it.
    index = np.maximum(np.searchsorted(starts, time, side="right") - 1, 0)
    pick = lambda name: np.array([getattr(note, name) for note in notes], float)[index]
    since, left = time - pick("start"), pick("end") - time
    semitones = _pitch(notes, index, since, phrasing=phrasing)
    loudness = _velocity_db(pick("velocity"), heard)
    loudness = loudness + _envelope(since, left, phrasing=phrasing)
    inside = (since >= 0) & (left > 0)
    return performance.Performance(
        frame_rate=frame_rate,
        f0_hz=pretty_midi.note_number_to_hz(semitones).astype(np.float32),
        f0_confidence=np.where(inside, CONFIDENCE, 0.0).astype(np.float32),
        loudness_db=np.maximum(loudness, loudness_lib.MIN_DB).astype(np.float32),
    )


def _pitch(
    notes: list[pretty_midi.Note],
    index: np.ndarray,
    since: np.ndarray,
    *,
    phrasing: Phrasing,
) -> np.ndarray:
    """MIDI note numbers with glide and vibrato. Shape [n_frames]."""
    pitches = np.array([note.pitch for note in notes], float)
    before = np.concatenate([pitches[:1], pitches[:-1]])
    ends = np.array([0.0, *(note.end for note in notes[:-1])])
    joined = np.array([note.start for note in notes]) - ends < phrasing.glide_secs
    joined[0] = False
    share = np.clip(since / max(phrasing.glide_secs, 1e-6), 0.0, 1.0)
    glide = np.where(joined[index], (before - pitches)[index] * (1.0 - share), 0.0)
    delay = max(phrasing.vibrato_delay_secs, 1e-6)
    depth = phrasing.vibrato_cents / 100.0 * np.clip(since / delay - 1.0, 0.0, 1.0)
    vibrato = depth * np.sin(2.0 * np.pi * phrasing.vibrato_hz * (since - delay))
    return pitches[index] + glide + vibrato


def _velocity_db(velocity: np.ndarray, heard: transfer.Heard) -> np.ndarray:
    """Velocity 1 to 127 -> loudness that the model has heard, dB."""
    shares = QUIET + (LOUD - QUIET) * (velocity - 1.0) / (MAX_VELOCITY - 1.0)
    quantiles = np.linspace(0.0, 1.0, len(heard.loudness_db))
    return np.interp(shares, quantiles, heard.loudness_db)


def _envelope(since: np.ndarray, left: np.ndarray, *, phrasing: Phrasing) -> np.ndarray:
    """Attack, decay and release in dB, 0 at full loudness. Shape [n_frames]."""
    attack = phrasing.attack_db * np.clip(
        1.0 - since / max(phrasing.attack_secs, 1e-6), 0.0, 1.0
    )
    decay = phrasing.decay_db * np.clip(since - phrasing.attack_secs, 0.0, 1.0)
    release = 60.0 * np.clip(-left / max(phrasing.release_secs, 1e-6), 0.0, None)
    before = np.where(since < 0, -loudness_lib.MIN_DB * 2, 0.0)
    return -(attack + decay + release + before)


def _bend(instruments: list[Any], played: performance.Performance) -> np.ndarray:
    """Pitch bend of each frame in semitones."""
    bends = sorted(
        (bend for one in instruments for bend in one.pitch_bends), key=lambda b: b.time
    )
    if not bends:
        return np.zeros(played.n_frames)
    times = np.array([bend.time for bend in bends])
    values = np.array([0.0, *(bend.pitch for bend in bends)])
    now = np.arange(played.n_frames) / played.frame_rate
    index = np.searchsorted(times, now, side="right")
    return values[index] * (BEND_SEMITONES / BEND_UNITS)
