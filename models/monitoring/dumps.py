"""Dumps of the controls while training: arrays, tables, plots, audio.

`controls/step-000020/` holds

- `controls.npz`: every control of the whole batch, smoothed and raw, and the features;
- `frames.csv`: one line a frame (pitch, loudness, gains, entropy, strongest harmonic);
- `harmonics.csv`, `noise_filter.csv`, `wavetable.csv`: one frame in full;
- `settings.json`: what made them;
- `overview.png`, `smoothing.png`: see `models.monitoring.plots`;

and `controls/compare.png` shows several steps side by side. `renders/step-000020/`
holds a wav of each example, `renders/recordings/` the recordings.
"""

import json
import pathlib
import re
import shutil

import numpy as np
import soundfile

from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import model_outputs
from models.monitoring import held_out as held_out_lib
from models.monitoring import plots
from prep import checked_json

MAX_DUMPS = 100  # of each kind; one of 8 clips of 4 s takes about 7 MB
MAX_COMPARED = 6  # steps in the comparison: the first, the last, some between
_FRAME_COLUMNS = (
    "example",
    "frame",
    "time_secs",
    "f0_hz",
    "f0_confidence",
    "loudness_db",
    "amps",
    "noise_level",
    "raw_amps",
    "raw_noise_level",
    "entropy",
    "top1_share",
    "top1_harmonic",
)


class Dumps:
    """Writes what the held-out batch looks and sounds like at a step."""

    def __init__(
        self,
        run_dir: pathlib.Path,
        held_out: held_out_lib.HeldOut,
        *,
        settings: checked_json.Json,
    ):
        """Prepares; nothing is written yet.

        Args:
            run_dir: The run's directory.
            held_out: The batch.
            settings: What made the run: gin files, seed, configuration's hash.
        """
        self._controls_dir = run_dir / "controls"
        self._renders_dir = run_dir / "renders"
        self._held_out = held_out
        self._settings = settings

    def write_controls(
        self, outputs: model_outputs.ModelOutputs, distances: np.ndarray, *, step: int
    ) -> pathlib.Path:
        """Writes one step's controls; returns their folder."""
        folder = self._controls_dir / f"step-{step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        dump = self._gather(outputs)
        np.savez_compressed(folder / "controls.npz", **dump)  # type: ignore[arg-type]
        shown = self._shown(dump, step=step)
        _write_frames(folder / "frames.csv", dump, frame_rate=self._held_out.frame_rate)
        _write_one_frame(folder, shown)
        self._write_settings(folder, distances, step=step)
        plots.overview(shown, folder / "overview.png")
        plots.smoothing(shown, folder / "smoothing.png")
        thin(self._controls_dir, keep=MAX_DUMPS)
        self._compare()
        return folder

    def _gather(self, outputs: model_outputs.ModelOutputs) -> dict[str, np.ndarray]:
        """Gathers the arrays of a dump; [batch, n_frames(, n)] each."""
        try:
            controls = model_outputs.find_controls(outputs)
        except model_outputs.NoControlsError as error:
            raise ValueError(
                f"{error.args[0]}; leave --dump_controls_every out."
            ) from error

        # Smoothed and raw, one beside the other; the same without smoothing.
        has_raw = "raw_controls" in outputs
        raw = outputs["raw_controls"] if has_raw else controls
        batch = self._held_out.batch
        shape = controls["amps"].shape[:2]
        dump = {
            "f0_hz": np.asarray(controls["f0_hz"])[..., 0],
            "f0_confidence": batch["f0_confidence"].numpy().reshape(shape),
            "loudness_db": batch["loudness_db"].numpy().reshape(shape),
        }
        for prefix, item in (("", controls), ("raw_", raw)):
            dump[f"{prefix}amps"] = np.asarray(item["amps"])[..., 0]
            shares = np.asarray(item["harmonic_distribution"])
            dump[f"{prefix}harmonic_distribution"] = shares
            noise = item.get("noise_magnitudes")
            dump[f"{prefix}noise_magnitudes"] = (
                np.zeros((*shape, 1), np.float32)
                if noise is None
                else _at_frames(np.asarray(noise), n_frames=shape[1])
            )
        return dump

    def _shown(self, dump: dict[str, np.ndarray], *, step: int) -> plots.Shown:
        """The example that plots show: the first, and its loudest pitched frame."""
        example = {key: value[0] for key, value in dump.items()}
        pitched = example["f0_confidence"] > frame_masks.MIN_CONFIDENCE
        loudness = np.where(pitched, example["loudness_db"], -np.inf)
        frame = int(np.argmax(loudness))
        return plots.Shown(
            **example,
            step=step,
            name=self._held_out.names[0],
            frame=frame,
            sample_rate=self._held_out.sample_rate,
            frame_rate=self._held_out.frame_rate,
        )

    def _write_settings(
        self, folder: pathlib.Path, distances: np.ndarray, *, step: int
    ) -> None:
        settings = {
            "step": step,
            "split": self._held_out.split,
            "sample_rate": self._held_out.sample_rate,
            "frame_rate": self._held_out.frame_rate,
            "spectral_distance": dict(
                zip(self._held_out.names, map(float, distances), strict=True)
            ),
            **self._settings,
        }
        text = json.dumps(settings, indent=2, default=str) + "\n"
        (folder / "settings.json").write_text(text, encoding="utf-8")

    def _compare(self) -> None:
        """Draws the dumps that have been written so far side by side."""
        folders = sorted(self._controls_dir.glob("step-*"))
        steps = [int(re.sub(r"\D", "", folder.name)) for folder in folders]
        chosen = sorted(
            {
                round(i * (len(steps) - 1) / max(MAX_COMPARED - 1, 1))
                for i in range(MAX_COMPARED)
            }
        )
        shown = []
        for index in chosen:
            with np.load(folders[index] / "controls.npz") as arrays:
                dump = {key: arrays[key] for key in arrays.files}
            shown.append(self._shown(dump, step=steps[index]))
        plots.comparison(shown, self._controls_dir / "compare.png")

    def write_audio(self, audio: np.ndarray, *, step: int) -> pathlib.Path:
        """Writes the generated audio, and once the recordings; returns the folder."""
        recordings = self._renders_dir / "recordings"
        if not recordings.exists():
            self._write_wavs(recordings, self._held_out.batch["audio"].numpy())
        folder = self._renders_dir / f"step-{step:06d}"
        self._write_wavs(folder, audio)
        thin(self._renders_dir, keep=MAX_DUMPS)
        return folder

    def _write_wavs(self, folder: pathlib.Path, audio: np.ndarray) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        names = self._held_out.names
        for index, (name, signal) in enumerate(zip(names, audio, strict=True)):
            path = folder / f"{index:02d}-{_file_name(name)}.wav"
            soundfile.write(path, signal, self._held_out.sample_rate, subtype="FLOAT")


