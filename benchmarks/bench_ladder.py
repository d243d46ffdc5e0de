"""Size and cost of every rung: weights, time to decode, to play and to train.

    python -m benchmarks.bench_ladder                      # the stages
    python -m benchmarks.bench_ladder gin/experiments/*.gin

Each rung is built as its gin file says, for clips of 4 s at 16 kHz, in batches of
`--batch_size`. Times are CPU milliseconds, of all threads, per second of audio: they
hardly move when neighbours are busy, as the clock does. Each is the best of `--repeats`
rounds over all rungs; ratios are to stage5, the paper's decoder with the same synths.
The last line is JSON.
"""

import json
import pathlib
import time
from collections.abc import Callable

import gin
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags
from ddsp.training import models as ddsp_models

from models.config import checks
from models.config import gin_config
from models.data import provider  # noqa: F401  registers what the defaults name
from models.training import trainer  # noqa: F401  the same

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch_size", 4, "Clips computed at once.")
flags.DEFINE_integer("repeats", 5, "Rounds; the best time of each rung counts.")

GIN = pathlib.Path(__file__).resolve().parent.parent / "gin"
CLIP_SECS = 4.0
BASELINE = "stage5"


def make_batch(batch_size: int, seed: int = 0) -> dict[str, tf.Tensor]:
    """Features of a wandering pitch and audio of noise, 4 s at 16 kHz."""
    rng = np.random.default_rng(seed)
    shape = (batch_size, 1000, 1)
    walk = np.cumsum(rng.normal(size=shape), axis=1)
    arrays = {
        "audio": 0.1 * rng.normal(size=(batch_size, 64000)),
        "f0_hz": 440.0 * 2.0 ** (walk / 240.0),
        "f0_confidence": np.ones(shape),
        "loudness_db": rng.uniform(-50.0, -10.0, size=shape),
    }
    return {key: tf.constant(value, tf.float32) for key, value in arrays.items()}


def build(name: str) -> tf.keras.Model:
    """The model of a gin file, strictly parsed."""
    gin_config.parse_files(gin_config.Sources(gin_files=(name,)))
    checks.check_complete()
    model = ddsp_models.get_model()
    gin.clear_config()
    return model


def programs(
    model: tf.keras.Model, batch: dict[str, tf.Tensor]
) -> dict[str, Callable[[], object]]:
    """What is timed: controls, audio, and loss with gradient."""
    model(batch, training=False)

    @tf.function
    def decode():
        return model.decode(batch)["controls"]

    @tf.function
    def play():
        return model(batch, training=False)["audio_synth"]

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            _, losses = model(batch, return_losses=True, training=True)
        return tape.gradient(losses["total_loss"], model.trainable_variables)

    return {"decode": decode, "play": play, "train": train}


def measure(names: list[str]) -> dict[str, dict[str, float]]:
    """Weights and milliseconds per second of audio for each rung."""
    batch = make_batch(FLAGS.batch_size)
    secs = FLAGS.batch_size * CLIP_SECS
    rows: dict[str, dict[str, float]] = {}
    timed = {}
    for name in names:
        model = build(name)
        key = pathlib.Path(name).stem
        timed[key] = programs(model, batch)
        count = lambda items: sum(int(np.prod(item.shape)) for item in items)
        rows[key] = {
            "decoder_weights": count(model.decoder.trainable_variables),
            "all_weights": count(model.trainable_variables),
        }
    for repeat in range(FLAGS.repeats + 1):  # the first traces and compiles
        for key, functions in timed.items():
            for what, function in functions.items():
                start = time.process_time()
                function()
                taken = 1e3 * (time.process_time() - start) / secs
                if repeat:
                    column = f"{what}_ms"
                    rows[key][column] = min(taken, rows[key].get(column, np.inf))
    return rows


def main(argv: list[str]) -> None:
    """Prints a table, then one line of JSON."""
    stages = sorted(GIN.glob("stage*.gin"))
    names = argv[1:] or [*map(str, stages), str(GIN / "transformer.gin")]
    if not any(pathlib.Path(name).stem == BASELINE for name in names):
        names.append(str(GIN / f"{BASELINE}.gin"))
    rows = measure(names)
    print(f"{'':24}{'decoder':>10}{'all':>10}   decode    play   train  train/stage5")
    for key, row in rows.items():
        row["train_ratio"] = row["train_ms"] / rows[BASELINE]["train_ms"]
        print(
            f"{key:24}{row['decoder_weights']:>10}{row['all_weights']:>10}"
            f"{row['decode_ms']:>9.2f}{row['play_ms']:>8.1f}{row['train_ms']:>8.1f}"
            f"{row['train_ratio']:>12.2f}"
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    app.run(main)
