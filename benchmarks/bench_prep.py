"""Preparation against `ddsp_prepare_tfrecord`: time, and memory for a long recording.

    .venv/bin/python -m benchmarks.bench_prep
    .venv/bin/python -m benchmarks.bench_prep --minutes=60

Both make a dataset of the same synthetic recording, the full CREPE network at 250
frames/s, each in a fresh process whose start counts too; they take turns, and the
median of the rounds is quoted. The stock library runs as it is (`prepare_tfrecord` in
process, example_secs=4, hop_secs=1) but for three things: num_shards=1, because its
default None fails on this Beam; audio is read by ours, because its reader needs ffmpeg;
and the published Keras network stands behind `crepe.predict`, in batches of 32 as the
crepe package asks it. Our start, imports and the network's tables, is measured apart
and taken off both for `ratio_of_work`.

`--minutes` prepares one long recording with ours instead and gives throughput and the
peak of resident memory. The last line is JSON.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile
from absl import app
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_float("secs", 8.0, "Length of the recording for the comparison, s.")
flags.DEFINE_integer("rounds", 3, "Turns of each, the median counts.", lower_bound=1)
flags.DEFINE_float("minutes", 0.0, "Instead: one long recording, with ours alone.")
flags.DEFINE_enum("crepe_capacity", "full", ["full", "tiny"], "For --minutes.")
flags.DEFINE_string("run_stock", None, "Internal: what the stock process is told.")

RATE = 44100  # samples/s of the recording, as most are
NOTE_SECS = 1.5
BATCH_FRAMES = 32  # the crepe package's


def write_recording(path: pathlib.Path, secs: float, *, seed: int = 7) -> None:
    """A melody with overtones, vibrato and a little noise; written in pieces."""
    rng = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        left = round(secs * RATE)
        while left > 0:
            n_samples = min(left, round(NOTE_SECS * RATE))
            time_secs = np.arange(n_samples) / RATE
            f0_hz = 220.0 * 2.0 ** (rng.integers(0, 24) / 12)
            phase = f0_hz * time_secs + 0.02 * np.sin(2 * np.pi * 5.5 * time_secs)
            note = sum(
                np.sin(2 * np.pi * k * phase) / k**1.5 for k in range(1, 9)
            ) * np.minimum(1, np.minimum(time_secs, time_secs[::-1]) / 0.03)
            file.write(0.2 * note + 1e-3 * rng.standard_normal(n_samples))
            left -= n_samples


def run_stock(recording: str, output: str) -> None:
    """Stock ddsp with the published Keras network; the body of a process."""
    from ddsp.training.data_preparation import prepare_tfrecord_lib

    from prep.pitch import crepe_package
    from prep.pitch import tracker
    from prep.recordings import decode as audio_lib

    model = crepe_package.build_and_load_model("full")

    def predict(audio, sr, viterbi, step_size, center, verbose):
        del sr, center, verbose
        hop = round(16 * step_size)
        frames = np.lib.stride_tricks.sliding_window_view(audio, 1024)[::hop].copy()
        frames -= frames.mean(axis=1, keepdims=True)
        frames /= np.maximum(frames.std(axis=1, keepdims=True), 1e-8)
        activations = model.predict(frames, batch_size=BATCH_FRAMES, verbose=0)
        decode = tracker.decode_viterbi if viterbi else tracker.decode_argmax
        f0_hz, f0_confidence = decode(activations)
        return np.arange(len(f0_hz)), f0_hz, f0_confidence, activations

    prepare_tfrecord_lib.spectral_ops.crepe.predict = predict
    prepare_tfrecord_lib._load_audio_as_array = audio_lib.load_audio
    prepare_tfrecord_lib.prepare_tfrecord(
        [recording],
        output,
        num_shards=1,
        chunk_secs=None,
        pipeline_options=["--runner=FnApiRunner"],
    )


def time_process(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MB of a process."""
    start = time.perf_counter()
    # What watches is small: a process begins with the peak of the one that starts it.
    watched = (
        "import resource, subprocess, sys\n"
        "from prep import processes\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(processes.usage_mb(usage))\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return time.perf_counter() - start, float(done.stdout)


def ours(recording: pathlib.Path, output: pathlib.Path, *flags_: str) -> list[str]:
    """The command that prepares `recording` with ours."""
    program = pathlib.Path(__file__).resolve().parent.parent / "prep" / "run_beam.py"
    command = [sys.executable, str(program), "--quiet", f"--input={recording}"]
    return [*command, f"--output={output}", "--eval_split_fraction=0", *flags_]


def compare(folder: pathlib.Path) -> dict[str, float]:
    """Takes turns; medians."""
    recording, blink = folder / "recording.wav", folder / "blink.wav"
    write_recording(recording, FLAGS.secs)
    write_recording(blink, 0.2)
    seen: dict[str, list[tuple[float, float]]] = {}
    for turn in range(FLAGS.rounds):
        for name, source, secs in (("whole", recording, 4.0), ("start", blink, 0.2)):
            out = folder / f"{name}{turn}"
            stock = [sys.executable, "-m", "benchmarks.bench_prep"]
            if name == "whole":
                told = json.dumps([str(source), str(out / "stock")])
                out.mkdir()
                measured = time_process([*stock, f"--run_stock={told}"])
                seen.setdefault("stock", []).append(measured)
            command = ours(source, out / "ours", f"--example_secs={secs}")
            seen.setdefault(f"ours_{name}", []).append(
                time_process([*command, f"--hop_secs={min(secs, 1.0)}"])
            )
    medians = {k: np.median(np.array(v), axis=0) for k, v in seen.items()}
    ratios = [
        s[0] / o[0] for s, o in zip(seen["stock"], seen["ours_whole"], strict=True)
    ]
    start = medians["ours_start"][0]
    work = medians["ours_whole"][0] - start
    return {
        "secs_of_audio": FLAGS.secs,
        "secs_stock": round(float(medians["stock"][0]), 2),
        "secs_ours": round(float(medians["ours_whole"][0]), 2),
        "secs_start": round(float(start), 2),
        "ratio_vs_ddsp_prepare_tfrecord": round(statistics.median(ratios), 2),
        "ratio_of_work": round(float((medians["stock"][0] - start) / work), 2),
        "peak_mb_stock": round(float(medians["stock"][1])),
        "peak_mb_ours": round(float(medians["ours_whole"][1])),
    }


def measure_long(folder: pathlib.Path) -> dict[str, float]:
    """One long recording, non-overlapping examples."""
    recording = folder / "long.flac"
    write_recording(recording, 60 * FLAGS.minutes)
    secs, peak_mb = time_process(
        ours(
            recording,
            folder / "out",
            "--hop_secs=4",
            f"--crepe_capacity={FLAGS.crepe_capacity}",
        )
    )
    return {
        "minutes_of_audio": FLAGS.minutes,
        "secs": round(secs, 1),
        "realtime_factor": round(60 * FLAGS.minutes / secs, 2),
        "peak_mb": round(peak_mb),
    }


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    if FLAGS.run_stock:
        run_stock(*json.loads(FLAGS.run_stock))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        result = measure_long(folder) if FLAGS.minutes else compare(folder)
    for key, value in result.items():
        print(f"{key:34} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