def _at_frames(magnitudes: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Noise magnitudes of a batch with the frames of the other controls."""
    rows = [control_arrays.nearest_frames(x, n_frames=n_frames) for x in magnitudes]
    return np.stack(rows)


def _noise_rms(magnitudes: np.ndarray) -> np.ndarray:
    """Level of the filtered noise, linear."""
    return np.sqrt(control_arrays.noise_power(magnitudes))


def _write_frames(
    path: pathlib.Path, dump: dict[str, np.ndarray], *, frame_rate: int
) -> None:
    """Writes one line a frame: features, gains, and the distribution in short."""
    n_examples, n_frames = dump["amps"].shape
    example, frame = np.indices((n_examples, n_frames))
    shares = dump["harmonic_distribution"]
    # In the order of `_FRAME_COLUMNS`.
    columns = (
        example,
        frame,
        frame / frame_rate,
        dump["f0_hz"],
        dump["f0_confidence"],
        dump["loudness_db"],
        dump["amps"],
        _noise_rms(dump["noise_magnitudes"]),
        dump["raw_amps"],
        _noise_rms(dump["raw_noise_magnitudes"]),
        distributions.entropy_nats(shares),
        shares.max(-1),
        shares.argmax(-1) + 1,
    )
    table = np.stack([column.ravel() for column in columns], axis=-1)
    _write_table(path, _FRAME_COLUMNS, table)


def _write_one_frame(folder: pathlib.Path, shown: plots.Shown) -> None:
    """Writes the frame that the plots show: harmonics, noise bands, one period."""
    # The harmonics, by number and frequency.
    shares = shown.harmonic_distribution[shown.frame]
    numbers = np.arange(1, len(shares) + 1)
    amplitudes = shown.amps[shown.frame] * shares
    _write_table(
        folder / "harmonics.csv",
        ("harmonic", "frequency_hz", "share", "amplitude"),
        np.stack([numbers, numbers * shown.f0_hz[shown.frame], shares, amplitudes], -1),
    )

    # The noise filter's bands from 0 Hz to Nyquist.
    bands = shown.noise_magnitudes[shown.frame]
    frequencies = np.linspace(0, shown.sample_rate / 2, len(bands))
    _write_table(
        folder / "noise_filter.csv",
        ("frequency_hz", "magnitude"),
        np.stack([frequencies, bands], -1),
    )

    # The waveform of the harmonics alone.
    period = plots.wavetable(float(shown.amps[shown.frame]), shares)
    _write_table(
        folder / "wavetable.csv",
        ("sample", "value"),
        np.stack([np.arange(plots.WAVETABLE_SIZE), period], -1),
    )


def _write_table(
    path: pathlib.Path, columns: tuple[str, ...], table: np.ndarray
) -> None:
    np.savetxt(
        path, table, fmt="%.6g", delimiter=",", header=",".join(columns), comments=""
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.@-]+", "_", name)[-80:]


def thin(folder: pathlib.Path, *, keep: int) -> None:
    """Deletes dumps beyond a number, each time the one whose neighbours are nearest.

    The first and the newest stay, and those between cover the whole run evenly.

    Args:
        folder: Holds `step-<number>` folders, a dump each.
        keep: How many may be there, at least 2.
    """
    step_of = {path: int(path.name[5:]) for path in folder.glob("step-*")}
    dumps = sorted(step_of, key=lambda path: step_of[path])
    while len(dumps) > max(keep, 2):
        gaps = [
            step_of[after] - step_of[before]
            for before, after in zip(dumps[:-2], dumps[2:], strict=True)
        ]
        place = gaps.index(min(gaps)) + 1
        shutil.rmtree(dumps.pop(place), ignore_errors=True)
