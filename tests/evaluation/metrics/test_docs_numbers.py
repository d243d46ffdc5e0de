"""Thresholds, masks and constants of docs/metrics.md against those of the code.

Pieces of the page stand here with their numbers taken from the code: whoever changes
one of the two is told. What the numbers do is tested where they are used.
"""

import pathlib
import re

import pytest

from evaluation import evaluate_pairs
from evaluation.collapse_index import audible
from evaluation.collapse_index import index
from evaluation.collapse_index import rooms
from evaluation.collapse_index import sums
from evaluation.metrics import catalogue
from evaluation.metrics import collapse
from evaluation.metrics import fidelity
from evaluation.metrics import pitch_scores
from evaluation.metrics import responses
from evaluation.pairs import alignment
from evaluation.pairs import reading
from evaluation.scoring import pitch_tracking
from evaluation.summary import gates
from evaluation.summary import paired
from evaluation.summary import verdict
from models.controls import heads
from models.measures import frame_masks
from models.measures import levels
from models.measures import measured_controls
from models.measures import noise_bands
from models.measures import pitch_refinement
from models.measures import spectra
from models.measures import statistics
from models.measures import warped_spectrum

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
WORDS = {4: "four", 5: "five", 8: "eight", 10: "ten"}
HEADLINE = catalogue.headline(["collapse_index", "heard_collapse_index"])
FRAME_RATE = 250  # of the page's examples
TRACKED_EVERY = FRAME_RATE // pitch_tracking.MIN_TRACKED_RATE
LOW, HIGH = statistics.RANGE_PERCENTILES


def ms(secs: float) -> str:
    return f"{1000 * secs:g} ms"


def per_cent(share: float) -> str:
    return f"{100 * share:g} %"


def midpoints(scale: index.Scale) -> list[str]:
    return [f"{scale.midpoints[name]:g}" for name in index.COMPONENTS]


