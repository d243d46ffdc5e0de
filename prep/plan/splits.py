"""Which recordings, or which part of the only one, are kept for evaluation."""

import math
import statistics
from collections.abc import Mapping

from prep import settings as settings_lib

TRAIN = "train"
EVAL = "eval"
MAX_EVAL_SHARE = 0.5  # of the seconds


def choose_eval(secs: Mapping[str, float], fraction: float) -> set[str]:
    """Chooses recordings for evaluation.

    In the order of their content's hash, recordings are taken as long as that brings
    the share of seconds nearer to `fraction`; at least one, never more than half of the
    seconds. The same recordings give the same choice in any order, on any machine.

    Args:
        secs: Length of each recording by its id, a hash of its content; two at least.
        fraction: Wanted share of the seconds, (0, 0.5].

    Returns:
        The ids of the chosen recordings.
    """
    total = sum(secs.values())
    target = fraction * total
    chosen: set[str] = set()
    held = 0.0
    for recording_id in sorted(secs):
        longer = held + secs[recording_id]
        if longer > MAX_EVAL_SHARE * total:
            continue
        if chosen and longer - target >= target - held:
            continue
        chosen.add(recording_id)
        held = longer
    return chosen


def choose_eval_by_pitch(
    secs: Mapping[str, float], rough_hz: Mapping[str, float | None], fraction: float
) -> set[str]:
    """Chooses recordings for evaluation from the whole compass.

    In the order of their pitch, recordings are divided into as many groups of equal
    seconds as recordings are wanted. From group to group, within each in the order of
    their content's hash, recordings are taken as long as that brings the seconds nearer
    to `fraction` of all seconds so far.

    Args:
        secs: Length of each recording by its id, a hash of its content; two at least.
        rough_hz: Pitch by the same id, None where there is none.
        fraction: Wanted share of the seconds, (0, 0.5].

    Returns:
        The ids of the chosen recordings; one at least, never all.
    """
    # What has no pitch stands behind the highest.
    ordered = sorted(secs, key=lambda one: (rough_hz[one] or math.inf, one))
    total = sum(secs.values())
    n_groups = max(1, round(fraction * total / statistics.median(secs.values())))
    groups: list[list[str]] = [[] for _ in range(n_groups)]
    reached = 0.0
    for one in ordered:
        groups[int((reached + secs[one] / 2) / total * n_groups)].append(one)
        reached += secs[one]

    chosen: set[str] = set()
    target = held = 0.0
    for group in groups:
        target += fraction * sum(secs[one] for one in group)
        for one in sorted(group):
            if held + secs[one] - target < target - held:
                chosen.add(one)
                held += secs[one]
    return chosen or {min(secs, key=lambda one: (secs[one], one))}


def split_in_time(
    begin: int, end: int, *, example_frames: int, fraction: float
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Splits the only recording: training first, a gap of one example, evaluation.

    Args:
        begin: First usable frame.
        end: One past the last.
        example_frames: Length of an example.
        fraction: Wanted share of the frames for evaluation.

    Returns:
        The frames [begin, end) of training and of evaluation.

    Raises:
        settings_lib.PrepError: If there is no room for one example in each.
    """
    n_frames = end - begin
    if n_frames < 3 * example_frames:
        raise settings_lib.PrepError(
            "there is one usable recording, and it is too short to be split into "
            f"training and evaluation: it has {n_frames / example_frames:.2f} example "
            "lengths, and 3 are needed (one to train, one as a gap, one to evaluate). "
            "Add recordings, use a shorter --example_secs, name recordings for "
            "evaluation with --eval_input, or do without with --eval_split_fraction=0."
        )
    n_eval = max(example_frames, round(fraction * n_frames))
    n_eval = min(n_eval, n_frames - 2 * example_frames)
    border = end - n_eval
    return (begin, border - example_frames), (border, end)
