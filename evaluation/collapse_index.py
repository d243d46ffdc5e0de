"""The collapse index: one number in [0, 1] from five ways in which controls collapse.

Each *component* compares a system with the recording and runs from 0 (moves, spreads
and sounds as the recording does, or more) to 1 (has lost it all):

    frozen  1 - movement of the distribution / the recording's movement
    narrow  1 - (participating harmonics - 1) / (the recording's - 1)
    flat    1 - dB of level per dB of the recording's level (slope of a regression)
    noisy   (noise share - the recording's) / (1 - the recording's)
    silent  1 - mean amplitude heard, relative to the recording; louder counts as equal

A healthy run's components are not 0: no model follows a recording's every movement.
`severity` maps each component so that 0.5 lies between what healthy runs and what
collapsed ones score (constants below; derived by `evaluation/derive_collapse.py`,
shown in docs/metrics.md). The index is the largest severity, and its component names
the kind of collapse. From 0.5 on a system is called collapsed.

Components of a set of clips are ratios of sums over the clips, so that a clip with
little to follow weighs little. Source: own.
"""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from evaluation import collapse
from evaluation import controls

COMPONENTS = ("frozen", "narrow", "flat", "noisy", "silent")
THRESHOLD = 0.5  # of the index: from here on a system is called collapsed

# Component value at which the severity is 0.5: half-way between the worst healthy
# instrument and the full degradation (evaluation/derive_collapse.py, docs/metrics.md).
MIDPOINTS = {
    "frozen": 0.55,
    "narrow": 0.5,
    "flat": 0.55,
    "noisy": 0.5,
    "silent": 0.5,
}

# Below these the recording has nothing to lose and the component is not determined.
MIN_MOVEMENT = 0.02  # root Jensen-Shannon divergence; a steady tone's measuring noise
MIN_SPREAD = 0.2  # participating harmonics above one
MIN_LEVEL_STD_DB = 1.0  # dB of standard deviation of the recording's level
SMOOTH_SECS = 0.05  # seconds over which movement is averaged before it is counted
LEVEL_SPAN_DB = 60.0  # dB below the loudest frame at which levels are cut


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
    clips: Sequence[controls.Controls], masks: Sequence[controls.Masks]
) -> Typical:
    """Averages a system's controls over all clips.

    Args:
        clips: Controls clip by clip.
        masks: The frames that count, clip by clip.

    Returns:
        The averages; a distribution of zeros when nothing has a pitch.
    """
    n_harmonics = clips[0].harmonic_distribution.shape[1]
    total = np.zeros(n_harmonics)
    count = np.zeros(n_harmonics)
    levels = []
    for clip, mask in zip(clips, masks, strict=True):
        total += clip.harmonic_distribution[mask.pitched].sum(axis=0)
        count += clip.valid_harmonics[mask.pitched].sum(axis=0)
        levels.append(collapse.level_db(clip.power)[mask.audible])
    every_level = np.concatenate(levels)
    return Typical(
        distribution=np.divide(
            total, count, out=np.zeros(n_harmonics), where=count > 0
        ),
        level_db=float(np.mean(every_level)) if every_level.size else math.nan,
    )


def clip_sums(
    ref: controls.Controls,
    est: controls.Controls,
    *,
    masks: controls.Masks,
    ref_typical: Typical,
    est_typical: Typical,
    ref_power: np.ndarray,
    est_power: np.ndarray,
) -> dict[str, float]:
    """Sums of one clip from which components of any set of clips follow.

    Args:
        ref: Controls measured from the recording.
        est: Controls of the system.
        masks: Frames that count, from the recording.
        ref_typical: The recordings' averages over all clips.
        est_typical: The system's averages over all clips.
        ref_power: Mean square of the recording's audio around each frame.
            Shape [n_frames].
        est_power: The same of the system's audio. Its level is judged where it is
            heard: a trained reverb may add 10 dB to what the controls say.

    Returns:
        Sum by name; adding the sums of clips gives the sums of the set.
    """
    ref_spread, n_pitched = _spread(ref, masks)
    est_spread, _ = _spread(est, masks)
    audible = masks.audible
    sums = {
        "n_pitched": float(n_pitched),
        "ref_movement": _movement(ref, masks, typical=ref_typical),
        "est_movement": _movement(est, masks, typical=est_typical),
        "ref_spread": ref_spread,
        "est_spread": est_spread,
        "ref_power": float(np.sum(ref.power[masks.pitched])),
        "ref_noise": float(np.sum(ref.noise_power[masks.pitched])),
        "est_power": float(np.sum(est.power[masks.pitched])),
        "est_noise": float(np.sum(est.noise_power[masks.pitched])),
        "n_audible": float(np.count_nonzero(audible)),
        "presence": float(np.sum(_presence(ref_power, est_power)[audible])),
    }
    return sums | _level_sums(ref, est, audible=audible)


def _movement(
    clip: controls.Controls, masks: controls.Masks, *, typical: Typical
) -> float:
    """Summed distance of the smoothed distribution from the system's average."""
    frames = masks.pitched & (clip.harmonic_distribution.sum(axis=1) > 0)
    if not np.any(frames):
        return 0.0
    width = max(1, round(SMOOTH_SECS * clip.frame_rate))
    kernel = np.ones(width)
    weight = np.convolve(frames.astype(float), kernel, "same")
    masked = np.where(frames[:, np.newaxis], clip.harmonic_distribution, 0.0)
    smooth = np.apply_along_axis(np.convolve, 0, masked, kernel, "same")
    smooth = smooth[frames] / weight[frames, np.newaxis]
    mean = controls.normalise_distribution(
        np.broadcast_to(typical.distribution, clip.harmonic_distribution.shape),
        f0_hz=clip.f0_hz,
        sample_rate=clip.sample_rate,
    )[frames]
    return float(np.sum(np.sqrt(collapse.jensen_shannon(smooth, mean))))


