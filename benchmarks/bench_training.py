"""Times training steps and their parts against stock ddsp, in turn in one process.

    python -m benchmarks.bench_training

builds ddsp's own solo_instrument model with ddsp's trainer and every rung with ours,
runs them in turn on one batch (4 clips of 4 s, forward, backward and Adam) and prints
tables, the floor that the machine's matrix products set, and last one line of JSON.
Its `..._vs_stock` keys are stock's median time over ours, by the clock and in CPU time;
`memory_vs_stock` is our peak memory over stock's, each a whole process of its own;
`minutes_to_healthy_...` come from `benchmarks.time_to_healthy`, null where it took
longer than its limit.
"""

import collections.abc
import json
import math
import os
import pathlib
import tempfile

import ddsp
import ddsp.training
import gin
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags
from absl import logging

import ddsp_compat
from benchmarks import time_to_healthy
from benchmarks import timing
from benchmarks import training_parts
from models.config import gin_config
from models.training import assembly
from prep import processes

STOCK_GIN = pathlib.Path(ddsp.__file__).parent / "training" / "gin"
STOCK_FILE = "models/solo_instrument.gin"  # what papers/iclr2020 trains on its data
RUNGS = {  # gin file: name in the JSON
    "stage5": "stage5",
    "stage2": "stage2",
    "stage3": "stage3",
    "transformer": "transformer",
    "stage4": "micro_rnn",
}
SAMPLE_RATE, N_SAMPLES, N_FRAMES = 16000, 64000, 1000  # Hz, per clip, per clip
OWN_BATCH_SIZE = 16  # of ddsp's own gin files
MEMORY_STEPS = 3  # steps until the allocator has all it needs

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Clips in a batch.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of which medians are taken.")
_THREADS = flags.DEFINE_integer("threads", 2, "TensorFlow's threads.")
_RUNGS = flags.DEFINE_list("rungs", list(RUNGS), "Gin files of gin/ to time.")
_PARTS = flags.DEFINE_bool("parts", True, "Whether to time the parts of a step.")
_MEMORY = flags.DEFINE_bool("memory", True, "Whether to measure peak memory.")
_HEALTHY = flags.DEFINE_list(
    "healthy",
    list(time_to_healthy.RECIPES),
    "Recipes whose minutes to a healthy model are measured; each trains for minutes.",
)
_PEAK_OF = flags.DEFINE_string(
    "peak_of", None, "Only run this model's steps and print the peak; for own use."
)


def make_batch(batch_size: int) -> dict[str, tf.Tensor]:
    """Clips of a wandering tone with nine harmonics and the features of it."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 0.002, [batch_size, N_FRAMES]), axis=1)
    f0_hz = 220.0 * 2.0**walk
    hop_size = N_SAMPLES // N_FRAMES
    phase = 2 * np.pi * np.cumsum(np.repeat(f0_hz, hop_size, 1), axis=1) / SAMPLE_RATE
    audio = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 10))
    features = {
        "audio": audio,
        "f0_hz": f0_hz[..., np.newaxis],
        "f0_confidence": np.ones([batch_size, N_FRAMES, 1]),
        "loudness_db": np.full([batch_size, N_FRAMES, 1], -30.0),
    }
    return {key: tf.constant(value, tf.float32) for key, value in features.items()}


def stock_step(
    batch: dict[str, tf.Tensor],
) -> tuple[training_parts.Function, tf.keras.Model]:
    """A training step of ddsp's own solo_instrument with ddsp's trainer."""
    gin.clear_config()
    gin.add_config_file_search_path(str(STOCK_GIN))
    with gin.unlock_config():
        gin.parse_config_file(STOCK_FILE)
    model = ddsp.training.models.get_model()
    trainer = ddsp.training.trainers.Trainer(model, tf.distribute.get_strategy())
    return lambda: trainer.train_step(batch)["total_loss"].numpy(), model


def rung_step(
    name: str, batch: dict[str, tf.Tensor]
) -> tuple[training_parts.Function, tf.keras.Model]:
    """A training step of one of our gin files with our trainer."""
    gin_config.parse_files(gin_config.Sources(gin_files=(f"gin/{name}.gin",)))
    gin_config.parse_bindings(["models.trainer.LadderTrainer.accumulate_steps = 1"])
    strategy = tf.distribute.get_strategy()
    model = assembly.make_model(strategy)
    trainer = assembly.make_trainer(model, strategy, num_steps=1000, seed=0)
    trainer.build(batch)
    parts = {key: value[tf.newaxis] for key, value in batch.items()}
    attempt = tf.constant(0, tf.int64)
    return (
        lambda: trainer.train_step(parts, attempt).losses["total_loss"].numpy(),
        model,
    )


def matmul_operations(model: tf.keras.Model, n_frames: int) -> float:
    """Operations that a step's matrix products need: forward and two ways back."""
    matrices = [w for w in model.trainable_variables if len(w.shape) == 2]
    return 6.0 * n_frames * sum(float(np.prod(w.shape)) for w in matrices)


