"""Looks at every recording from end to end before anything is computed.

One decode gives the true length (headers lie), the content's hash, peak, offset,
clipping, samples that are no numbers, and the loudness over time that later decides
what is silence. A file that cannot be used is rejected with the reason and its numbers.
"""

import concurrent.futures
import dataclasses
import hashlib
import math
import os
import stat
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from prep import loudness
from prep.recordings import channels as channels_lib
from prep.recordings import decode
from prep.recordings import find
from prep.recordings import pitch_range
from prep.recordings import recording as recordings_lib
from prep.recordings import wav_header

DIGEST_BYTES = 8  # 16 hexadecimal digits; 1e-9 chance of a clash among 200,000 files
FULL_SCALE = 0.9995  # of 1.0; samples from here on count as clipped in runs of ...
CLIP_RUN = 3  # samples
CLIPPED_SHARE = 1e-4  # of the samples, from which a recording is called clipped
MAX_OFFSET = 0.01  # of full scale, from which an offset is worth a note
LOUD_PEAK = 4.0  # of full scale, from which a float file's level is worth a note
MAX_PEAK = 1e10  # of full scale; samples on the scale of 32-bit integers are below
# A header may be wrong by so much without a note: encoders pad both ends (0.05 s).
HEADER_SECS = 0.1
_READ_BYTES = 1 << 20


