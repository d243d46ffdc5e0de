"""Frames of a clip that count: those in which its recording sounds, and has a pitch.

A frame of silence may have any distribution at no cost, and a model must not hide its
silence by being silent: all measurements count the recording's frames, in training as
in the report.
"""

import dataclasses

import numpy as np

MIN_CONFIDENCE = 0.5  # CREPE confidence from which a frame counts as pitched
AUDIBLE_RANGE_DB = 40.0  # dB below a clip's loudest frame that still count
AUDIBLE_FLOOR_DB = -70.0  # dB, A-weighted loudness; the scale's floor is -80
MIN_FRAMES = 10  # frames; fewer (40 ms) carry no statistics of a movement
SILENT_SHARE = 1e-8  # of power; 80 dB below: what counts as no sound at all


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
