r"""Scores the pitch tracker on tones whose pitch is known.

    make bench-pitch

Tones of eight harmonics with vibrato, glides and steady notes, in a low, a middle and a
high register and in two outside CREPE's range, without noise and with white noise 20,
10 and 0 dB below them, are tracked by the full and the tiny CREPE as preparation does:
an octave lower or higher where the measure of the range asks for it. What is tracked so
is tracked as it is too, in groups that end in "as ddsp". Scores are mir_eval's, in
cents of the true pitch; the share voiced is that of frames with a confidence of
`frame_masks.MIN_CONFIDENCE`. Ends with one JSON line.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator

import mir_eval
import numpy as np

from models.measures import frame_masks
from prep import features
from prep.pitch import tracker as pitch_tracker
from prep.recordings import pitch_range

SAMPLE_RATE = 16000  # Hz
FRAME_RATE = 125  # answers a second; multiples of 64 samples are quick
SECS = 2.0  # of each tone
EDGE_SECS = 0.1  # at both ends, where half of a window is empty
N_HARMONICS = 8
# Hz: C2, C4, C6, and beyond CREPE's range G0 and G7. A glide ends within it: up from
# below, down from above.
REGISTERS = {
    "low": 65.4,
    "middle": 261.6,
    "high": 1046.5,
    "below": 24.5,
    "above": 3136.0,
}
MOVEMENTS = ("steady", "vibrato", "glide")
VIBRATO_HZ, VIBRATO_CENTS = 5.5, 50.0  # rate, and to either side
GLIDE_CENTS = 1200.0  # in the whole tone
AS_IT_IS = "as ddsp"  # of groups that are not tracked an octave lower or higher
NOISE_DB = (np.inf, 20.0, 10.0, 0.0)  # tone over noise
CAPACITIES = ("full", "tiny")
TOLERANCE_CENTS = 50.0


@dataclasses.dataclass(frozen=True)
class Tone:
    """A tone and its true pitch.

    Attributes:
        register: Name of its register.
        movement: How its pitch moves.
        snr_db: Its level over the noise's.
        audio: Shape [n_samples].
        f0_hz: At every frame. Shape [n_frames].
    """

    register: str
    movement: str
    snr_db: float
    audio: np.ndarray
    f0_hz: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a tracker makes of one or more tones.

    Attributes:
        accuracy: Share of frames within 50 cents, mir_eval's raw pitch accuracy.
        chroma: The same with octaves forgiven.
        error_cents: Median absolute error.
        error_95_cents: Its 95th percentile.
        voiced: Share of frames that are confident enough to count as pitched.
    """

    accuracy: float
    chroma: float
    error_cents: float
    error_95_cents: float
    voiced: float


def cents_over_time(movement: str, times: np.ndarray) -> np.ndarray:
    """Cents above the register's pitch at times in seconds; same shape."""
    if movement == "vibrato":
        return VIBRATO_CENTS * np.sin(2.0 * np.pi * VIBRATO_HZ * times)
    if movement == "glide":
        return GLIDE_CENTS * times / SECS
    return np.zeros_like(times)


def make_tones() -> Iterator[Tone]:
    """Makes every tone; noise and phases are drawn the same each time."""
    times = np.arange(round(SECS * SAMPLE_RATE)) / SAMPLE_RATE
    frames = np.arange(round(SECS * FRAME_RATE)) / FRAME_RATE
    rng = np.random.default_rng(0)
    for register, base_hz in REGISTERS.items():
        for movement in MOVEMENTS:
            way = -1.0 if register == "above" else 1.0
            curve = base_hz * 2.0 ** (way * cents_over_time(movement, times) / 1200.0)
            truth = base_hz * 2.0 ** (way * cents_over_time(movement, frames) / 1200.0)
            phase = 2.0 * np.pi * np.cumsum(curve) / SAMPLE_RATE
            tone = np.zeros(times.size)
            for k in range(1, N_HARMONICS + 1):
                sounds = k * curve < SAMPLE_RATE / 2
                tone += sounds / k * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
            tone *= 0.1 / np.sqrt(np.mean(tone**2))
            noise = rng.standard_normal(times.size)
            for snr_db in NOISE_DB:
                audio = tone + 0.1 * 10.0 ** (-snr_db / 20.0) * noise
                yield Tone(register, movement, snr_db, audio.astype(np.float32), truth)


def choose_octaves(tone: Tone) -> int:
    """Octaves by which preparation plays a tone higher to the tracker."""
    return pitch_range.choose_octaves(
        pitch_range.measure(tone.audio, SAMPLE_RATE),
        hop_size=SAMPLE_RATE // FRAME_RATE,
    )


def score(tone: Tone, tracker: pitch_tracker.CrepeTracker, *, octaves: int) -> Scores:
    """Tracks a tone, played `octaves` higher, and scores the answer."""
    f0_hz, confidence = features.track_clip(
        tone.audio, FRAME_RATE, tracker=tracker, octaves=octaves
    )
    inner = slice(round(EDGE_SECS * FRAME_RATE), -round(EDGE_SECS * FRAME_RATE))
    n_frames = tone.f0_hz.size
    est_hz, true_hz = f0_hz[:n_frames][inner], tone.f0_hz[inner]
    confident = confidence[:n_frames][inner] >= frame_masks.MIN_CONFIDENCE
    to_cents = mir_eval.melody.hz2cents
    ref_cents, est_cents = to_cents(true_hz), to_cents(est_hz.astype(np.float64))
    # The truth is voiced throughout; accuracy does not ask for the tracker's voicing.
    voiced = np.ones(true_hz.size)
    counted = (voiced, ref_cents, voiced, est_cents)
    errors = np.abs(est_cents - ref_cents)
    return Scores(
        accuracy=mir_eval.melody.raw_pitch_accuracy(
            *counted, cent_tolerance=TOLERANCE_CENTS
        ),
        chroma=mir_eval.melody.raw_chroma_accuracy(
            *counted, cent_tolerance=TOLERANCE_CENTS
        ),
        error_cents=float(np.median(errors)),
        error_95_cents=float(np.percentile(errors, 95)),
        voiced=float(np.mean(confident)),
    )


def mean_scores(scores: list[Scores]) -> dict[str, float]:
    """Means over tones."""
    return {
        field.name: round(float(np.mean([getattr(s, field.name) for s in scores])), 4)
        for field in dataclasses.fields(Scores)
    }


def main() -> int:
    """Measures and prints; returns an exit code."""
    tones = list(make_tones())
    document: dict[str, dict[str, dict[str, float]]] = {}
    for capacity in CAPACITIES:
        tracker = pitch_tracker.CrepeTracker(capacity)
        groups: dict[str, list[Scores]] = {"all": []}
        for tone in tones:
            octaves = choose_octaves(tone)
            one = score(tone, tracker, octaves=octaves)
            noise = "no noise" if np.isinf(tone.snr_db) else f"{tone.snr_db:.0f} dB"
            own = (tone.register, f"{tone.register}, {noise}")
            for name in ("all", tone.movement, noise, *own):
                groups.setdefault(name, []).append(one)
            if octaves:
                one = score(tone, tracker, octaves=0)
                for name in own:
                    groups.setdefault(f"{name}, {AS_IT_IS}", []).append(one)
        document[capacity] = {name: mean_scores(ones) for name, ones in groups.items()}
        print(f"CREPE {capacity}: accuracy, chroma, cents (median, 95 %), voiced")
        for name, values in document[capacity].items():
            print(f"  {name:26}" + "  ".join(f"{v:8.3f}" for v in values.values()))
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