def show(title: str, rows: collections.abc.Sequence[tuple[str, ...]]) -> None:
    """Prints a table with right-aligned columns."""
    print(f"\n{title}")
    for row in rows:
        print(f"{row[0]:<16}" + "".join(f"{cell:>12}" for cell in row[1:]))


def compare(
    stock: timing.Timing, ours: timing.Timing, *, scale: float, digits: int
) -> tuple[str, ...]:
    """Cells of a table: both times, and how many times longer stock takes."""
    return (
        f"{scale * stock.wall_secs:.{digits}f}",
        f"{scale * ours.wall_secs:.{digits}f}",
        f"{ours.ratio_to(stock):.1f}",
        f"{stock.cpu_secs / ours.cpu_secs:.1f}",
    )


def ratios(key: str, stock: timing.Timing, ours: timing.Timing) -> dict[str, float]:
    """Entries of the JSON, by the clock and in CPU time."""
    return {
        f"{key}_vs_stock": ours.ratio_to(stock),
        f"{key}_vs_stock_cpu": stock.cpu_secs / ours.cpu_secs,
    }


def time_parts(batch: dict[str, tf.Tensor]) -> dict[str, float]:
    """Times the parts of a step, prints a table, returns entries of the JSON."""
    parts = training_parts.make_parts(batch)
    functions = {
        f"{name}/{side}": function
        for name, pair in parts.items()
        for side, function in zip(("stock", "ours"), pair, strict=True)
    }
    for function in functions.values():
        function()
    times = timing.alternate(functions, n_rounds=_ROUNDS.value)
    rows: list[tuple[str, ...]] = [("", "stock ms", "ours ms", "ratio", "cpu ratio")]
    entries: dict[str, float] = {}
    for name in parts:
        pair = times[f"{name}/stock"], times[f"{name}/ours"]
        rows.append((name, *compare(*pair, scale=1e3, digits=1)))
        entries |= ratios(name, *pair)
    show("Parts of a step, forward and backward", rows)
    return entries


def time_steps(batch: dict[str, tf.Tensor]) -> dict[str, float]:
    """Times whole steps, prints a table, returns entries of the JSON."""
    built = {"stock": stock_step(batch)}
    built |= {name: rung_step(name, batch) for name in _RUNGS.value}
    for name, (step, _) in built.items():
        logging.info("First step of %s: loss %.3f", name, step())
    times = timing.alternate(
        {name: step for name, (step, _) in built.items()}, n_rounds=_ROUNDS.value
    )
    rate = timing.matmul_rate()
    n_frames = batch["f0_hz"].shape[0] * N_FRAMES
    rows: list[tuple[str, ...]] = [
        ("", "stock s", "ours s", "ratio", "cpu ratio", "floor s", "floor/ours")
    ]
    entries = {"matmul_gflops": rate / 1e9}
    for name, (_, model) in built.items():
        floor = matmul_operations(model, n_frames) / rate
        pair = times["stock"], times[name]
        cells = compare(*pair, scale=1.0, digits=3)
        share = floor / times[name].wall_secs
        rows.append((name, *cells, f"{floor:.3f}", f"{share:.2f}"))
        if name != "stock":
            entries |= ratios(RUNGS.get(name, name), *pair)
    show(f"Steps with Adam; floor: matrix products at {rate / 1e9:.0f} GFLOPS", rows)
    return entries


