r"""Derives the constants of the collapse index from recordings; run by hand.

    python -m evaluation.derive_collapse_index --input='recordings/*/'
    --output=derived.json

Each folder is an instrument. Its recordings are cut into clips and measured, and then
judged twice:

- *healthy*: controls predicted from f0 and loudness alone, by averaging the nearest
  frames of the other clips. No model of this kind can know more, so what it loses
  against the recording is no collapse. (Frames of the same clip are never used.)
- *collapsed*: each controlled degradation (`evaluation.collapse_index.degradations`) of
  the recording's own controls, in steps from 0 to 100 %.

A component's midpoint, where the severity is 0.5, is put half-way between the healthy
value of the worst instrument and the value of the full degradation. Prints a table and
writes all of it; docs/metrics.md shows the result, and which recordings in which
folders gave it.
"""

import dataclasses
import glob
import json
import math
import pathlib
from collections.abc import Sequence

import numpy as np
import scipy.spatial
import soundfile
import soxr
from absl import flags

from evaluation.collapse_index import degradations
from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from evaluation.scoring import clips
from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from prep import command_line
from prep.pitch import tracker as pitch_tracker
from prep.recordings import find

SAMPLE_RATE = 16000  # Hz
FRAME_RATE = 250  # frames per second
CLIP_SECS = 4.0  # seconds; a last piece of at least half of it is kept
STEPS = np.linspace(0.0, 1.0, 11)  # amounts of degradation
N_NEIGHBOURS = 40  # frames averaged by the healthy prediction
SEMITONES, DECIBELS = 1.0, 2.0  # distances in pitch and loudness that weigh the same


