"""Small datasets of made-up tones, written by prep's own writers, for tests."""

import json
import pathlib

import numpy as np

from prep import settings as settings_lib
from prep.dataset import description
from prep.dataset import info
from prep.dataset import records
from prep.dataset import tfrecords
from prep.plan import plan as plan_lib
from prep.recordings import recording as recordings_lib

SAMPLE_RATE = 16000
FRAME_RATE = 250


def make_example(
    index: int, *, example_secs: float, sample_rate: int = SAMPLE_RATE
) -> tuple[bytes, dict[str, np.ndarray]]:
    """A harmonic tone with vibrato, its own pitch and level, as a serialised record."""
    n_frames = round(example_secs * FRAME_RATE)
    n_samples = round(example_secs * sample_rate)
    times = np.arange(n_samples) / sample_rate
    pitch = 220.0 * 2 ** ((index % 12) / 12)
    f0 = pitch * (1 + 0.01 * np.sin(2 * np.pi * 5 * times))
    phase = 2 * np.pi * np.cumsum(f0) / sample_rate
    brightness = 0.5 + 0.4 * np.sin(2 * np.pi * 1.5 * times + index)
    audio = sum(brightness ** (k - 1) * np.sin(k * phase) / k for k in range(1, 6))
    rng = np.random.default_rng(index)
    audio = 0.2 * (1 + brightness) * audio + 1e-3 * rng.normal(size=n_samples)
    hop = sample_rate // FRAME_RATE
    features = {
        "audio": audio,
        "audio_16k": np.zeros(round(example_secs * 16000)),
        "f0_hz": f0[::hop],
        "f0_confidence": np.full(n_frames, 0.9),
        "loudness_db": -30 + 10 * np.log10(0.05 + brightness[::hop]),
        "power_db": -35 + 10 * np.log10(0.05 + brightness[::hop]),
    }
    arrays = {key: value.astype(np.float32) for key, value in features.items()}
    record = records.encode_example(
        arrays,
        recording_id=f"tone-{index}",
        start_secs=0.5 * index,
        transpose_cents=0.0,
    )
    return record, arrays


def make_plan(
    *,
    n_train: int = 6,
    n_eval: int = 2,
    example_secs: float = 0.5,
    sample_rate: int = SAMPLE_RATE,
    n_shards: int = 2,
) -> plan_lib.Plan:
    """The plan of a dataset with one recording an example."""
    settings = settings_lib.Settings(
        sample_rate=sample_rate, frame_rate=FRAME_RATE, example_secs=example_secs
    )
    shards = []
    for split, first, count, n_files in (
        ("train", 0, n_train, n_shards),
        ("eval", n_train, n_eval, 1),
    ):
        places = range(first, first + count)
        shards += [
            plan_lib.Shard(
                split=split,
                file_name=f"{split}.tfrecord-{shard:05d}-of-{n_files:05d}",
                examples=tuple((place, 0) for place in places[shard::n_files]),
            )
            for shard in range(n_files)
        ]
    n_recordings = n_train + n_eval
    return plan_lib.Plan(
        settings=settings,
        tracker_id="made up",
        recordings=tuple(
            _make_recording(i, settings=settings) for i in range(n_recordings)
        ),
        sources=tuple(
            plan_lib.Source(
                recording=i,
                cents=0.0,
                n_samples=settings.n_samples,
                n_samples_16k=settings.n_samples_16k,
                n_frames=settings.feature_frames,
                segments=(0,),
            )
            for i in range(n_recordings)
        ),
        shards=tuple(shards),
        rejections=(),
        n_found=n_recordings,
        seconds={"train": n_train * example_secs, "eval": n_eval * example_secs},
        versions={},
    )


def _make_recording(
    index: int, *, settings: settings_lib.Settings
) -> recordings_lib.Recording:
    return recordings_lib.Recording(
        name=f"tone-{index}",
        path=f"/recordings/tone-{index}.wav",
        recording_id=f"tone-{index}",
        n_bytes=2 * settings.n_samples,
        in_rate=settings.sample_rate,
        n_in=settings.n_samples,
        channels=1,
        codec="WAV PCM_16",
        peak=0.5,
        offset=0.0,
        clipped_share=0.0,
        silent_share=0.0,
        max_loudness_db=-20.0,
        floor_loudness_db=-60.0,
        notes=(),
    )


def write_dataset(
    directory: pathlib.Path, *, completed: bool = True, **wanted
) -> pathlib.Path:
    """Writes a dataset of tones in the form that `ddsp_prep` gives it.

    Args:
        directory: Of the dataset.
        completed: Whether it says that it is whole.
        **wanted: See `make_plan`.
    """
    plan = make_plan(**wanted)
    directory.mkdir(parents=True, exist_ok=True)
    for shard in plan.shards:
        made = [
            make_example(
                place,
                example_secs=plan.settings.example_secs,
                sample_rate=plan.settings.sample_rate,
            )[0]
            for place, _ in shard.examples
        ]
        tfrecords.write_records(directory / shard.file_name, made)
    facts = description.dataset_info(plan)
    (directory / info.INFO_NAME).write_text(facts.to_json())
    if completed:
        (directory / info.COMPLETED_NAME).write_text("")
    return directory


def set_plan_hash(directory: pathlib.Path, plan_hash: str) -> None:
    """Makes a dataset pass for another one."""
    path = directory / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"plan_hash": plan_hash}))


def train_rung(rung, *, data, run_dir, n_steps):
    """Trains a shrunken rung of the ladder for some steps."""
    from models.training import request
    from models.training import session

    session.train(
        request.TrainingRequest(
            save_dir=str(run_dir),
            gin_files=(f"gin/{rung}.gin", "gin/overlays/tiny.gin"),
            data_dir=str(data),
            num_steps=n_steps,
            quiet=True,
        ),
        say=lambda text: None,
    )