def compare_memory() -> dict[str, float]:
    """Peaks of stock's and stage5's steps, each a whole process of its own.

    Plain resident size as the system counts it (VmHWM), with what importing takes
    on both sides: stock imports all that `ddsp.training` does, ours what `ddsp_run`
    does. The allocator's arenas are bounded for both, which helps stock too; giving
    back is our loop's alone. `memory_vs_stock` is the ratio at the benchmark's batch
    size, `memory_vs_stock_batch_16` at ddsp's own; the keys with `beyond_imports` leave
    out what importing alone takes.
    """
    imports, stock_imports = (
        peak_mb(name, _BATCH_SIZE.value) for name in ("imports", "stock_imports")
    )
    rows: list[tuple[str, ...]] = [
        ("", "stock imports", "imports", "stock", "stage5", "ratio")
    ]
    entries: dict[str, float] = {}
    for suffix, batch_size in (("", _BATCH_SIZE.value), ("_batch_16", OWN_BATCH_SIZE)):
        stock, ours = (peak_mb(name, batch_size) for name in ("stock", "stage5"))
        in_mb = stock_imports, imports, stock, ours
        sizes = (f"{size:.0f} MB" for size in in_mb)
        rows.append((f"batch {batch_size}", *sizes, f"{ours / stock:.2f}"))
        entries[f"memory_vs_stock{suffix}"] = ours / stock
        beyond = (ours - imports) / (stock - stock_imports)
        entries[f"memory_vs_stock_beyond_imports{suffix}"] = beyond
    show("Peak resident size of the whole process", rows)
    return entries


def peak_mb(name: str, batch_size: int) -> float:
    """Peak of one model's steps at a batch size, in a process of its own."""
    return timing.peak_of(
        [
            "-m",
            "benchmarks.bench_training",
            f"--threads={_THREADS.value}",
            f"--batch_size={batch_size}",
            f"--peak_of={name}",
        ]
    )


def measure_own_peak(name: str) -> None:
    """Takes a few steps of one model and prints the peak.

    'imports' and 'stock_imports' take none: stock ddsp imports all that we put off.
    """
    is_stock = name.startswith("stock")
    if is_stock:
        ddsp_compat.load_deferred()
    if not name.endswith("imports"):
        batch = make_batch(_BATCH_SIZE.value)
        step, _ = stock_step(batch) if is_stock else rung_step(name, batch)
        step()
        if not is_stock:
            processes.give_back_freed()  # as our loop does
        for _ in range(MEMORY_STEPS - 1):
            step()
    print(json.dumps({"peak_mb": processes.peak_mb()}))


def main(arguments: list[str]) -> int:
    """Measures what the flags ask for."""
    del arguments
    os.chdir(pathlib.Path(__file__).resolve().parent.parent)
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    if _PEAK_OF.value:
        measure_own_peak(_PEAK_OF.value)
        return 0
    batch = make_batch(_BATCH_SIZE.value)
    results: dict[str, float] = {}
    if _MEMORY.value:
        results |= compare_memory()
    if _PARTS.value:
        results |= time_parts(batch)
    if _RUNGS.value:
        results |= time_steps(batch)
    if _HEALTHY.value:
        with tempfile.TemporaryDirectory() as folder:
            results |= time_to_healthy.measure(pathlib.Path(folder), _HEALTHY.value)
    rounded = {
        key: round(value, 3) if math.isfinite(value) else None
        for key, value in results.items()
    }
    print(json.dumps(rounded))
    return 0


if __name__ == "__main__":
    app.run(main)
