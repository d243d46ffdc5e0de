"""The tuning of a performance and the semitone that each of its notes means.

Source: own. The mean on a circle is that of directional statistics (K. V. Mardia,
"Statistics of Directional Data", 1972, section 2.2).
"""

import numpy as np
from absl import logging

# Semitones, by which a pitch leaves a note: more than a vibrato's middle sways, less
# than the smallest step between notes.
LEAVING_NOTE = 0.35
CLEAR_TUNING = 0.1  # of 1, from which pitches agree on a tuning


def estimate_tuning(pitch_midi: np.ndarray) -> float:
    """Estimates how far a performance's semitones lie from those of A4 = 440 Hz.

    The mean on the circle of one semitone, on which A = 415 Hz stands 1 cent below
    A = 440 Hz: both have nearly the same semitones.

    Args:
        pitch_midi: Pitches inside notes, MIDI note numbers, shape [n].

    Returns:
        Semitones, above -0.5 and up to 0.5; 0 where the pitches agree on no tuning, or
        where all are one note, which may be sharp or flat in any.
    """
    if not len(pitch_midi):
        return 0.0
    mean = np.exp(2j * np.pi * pitch_midi).mean()
    tuning = np.angle(mean) / (2.0 * np.pi)
    low, high = np.quantile(pitch_midi - tuning, [0.1, 0.9])
    if abs(mean) < CLEAR_TUNING or round(high) == round(low):
        logging.warning("Its notes tell no tuning: A4 = 440 Hz is taken, or --a4=HZ.")
        return 0.0
    return tuning


def hold_semitones(middle: np.ndarray) -> np.ndarray:
    """The semitone of each note, held while the note lasts.

    Args:
        middle: Smoothed pitch, semitones, shape [n_frames], at least one frame.

    Returns:
        Whole numbers, same shape.
    """
    # A pitch away from the mean so far begins the next note.
    starts: list[int] = []
    start, mean = 0, middle[0]
    for frame, value in enumerate(middle):
        if abs(value - mean) > LEAVING_NOTE:
            start, mean = frame, value
            starts.append(start)
        mean += (value - mean) / (frame - start + 1)
    notes = np.split(middle, starts)
    return np.repeat(
        [np.round(np.median(note)) for note in notes], [len(note) for note in notes]
    )
