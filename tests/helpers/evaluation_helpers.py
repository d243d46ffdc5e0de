"""Made-up instruments, clips and systems for the tests of evaluation/."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import librosa
import numpy as np

from evaluation.collapse_index import degradations
from evaluation.collapse_index import sums
from evaluation.report import documents
from evaluation.report import media
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import judged_runs
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from evaluation.summary import run_facts
from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks

SUMMARY_SCHEMA = json.loads(
    pathlib.Path(builder.__file__)
    .with_name("schema")
    .joinpath("summary.schema.json")
    .read_text("utf-8")
)
SAMPLE_RATE = 16000
FRAME_RATE = 250
HOP_SIZE = SAMPLE_RATE // FRAME_RATE
N_HARMONICS = 40
N_SECS = 2.0  # of single notes
CLIP_SECS = 1.0  # of the clips of a system, for their cost


@dataclasses.dataclass(frozen=True)
class Note:
    """A played note whose controls are known at every sample."""

    audio: np.ndarray
    f0_hz: np.ndarray  # at every sample
    amplitudes: np.ndarray  # [n_samples, n_harmonics]

    @property
    def f0_frames(self) -> np.ndarray:
        return self.f0_hz[::HOP_SIZE]

    @property
    def amplitude_frames(self) -> np.ndarray:
        return self.amplitudes[::HOP_SIZE]


def track(audio_16k, frame_rate):
    """A stand-in for CREPE, which the tests of prep cover."""
    f0_hz = librosa.yin(
        audio_16k.astype(np.float32),
        fmin=100,
        fmax=1000,
        sr=16000,
        hop_length=int(16000 / frame_rate),
    )
    return f0_hz, np.full(f0_hz.size, 0.9)


def times(secs: float = N_SECS) -> np.ndarray:
    return np.arange(round(secs * SAMPLE_RATE)) / SAMPLE_RATE


def play(
    f0_hz: np.ndarray,
    amplitudes: np.ndarray,
    *,
    rng: np.random.Generator,
    noise: float = 1e-3,
) -> Note:
    """Sums sines of given amplitude at every harmonic below Nyquist, and noise."""
    phase = np.concatenate([[0.0], np.cumsum(f0_hz[:-1])]) / SAMPLE_RATE
    audio = noise * rng.standard_normal(f0_hz.size)
    index = np.arange(1, amplitudes.shape[1] + 1)
    sounding = amplitudes * (index * f0_hz[:, np.newaxis] < SAMPLE_RATE / 2)
    for k in index:
        start = rng.uniform(0, 2 * np.pi)
        audio += sounding[:, k - 1] * np.sin(2 * np.pi * k * phase + start)
    return Note(audio=audio, f0_hz=f0_hz, amplitudes=sounding)


def instrument(
    midi: float, *, rng: np.random.Generator, secs: float = N_SECS, noise: float = 2e-3
) -> Note:
    """A note that swells, fades and gets brighter when loud, with vibrato."""
    t = times(secs)
    f0_hz = 440.0 * 2 ** ((midi - 69 + 0.2 * np.sin(2 * np.pi * 5.5 * t)) / 12)
    swell = np.sin(np.pi * np.clip(t / secs, 0, 1)) ** 1.5
    level_db = -40 + 28 * swell + 1.5 * np.sin(2 * np.pi * 5.5 * t)
    index = np.arange(1, N_HARMONICS + 1)
    slope = 2.6 - 1.6 * swell - 0.01 * (midi - 60)
    shares = index ** -slope[:, np.newaxis]
    shares[:, 1::2] *= 0.5 + 0.04 * (midi - 60)
    shares *= index * f0_hz[:, np.newaxis] < SAMPLE_RATE / 2
    shares /= shares.sum(axis=1, keepdims=True)
    return play(
        f0_hz, 10 ** (level_db / 20)[:, np.newaxis] * shares, rng=rng, noise=noise
    )


def note_controls(note: Note, *, noise: float = 2e-3) -> control_arrays.ControlArrays:
    """The true controls of a note."""
    amplitudes = note.amplitude_frames
    return control_arrays.ControlArrays(
        f0_hz=note.f0_frames,
        amps=amplitudes.sum(axis=1),
        harmonic_distribution=distributions.normalise(
            amplitudes, f0_hz=note.f0_frames, sample_rate=SAMPLE_RATE
        ),
        noise_power=np.full(amplitudes.shape[0], noise**2),
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
    )


def render(
    played: control_arrays.ControlArrays, *, rng: np.random.Generator
) -> np.ndarray:
    """Audio of controls, straight lines between frames."""
    n_samples = played.n_frames * HOP_SIZE
    frames = np.arange(played.n_frames) * HOP_SIZE
    samples = np.arange(n_samples)
    f0_hz = np.interp(samples, frames, np.nan_to_num(played.f0_hz, nan=100.0))
    amplitudes = played.amps[:, np.newaxis] * played.harmonic_distribution
    curves = np.stack([np.interp(samples, frames, a) for a in amplitudes.T], 1)
    note = play(f0_hz, curves, rng=rng, noise=0.0)
    noise_rms = np.sqrt(np.interp(samples, frames, played.noise_power))
    return note.audio + noise_rms * rng.standard_normal(n_samples)


class KnownTracker:
    """A pitch tracker that is told the answer of each clip, by its length and turn."""

    def __init__(self, f0_hz: np.ndarray):
        self.f0_hz = f0_hz

    def __call__(
        self, audio_16k: np.ndarray, frame_rate: int
    ) -> tuple[np.ndarray, np.ndarray]:
        assert frame_rate == FRAME_RATE
        n_frames = audio_16k.size // HOP_SIZE
        frames = np.resize(self.f0_hz, n_frames)
        rms = np.sqrt(np.mean(audio_16k.reshape(n_frames, HOP_SIZE) ** 2, axis=1))
        return frames, np.where(rms > 1e-4, 0.95, 0.1)


def references(
    midis: Sequence[float], *, rng: np.random.Generator, clips_each: int = 1
) -> tuple[list[clips.Reference], list[KnownTracker]]:
    """Clips of a made-up instrument, measured from their audio."""
    found, trackers = [], []
    for midi in midis:
        for turn in range(clips_each):
            note = instrument(midi + 0.3 * turn, rng=rng, secs=CLIP_SECS)
            tracker = KnownTracker(note.f0_frames)
            clip = clips.Clip(
                name=f"note-{midi:g} @ {turn * CLIP_SECS:.2f} s",
                recording_id=f"note-{midi:g}",
                start_secs=turn * CLIP_SECS,
                audio=note.audio.astype(np.float32),
                sample_rate=SAMPLE_RATE,
                frame_rate=FRAME_RATE,
            )
            found.append(
                clips.measure_reference(
                    clip, tracker=tracker, settings=frame_masks.MaskSettings()
                )
            )
            trackers.append(tracker)
    across_clips.add_reference_diversity(found)
    return found, trackers


def copies(
    refs: Sequence[clips.Reference], trackers: Sequence[clips.PitchTracker]
) -> list[clips.Scored]:
    """A system that plays the recordings themselves."""
    return [
        clips.score_rendering(
            ref,
            clips.Rendering(audio=ref.clip.audio, controls=ref.controls),
            tracker=tracker,
            settings=frame_masks.MaskSettings(),
        )
        for ref, tracker in zip(refs, trackers, strict=True)
    ]


def system(
    refs: list[clips.Reference],
    trackers: list[KnownTracker],
    *,
    change: Callable[
        [control_arrays.ControlArrays, sums.Typical], control_arrays.ControlArrays
    ],
    rng: np.random.Generator,
) -> list[clips.Scored]:
    """A system whose controls are the recordings' own, changed."""
    typical = sums.measure_typical(
        [ref.controls for ref in refs], [ref.masks for ref in refs]
    )
    scored = []
    for ref, tracker in zip(refs, trackers, strict=True):
        played = change(ref.controls, typical)
        audio = render(played, rng=rng).astype(np.float32)
        scored.append(
            clips.score_rendering(
                ref,
                clips.Rendering(audio=audio, controls=played),
                tracker=tracker,
                settings=frame_masks.MaskSettings(),
            )
        )
    return scored


