"""Pitch tracking as judging needs it: once for all reports, of renderings sparsely.

Tracking takes most of the time of a report. Answers are kept beside the dataset, under
a hash of the samples and of the tracker: recordings are tracked once for all reports,
and what a run plays once for all reports of the same checkpoint. A rendering is tracked
every 16 ms instead of every 4: CREPE's windows of 64 ms overlap by three quarters all
the same, and between two answers the pitch runs along a straight line in cents. What
this changes in a score is in docs/metrics.md.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import pathlib
import zlib

import numpy as np

from evaluation.scoring import clips
from prep import files

MIN_TRACKED_RATE = 60  # answers a second, at least, unless the frames are fewer
# Between answers that differ by more there is a new note and no glide: a vibrato of
# 100 cents at 6 Hz moves by 60 cents in 16 ms.
MAX_GLIDE_CENTS = 100.0
FOLDER_NAME = ".heard"  # in the dataset's folder
# Packages whose release can change an answer's last bits.
VERSIONED = ("numpy", "tensorflow", "torchcrepe")


@dataclasses.dataclass(frozen=True)
class SparseTracker:
    """A tracker that asks another one for fewer frames and fills in the rest.

    Attributes:
        tracker: The other one.
    """

    tracker: clips.PitchTracker

    def __call__(
        self, audio_16k: np.ndarray, frame_rate: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tracks audio at 16 kHz.

        Args:
            audio_16k: Shape [n_samples].
            frame_rate: Frames a second to answer.

        Returns:
            f0_hz and f0_confidence, each [n_frames].
        """
        stride = max(1, int(frame_rate // MIN_TRACKED_RATE))
        f0_hz, confidence = self.tracker(audio_16k, frame_rate / stride)
        if stride == 1:
            return f0_hz, confidence
        n_frames = round(len(audio_16k) / clips.FEATURE_RATE * frame_rate)
        places = np.minimum(np.arange(n_frames) / stride, len(f0_hz) - 1)
        known = np.arange(len(f0_hz))
        # Straight lines in cents, but where the pitch jumps the nearer answer.
        cents = 1200.0 * np.log2(f0_hz)
        nearest = np.rint(places).astype(int)
        jumps = np.abs(np.diff(cents, append=cents[-1])) > MAX_GLIDE_CENTS
        between = np.where(
            jumps[places.astype(int)], cents[nearest], np.interp(places, known, cents)
        )
        return 2.0 ** (between / 1200.0), np.interp(places, known, confidence)


@dataclasses.dataclass(frozen=True)
class CachedTracker:
    """A tracker that remembers its answers on disk.

    A damaged entry is computed anew; a folder that cannot be written is done without.

    Attributes:
        tracker: Answers what is not known yet.
        tracker_id: Names the tracker: the same name, the same answers.
        folder: Of the entries; made if needed.
    """

    tracker: clips.PitchTracker
    tracker_id: str
    folder: pathlib.Path

    def __call__(
        self, audio_16k: np.ndarray, frame_rate: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tracks audio at 16 kHz; see `SparseTracker`."""
        path = self.folder / f"{self._key(audio_16k, frame_rate)}.npy"
        answer = _read_entry(path)
        if answer is None:
            answer = np.stack(self.tracker(audio_16k, frame_rate)).astype(np.float32)
            with contextlib.suppress(OSError):
                _write_entry(path, answer)
        return answer[0], answer[1]

    def _key(self, audio_16k: np.ndarray, frame_rate: float) -> str:
        """Hash of all that decides the answer."""
        samples = np.ascontiguousarray(audio_16k, np.float32)
        versions = [f"{name} {importlib.metadata.version(name)}" for name in VERSIONED]
        described = f"{self.tracker_id} {frame_rate:g} {samples.size} {versions}"
        digest = hashlib.blake2b(described.encode(), digest_size=16)
        digest.update(samples.tobytes())
        return digest.hexdigest()


def _read_entry(path: pathlib.Path) -> np.ndarray | None:
    """An entry, None where there is none that is whole."""
    try:
        content = path.read_bytes()
        checksum, body = content[:4], content[4:]
        if zlib.crc32(body).to_bytes(4, "little") != checksum:
            return None
        return np.load(io.BytesIO(body), allow_pickle=False)
    except files.ARRAY_ERRORS:
        return None


def _write_entry(path: pathlib.Path, answer: np.ndarray) -> None:
    """Writes an entry in one step, its checksum before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = io.BytesIO()
    np.save(body, answer)
    content = body.getvalue()
    with files.replacing(path) as unfinished:
        unfinished.write_bytes(zlib.crc32(content).to_bytes(4, "little") + content)
