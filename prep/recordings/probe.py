"""Looks at every recording from end to end before anything is computed.

One decode gives the true length (headers lie), the content's hash, peak, offset,
clipping, samples that are no numbers, and the loudness over time that later decides
what is silence. A file that cannot be used is rejected with the reason and its numbers.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import stat
from collections.abc import Callable
from typing import Any

import numpy as np

from prep import loudness
from prep.recordings import decode
from prep.recordings import find
from prep.recordings import recording as recordings_lib
from prep.recordings import rough_pitch
from prep.recordings import wav_header

DIGEST_BYTES = 8  # 16 hexadecimal digits; 1e-9 chance of a clash among 200,000 files
FULL_SCALE = 0.9995  # of 1.0; samples from here on count as clipped in runs of ...
CLIP_RUN = 3  # samples
CLIPPED_SHARE = 1e-4  # of the samples, from which a recording is called clipped
MAX_OFFSET = 0.01  # of full scale, from which an offset is worth a note
LOUD_PEAK = 4.0  # of full scale, from which a float file's level is worth a note
MAX_PEAK = 1e10  # of full scale; samples on the scale of 32-bit integers are below
CANCELLED_DB = 20.0  # dB that the downmix loses when channels are out of phase
HEADER_TOLERANCE = 0.01  # of the length, that a header may be wrong without a note
_READ_BYTES = 1 << 20


@dataclasses.dataclass
class _Tally:
    """What is summed while the blocks pass."""

    n_in: int = 0
    peak: float = 0.0
    total: float = 0.0
    power: float = 0.0
    channel_power: float = 0.0
    n_clipped: int = 0
    n_not_finite: int = 0
    first_not_finite: int = -1

    def add(self, block: np.ndarray) -> np.ndarray:
        """Counts a block [n, channels]; returns its downmix [n]."""
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            if self.first_not_finite < 0:
                self.first_not_finite = self.n_in + int(np.argmin(finite))
            self.n_not_finite += int(np.count_nonzero(~finite))
            block = np.where(finite[:, np.newaxis], block, np.float32(0))
        with np.errstate(over="ignore"):  # the peak will say it
            mono = decode.downmix(block)
        self.peak = max(self.peak, float(np.abs(mono).max()))
        self.total += float(mono.sum(dtype=np.float64))
        self.power += float(np.square(mono, dtype=np.float64).sum())
        self.channel_power += float(np.square(block, dtype=np.float64).sum(0).mean())
        full = (np.abs(block) >= FULL_SCALE).any(axis=1)
        runs = np.lib.stride_tricks.sliding_window_view(full, min(CLIP_RUN, len(full)))
        self.n_clipped += int(np.count_nonzero(runs.all(axis=1)))
        self.n_in += len(block)
        return mono


def hash_file(path: str) -> str:
    """Hash of a file's content, hexadecimal."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with open(path, "rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check_file(path: str) -> int:
    """Size of a file that may hold audio.

    Raises:
        audio.UnreadableError: If it is no file, empty, or of a kind never read.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        what = "a broken link" if os.path.islink(path) else "cannot be opened"
        raise decode.UnreadableError(f"{what}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        raise decode.UnreadableError("a folder that cannot be opened")
    if not stat.S_ISREG(status.st_mode):
        raise decode.UnreadableError("no ordinary file (a device, pipe or socket)")
    if status.st_size == 0:
        raise decode.UnreadableError("an empty file (0 bytes)")
    suffix = os.path.splitext(path)[1].lower()
    if suffix in find.FOREIGN_SUFFIXES:
        raise decode.UnreadableError(
            f"{suffix} is not a format that libsndfile reads; convert it, for instance "
            "with: ffmpeg -i in" + suffix + " out.flac"
        )
    return status.st_size


def probe_recording(
    path: str, name: str, *, min_loudness_db: float, min_input_rate: int
) -> recordings_lib.Probe | recordings_lib.Rejection:
    """Decodes one recording and judges it.

    Args:
        path: Of the file.
        name: For people.
        min_loudness_db: Below this is silence.
        min_input_rate: Sample rate from which a recording is good enough.

    Returns:
        The probe, or why the recording cannot be used.
    """
    numbers: dict[str, Any] = {}
    tally = _Tally()
    try:
        n_bytes = _check_file(path)
        with decode.open_recording(path) as file:
            numbers["sample_rate"] = file.samplerate
            if file.samplerate < min_input_rate:
                raise decode.UnreadableError(
                    f"its sample rate, {file.samplerate} Hz, is below {min_input_rate} "
                    "Hz: half of what the model learns would be missing; "
                    f"--min_input_rate={file.samplerate} uses it all the same"
                )
            opening = rough_pitch.Opening(file.samplerate)
            envelope = loudness.measure_envelope(
                (opening.keep(tally.add(block)) for block in decode.read_blocks(file)),
                file.samplerate,
            )
            facts = {
                "in_rate": file.samplerate,
                "channels": file.channels,
                "codec": f"{file.format} {file.subtype}",
                "header_frames": file.frames,
            }
        digest = hash_file(path)
        data_chunk = wav_header.read_data_chunk(path)
        _check_samples(
            tally,
            envelope,
            in_rate=facts["in_rate"],
            min_loudness_db=min_loudness_db,
            data_chunk=data_chunk,
            numbers=numbers,
        )
    except decode.UnreadableError as error:
        reason = str(error)
        if tally.n_in and "seconds" not in numbers:  # it broke off on the way
            numbers["seconds"] = round(tally.n_in / numbers["sample_rate"], 3)
            reason += f" somewhere after {numbers['seconds']:.1f} s"
        return recordings_lib.Rejection(name, path, "all", reason, numbers)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return recordings_lib.Rejection(name, path, "all", reason, numbers)
    header_frames = facts.pop("header_frames")
    recording = recordings_lib.Recording(
        name=name,
        path=path,
        recording_id=digest,
        n_bytes=n_bytes,
        n_in=tally.n_in,
        peak=tally.peak,
        offset=tally.total / tally.n_in,
        clipped_share=tally.n_clipped / tally.n_in,
        silent_share=float(np.mean(envelope < min_loudness_db)),
        max_loudness_db=float(envelope.max()),
        floor_loudness_db=float(np.percentile(envelope, 10)),
        notes=tuple(
            _notes(tally, facts, header_frames=header_frames, data_chunk=data_chunk)
        ),
        **facts,
    )
    return recordings_lib.Probe(recording, envelope, opening.estimate_hz())


def _check_samples(
    tally: _Tally,
    envelope: np.ndarray,
    *,
    in_rate: int,
    min_loudness_db: float,
    data_chunk: wav_header.DataChunk | None,
    numbers: dict[str, Any],
) -> None:
    """Raises `UnreadableError` where the samples are of no use; fills `numbers`."""
    numbers["seconds"] = round(tally.n_in / in_rate, 3)
    if tally.n_in == 0:
        hidden = ""
        if data_chunk and data_chunk.hides:
            hidden = (
                f" by its header, but {data_chunk.available} bytes follow (a recorder "
                "that was stopped hard?); get them with: ffmpeg -ignore_length 1 -i "
                "in.wav out.wav"
            )
        raise decode.UnreadableError(f"holds no sample{hidden}")
    if tally.n_not_finite:
        numbers["samples_not_finite"] = tally.n_not_finite
        numbers["first_at_seconds"] = round(tally.first_not_finite / in_rate, 3)
        raise decode.UnreadableError(
            f"{tally.n_not_finite} samples are NaN or infinite, the first at "
            f"{tally.first_not_finite / in_rate:.3f} s"
        )
    if tally.peak > MAX_PEAK:
        numbers["peak"] = float(np.nan_to_num(tally.peak))  # a sum may be infinite
        raise decode.UnreadableError(
            f"no audio by its numbers: samples of up to {tally.peak:.3g} times full "
            "scale"
        )
    loudest = float(envelope.max())
    if loudest < min_loudness_db:
        numbers["max_loudness_db"] = round(loudest, 2)
        hint = "; its channels cancel each other" if _cancels(tally) else ""
        raise decode.UnreadableError(
            f"silent: never louder than {loudest:.1f} dB, and --min_loudness_db is "
            f"{min_loudness_db:g}{hint}"
        )


def _cancels(tally: _Tally) -> bool:
    """Whether the downmix loses nearly all that the channels hold."""
    return tally.power * 10 ** (CANCELLED_DB / 10) < tally.channel_power


def _notes(
    tally: _Tally,
    facts: dict[str, Any],
    *,
    header_frames: int,
    data_chunk: wav_header.DataChunk | None,
) -> list[str]:
    """What a person should know about a recording that is used."""
    notes = []
    rate = facts["in_rate"]
    wrong = abs(header_frames - tally.n_in) / max(header_frames, tally.n_in)
    if wrong > HEADER_TOLERANCE:
        notes.append(
            f"its header says {header_frames / rate:.2f} s, it holds "
            f"{tally.n_in / rate:.2f} s: cut off?"
        )
    elif data_chunk and data_chunk.cut_off:
        notes.append(
            f"its header says {data_chunk.declared} bytes of audio, the file has "
            f"{data_chunk.available}: cut off?"
        )
    elif data_chunk and data_chunk.hides:
        notes.append(
            f"its header says {data_chunk.declared} bytes of audio, the file has "
            f"{data_chunk.available}: the rest is not used"
        )
    if tally.n_clipped / tally.n_in > CLIPPED_SHARE:
        notes.append(f"clipped: {tally.n_clipped / tally.n_in:.2%} at full scale")
    if abs(tally.total / tally.n_in) > MAX_OFFSET:
        notes.append(f"offset of {tally.total / tally.n_in:+.3g} of full scale")
    if tally.peak > LOUD_PEAK:
        notes.append(
            f"peaks at {tally.peak:.3g} times full scale (float samples on another "
            "scale?); --normalize=peak brings it down"
        )
    if _cancels(tally):
        notes.append("its channels cancel each other in the downmix (out of phase?)")
    return notes


def probe_recordings(
    found: find.Found,
    *,
    min_loudness_db: float,
    min_input_rate: int,
    on_done: Callable[[], object] = lambda: None,
) -> list[recordings_lib.Probe | recordings_lib.Rejection]:
    """Probes all recordings, as many at once as there are cores; keeps their order."""

    def probe(index: int) -> recordings_lib.Probe | recordings_lib.Rejection:
        result = probe_recording(
            found.paths[index],
            found.names[index],
            min_loudness_db=min_loudness_db,
            min_input_rate=min_input_rate,
        )
        on_done()
        return result

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(probe, range(len(found.paths))))
