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
collapsed ones score (constants below; derived by `evaluation/derive_collapse_index.py`,
shown in docs/metrics.md). The index is the largest severity, and its component names
the kind of collapse. From 0.5 on a system is called collapsed.

Components of a set of clips are ratios of sums over the clips, so that a clip with
little to follow weighs little. Source: own.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from evaluation.collapse_index import sums as sums_lib
from models.measures import frame_masks
from models.measures import levels

COMPONENTS = ("frozen", "narrow", "flat", "noisy", "silent")
THRESHOLD = 0.5  # of the index: from here on a system is called collapsed

# Component value at which the severity is 0.5: half-way between the worst healthy
# instrument and the full degradation (evaluation/derive_collapse_index.py,
# docs/metrics.md).
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
MAX_NOISE_SHARE = 0.95  # of the recording; above, there is no tone to lose


@dataclasses.dataclass(frozen=True)
class Scale:
    """What turns sums into severities, of controls or of what is heard.

    Attributes:
        midpoints: Component at which the severity is 0.5.
        min_spread: Of the recording, a frame; below it has nothing to lose.
    """

    midpoints: Mapping[str, float]
    min_spread: float


CONTROLS = Scale(MIDPOINTS, MIN_SPREAD)
# Chosen so that six degradations, played as audio dry and in a room, cross 0.5 between
# 40 and 70 % (benchmarks/bench_heard_index.py). Spread is the share of all harmonics
# but the strongest.
HEARD = Scale(
    {"frozen": 0.55, "narrow": 0.45, "flat": 0.55, "noisy": 0.54, "silent": 0.5},
    min_spread=0.05,
)


def components(
    sums: sums_lib.Sums, *, scale: Scale = CONTROLS
) -> dict[str, np.ndarray]:
    """Components of a clip or, from added sums, of sets of clips.

    Args:
        sums: Added over the clips; numbers, or arrays of one shape, a set each.
        scale: Of controls, or of what is heard.

    Returns:
        Component in [0, 1] by name, of the shape of the sums; NaN where the recording
        does not determine it or has fewer than `frame_masks.MIN_FRAMES` that count.
    """
    n_pitched, n_audible = np.asarray(sums.n_pitched), np.asarray(sums.n_audible)
    return {
        "frozen": _lost(
            np.asarray(sums.ref_movement) - sums.floor_movement,
            np.asarray(sums.est_movement) - sums.floor_movement,
            n=n_pitched,
            least=MIN_MOVEMENT,
        ),
        "narrow": _lost(
            sums.ref_spread, sums.est_spread, n=n_pitched, least=scale.min_spread
        ),
        "flat": _flatness(sums, n=n_audible),
        "noisy": _noisiness(sums, n=n_pitched),
        "silent": _one_minus(
            sums.presence, n_audible, known=n_audible >= frame_masks.MIN_FRAMES
        ),
    }


def _one_minus(
    part: levels.Numbers, whole: levels.Numbers, *, known: np.ndarray
) -> np.ndarray:
    """Computes 1 - part / whole within [0, 1], NaN where it is not known."""
    share = np.divide(part, whole, out=np.full(np.shape(known), np.nan), where=known)
    return np.clip(1.0 - share, 0.0, 1.0)


def _lost(
    ref: levels.Numbers, est: levels.Numbers, *, n: np.ndarray, least: float
) -> np.ndarray:
    """Share of the recording's sum that the system lacks; `least` is per frame."""
    return _one_minus(
        est, ref, known=(n >= frame_masks.MIN_FRAMES) & (ref >= least * n)
    )


def _flatness(sums: sums_lib.Sums, *, n: np.ndarray) -> np.ndarray:
    """One minus the slope of level on level."""
    enough = n >= frame_masks.MIN_FRAMES
    frames = np.where(enough, n, 1)  # sets without frames are left out below
    covariance, variance = levels.regression_moments(
        n=frames, x=sums.x, y=sums.y, xx=sums.xx, xy=sums.xy
    )
    known = enough & (variance >= levels.MIN_LEVEL_STD_DB**2)
    return _one_minus(covariance, variance, known=known)


def _noisiness(sums: sums_lib.Sums, *, n: np.ndarray) -> np.ndarray:
    """Measures the noise share between the recording's, 0, and all, 1."""
    known = (n >= frame_masks.MIN_FRAMES) & (np.asarray(sums.ref_power) > 0)
    ref_tone = _one_minus(sums.ref_noise, sums.ref_power, known=known)
    # Undetermined where the recording is noise itself or the system is silent.
    known = known & (ref_tone >= 1.0 - MAX_NOISE_SHARE)
    known = known & (
        sums.est_power >= frame_masks.SILENT_SHARE * np.asarray(sums.ref_power)
    )
    est_tone = _one_minus(sums.est_noise, sums.est_power, known=known)
    return _one_minus(est_tone, ref_tone, known=known)


def severity(
    component: str,
    value: levels.Numbers,
    *,
    scale: Scale = CONTROLS,
) -> np.ndarray:
    """Maps a component to the common scale, on which 0.5 is the threshold.

    Args:
        component: One of `COMPONENTS`.
        value: The component in [0, 1], or NaN; a number or an array.
        scale: Of controls, or of what is heard.

    Returns:
        Severity in [0, 1], linear on both sides of the midpoint; NaN for NaN.
    """
    middle = scale.midpoints[component]
    return np.asarray(np.interp(value, [0.0, middle, 1.0], [0.0, 0.5, 1.0]))


def indices(sums: sums_lib.Sums, *, scale: Scale = CONTROLS) -> np.ndarray:
    """Computes the index alone, of many sets of clips at once.

    Args:
        sums: Each field of shape [n_sets].
        scale: Of controls, or of what is heard.

    Returns:
        The index of each set, NaN where no component is determined. Shape [n_sets].
    """
    severities = [
        severity(name, value, scale=scale)
        for name, value in components(sums, scale=scale).items()
    ]
    return np.fmax.reduce(severities)


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


def judge(sums: sums_lib.Sums, *, scale: Scale = CONTROLS) -> Verdict:
    """Computes the index of a clip or of a set of clips.

    Args:
        sums: Numbers, added over the clips.
        scale: Of controls, or of what is heard.

    Returns:
        The index with its components.
    """
    values = {
        name: float(value) for name, value in components(sums, scale=scale).items()
    }
    severities = {
        name: float(severity(name, value, scale=scale))
        for name, value in values.items()
    }
    known = {k: v for k, v in severities.items() if not math.isnan(v)}
    kind = max(known, key=lambda name: known[name]) if known else ""
    return Verdict(
        index=known[kind] if kind else math.nan,
        kind=kind,
        severities=severities,
        components=values,
    )
