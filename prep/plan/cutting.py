"""Where examples lie in a recording, and what is left over.

Positions are control frames of the recording. Nothing is padded: an example is real
audio from end to end. The end of a recording is covered by one more example that is
aligned to the right, if it brings enough that is new; what remains is reported.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

MIN_NEW_SHARE = 0.25  # of the hop, that a last, right-aligned example must add

_COVERED = 0
_REASONS = {
    1: "the rest at the end adds too little for an example of its own",
    2: "silence before or after the music (--trim_silence)",
    3: "kept free between training and evaluation of the only recording",
    4: "silent: no example here gets as loud as --min_loudness_db",
}
REST, TRIMMED, GAP, SILENT = _REASONS


@dataclasses.dataclass(frozen=True)
class Part:
    """Frames [begin, end) of a recording that go into one split."""

    split: str
    begin: int
    end: int


def cut(part: Part, *, example_frames: int, hop_frames: int) -> list[int]:
    """First frames of the examples of a part.

    Args:
        part: What to cut.
        example_frames: Length of an example.
        hop_frames: Between two starts.

    Returns:
        Starts, ascending; empty if the part is shorter than an example.
    """
    last = part.end - example_frames
    starts = list(range(part.begin, last + 1, hop_frames))
    if starts:
        new = last - starts[-1]
        gap = max(0, hop_frames - example_frames)  # with hops longer than examples
        if new - gap >= max(1, MIN_NEW_SHARE * min(hop_frames, example_frames)):
            starts.append(last)
    return starts


def loudest(
    envelope: np.ndarray, frame: int, *, n_frames: int, per_frame: float
) -> float:
    """Highest value of the loudness envelope within some frames.

    Args:
        envelope: dB, see `loudness.measure_envelope`.
        frame: The first frame.
        n_frames: Their number, 1 at least.
        per_frame: Values of the envelope per control frame.
    """
    first = min(int(frame * per_frame), len(envelope) - 1)
    stop = int(np.ceil((frame + n_frames) * per_frame))
    return float(envelope[first:stop].max())


def music_span(
    envelope: np.ndarray, n_frames: int, *, per_frame: float, min_loudness_db: float
) -> tuple[int, int]:
    """Frames [begin, end) from the first moment that is not silent to the last.

    One value of the envelope more is kept on each side, so that no attack is cut.
    """
    loud = np.flatnonzero(envelope >= min_loudness_db)
    if not len(loud):
        return 0, 0
    begin = max(0, int((loud[0] - 1) / per_frame))
    end = min(n_frames, int(np.ceil((loud[-1] + 2) / per_frame)))
    return begin, end


class Leftovers:
    """Keeps account of every frame of a recording: used, or why not."""

    def __init__(self, n_frames: int):
        """Starts with nothing used.

        Args:
            n_frames: Of the recording.
        """
        self._n_frames = n_frames
        # (begin, end, reason): a later mark covers those before it. Marks instead of
        # frames, because a plan keeps account of all recordings at once.
        self._marks: list[tuple[int, int, int]] = []

    def mark(self, begin: int, end: int, reason: int) -> None:
        """Frames [begin, end) are not used, for `reason`."""
        self._add(begin, end, reason)

    def use(self, begin: int, end: int) -> None:
        """Frames [begin, end) are used; stands whatever is marked before."""
        self._add(begin, end, _COVERED)

    def _add(self, begin: int, end: int, reason: int) -> None:
        """Notes a mark, as a part of the one before where it goes on from there."""
        if self._marks:
            first, last, before = self._marks[-1]
            if before == reason and first <= begin <= last:
                self._marks[-1] = first, max(last, end), reason
                return
        self._marks.append((begin, end, reason))

    def _reasons(self) -> np.ndarray:
        """The reason of every frame, int8 [n_frames]."""
        why = np.full(self._n_frames, REST, np.int8)
        for begin, end, reason in self._marks:
            why[begin:end] = reason
        return why

    @property
    def n_used(self) -> int:
        """Number of frames that are used."""
        return int(np.count_nonzero(self._reasons() == _COVERED))

    def lost(self) -> Iterator[tuple[int, int, str]]:
        """Unused frames as (begin, end, reason), in order."""
        why = self._reasons()
        borders = np.flatnonzero(np.diff(why)) + 1
        edges = [0, *borders.tolist(), len(why)]
        for begin, end in itertools.pairwise(edges):
            if end > begin and why[begin] != _COVERED:
                yield begin, end, _REASONS[int(why[begin])]


def n_covered(starts: Sequence[int], example_frames: int) -> int:
    """Frames that stand in at least one example; `starts` ascending."""
    total, reached = 0, 0
    for start in starts:
        total += start + example_frames - max(start, reached)
        reached = start + example_frames
    return total
