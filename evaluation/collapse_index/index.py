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

from evaluation.analysis import masks

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


def components(sums: Mapping[str, float]) -> dict[str, float]:
    """Components of a clip or, from added sums, of a set of clips.

    Args:
        sums: From `index_sums.clip_sums`, added over the clips.

    Returns:
        Component in [0, 1] by name; NaN where the recording does not determine it or
        has fewer than `controls.MIN_FRAMES` frames that count.
    """
    return {
        "frozen": _lost(sums, "movement", least=MIN_MOVEMENT),
        "narrow": _lost(sums, "spread", least=MIN_SPREAD),
        "flat": _flatness(sums),
        "noisy": _noisiness(sums),
        "silent": (
            _clip(1.0 - sums["presence"] / sums["n_audible"])
            if sums["n_audible"] >= masks.MIN_FRAMES
            else math.nan
        ),
    }


def _lost(sums: Mapping[str, float], name: str, *, least: float) -> float:
    """Share of the recording's sum that the system lacks; `least` is per frame."""
    ref, n = sums[f"ref_{name}"], sums["n_pitched"]
    if n < masks.MIN_FRAMES or ref < least * n:
        return math.nan
    return _clip(1.0 - sums[f"est_{name}"] / ref)


def _flatness(sums: Mapping[str, float]) -> float:
    """One minus the slope of level on level."""
    n = sums["n_audible"]
    if n < masks.MIN_FRAMES:
        return math.nan
    variance = sums["xx"] / n - (sums["x"] / n) ** 2
    if variance < masks.MIN_LEVEL_STD_DB**2:
        return math.nan
    covariance = sums["xy"] / n - sums["x"] * sums["y"] / n**2
    return _clip(1.0 - covariance / variance)


def _noisiness(sums: Mapping[str, float]) -> float:
    """How far the noise share has gone from the recording's to all."""
    if sums["ref_power"] <= 0 or sums["n_pitched"] < masks.MIN_FRAMES:
        return math.nan
    ref_share = sums["ref_noise"] / sums["ref_power"]
    if ref_share > 0.95:
        return math.nan
    if sums["est_power"] < masks.SILENT_SHARE * sums["ref_power"]:
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
        sums: From `index_sums.clip_sums`, added over the clips.

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