MASKS = (
    f"within {frame_masks.AUDIBLE_RANGE_DB:g} dB of the clip's loudest frame and at "
    f"least {frame_masks.AUDIBLE_FLOOR_DB:g} dB |",
    f"CREPE's confidence at least {frame_masks.MIN_CONFIDENCE:g} |",
    f"fewer than {frame_masks.MIN_FRAMES} frames "
    f"({ms(frame_masks.MIN_FRAMES / FRAME_RATE)})",
    f"deviation below {responses.MIN_LOUDNESS_STD_DB:g} dB of loudness (the index's) "
    f"or {responses.MIN_PITCH_STD_CENTS:g} cents of pitch",
    f"(within {responses.STANDSTILL_RANGE:g} dB or octaves",
    "the mean of its squared magnitudes times 1/3",
)
MEASURING = (
    f"frequencies of its first {WORDS[pitch_refinement.N_HARMONICS]} harmonics",
    f"an even number of periods, at least {WORDS[warped_spectrum.MIN_PERIODS]} and at "
    f"least {ms(warped_spectrum.MIN_WINDOW_SECS)}",
    f"changes slowly (over {noise_bands.COLOUR_SECS:g} s)",
    f"is averaged over {ms(measured_controls.STEADY_SECS)}",
    f"the {measured_controls.N_NOISE_BANDS} noise bands",
)
COLLAPSE = (
    f"more than {collapse.SILENT_BELOW_DB:g} dB under the recording",
    f"within {per_cent(collapse.SATURATION_MARGIN)} of an end of the head's scale",
    f"{HIGH:g}th minus {LOW:g}th percentile of the level",
    f"The ends are 1e-7 and {heads.MAX_VALUE:g} for `ExpSigmoidHead`",
)
INDEX = (
    f"(averaged over {ms(sums.SMOOTH_SECS)})",
    f"| M_rec of {index.MIN_MOVEMENT:g} a frame |",
    f"| E_rec - 1 of {index.MIN_SPREAD:g} |",
    f"| {levels.MIN_LEVEL_STD_DB:g} dB of standard deviation |",
    f"| s_rec of at most {index.MAX_NOISE_SHARE:g} |",
    f'("Needs", and at least {frame_masks.MIN_FRAMES} frames)',
    f"**From {index.THRESHOLD:g} on a system is called collapsed.**",
    "through (0, 0), (midpoint, 0.5), (1, 1)",
    "| **midpoint** | "
    + " | ".join(f"**{value}**" for value in midpoints(index.CONTROLS))
    + " |",
    "**Midpoints**: "
    + ", ".join(
        f"{name} {value}"
        for name, value in zip(index.COMPONENTS, midpoints(index.HEARD), strict=True)
    ),
    f"at least {per_cent(verdict.STILL_LEARNING)} below that of the first half",
    "the best held-out loss of the second half of a run's training",
)
ROOMS = (
    f"falls by {rooms.MIN_FALL_DB:g} dB at once",
    f"Of {len(rooms.ROOM_SECS) * len(rooms.ROOM_DB)} rooms ({rooms.ROOM_SECS[0]:g} to "
    f"{rooms.ROOM_SECS[-1]:g} s, {rooms.ROOM_DB[0]:g} to {rooms.ROOM_DB[-1]:g} dB "
    "against the direct sound) and none, each with "
    f"{WORDS[len(rooms.NOISE_DB)]} levels of noise",
    f"explains {per_cent(rooms.MIN_GAIN)} of the misfit beyond twice",
    f"(fewer than {rooms.MIN_EVENTS} falls)",
    f"a room of {audible.ROOM_SECS:g} s whose sound has the energy of the direct one",
)
FIDELITY = (
    "summed over windows of " + ", ".join(map(str, spectra.FFT_SIZES)) + ";",
    f"window {fidelity.DISTANCE_FFT_SIZE}, floor {fidelity.DISTANCE_RANGE_DB:g} dB "
    "below the recording's loudest bin",
    f"within {fidelity.HARMONIC_RANGE_DB:g} dB of the recording's strongest",
    f"within {pitch_scores.TOLERANCE_CENTS:g} cents (mir_eval)",
    f"exceeds {pitch_scores.DDSP_OUTLIER_SEMITONES:g} semitones over frames with "
    f"confidence above {pitch_scores.DDSP_MIN_CONFIDENCE:g}",
    f"at least {pitch_scores.MIN_PITCHED_FRAMES} such frames",
    f"tracked every {ms(TRACKED_EVERY / FRAME_RATE)} (at {FRAME_RATE} frames a second "
    "every fourth frame",
)
COMPARISON = (
    f"With fewer than {paired.MIN_UNITS} recordings clips are resampled",
    f"With fewer than {paired.MIN_UNITS} units there is no interval",
    f"{per_cent(paired.CONFIDENCE)} percentile bootstrap, {paired.N_RESAMPLES} "
    "resamples",
    f"the headline scores ({WORDS[len(HEADLINE)]}; level 1 - "
    f"{1 - paired.CONFIDENCE:.2f}/{len(HEADLINE)})",
    f"stays within {per_cent(gates.MARGIN)} of the best's, that of its index within "
    f"{gates.INDEX_MARGIN:g}",
    f"better in index by {gates.INDEX_MARGIN:g} or in spectral loss by "
    f"{per_cent(gates.MARGIN)}, interval without 0, worse in neither",
)
FILES_ALONE = (
    "the highest of "
    + ", ".join(f"{rate // 1000}" for rate in reading.RATES[:-1])
    + f" and {reading.RATES[-1] // 1000} kHz that no file lies below",
    f"{reading.FRAME_RATE} frames a second. Spectral losses",
    f"the levels of {alignment.N_BANDS} bands, every {ms(alignment.HOP_SECS)}, "
    f"correlate best, searched {ms(alignment.SEARCHED_SECS)} to either side",
    f"(correlation of {alignment.COPY_CORRELATION:g}), to the sample",
    f"correlate by {alignment.MIN_AGREEMENT:g} and removing it takes off a tenth",
    f"Up to {ms(alignment.MAX_DELAY_SECS)} are removed",
    f"A median difference from {evaluate_pairs.TOLD_GAIN_DB:g} dB on",
    f"differs by {ms(alignment.MAX_DELAY_SECS)} or less is cut",
    f"equal parts of about {reading.CLIP_SECS:g} s",
)


@pytest.fixture(scope="module")
def page() -> str:
    """The page as one line, with hyphens for minus signs."""
    text = PAGE.read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    "piece",
    [
        *MASKS,
        *MEASURING,
        *COLLAPSE,
        *INDEX,
        *ROOMS,
        *FIDELITY,
        *COMPARISON,
        *FILES_ALONE,
    ],
)
def test_the_page_says_the_code_s_numbers(piece, page):
    assert piece in page


def test_numbers_that_the_page_says_in_words():
    assert heads.THRESHOLD == 1e-7
    assert levels.UNIFORM_NOISE_POWER == 1 / 3
    assert verdict.LATE_SHARE == 0.5
    assert levels.SMOOTH_SECS == sums.SMOOTH_SECS
    assert TRACKED_EVERY == 4
    assert audible.ROOM_DB == 0.0
    assert alignment.MIN_GAIN == 0.1


def test_the_masks_are_what_the_flags_say_by_default():
    settings = frame_masks.MaskSettings()
    assert (settings.min_confidence, settings.range_db, settings.floor_db) == (
        frame_masks.MIN_CONFIDENCE,
        frame_masks.AUDIBLE_RANGE_DB,
        frame_masks.AUDIBLE_FLOOR_DB,
    )