@dataclasses.dataclass
class _SampleSums:
    """What is summed while the blocks pass.

    Attributes:
        used: Channels that are averaged into mono; empty for all.
        levels: Power of the channels.
        digest: Hash of the samples.
    """

    used: tuple[int, ...] = ()
    n_in: int = 0
    peak: float = 0.0
    total: float = 0.0
    n_clipped: int = 0
    n_not_finite: int = 0
    first_not_finite: int = -1
    levels: channels_lib.Levels = dataclasses.field(default_factory=channels_lib.Levels)
    digest: "hashlib.blake2b" = dataclasses.field(
        default_factory=lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)
    )

    def add(self, block: np.ndarray) -> np.ndarray:
        """Counts a block [n, channels]; returns its downmix [n]."""
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            if self.first_not_finite < 0:
                self.first_not_finite = self.n_in + int(np.argmin(finite))
            self.n_not_finite += int(np.count_nonzero(~finite))
            block = np.where(finite[:, np.newaxis], block, np.float32(0))
        self.digest.update(np.ascontiguousarray(block).tobytes())
        self.levels.add(block)
        with np.errstate(over="ignore"):  # the peak will say it
            mono = channels_lib.downmix(block, self.used)
        self.peak = max(self.peak, float(np.abs(mono).max()))
        if math.isinf(self.peak):
            mono = np.nan_to_num(mono)
        self.total += float(mono.sum(dtype=np.float64))
        # Clipped are runs of samples at full scale, in any channel.
        full = (np.abs(block) >= FULL_SCALE).any(axis=1)
        runs = np.lib.stride_tricks.sliding_window_view(full, min(CLIP_RUN, len(full)))
        self.n_clipped += int(np.count_nonzero(runs.all(axis=1)))
        self.n_in += len(block)
        return mono


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a file says of itself.

    Attributes:
        in_rate: Samples/s.
        channels: Number.
        codec: See `decode.Decoder`.
        n_declared: Samples by the header; None where it does not say.
        header: Of a wav file.
        remarks: Of the decoder.
    """

    in_rate: int
    channels: int
    codec: str
    n_declared: int | None
    header: wav_header.Header | None
    remarks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Listened:
    """What is known when a recording has passed: sums, loudness, pitch range."""

    facts: _Facts
    tally: _SampleSums
    envelope: np.ndarray
    pitch_hz: np.ndarray
    channels: channels_lib.ChannelChoice


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
        decode.UnreadableError: If it is no file, empty, or of a kind never read.
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
    return status.st_size


def probe_recording(
    path: str,
    name: str,
    *,
    min_loudness_db: float,
    min_input_rate: int,
    normalize: str = "none",
) -> recordings_lib.Probe | recordings_lib.Rejection:
    """Decodes one recording and judges it.

    Args:
        path: Of the file.
        name: For people.
        min_loudness_db: Below this is silence.
        min_input_rate: Sample rate from which a recording is good enough.
        normalize: "peak" if it will be brought to full scale; its loudness is then
            that of the louder recording.

    Returns:
        The probe, or why the recording cannot be used.
    """
    numbers: dict[str, float] = {}
    try:
        n_bytes = _check_file(path)
        listened = _listen(path, min_input_rate=min_input_rate, numbers=numbers)
        if listened.channels.used:  # once more, now that it is known which are of use
            listened = dataclasses.replace(
                _listen(
                    path, min_input_rate=1, numbers={}, used=listened.channels.used
                ),
                channels=listened.channels,
            )
        digest = hash_file(path)
        gain_db = _check_samples(
            listened,
            min_loudness_db=min_loudness_db,
            normalize=normalize,
            numbers=numbers,
        )
    except decode.UnreadableError as error:
        return recordings_lib.Rejection(name, path, "all", str(error), numbers)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return recordings_lib.Rejection(name, path, "all", reason, numbers)
    facts, tally = listened.facts, listened.tally
    out_of_range = pitch_range.shares(listened.pitch_hz)
    envelope = np.maximum(
        listened.envelope + np.float32(gain_db), np.float32(loudness.MIN_DB)
    )
    recording = recordings_lib.Recording(
        name=name,
        path=path,
        recording_id=digest,
        n_bytes=n_bytes,
        in_rate=facts.in_rate,
        n_in=tally.n_in,
        channels=facts.channels,
        codec=facts.codec,
        peak=tally.peak,
        offset=tally.total / tally.n_in,
        clipped_share=tally.n_clipped / tally.n_in,
        silent_share=float(np.mean(envelope < min_loudness_db)),
        max_loudness_db=float(envelope.max()),
        floor_loudness_db=float(np.percentile(envelope, 10)),
        notes=tuple(_notes(listened)),
        used_channels=listened.channels.used,
        below_range_share=out_of_range.below,
        above_range_share=out_of_range.above,
    )
    return recordings_lib.Probe(
        recording,
        # Of all recordings at once until the plan is made: half the memory will do.
        envelope.astype(np.float32),
        pitch_hz=listened.pitch_hz.astype(np.float32),
        audio_id=tally.digest.hexdigest(),
    )


def _listen(
    path: str,
    *,
    min_input_rate: int,
    numbers: dict[str, float],
    used: tuple[int, ...] = (),
) -> _Listened:
    """Decodes a recording once; fills `numbers` as it learns them."""
    tally = _SampleSums(used)
    with decode.open_recording(path) as file:
        rate = numbers["sample_rate"] = file.sample_rate
        if rate < min_input_rate:
            raise decode.UnreadableError(
                f"its sample rate, {rate} Hz, is below {min_input_rate} Hz: half of "
                "what the model learns would be missing; "
                f"--min_input_rate={rate} uses it all the same"
            )
        # Every block is counted, watched for its pitch, and measured for loudness.
        watch = pitch_range.Watch(rate)

        def downmixed() -> Iterator[np.ndarray]:
            for block in file.blocks():
                mono = tally.add(block)
                watch.add(mono)
                yield mono

        envelope = loudness.measure_envelope(downmixed(), rate)
        facts = _Facts(
            in_rate=rate,
            channels=file.channels,
            codec=file.codec,
            n_declared=file.n_declared,
            header=file.header,
            remarks=tuple(file.remarks),
        )
    return _Listened(
        facts,
        tally,
        envelope,
        pitch_hz=watch.audible_hz(),
        channels=tally.levels.choose(),
    )


def _check_samples(
    listened: _Listened,
    *,
    min_loudness_db: float,
    normalize: str,
    numbers: dict[str, float],
) -> float:
    """Refuses samples that are of no use; fills `numbers`.

    Returns:
        dB by which normalizing will make the recording louder.
    """
    tally, in_rate = listened.tally, listened.facts.in_rate
    numbers["seconds"] = round(tally.n_in / in_rate, 3)
    if tally.n_in == 0:
        raise decode.UnreadableError("holds no sample")
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
    gain_db = 20.0 * math.log10(recordings_lib.find_gain(tally.peak, normalize))
    loudest = float(listened.envelope.max()) + gain_db
    if loudest < min_loudness_db:
        numbers["max_loudness_db"] = round(max(loudest, loudness.MIN_DB), 2)
        hint = ""
        if (
            tally.peak > recordings_lib.QUIETEST_PEAK
            and normalize != "peak"
            and listened.envelope.max() > loudness.MIN_DB
        ):
            hint = "; --normalize=peak makes it louder"
        raise decode.UnreadableError(
            f"silent: never louder than {loudest:.1f} dB, and --min_loudness_db is "
            f"{min_loudness_db:g}{hint}"
        )
    return gain_db


def _notes(listened: _Listened) -> Iterator[str]:
    """Yields what a person should know about a recording that is used."""
    tally = listened.tally
    # Of the file and its channels, then of the samples.
    yield from _length_notes(listened)
    yield from listened.facts.remarks
    if listened.channels.note:
        yield listened.channels.note
    if tally.n_clipped / tally.n_in > CLIPPED_SHARE:
        yield f"clipped: {tally.n_clipped / tally.n_in:.2%} at full scale"
    if abs(tally.total / tally.n_in) > MAX_OFFSET:
        yield f"offset of {tally.total / tally.n_in:+.3g} of full scale"
    if tally.peak > LOUD_PEAK:
        yield (
            f"peaks at {tally.peak:.3g} times full scale (float samples on another "
            "scale?); --normalize=peak brings it down"
        )


def _length_notes(listened: _Listened) -> Iterator[str]:
    """Yields where header and audio disagree, with both numbers."""
    facts, n_in = listened.facts, listened.tally.n_in
    header = facts.header
    if header is not None and header.cut_off:
        yield (
            f"its header says {header.declared} bytes of audio, the file has "
            f"{header.available}: cut off?"
        )
    elif header is not None and header.trailing > wav_header.SLACK:
        if not header.unfinished:  # of which the decoder has a remark
            yield (
                f"its header says {header.declared} bytes of audio, the file has "
                f"{header.available}: the rest is not used"
            )
    elif facts.n_declared is not None:
        missing = (facts.n_declared - n_in) / facts.in_rate
        if abs(missing) > HEADER_SECS:
            yield (
                f"its header says {facts.n_declared / facts.in_rate:.2f} s, it holds "
                f"{n_in / facts.in_rate:.2f} s: "
                + ("cut off?" if missing > 0 else "joined from several? all is used")
            )


def probe_recordings(
    found: find.FoundFiles,
    *,
    min_loudness_db: float,
    min_input_rate: int,
    normalize: str = "none",
    on_done: Callable[[], object] = lambda: None,
) -> list[recordings_lib.Probe | recordings_lib.Rejection]:
    """Probes all recordings, as many at once as there are cores; keeps their order."""

    def probe(index: int) -> recordings_lib.Probe | recordings_lib.Rejection:
        result = probe_recording(
            found.paths[index],
            found.names[index],
            min_loudness_db=min_loudness_db,
            min_input_rate=min_input_rate,
            normalize=normalize,
        )
        on_done()
        return result

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(probe, range(len(found.paths))))
