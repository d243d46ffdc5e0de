"""Made tests/golden/run and tests/golden/controls.npz, once, at commit 48848a4.

That was the last commit before the modules moved into rooms; the run shows that what
was saved then still opens. In a folder beside that commit's clone:

    export PYTHONPATH=CLONE
    python -m prep.demo --output=recordings --instrument=flute --minutes=1.2 --seed=13
    rm recordings/flute_0[4-9].wav recordings/flute_1*.wav
    python -m prep.run_beam --input=recordings --output=data --crepe_capacity=tiny \
        --example_secs=0.5 --hop_secs=0.5 --eval_split_fraction=0.4
    python -m models.ddsp_run --gin_file=gin/stage2.gin \
        --gin_file=gin/overlays/tiny.gin --gin_file=small.gin \
        --data_dir=data --save_dir=run --steps=1500 --seed=5 --quiet
    python make_golden.py run golden

small.gin shrank the layers to 6 and 4 units, the controls to 8 harmonics and 5 noise
bands and the reverb to 0.01 s; the rate was 1e-2, the batch 4. What names a machine is
taken out of run.json here, and best/, which holds the same step, is left out.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import json
import pathlib
import shutil
import sys

import numpy as np

from models import runs

KEPT = ("checkpoint", "ckpt-*", "metrics.jsonl", "operative_config-0.gin")


def make_features(n_frames: int) -> dict[str, np.ndarray]:
    """A glide over an octave whose level falls and rises, with an unvoiced end."""
    time = np.linspace(0.0, 1.0, n_frames, dtype=np.float32)[None, :, None]
    return {
        "f0_hz": 262.0 * 2.0**time,
        "loudness_db": -20.0 + 20.0 * np.cos(2.0 * np.pi * 3.0 * time),
        "f0_confidence": np.where(time < 0.8, 0.9, 0.1).astype(np.float32),
    }


def main(run_dir: str, golden_dir: str) -> None:
    source, golden = pathlib.Path(run_dir), pathlib.Path(golden_dir)
    target = golden / "run"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for pattern in KEPT:
        for path in source.glob(pattern):
            shutil.copy(path, target / path.name)
    facts = json.loads((source / "run.json").read_text())
    facts["data_dir"] = "data"
    facts["machine"] = {
        "platform": "Linux",
        "processor": "x86_64",
        "cores": 2,
        "gpus": [],
    }
    for start in facts["starts"]:
        start["command"][0] = "ddsp_run"
        start["pid"] = 1
    (target / "run.json").write_text(json.dumps(facts, indent=2) + "\n")

    run = runs.load_run(target)
    features = make_features(facts["dataset"]["n_frames"])
    outputs = run.model.decode(features)
    arrays = {f"features/{key}": values for key, values in features.items()}
    for kind in ("controls", "raw_controls"):
        for key, values in outputs[kind].items():
            arrays[f"{kind}/{key}"] = np.asarray(values)
    np.savez_compressed(golden / "controls.npz", **arrays)
    for key, values in arrays.items():
        print(key, values.shape, values.dtype, values.min(), values.max(), values.std())


if __name__ == "__main__":
    main(*sys.argv[1:])
