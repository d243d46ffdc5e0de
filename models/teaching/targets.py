"""Measured controls of a dataset's training examples, computed once and kept.

They are measured at the start of the first training that asks for them, not by prep:
how many harmonics and bands there are is the model's affair, and whoever trains without
a teacher does not wait. The files lie beside the records, under the hash of the
dataset's plan, so every further rung and seed reads them at once; a dataset that cannot
be written to has them in the run's own folder.
"""

import concurrent.futures
import os
import pathlib
import shutil
import time
from collections.abc import Iterator

import numpy as np
from absl import logging

from models.data import provider as provider_lib
from models.losses import teacher
from models.measures import frame_masks
from models.measures import measured_controls
from prep import files as whole_files

FOLDER = "measured_controls"
VERSION = 3  # of the analysis; another one is measured anew
N_THREADS = 2
CHUNK = 8  # examples in memory at a time
QUIET_WEIGHT = 0.1  # of frames that nobody hears: they must stay quiet
_FLOOR_DB = 20.0 * np.log10(teacher.FLOOR)


def measured_for(
    provider: provider_lib.PreparedDataset,
    *,
    n_harmonics: int,
    n_noise_bands: int,
    fallback_dir: pathlib.Path,
) -> dict[str, np.ndarray]:
    """Returns the measured controls of all examples of a split.

    Args:
        provider: The split.
        n_harmonics: As many as the model has.
        n_noise_bands: As many as the model has.
        fallback_dir: Where the files go if the dataset's folder takes none.

    Returns:
        The `teacher.KEYS`, [n_examples, n_frames, n] each, float16, read from disk as
        they are used.
    """
    name = (
        f"{provider.info.plan_hash or 'unknown'}-{provider.split}"
        f"-e{provider.n_examples}-h{n_harmonics}-n{n_noise_bands}-v{VERSION}"
    )
    if provider.every > 1:
        name += f"-r{provider.info.frame_rate}"
    folder = pathlib.Path(provider.info.data_dir) / FOLDER / name
    if not folder.is_dir() and not _can_write(folder.parent):
        folder = fallback_dir / FOLDER / name
    found = read(folder, n_examples=provider.n_examples)
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        _measure_into(
            folder, provider, n_harmonics=n_harmonics, n_noise_bands=n_noise_bands
        )
        found = read(folder, n_examples=provider.n_examples)
        assert found is not None
    return found


def read(folder: pathlib.Path, *, n_examples: int) -> dict[str, np.ndarray] | None:
    """Reads a folder of measured controls; None if there is none that is whole.

    Args:
        folder: As `measured_for` names it.
        n_examples: How many rows there must be.
    """
    try:
        found = {
            key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in teacher.KEYS
        }
    except whole_files.ARRAY_ERRORS:
        return None
    is_whole = all(
        values.dtype == np.float16 and values.ndim == 3 and len(values) == n_examples
        for values in found.values()
    )
    return found if is_whole else None


def _can_write(folder: pathlib.Path) -> bool:
    """Makes a folder; says whether files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _measure_into(
    folder: pathlib.Path,
    provider: provider_lib.PreparedDataset,
    *,
    n_harmonics: int,
    n_noise_bands: int,
) -> None:
    """Measures a split and writes it as a whole."""
    begin = time.monotonic()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_files.scratch_folder(folder.name, folder.parent) as aside:
        _measure_aside(
            aside, provider, n_harmonics=n_harmonics, n_noise_bands=n_noise_bands
        )
        _replace(aside, folder)
    secs = time.monotonic() - begin
    audio_secs = provider.n_examples * provider.info.example_secs
    logging.info(
        "Measured the controls of %.0f s of audio in %.1f s.", audio_secs, secs
    )


def _measure_aside(
    aside: pathlib.Path,
    provider: provider_lib.PreparedDataset,
    *,
    n_harmonics: int,
    n_noise_bands: int,
) -> None:
    """Measures a split into the files of an empty folder."""
    n_all = provider.n_examples
    sizes = dict(zip(teacher.KEYS, (n_harmonics, n_noise_bands, 2), strict=True))
    # One file a key, written example by example: memory stays that of a chunk.
    files = {
        key: _reserved(aside / f"{key}.npy", (n_all, provider.info.n_frames, size))
        for key, size in sizes.items()
    }
    # Whether a band is quiet is judged by the loudest frame of the whole dataset.
    loudest = max(power.max() for power in _powers(provider))

    def measure(audio: np.ndarray, f0_hz: np.ndarray, confidence: np.ndarray):
        return _targets(
            audio,
            f0_hz,
            confidence,
            rates=(provider.info.sample_rate, provider.info.frame_rate),
            sizes=(n_harmonics, n_noise_bands),
            loudest_power=loudest,
        )

    with concurrent.futures.ThreadPoolExecutor(N_THREADS) as pool:
        for first, batch in _chunks(provider):
            rows = (batch[key] for key in ("audio", "f0_hz", "f0_confidence"))
            for offset, found in enumerate(pool.map(measure, *rows)):
                for key, values in zip(teacher.KEYS, found, strict=True):
                    files[key][first + offset] = values
    for values in files.values():
        values.flush()


def _reserved(path: pathlib.Path, shape: tuple[int, ...]) -> np.memmap:
    """Makes a file of float16 values to be written to, its place on the disk taken.

    Raises:
        OSError: If the disk is too full; where a system cannot reserve, writing to the
            map would end the process without a word.
    """
    values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return values


def _replace(aside: pathlib.Path, folder: pathlib.Path) -> None:
    """Gives a whole folder its name, unless another process was first."""
    try:
        os.rename(aside, folder)
    except OSError:
        if not folder.is_dir():
            raise


def _chunks(
    provider: provider_lib.PreparedDataset,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Examples in order, a few at a time."""
    for first in range(0, provider.n_examples, CHUNK):
        last = min(first + CHUNK, provider.n_examples)
        yield first, provider.examples(range(first, last))


def _powers(provider: provider_lib.PreparedDataset) -> Iterator[np.ndarray]:
    """Power around the frames of each example."""
    for _, batch in _chunks(provider):
        for audio in batch["audio"]:
            yield measured_controls.local_power(
                audio,
                n_frames=provider.info.n_frames,
                sample_rate=provider.info.sample_rate,
                hop_size=provider.info.hop_size,
            )


def _targets(
    audio: np.ndarray,
    f0_hz: np.ndarray,
    confidence: np.ndarray,
    *,
    rates: tuple[int, int],
    sizes: tuple[int, int],
    loudest_power: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One example's `teacher.KEYS`."""
    confidence = confidence[:, 0]
    measured = measured_controls.measure(
        audio,
        np.where(confidence >= frame_masks.MIN_CONFIDENCE, f0_hz[:, 0], np.nan),
        sample_rate=rates[0],
        frame_rate=rates[1],
        n_harmonics=sizes[0],
        n_noise_bands=sizes[1],
    )
    weights = measured_controls.teaching_weights(
        measured, confidence, loudest_power=loudest_power
    )
    # Where nothing sounds the target is silence, asked for with a small weight.
    is_quiet = weights.noise == 0.0
    both = np.stack(
        [
            np.where(is_quiet, QUIET_WEIGHT, weights.harmonics),
            np.maximum(weights.noise, QUIET_WEIGHT),
        ],
        axis=-1,
    )
    return in_db(measured.amplitudes), in_db(measured.noise_magnitudes), both


def in_db(amplitudes: np.ndarray) -> np.ndarray:
    """Amplitudes as the teacher compares them."""
    return np.maximum(20.0 * np.log10(amplitudes + teacher.FLOOR), _FLOOR_DB)
