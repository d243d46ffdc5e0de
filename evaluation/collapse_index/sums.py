"""What the collapse index sums over a clip's frames: movement, spread, level, power.

Sums of clips are added before anything is divided, so that a clip with little to
follow weighs little. `evaluation.collapse_index.index` turns them into the index.

Movement is counted from the system's average over *all* clips (`Typical`), not from a
clip's own: a model that has a timbre for each note moves, one with a single timbre for
everything does not. Source: own.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from models.measures import control_arrays
from models.measures import distributions
from models.measures import frame_masks
from models.measures import levels

SMOOTH_SECS = 0.05  # seconds over which movement is averaged before it is counted


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over the frames of a clip or, added, of a set of clips.

    Every field is a number, or an array of them: of one shape, a set of clips each.

    Attributes:
        n_pitched: Frames in which the recording has a pitch.
        n_audible: Frames in which it sounds.
        ref_movement: Root Jensen-Shannon divergence of the recording's distribution
            from its average, over pitched frames.
        est_movement: The same of the system.
        ref_spread: Participating harmonics above one, of the recording; where heard,
            the share of all harmonics but the strongest.
        est_spread: The same of the system.
        ref_power: Power of tone and noise of the recording, over pitched frames.
        ref_noise: Power of its noise.
        est_power: Power of tone and noise of the system.
        est_noise: Power of its noise.
        presence: Amplitude relative to the recording's, at most one, over audible
            frames.
        x: Level of the recording in dB, over audible frames.
        y: Level of the system.
        xx: Square of the recording's level.
        xy: Product of both.
        floor_movement: Movement that is measured, from audio, of a distribution that
            does not move: noise and a room move it. 0 of controls.
    """

    n_pitched: levels.Numbers
    n_audible: levels.Numbers
    ref_movement: levels.Numbers
    est_movement: levels.Numbers
    ref_spread: levels.Numbers
    est_spread: levels.Numbers
    ref_power: levels.Numbers
    ref_noise: levels.Numbers
    est_power: levels.Numbers
    est_noise: levels.Numbers
    presence: levels.Numbers
    x: levels.Numbers
    y: levels.Numbers
    xx: levels.Numbers
    xy: levels.Numbers
    floor_movement: levels.Numbers = 0.0


@dataclasses.dataclass(frozen=True)
class Typical:
    """What a system does on average over all clips.

    Attributes:
        distribution: Mean harmonic distribution, each harmonic over the frames in
            which it lies below Nyquist. Shape [n_harmonics].
        level_db: Mean level of the audible frames, dB re full scale.
    """

    distribution: np.ndarray
    level_db: float


def measure_typical(
    clips: Sequence[control_arrays.ControlArrays], masks: Sequence[frame_masks.Masks]
) -> Typical:
    """Averages a system's controls over all clips.

    Args:
        clips: Controls clip by clip.
        masks: The frames that count, clip by clip.

    Returns:
        The averages; a distribution of zeros when nothing has a pitch.
    """
    loud = [
        levels.power_db(clip.power)[mask.audible]
        for clip, mask in zip(clips, masks, strict=True)
    ]
    every_level = np.concatenate(loud)
    return Typical(
        distribution=control_arrays.typical_distribution(
            clips, [mask.pitched for mask in masks]
        ),
        level_db=float(np.mean(every_level)) if every_level.size else math.nan,
    )


