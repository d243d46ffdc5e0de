"""Trains the paper's model by stock ddsp and by ours from the same start, side by side.

    python -m benchmarks.faithfulness.same_curve --data_dir=data --picture=curve.png

Stock is ddsp's papers/iclr2020/solo_instrument.gin with ddsp's trainer; ours the same
file with gin/overlays/fast.gin, its weights copied from stock's, with our trainer. Both
meet the same batches in the same order. A second stock model differs from the first in
nothing but the numbers of its noise: how far its curve goes from the first's is the
noise that the claim is read against. Printed are ddsp's own spectral loss on held-out
clips every few steps and, last, one line of JSON.

As its gin file stands, stock sums phases in float32, by which its high harmonics lose
theirs within a clip, and sounds differ from ours by that: `--exact_phase` has it sum
them as its own exact option does.
"""

import collections.abc
import json
import os
import pathlib

import ddsp
import ddsp.training
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags
from absl import logging
from matplotlib import figure

from models.config import gin_config
from models.data import provider
from models.training import assembly
from prep import files
from prep.dataset import info

PAPER = "models/solo_instrument.gin"  # what papers/iclr2020 trains
OVERLAY = "gin/overlays/fast.gin"
COLORS = {"stock": "#8a8f98", "stock, other noise": "#c4c8ce", "ours": "#d9822b"}
N_HELD_OUT = 8  # clips

_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Dataset that ddsp_prep wrote.")
_STEPS = flags.DEFINE_integer("steps", 100, "Updates of each model.")
_EVERY = flags.DEFINE_integer("every", 10, "Steps between two measurements.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Clips in a batch.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights and of the order of clips.")
_EXACT_PHASE = flags.DEFINE_bool(
    "exact_phase", False, "Let stock sum its phase exactly (`use_angular_cumsum`)."
)
_PICTURE = flags.DEFINE_string("picture", "", "PNG to draw the curves into.")

TrainOnce = collections.abc.Callable[[dict[str, tf.Tensor]], object]


def read_paper(facts: info.DatasetInfo, *, ours: bool) -> None:
    """Parses the paper's gin file for a dataset's lengths, and our overlay above it."""
    files = (PAPER, OVERLAY) if ours else (PAPER,)
    gin_config.parse_files(gin_config.Sources(gin_files=files))
    lengths = {
        "F0LoudnessPreprocessor.time_steps": facts.n_frames,
        "F0LoudnessPreprocessor.frame_rate": facts.frame_rate,
        "F0LoudnessPreprocessor.sample_rate": facts.sample_rate,
        "F0LoudnessPreprocessor.compute_loudness": False,
    }
    lengths |= (
        {"N_SAMPLES": facts.n_samples, "SAMPLE_RATE": facts.sample_rate}
        if ours
        else {
            "Harmonic.n_samples": facts.n_samples,
            "Harmonic.sample_rate": facts.sample_rate,
            "Harmonic.use_angular_cumsum": _EXACT_PHASE.value,
            "FilteredNoise.n_samples": facts.n_samples,
        }
    )
    gin_config.parse_bindings([f"{name} = {value}" for name, value in lengths.items()])


def build_stock(
    facts: info.DatasetInfo, batch: dict[str, tf.Tensor]
) -> tuple[tf.keras.Model, TrainOnce]:
    """Ddsp's model and its trainer's step."""
    read_paper(facts, ours=False)
    model = ddsp.training.models.get_model()
    trainer = ddsp.training.trainers.Trainer(model, tf.distribute.get_strategy())
    model(batch, training=False)
    return model, lambda batch: trainer.train_step(batch)  # which keeps the trainer


def build_ours(
    facts: info.DatasetInfo, batch: dict[str, tf.Tensor]
) -> tuple[tf.keras.Model, TrainOnce]:
    """The same gin file with our parts, and our trainer's step."""
    read_paper(facts, ours=True)
    strategy = tf.distribute.get_strategy()
    model = assembly.make_model(strategy)
    trainer = assembly.make_trainer(
        model, strategy, num_steps=_STEPS.value, seed=_SEED.value
    )
    trainer.build(batch)
    attempt = tf.constant(0, tf.int64)

    def step(batch: dict[str, tf.Tensor]) -> object:
        parts = {key: value[tf.newaxis] for key, value in batch.items()}
        return trainer.train_step(parts, attempt)

    return model, step


def held_out_loss(model: tf.keras.Model, clips: dict[str, tf.Tensor]) -> float:
    """Ddsp's spectral loss of a model's audio."""
    loss = ddsp.losses.SpectralLoss(logmag_weight=1.0)
    return float(loss(clips["audio"], model(clips, training=False)["audio_synth"]))


def distance(one: list[float], other: list[float]) -> float:
    """Mean distance of two curves as a share of the first's values."""
    return float(np.mean(np.abs(np.subtract(one, other)) / np.asarray(one)))


def draw(curves: dict[str, list[float]], steps: list[int], path: pathlib.Path) -> None:
    """Draws held-out losses over steps."""
    page = figure.Figure(figsize=(7, 4), layout="constrained")
    axes = page.subplots()
    for name, curve in curves.items():
        axes.plot(steps, curve, label=name, color=COLORS[name], marker=".")
    axes.set(xlabel="step", ylabel="held-out spectral loss (ddsp's)", yscale="log")
    axes.legend()
    page.savefig(path, dpi=100)


def main(arguments: list[str]) -> None:
    """Trains all three in turn and compares their curves."""
    del arguments
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    logging.set_verbosity(logging.ERROR)
    tf.keras.utils.set_random_seed(_SEED.value)
    dataset = provider.PreparedDataset(_DATA_DIR.value, seed=_SEED.value)
    held_out = dataset.other_split("eval")
    clips = {
        key: tf.constant(value)
        for key, value in held_out.examples(held_out.spread_indices(N_HELD_OUT)).items()
    }
    batches = iter(dataset.batches(_BATCH_SIZE.value))
    batch = next(batches)

    # Fast parts read ddsp's checkpoints: all begin with the same weights.
    built = {
        "stock": build_stock(dataset.info, batch),
        "stock, other noise": build_stock(dataset.info, batch),
        "ours": build_ours(dataset.info, batch),
    }
    with files.scratch_folder("ddsp-same-curve") as folder:
        start = tf.train.Checkpoint(model=built["stock"][0]).write(f"{folder}/start")
        for model, _ in built.values():
            tf.train.Checkpoint(model=model).read(start).assert_consumed()

    # In turn, the same batch for each.
    curves: dict[str, list[float]] = {name: [] for name in built}
    steps = []
    for n in range(_STEPS.value + 1):
        if n % _EVERY.value == 0 or n == _STEPS.value:
            steps.append(n)
            for name, (model, _) in built.items():
                curves[name].append(held_out_loss(model, clips))
            told = "  ".join(f"{name} {c[-1]:.4f}" for name, c in curves.items())
            print(f"step {n:5d}  {told}", flush=True)
        if n < _STEPS.value:
            for place, (_, step) in enumerate(built.values()):
                if n == 0:  # traced now; a graph's noise is decided by this seed
                    tf.random.set_seed(_SEED.value + place)
                step(batch)
            batch = next(batches)
    if _PICTURE.value:
        draw(curves, steps, pathlib.Path(_PICTURE.value))
    entries = {
        "steps": steps,
        "curves": curves,
        "ours_from_stock": distance(curves["stock"], curves["ours"]),
        "noise": distance(curves["stock"], curves["stock, other noise"]),
    }
    print(json.dumps(entries))


if __name__ == "__main__":
    app.run(main)
