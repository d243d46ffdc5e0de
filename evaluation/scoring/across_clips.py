"""Scores of a clip that need the other clips: its diversity and its collapse index."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from evaluation.metrics import metric as metric_lib
from evaluation.scoring import clips
from evaluation.scoring import heard_sums
from models.measures import control_arrays
from models.measures import frame_masks

ONLY_AUDIO = "only audio was given"


@dataclasses.dataclass(frozen=True)
class ClipSums:
    """What the two indices are made of, of one clip.

    Attributes:
        controls: Sums of the system's controls; None where only audio is given.
        heard: Sums of controls measured from its audio.
    """

    controls: index_sums.Sums | None
    heard: index_sums.Sums


def compare_across_clips(
    recordings: heard_sums.Recordings, scored: list[clips.Scored]
) -> list[ClipSums]:
    """Adds the scores that need all clips of a system; returns the indices' sums.

    Args:
        recordings: The clips, in order; the same for all systems.
        scored: A system's renderings of them; `clip_diversity`, `collapse_index` and
            `heard_collapse_index` are added to their scores.

    Returns:
        The sums of `index_sums.clip_sums`, clip by clip.
    """
    references = recordings.references
    played = [one.controls for one in scored]
    has_controls = all(one.rendering.controls is not None for one in scored)
    sums = _all_sums(references, scored, played) if has_controls else []
    heard = recordings.measure(
        audios=[one.rendering.audio for one in scored],
        heard=[one.heard for one in scored],
        powers=[one.hearing.power for one in scored],
    )
    masks = [ref.masks for ref in references]
    diversities = clip_diversities(played, masks)
    reason = "the recording determines no component"
    for place, one in enumerate(scored):
        one.scores["collapse_index"] = (
            metric_lib.guarded(index.judge(sums[place]).index, reason=reason)
            if has_controls
            else metric_lib.missing(ONLY_AUDIO)
        )
        one.scores["heard_collapse_index"] = metric_lib.guarded(
            index.judge(heard[place], scale=index.HEARD).index,
            reason=reason,
        )
        one.scores["clip_diversity"] = diversities[place]
    return [
        ClipSums(controls=sums[place] if has_controls else None, heard=one)
        for place, one in enumerate(heard)
    ]


def _all_sums(
    references: Sequence[clips.Reference],
    scored: list[clips.Scored],
    played: list[control_arrays.ControlArrays],
) -> list[index_sums.Sums]:
    """The index's sums clip by clip, of given controls."""
    masks = [ref.masks for ref in references]
    recorded = [ref.controls for ref in references]
    ref_typical = index_sums.measure_typical(recorded, masks)
    est_typical = index_sums.measure_typical(played, masks)
    return [
        index_sums.clip_sums(
            ref.controls,
            est,
            masks=ref.masks,
            ref_typical=ref_typical,
            est_typical=est_typical,
            ref_power=ref.hearing.power,
            est_power=one.hearing.power,
        )
        for ref, one, est in zip(references, scored, played, strict=True)
    ]


def add_reference_diversity(references: list[clips.Reference]) -> None:
    """Adds `clip_diversity` to the recordings' own scores."""
    found = clip_diversities(
        [ref.controls for ref in references], [ref.masks for ref in references]
    )
    for ref, score in zip(references, found, strict=True):
        ref.scores["clip_diversity"] = score


def clip_diversities(
    played: list[control_arrays.ControlArrays], masks: list[frame_masks.Masks]
) -> list[metric_lib.Score]:
    """Measures how far each clip's mean distribution is from the mean over all clips.

    Args:
        played: Controls clip by clip.
        masks: The frames that count, clip by clip.

    Returns:
        A score a clip; all missing where only one clip has a pitch, because its mean
        is the mean over all.
    """
    if len(played) == 1:
        return [metric_lib.missing("only one clip")]
    n_pitched = [np.count_nonzero(mask.pitched) for mask in masks]
    if np.count_nonzero(np.array(n_pitched) >= frame_masks.MIN_FRAMES) == 1:
        return [metric_lib.missing("only one clip has a pitch")] * len(played)
    typical = index_sums.measure_typical(played, masks)
    return [
        _diversity(one, mask, typical=typical)
        for one, mask in zip(played, masks, strict=True)
    ]


def _diversity(
    played: control_arrays.ControlArrays,
    masks: frame_masks.Masks,
    *,
    typical: index_sums.Typical,
) -> metric_lib.Score:
    """Jensen-Shannon divergence of a clip's mean distribution from the typical one.

    Args:
        played: Controls of the clip.
        masks: Frames that count.
        typical: The same system's averages over all clips.

    Returns:
        Bits in [0, 1]; harmonics above the clip's Nyquist do not count.
    """
    if np.count_nonzero(masks.pitched) < frame_masks.MIN_FRAMES:
        return metric_lib.missing(f"fewer than {frame_masks.MIN_FRAMES} pitched frames")
    return metric_lib.Score(
        control_arrays.diversity(played, masks.pitched, typical=typical.distribution)
    )