def clip_sums(
    ref: control_arrays.ControlArrays,
    est: control_arrays.ControlArrays,
    *,
    masks: frame_masks.Masks,
    ref_typical: Typical,
    est_typical: Typical,
    ref_power: np.ndarray,
    est_power: np.ndarray,
    floor_movement: float = 0.0,
    is_heard: bool = False,
) -> Sums:
    """Sums of one clip from which components of any set of clips follow.

    Args:
        ref: Controls measured from the recording.
        est: Controls of the system.
        masks: Frames that count, from the recording.
        ref_typical: The recordings' averages over all clips.
        est_typical: The system's averages over all clips.
        ref_power: Mean square of the recording's audio around each frame.
            Shape [n_frames].
        est_power: The same of the system's audio. Presence alone is judged where it
            is heard: a trained reverb may add 10 dB to what the controls say. The
            level's movement is that of the controls.
        floor_movement: See `Sums`.
        is_heard: Whether controls are measured from audio. Levels are then those of
            the audio, and spread is the share of all harmonics but the strongest: it
            falls in proportion to what one harmonic takes from the others.

    Returns:
        The sums; adding those of clips gives the sums of the set.
    """
    spread = _other_shares if is_heard else _spread
    n_pitched = np.count_nonzero(masks.pitched)
    audible = masks.audible
    return Sums(
        n_pitched=float(n_pitched),
        n_audible=float(np.count_nonzero(audible)),
        ref_movement=movement(ref, masks, typical=ref_typical),
        est_movement=movement(est, masks, typical=est_typical),
        ref_spread=spread(ref, masks),
        est_spread=spread(est, masks),
        ref_power=float(np.sum(ref.power[masks.pitched])),
        ref_noise=float(np.sum(ref.noise_power[masks.pitched])),
        est_power=float(np.sum(est.power[masks.pitched])),
        est_noise=float(np.sum(est.noise_power[masks.pitched])),
        presence=float(np.sum(_presence(ref_power, est_power)[audible])),
        floor_movement=floor_movement,
        **_level_sums(
            ref_power if is_heard else ref.power,
            est_power if is_heard else est.power,
            audible=audible,
        ),
    )


def movement(
    clip: control_arrays.ControlArrays, masks: frame_masks.Masks, *, typical: Typical
) -> float:
    """Sums the distance of the smoothed distribution from the system's average."""
    frames = masks.pitched & clip.has_harmonics
    width = max(1, round(SMOOTH_SECS * clip.frame_rate))
    weight = _moving_sum(frames.astype(float), width=width)
    masked = np.where(frames[:, np.newaxis], clip.harmonic_distribution, 0.0)
    smooth = np.apply_along_axis(_moving_sum, 0, masked, width=width)
    smooth = smooth[frames] / weight[frames, np.newaxis]
    mean = distributions.normalise(
        np.broadcast_to(typical.distribution, clip.harmonic_distribution.shape),
        f0_hz=clip.f0_hz,
        sample_rate=clip.sample_rate,
    )[frames]
    return float(np.sum(np.sqrt(distributions.jensen_shannon(smooth, mean))))


def _moving_sum(values: np.ndarray, *, width: int) -> np.ndarray:
    """Sum over a window around each frame, cut at the ends. Shape [n_frames].

    `np.convolve(..., "same")` returns the window's length when the clip is shorter.
    """
    start = (width - 1) // 2
    return np.convolve(values, np.ones(width))[start : start + values.size]


def _other_shares(
    clip: control_arrays.ControlArrays, masks: frame_masks.Masks
) -> float:
    """Sums the share of all harmonics but the strongest."""
    shares = clip.harmonic_distribution[masks.pitched & clip.has_harmonics]
    return float(np.sum(1.0 - shares.max(axis=1)))


def _spread(clip: control_arrays.ControlArrays, masks: frame_masks.Masks) -> float:
    """Sums the number of participating harmonics above one."""
    squares = np.sum(np.square(clip.harmonic_distribution[masks.pitched]), axis=1)
    present = squares > 0
    participating = 1.0 / squares[present] - 1.0
    return float(np.sum(participating))


def _presence(ref_power: np.ndarray, est_power: np.ndarray) -> np.ndarray:
    """Amplitude relative to the recording's, at most one. Shape [n_frames]."""
    ratio = np.divide(
        est_power, ref_power, out=np.ones_like(est_power), where=ref_power > 0
    )
    return np.sqrt(np.minimum(ratio, 1.0))


def _level_sums(
    ref_power: np.ndarray, est_power: np.ndarray, *, audible: np.ndarray
) -> dict[str, float]:
    """Sums for the regression of the system's level on the recording's."""
    if not np.any(audible):
        return dict.fromkeys(("x", "y", "xx", "xy"), 0.0)
    ref_level = levels.power_db(ref_power)[audible]
    est_level = levels.power_db(est_power)[audible]
    floor = np.max(ref_level) - levels.SPAN_DB
    x = np.maximum(ref_level, floor)
    y = np.maximum(est_level, floor)
    return {
        "x": float(x.sum()),
        "y": float(y.sum()),
        "xx": float(x @ x),
        "xy": float(x @ y),
    }


def add_sums(clips: Sequence[Sums]) -> Sums:
    """Adds the sums of several clips."""
    return Sums(
        **{
            field.name: float(sum(getattr(clip, field.name) for clip in clips))
            for field in dataclasses.fields(Sums)
        }
    )
