"""How fast a model plays: frame by frame, and as a file; on one core.

    python -m benchmarks.bench_render
    python -m benchmarks.bench_render --stages stage2 --secs 2

Real-time factors are seconds of sound by seconds of processor time of this process, so
that other programs on the machine count as little as possible; wall-clock latencies of
a step stand beside them. Weights are fresh: speed does not depend on them. Control hops
of 1, 2 and 4 ms are models of 1000, 500 and 250 frames a second. The last line is JSON.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf
from ddsp.training import models as ddsp_models

from evaluation.render import performance
from evaluation.render import renderer as render_renderer
from models.config import gin_config
from models.runs import loading
from models.streaming import player as streaming_player

SAMPLE_RATE = 16000  # Hz
HOPS_MS = (1, 2, 4)
STAGES = ("stage2", "stage4", "stage5")
WARM_UP_STEPS = 50
N_ROUNDS = 5  # of which the median counts


def make_model(stage: str, frame_rate: int) -> tf.keras.Model:
    """A fresh model of a stage at a frame rate, with an audible reverb."""
    gin_config.parse_files(gin_config.Sources(gin_files=(f"gin/{stage}.gin",)))
    n_frames = frame_rate // 2
    gin_config.parse_bindings(
        (
            f"FRAME_RATE = {frame_rate}",
            f"N_SAMPLES = {SAMPLE_RATE // 2}",
            f"TIME_STEPS = {n_frames}",
        )
    )
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=SAMPLE_RATE // 2, n_frames=n_frames)
    return model


def make_performance(secs: float, frame_rate: int) -> performance.Performance:
    """A tone with vibrato."""
    time_secs = np.arange(round(secs * frame_rate)) / frame_rate
    return performance.Performance(
        frame_rate=frame_rate,
        f0_hz=(440.0 + 8.0 * np.sin(35.0 * time_secs)).astype(np.float32),
        f0_confidence=np.ones(time_secs.size, np.float32),
        loudness_db=(-25.0 + 5.0 * np.sin(6.0 * time_secs)).astype(np.float32),
    )


def time_steps(player: streaming_player.Player, *, secs: float) -> dict[str, float]:
    """Plays frame by frame.

    Args:
        player: The instrument.
        secs: Of sound in each round.

    Returns:
        Real-time factor by processor time; median and 99th percentile of a step's
        wall-clock time in microseconds.
    """
    played = make_performance(secs, player.frame_rate)
    n_steps = played.n_frames // player.frames_per_step
    state = player.initial_state()
    for _ in range(WARM_UP_STEPS):
        _, state = player.step(440.0, -25.0, state=state)
    factors, walls = [], []
    for _ in range(N_ROUNDS):
        cpu = time.process_time()
        for step in range(n_steps):
            now = slice(
                step * player.frames_per_step, (step + 1) * player.frames_per_step
            )
            begin = time.perf_counter()
            _, state = player.step(
                played.f0_hz[now], played.loudness_db[now], state=state
            )
            walls.append(time.perf_counter() - begin)
        sound = n_steps * player.n_samples / player.sample_rate
        factors.append(sound / (time.process_time() - cpu))
    return {
        "real_time_factor": round(float(np.median(factors)), 1),
        "step_us_median": round(1e6 * float(np.median(walls)), 1),
        "step_us_p99": round(1e6 * float(np.percentile(walls, 99)), 1),
    }


def time_file(model: tf.keras.Model, *, secs: float) -> float:
    """Renders a performance in blocks; real-time factor by processor time."""
    renderer = render_renderer.Renderer(model)
    played = make_performance(secs, renderer.frame_rate)
    for _ in renderer.play(make_performance(4.0, renderer.frame_rate)):
        pass  # traces the graphs
    factors = []
    for _ in range(3):
        cpu = time.process_time()
        n_samples = sum(part.mix.size for part in renderer.play(played))
        spent = time.process_time() - cpu
        factors.append(n_samples / renderer.sample_rate / spent)
    return round(float(np.median(factors)), 1)


def describe_latency(player: streaming_player.Player) -> str:
    """Latency in frames and in milliseconds."""
    return f"{player.latency_frames} frames, {1e3 * player.latency_secs:.1f} ms"


def measure_stage(stage: str, *, secs: float) -> dict[str, Any]:
    """All figures of a stage."""
    results: dict[str, Any] = {}
    for hop_ms in HOPS_MS:
        model = make_model(stage, 1000 // hop_ms)
        variants: dict[str, dict[str, Any]] = {"": {}, "dry": {"with_reverb": False}}
        if stage == "stage5":
            variants["8 bit"] = {"quantize": True}
        if hop_ms != max(HOPS_MS):
            variants["4 ms at once"] = {"frames_per_step": max(HOPS_MS) // hop_ms}
        for name, arguments in variants.items():
            player = streaming_player.Player(model, **arguments)
            figures = time_steps(player, secs=secs)
            key = f"hop {hop_ms} ms" + (f", {name}" if name else "")
            results[key] = {**figures, "latency": describe_latency(player)}
            print(f"{stage:8s} {key:24s} {json.dumps(results[key])}", flush=True)
    results["file"] = {"real_time_factor": time_file(model, secs=8.0 * secs)}
    print(f"{stage:8s} {'as a file':24s} {json.dumps(results['file'])}", flush=True)
    return results


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--secs", type=float, default=2.0, help="of sound a round")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results = {
        stage: measure_stage(stage, secs=arguments.secs) for stage in arguments.stages
    }
    print(json.dumps({"benchmark": "render", "sample_rate": SAMPLE_RATE, **results}))


if __name__ == "__main__":
    main()