def _spread(clip: controls.Controls, masks: controls.Masks) -> tuple[float, int]:
    """Summed number of participating harmonics above one, and the frame count."""
    squares = np.sum(np.square(clip.harmonic_distribution[masks.pitched]), axis=1)
    present = squares > 0
    participating = 1.0 / squares[present] - 1.0
    return float(np.sum(participating)), int(np.count_nonzero(masks.pitched))


def _presence(ref_power: np.ndarray, est_power: np.ndarray) -> np.ndarray:
    """Amplitude relative to the recording's, at most one. Shape [n_frames]."""
    ratio = np.divide(
        est_power, ref_power, out=np.ones_like(est_power), where=ref_power > 0
    )
    return np.sqrt(np.minimum(ratio, 1.0))


def _level_sums(
    ref: controls.Controls, est: controls.Controls, *, audible: np.ndarray
) -> dict[str, float]:
    """Sums for the regression of the system's level on the recording's."""
    if not np.any(audible):
        return dict.fromkeys(("x", "y", "xx", "xy"), 0.0)
    ref_level = collapse.level_db(ref.power)[audible]
    est_level = collapse.level_db(est.power)[audible]
    floor = np.max(ref_level) - LEVEL_SPAN_DB
    x = np.maximum(ref_level, floor)
    y = np.maximum(est_level, floor)
    return {
        "x": float(x.sum()),
        "y": float(y.sum()),
        "xx": float(x @ x),
        "xy": float(x @ y),
    }


def components(sums: Mapping[str, float]) -> dict[str, float]:
    """Components of a clip or, from added sums, of a set of clips.

    Args:
        sums: From `clip_sums`, added over the clips.

    Returns:
        Component in [0, 1] by name; NaN where the recording does not determine it.
    """
    return {
        "frozen": _lost(
            sums["est_movement"],
            sums["ref_movement"],
            least=MIN_MOVEMENT * sums["n_pitched"],
        ),
        "narrow": _lost(
            sums["est_spread"], sums["ref_spread"], least=MIN_SPREAD * sums["n_pitched"]
        ),
        "flat": _flatness(sums),
        "noisy": _noisiness(sums),
        "silent": (
            _clip(1.0 - sums["presence"] / sums["n_audible"])
            if sums["n_audible"]
            else math.nan
        ),
    }


def _lost(est: float, ref: float, *, least: float) -> float:
    """Share of the recording's sum that the system lacks."""
    return _clip(1.0 - est / ref) if ref > 0 and ref >= least else math.nan


def _flatness(sums: Mapping[str, float]) -> float:
    """One minus the slope of level on level."""
    n = sums["n_audible"]
    if n < controls.MIN_FRAMES:
        return math.nan
    variance = sums["xx"] / n - (sums["x"] / n) ** 2
    if variance < MIN_LEVEL_STD_DB**2:
        return math.nan
    covariance = sums["xy"] / n - sums["x"] * sums["y"] / n**2
    return _clip(1.0 - covariance / variance)


def _noisiness(sums: Mapping[str, float]) -> float:
    """How far the noise share has gone from the recording's to all."""
    if sums["ref_power"] <= 0:
        return math.nan
    ref_share = sums["ref_noise"] / sums["ref_power"]
    if ref_share > 0.95:
        return math.nan
    if sums["est_power"] < controls.SILENT_SHARE * sums["ref_power"]:
        return math.nan
    est_share = sums["est_noise"] / sums["est_power"]
    return _clip((est_share - ref_share) / (1.0 - ref_share))


def _clip(value: float) -> float:
    """The value within [0, 1]."""
    return min(1.0, max(0.0, value))


def severity(component: str, value: float) -> float:
    """Maps a component to the common scale, on which 0.5 is the threshold.

    Args:
        component: One of `COMPONENTS`.
        value: The component in [0, 1], or NaN.

    Returns:
        Severity in [0, 1], linear on both sides of the midpoint; NaN for NaN.
    """
    middle = MIDPOINTS[component]
    return float(np.interp(value, [0.0, middle, 1.0], [0.0, 0.5, 1.0]))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The index and what it is made of.

    Attributes:
        index: Largest severity in [0, 1]; NaN when no component is determined.
        kind: The component with the largest severity; empty for NaN.
        severities: Severity by component, NaN where not determined.
        components: Component by name, NaN where not determined.
    """

    index: float
    kind: str
    severities: dict[str, float]
    components: dict[str, float]

    @property
    def collapsed(self) -> bool:
        """Whether the index reaches the threshold."""
        return self.index >= THRESHOLD


def judge(sums: Mapping[str, float]) -> Verdict:
    """Computes the index of a clip or of a set of clips.

    Args:
        sums: From `clip_sums`, added over the clips.

    Returns:
        The index with its components.
    """
    values = components(sums)
    severities = {name: severity(name, value) for name, value in values.items()}
    known = {k: v for k, v in severities.items() if not math.isnan(v)}
    kind = max(known, key=lambda name: known[name]) if known else ""
    return Verdict(
        index=known[kind] if kind else math.nan,
        kind=kind,
        severities=severities,
        components=values,
    )


def add_sums(clips: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Adds the sums of several clips."""
    return {name: float(sum(clip[name] for clip in clips)) for name in clips[0]}
