"""What several tests of preparation share: a fast pitch tracker, synthetic music."""

import contextlib
import dataclasses
import os
import pathlib
import signal

import numpy as np
import soundfile


class StubTracker:
    """Zero crossings instead of CREPE: fast, local, exact on a grid of any origin."""

    def __call__(self, audio_16k, frame_rate, *, center=True):
        hop = int(16000 / frame_rate)
        audio = np.pad(audio_16k, 512) if center else audio_16k
        frames = np.lib.stride_tricks.sliding_window_view(audio, 1024)[::hop]
        up = np.count_nonzero((frames[:, :-1] < 0) & (frames[:, 1:] >= 0), axis=1)
        f0_hz = np.maximum(up, 1).astype(np.float32) * np.float32(16000 / 1024)
        level = np.abs(frames).max(axis=1)
        return f0_hz, np.minimum(level * 4, 1).astype(np.float32)


class BoundedTracker(StubTracker):
    """The same with CREPE's fault: what it cannot hear is octaves off."""

    def __call__(self, audio_16k, frame_rate, *, center=True):
        f0_hz, confidence = super().__call__(audio_16k, frame_rate, center=center)
        while (f0_hz > 1975.5).any():
            f0_hz = np.where(f0_hz > 1975.5, f0_hz / 2, f0_hz).astype(np.float32)
        return f0_hz, confidence


class Suicidal:
    """Makes a stub tracker whose process kills itself once, where `path` exists."""

    def __init__(self, path: str):
        self.path = path

    def __call__(self):
        return _SuicidalTracker(self.path)


class _SuicidalTracker(StubTracker):
    def __init__(self, path: str):
        self.path = path

    def __call__(self, audio_16k, frame_rate, *, center=True):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # only one process succeeds
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(audio_16k, frame_rate, center=center)


def tone(secs, *, f0_hz=440.0, rate=16000, level=0.3) -> np.ndarray:
    """A sine with a slow tremolo; float32 [n]."""
    t = np.arange(round(secs * rate)) / rate
    swell = 0.75 + 0.25 * np.sin(2 * np.pi * 0.7 * t)
    return (level * swell * np.sin(2 * np.pi * f0_hz * t)).astype(np.float32)


def write_tones(folder: pathlib.Path, secs, *, rate=16000, suffix=".wav") -> None:
    """One recording per entry of `secs`, each of another pitch."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, length in enumerate(secs):
        audio = tone(length, f0_hz=220.0 * 2 ** (index / 7), rate=rate)
        soundfile.write(folder / f"tone{index}{suffix}", audio, rate)


def make_request(source, output, **changed):
    """A request with the stub tracker, short examples and no bar."""
    from prep import preparation
    from prep import settings as settings_lib
    from prep.beam import runners

    names = {field.name for field in dataclasses.fields(settings_lib.Settings)}
    settings = {k: v for k, v in changed.items() if k in names}
    others = {k: v for k, v in changed.items() if k not in names}
    sources = [source] if isinstance(source, str | pathlib.Path) else source
    return preparation.PreparationRequest(
        **{
            "inputs": [str(s) for s in sources],
            "output": str(output),
            "settings": settings_lib.Settings(**{"example_secs": 1.0, **settings}),
            "tracker_id": "stub",
            "make_tracker": StubTracker,
            "options": runners.make_options(),
            "quiet": True,
            **others,
        }
    )


def prepare(source, output, **changed) -> list[str]:
    """Makes a dataset; returns what was said."""
    from prep import preparation

    said: list[str] = []
    preparation.prepare(make_request(source, output, **changed), said.append)
    return said


def contents(output) -> dict[str, bytes]:
    """Every file of a dataset by name; its own path in dataset.gin made neutral."""
    output = pathlib.Path(output)
    return {
        path.name: path.read_bytes().replace(str(output).encode(), b"OUTPUT")
        for path in sorted(output.iterdir())
        if path.is_file()
    }


def read_examples(output, split) -> list[dict]:
    """The records of a split as TensorFlow reads them; arrays and ride-along keys."""
    import tensorflow as tf

    examples = []
    for path in sorted(pathlib.Path(output).glob(f"{split}.tfrecord-*")):
        for record in tf.data.TFRecordDataset(str(path)):
            feature = tf.train.Example.FromString(record.numpy()).features.feature
            values = {
                key: np.array(value.float_list.value, np.float32)
                for key, value in feature.items()
                if value.HasField("float_list")
            }
            values["recording_id"] = feature["recording_id"].bytes_list.value[0]
            if "source_ids" in feature:
                values["source_ids"] = list(feature["source_ids"].bytes_list.value)
            examples.append(values)
    return examples
