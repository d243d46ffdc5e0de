"""Small models and performances for the tests of streaming, rendering and export."""

import functools

import numpy as np
import pretty_midi
import soundfile
import tensorflow as tf
from ddsp.training import models as ddsp_models

from evaluation.render import performance
from evaluation.render import transfer
from models.config import gin_config
from models.runs import loading

N_FRAMES = 60
FRAME_RATE = 250
HEARD = transfer.Heard(
    pitch_midi=np.linspace(60.0, 84.0, 101), loudness_db=np.linspace(-40.0, -10.0, 101)
)
_WEIGHT_NOISE = 0.3  # standard deviation; fresh weights give hardly any sound


@functools.cache
def build_model(*gin_files: str, bindings: tuple[str, ...] = ()):
    """A model of some gin files, shrunk, with weights that make it sound.

    Args:
        *gin_files: Below gin/, without suffix.
        bindings: More gin lines.
    """
    files = tuple(f"gin/{name}.gin" for name in (*gin_files, "overlays/tiny"))
    gin_config.parse_files(gin_config.Sources(gin_files=files))
    own = (
        f"N_SAMPLES = {N_FRAMES * 64}",
        f"TIME_STEPS = {N_FRAMES}",
        "models.heads.ExpSigmoidHead.noise_bias = 0.0",  # audible noise
    )
    gin_config.parse_bindings((*own, *bindings))
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=N_FRAMES * 64, n_frames=N_FRAMES)
    shake(model)
    return model


def shake(model: tf.keras.Model) -> None:
    """Adds reproducible noise to all weights; the reverb gets an audible decay."""
    for number, variable in enumerate(model.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [number, 7])
        if variable.name.startswith(("ir", "reverb")):
            decay = np.exp(-np.arange(variable.shape[0]) / 300.0)
            variable.assign(0.05 * noise * tf.constant(decay, tf.float32))
        elif variable.name.split("/")[-1].split(":")[0] not in (
            "alpha_logit",
            "leak_logit",
            "cutoff_logit",
            "q_logit",
        ):
            variable.assign_add(_WEIGHT_NOISE * noise)


def make_run(folder, model, *, name="run", info=None):
    """A run with a model, of step 7, not read from files; its dataset is `folder`."""
    return loading.Run(
        path=folder / name,
        model=model,
        step=7,
        checkpoint="ckpt-7",
        config_text="",
        info=info or {},
        data_dir=folder,
    )


def make_performance(
    n_frames: int = N_FRAMES, seed: int = 3
) -> performance.Performance:
    """A melody that glides, leaps, fades and pauses."""
    rng = np.random.default_rng(seed)
    midi = 64.0 + np.cumsum(rng.normal(0.0, 0.15, n_frames))
    midi[n_frames // 3 : n_frames // 2] += 19.0  # harmonics cross Nyquist
    confidence = np.clip(rng.normal(0.9, 0.1, n_frames), 0.0, 1.0)
    confidence[n_frames // 4 : n_frames // 4 + 5] = 0.1
    loudness = -30.0 + 10.0 * np.sin(np.arange(n_frames) / 9.0)
    return performance.Performance(
        frame_rate=FRAME_RATE,
        f0_hz=(440.0 * 2.0 ** ((midi - 69.0) / 12.0)).astype(np.float32),
        f0_confidence=confidence.astype(np.float32),
        loudness_db=loudness.astype(np.float32),
    )


def as_batch(played: performance.Performance) -> dict[str, tf.Tensor]:
    """A performance as a batch of one."""
    keys = ("f0_hz", "loudness_db", "f0_confidence")
    return {k: tf.constant(getattr(played, k)[None, :, None]) for k in keys}


def stub_tracker(audio_16k, frame_rate, *, center=True):
    """440 Hz, sure of itself where there is sound."""
    hop = int(16000 / frame_rate)
    frames = np.lib.stride_tricks.sliding_window_view(audio_16k, 1024)[::hop]
    confidence = np.where(np.abs(frames).max(axis=1) > 1e-3, 0.9, 0.1)
    return np.full(len(frames), 440.0, np.float32), confidence.astype(np.float32)


def write_tone(path, *, sample_rate=22050, secs=1.0, level=0.3):
    time = np.arange(round(secs * sample_rate)) / sample_rate
    soundfile.write(path, level * np.sin(2 * np.pi * 440.0 * time), sample_rate)
    return path


def make_line(midi_notes, loudness=-25.0, confidence=0.9):
    notes = np.asarray(midi_notes, float)
    return performance.Performance(
        frame_rate=FRAME_RATE,
        f0_hz=(440.0 * 2.0 ** ((notes - 69.0) / 12.0)).astype(np.float32),
        f0_confidence=np.full(len(notes), confidence, np.float32),
        loudness_db=np.broadcast_to(np.float32(loudness), notes.shape).copy(),
    )


def to_midi(played):
    return 69.0 + 12.0 * np.log2(played.f0_hz / 440.0)


def write_midi(path, notes, *, drums=False, bends=()):
    score = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(73, is_drum=drums)
    instrument.notes = [pretty_midi.Note(*note) for note in notes]
    instrument.pitch_bends = [pretty_midi.PitchBend(*bend) for bend in bends]
    score.instruments.append(instrument)
    score.write(str(path))
    return path