def degraded(kind: str, amount: float):
    """A change of `system`: one of the controlled degradations."""
    function, _ = degradations.KINDS[kind]
    return lambda played, typical: function(played, amount, typical=typical)


def facts_of(name: str, *, seed: int = 0) -> dict:
    """What `run_facts.describe_run` would say of a run."""
    return {
        "path": f"runs/{name}",
        "step": 300,
        "seed": seed,
        "versions": {"python": "3.11", "tensorflow": "2.21"},
        "commit": "0123456789abcdef",
        "machine": None,
        "gin_files": [f"gin/{name}.gin"],
        "config_hash": "abcd",
        "data_dir": "data",
        "plan_hash": "1234",
        "config": f"Decoder.name = '{name}'\nbatch_size = 16\n",
        "cost": {
            "n_parameters": 123456,
            "render_secs": 0.05,
            "batch_size": 4,
            "peak_memory_mb": 900.0,
            "step_ms": 250.0,
            "forward_backward_ms": 200.0,
            "training_memory_mb": 1100.0,
        },
        "training": {
            "losses/total_loss": {"steps": [0, 100, 200], "values": [20.0, 9.0, 7.5]}
        },
    }


def write_report_inputs(
    folder: pathlib.Path,
    systems: dict[str, list[clips.Scored]],
    refs: list[clips.Reference],
    *,
    baseline: str,
    n_media: int = 3,
) -> dict:
    """Writes summary.json, scores.jsonl and media as `evaluate` would."""
    facts = {name: facts_of(name) for name in systems}
    keys = ("path", "step", "seed", "config_hash")
    rows = rows_lib.make_rows(
        refs,
        systems,
        runs={name: {key: one[key] for key in keys} for name, one in facts.items()},
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows_lib.write_rows(rows, folder / rows_lib.SCORES_NAME)
    document = builder.build(
        rows,
        runs=facts,
        baseline=baseline,
        settings=run_facts.describe_settings(
            judged_runs.JudgingOptions(), capacity="tiny"
        ),
        dataset={
            "data_dir": "data",
            "split": "eval",
            "plan_hash": "1234",
            "sample_rate": SAMPLE_RATE,
            "frame_rate": FRAME_RATE,
            "example_secs": CLIP_SECS,
            "n_examples": len(refs),
        },
    )
    document["clips"] = documents.write_media(
        refs, systems, rows=rows, folder=folder / media.MEDIA_NAME, n_media=n_media
    )
    builder.write_summary(document, folder / builder.SUMMARY_NAME)
    return document
