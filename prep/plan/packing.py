"""Lays short recordings one behind another, so that they fill examples.

Positions are control frames of the pack. Between two recordings stands a rest. A pack
for training is a strip of several example lengths, cut as a recording would be; one for
evaluation is a single example, so that no recording stands in two of them.
"""

from collections.abc import Sequence

from prep import settings as settings_lib
from prep.plan import plan as plan_lib
from prep.plan import splits

REST_SECS = 0.1  # s of silence between two recordings
STRIP_EXAMPLES = 8  # example lengths, about, of a pack for training


def lay_out(
    lengths: Sequence[tuple[int, int]], split: str, *, settings: settings_lib.Settings
) -> list[plan_lib.Pack]:
    """Packs the short recordings of a split.

    Args:
        lengths: (index of the source, frames), in the order in which they shall stand.
        split: "train" or "eval".
        settings: Of the dataset; `short` is "pack" or "pad".

    Returns:
        Packs that hold every source once, each as long as `cut_pack` can use up.
    """
    rest = _rest(settings)
    if settings.short == "pad":
        groups = [[piece] for piece in lengths]
    elif split == splits.TRAIN:
        groups = _fill_strips(lengths, rest, settings.example_frames)
    else:
        groups = _fill_examples(lengths, rest, settings.example_frames)
    return [make_pack(group, split, settings=settings) for group in groups]


def _fill_strips(
    lengths: Sequence[tuple[int, int]], rest: int, example_frames: int
) -> list[list[tuple[int, int]]]:
    """Divides the recordings, in their order, into strips of about equal length."""
    total = sum(n_frames + rest for _, n_frames in lengths)
    n_strips = max(1, round(total / (STRIP_EXAMPLES * example_frames)))
    strips: list[list[tuple[int, int]]] = [[] for _ in range(n_strips)]
    reached = 0
    for source, n_frames in lengths:
        # A recording goes where its middle falls.
        middle = reached + n_frames / 2
        strips[int(middle * n_strips / total)].append((source, n_frames))
        reached += n_frames + rest
    return [strip for strip in strips if strip]


def _fill_examples(
    lengths: Sequence[tuple[int, int]], rest: int, example_frames: int
) -> list[list[tuple[int, int]]]:
    """Puts each recording, the longest first, where it fits first."""
    examples: list[list[tuple[int, int]]] = []
    room = _FirstRoom(len(lengths))
    for source, n_frames in sorted(lengths, key=lambda piece: -piece[1]):
        index = room.find(n_frames)
        if index is None:
            index = len(examples)
            examples.append([])
            room.set(index, example_frames)
        examples[index].append((source, n_frames))
        room.set(index, room.of(index) - n_frames - rest)
    return examples


class _FirstRoom:
    """Finds the first of many places with enough room, in steps of its logarithm.

    A binary tree in a list: node i is the larger of nodes 2 i and 2 i + 1, and the
    places are its leaves. Looking at them one by one would take time with the square of
    the number of recordings.
    """

    def __init__(self, n_places: int):
        self._n_leaves = 1 << max(0, n_places - 1).bit_length()
        self._tree = [-1] * (2 * self._n_leaves)

    def of(self, place: int) -> int:
        """Room at a place."""
        return self._tree[self._n_leaves + place]

    def set(self, place: int, room: int) -> None:
        """Changes the room at a place; below 0 is none."""
        node = self._n_leaves + place
        self._tree[node] = room
        while node > 1:
            node //= 2
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def find(self, n_wanted: int) -> int | None:
        """First place with so much room, or None."""
        if self._tree[1] < n_wanted:
            return None
        node = 1
        while node < self._n_leaves:
            node = 2 * node + (self._tree[2 * node] < n_wanted)
        return node - self._n_leaves


def make_pack(
    group: Sequence[tuple[int, int]], split: str, *, settings: settings_lib.Settings
) -> plan_lib.Pack:
    """Gives each recording its place, and the pack an end that examples reach.

    Args:
        group: (index of the source, frames) of what stands in the pack, in order.
        split: As for `lay_out`.
        settings: Of the dataset.
    """
    pieces, at, rest = [], 0, _rest(settings)
    for source, n_frames in group:
        pieces.append((source, at))
        at += n_frames + rest
    length, hop = settings.example_frames, _hop(split, settings)
    n_hops = max(0, -(-(at - rest - length) // hop))
    return plan_lib.Pack(tuple(pieces), n_frames=length + n_hops * hop)


def _rest(settings: settings_lib.Settings) -> int:
    """Frames of silence between two recordings."""
    return max(1, round(REST_SECS * settings.frame_rate))


def cut_pack(
    pack: plan_lib.Pack, split: str, settings: settings_lib.Settings
) -> list[int]:
    """First frames of a pack's examples, which together hold all of it."""
    last = pack.n_frames - settings.example_frames
    return list(range(0, last + 1, _hop(split, settings)))


def _hop(split: str, settings: settings_lib.Settings) -> int:
    """Frames between two starts; no more than an example, so that no note is lost."""
    length = settings.example_frames
    return min(settings.hop_frames, length) if split == splits.TRAIN else length