def read_clips(folder: pathlib.Path) -> list[clips.Clip]:
    """Cuts the recordings of a folder into clips.

    Args:
        folder: With audio files.
    """
    found = []
    size = round(CLIP_SECS * SAMPLE_RATE)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in find.AUDIO_SUFFIXES:
            continue
        audio, rate = soundfile.read(path, always_2d=True)
        # Mono at the rate of training, cut into pieces of equal length.
        mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE)
        for start in range(0, mono.size, size):
            piece = mono[start : start + size]
            if piece.size < size // 2:
                continue
            found.append(
                clips.Clip(
                    name=f"{path.name} @ {start / SAMPLE_RATE:.2f} s",
                    recording_id=path.name,
                    start_secs=start / SAMPLE_RATE,
                    audio=piece[: piece.size // 64 * 64].astype(np.float32),
                    sample_rate=SAMPLE_RATE,
                    frame_rate=FRAME_RATE,
                )
            )
    return found


def predict_from_conditioning(
    references: Sequence[clips.Reference],
) -> list[control_arrays.ControlArrays]:
    """Controls as the best model of f0 and loudness alone would give them.

    Args:
        references: Clips of one instrument, two or more.

    Returns:
        For every clip the mean over the nearest frames of the other clips, in pitch
        and loudness; frames without pitch keep their own level.
    """
    inputs = [
        np.stack(
            [
                12 * np.log2(np.nan_to_num(ref.controls.f0_hz, nan=1.0)) / SEMITONES,
                ref.hearing.loudness_db / DECIBELS,
            ],
            axis=1,
        )
        for ref in references
    ]
    return [
        _predict_clip(references, inputs, place=place)
        for place in range(len(references))
    ]


def _predict_clip(
    references: Sequence[clips.Reference], inputs: Sequence[np.ndarray], *, place: int
) -> control_arrays.ControlArrays:
    """Predicts one clip from the others."""
    # The frames of the other clips that have a pitch, as points of pitch and loudness.
    others = [other for other in range(len(references)) if other != place]
    frames = [references[other].masks.pitched for other in others]
    known = np.concatenate(
        [inputs[o][keep] for o, keep in zip(others, frames, strict=True)]
    )
    # The nearest of them to each frame of this clip, and the mean over those.
    own = references[place]
    n_neighbours = min(N_NEIGHBOURS, len(known))
    _, nearest = scipy.spatial.cKDTree(known).query(inputs[place], k=n_neighbours)
    nearest = nearest.reshape(len(inputs[place]), -1)

    def predict(name: str) -> np.ndarray:
        values = [
            getattr(references[o].controls, name)[keep]
            for o, keep in zip(others, frames, strict=True)
        ]
        return np.concatenate(values)[nearest].mean(axis=1)

    pitched = own.masks.pitched
    # Frames without pitch keep their own level; power is met with the noise taken off.
    shares = distributions.normalise(
        predict("harmonic_distribution"),
        f0_hz=own.controls.f0_hz,
        sample_rate=SAMPLE_RATE,
    )
    power = predict("power")
    noise = np.where(pitched, predict("noise_power"), own.controls.noise_power)
    squares = np.maximum(np.sum(shares**2, axis=1), 1e-12)
    amps = np.sqrt(2 * np.maximum(power - noise, 0) / squares)
    return dataclasses.replace(
        own.controls,
        amps=np.where(pitched, amps, own.controls.amps),
        harmonic_distribution=shares,
        noise_power=noise,
    )


def judge(
    references: Sequence[clips.Reference],
    played: Sequence[control_arrays.ControlArrays],
) -> index.Verdict:
    """The index of controls against the recordings'."""
    masks = [ref.masks for ref in references]
    recorded = [ref.controls for ref in references]
    ref_typical = index_sums.measure_typical(recorded, masks)
    est_typical = index_sums.measure_typical(played, masks)
    sums = [
        index_sums.clip_sums(
            ref,
            est,
            masks=mask,
            ref_typical=ref_typical,
            est_typical=est_typical,
            ref_power=ref.power,
            est_power=est.power,
        )
        for ref, est, mask in zip(recorded, played, masks, strict=True)
    ]
    return index.judge(index_sums.add_sums(sums))


def judge_instrument(references: Sequence[clips.Reference]) -> dict:
    """Healthy and degraded verdicts of one instrument.

    Args:
        references: Its clips, two or more.
    """
    masks = [ref.masks for ref in references]
    recorded = [ref.controls for ref in references]
    # The best prediction from f0 and loudness is healthy by definition.
    typical = index_sums.measure_typical(recorded, masks)
    healthy = judge(references, predict_from_conditioning(references))
    degraded = {}
    # Each degradation of the recording's own controls, step by step.
    for kind, (function, component) in degradations.KINDS.items():
        verdicts = [
            judge(
                references, [function(c, float(d), typical=typical) for c in recorded]
            )
            for d in STEPS
        ]
        degraded[kind] = {
            "component": [v.components[component] for v in verdicts],
            "index": [v.index for v in verdicts],
        }
    return {
        "n_clips": len(references),
        "n_recordings": len({ref.clip.recording_id for ref in references}),
        "healthy": healthy.components,
        "healthy_index": healthy.index,
        "degraded": degraded,
    }


def derive_midpoints(instruments: dict[str, dict]) -> dict[str, float]:
    """Half-way between the worst healthy value and the full degradation.

    Args:
        instruments: From `judge_instrument`.

    Returns:
        Midpoint by component, rounded to 0.05.
    """
    midpoints = {}
    for component in index.COMPONENTS:
        healthy = [one["healthy"][component] for one in instruments.values()]
        collapsed = [
            one["degraded"][kind]["component"][-1]
            for one in instruments.values()
            for kind, (_, name) in degradations.KINDS.items()
            if name == component
        ]
        middle = 0.5 * (np.nanmax(healthy) + np.nanmin(collapsed))
        midpoints[component] = round(float(middle) * 20) / 20
    return midpoints


def main(values: flags.FlagValues) -> int:
    """Derives and prints; returns an exit code."""
    tracker = pitch_tracker.CrepeTracker(values.crepe_capacity)
    instruments = {}
    for name in sorted(glob.glob(values.input)):
        folder = pathlib.Path(name)
        # Measure every clip of an instrument, then judge them together.
        references = [
            clips.measure_reference(
                clip, tracker=tracker, settings=frame_masks.MaskSettings()
            )
            for clip in read_clips(folder)
        ]
        if len(references) < 2:
            print(f"{folder.name}: fewer than two clips, left out", flush=True)
            continue
        instruments[folder.name] = one = judge_instrument(references)
        told = ", ".join(f"{k} {v:.2f}" for k, v in one["healthy"].items())
        print(f"{folder.name} ({one['n_clips']} clips): healthy {told}", flush=True)
    midpoints = derive_midpoints(instruments)
    print("midpoints:", midpoints)
    # All figures, for docs/metrics.md.
    document = {"midpoints": midpoints, "instruments": instruments}
    text = json.dumps(_plain(document), indent=1)
    pathlib.Path(values.output).write_text(text + "\n", encoding="utf-8")
    return 0


def _plain(value):
    """The same structure with null for NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("flags")
    groups.text("input", None, "Glob of folders of recordings.", required=True)
    groups.text("output", "derived.json", "Where the figures are written.")
    groups.choice("crepe_capacity", "full", ["tiny", "full"], "Size of the tracker.")


PROGRAM = command_line.Program(
    name="derive_collapse_index",
    summary="Derives the constants of the collapse index from recordings.",
    examples=("python -m evaluation.derive_collapse_index --input='recordings/*/'",),
    define_flags=define_flags,
    main=main,
    exit_codes="0 the figures are written; 70 a fault of ours.",
)

if __name__ == "__main__":
    command_line.run(PROGRAM)
