"""Collapse alarms: a model's controls against what its recordings do themselves.

Every rule compares with the reference measured from the held-out recordings, so that a
flute's few harmonics or a held note raise nothing. An alarm is raised when its rule
holds at two measurements in a row, and says the numbers; it is withdrawn when it no
longer holds. NaN raises nothing.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

from absl import logging

STATIC_SHARE = 0.15  # of the reference's movement, below which a control is static
MIN_SPREAD = 0.02  # of distances 0 to 1: a reference that hardly moves shows nothing
MIN_GAIN_SPREAD_DB = 1.0
TOWARDS_ONE = 0.5  # part of the way from the reference's share to 1 that is too far
SILENCE_DB = 20.0  # below the recording's level
# Of the recordings' rise and fall, below which a level does not follow: where the
# scorecard's index puts its threshold (docs/metrics.md, component "flat").
MIN_SLOPE = 0.45
PATIENCE = 2  # measurements in a row
Figures = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A rule that holds: its name and what was seen."""

    name: str
    text: str


def findings(model: Figures, reference: Figures) -> list[Finding]:
    """Finds the rules that hold.

    Args:
        model: `models.measures.statistics` of the model's controls, `level_db` and
            `level_slope`, see `models.measures.levels`.
        reference: The same of the recordings.

    Returns:
        Findings, in a fixed order.
    """
    # What moves in the recordings and not in the model.
    found = [
        _static(
            "distribution static",
            model["distribution_spread"],
            reference["distribution_spread"],
            least=MIN_SPREAD,
            unit="",
        ),
        _static(
            "gain static",
            model["gain_spread_db"],
            reference["gain_spread_db"],
            least=MIN_GAIN_SPREAD_DB,
            unit=" dB",
        ),
        _unmoved(model["level_slope"], reference["level_slope"]),
        # A share that has gone most of the way from the recordings' to all.
        _too_far(
            "one harmonic",
            model["top1_share"],
            reference["top1_share"],
            what="the strongest harmonic has",
        ),
        _too_far(
            "noise takes over",
            model["noise_share"],
            reference["noise_share"],
            what="of the power, noise has",
        ),
        _silent(model["level_db"], reference["level_db"]),
    ]
    return [item for item in found if item is not None]


def _static(
    name: str, value: float, reference: float, *, least: float, unit: str
) -> Finding | None:
    if not (reference > least and value < STATIC_SHARE * reference):
        return None
    return Finding(
        name,
        f"it moves by {value:.3g}{unit} where the recordings move by "
        f"{reference:.3g}{unit}",
    )


def _unmoved(value: float, reference: float) -> Finding | None:
    if not value < MIN_SLOPE * reference:
        return None
    return Finding(
        "level does not follow",
        f"it rises by {value:.2f} dB where the recordings' rises by 1 dB",
    )


def _too_far(name: str, value: float, reference: float, *, what: str) -> Finding | None:
    if not value > reference + TOWARDS_ONE * (1.0 - reference):
        return None
    return Finding(
        name, f"{what} {value:.0%} where the recordings have {reference:.0%}"
    )


def _silent(level_db: float, reference_db: float) -> Finding | None:
    if not level_db < reference_db - SILENCE_DB:
        return None
    return Finding(
        "silence",
        f"the output is at {level_db:.1f} dBFS, the recordings at {reference_db:.1f}",
    )


class AlarmWatch:
    """Remembers what holds, and warns once when an alarm is raised or withdrawn."""

    def __init__(self, *, after_step: int):
        """Begins to watch.

        Args:
            after_step: Before it nothing is raised: an untrained model is static.
        """
        self.after_step = after_step
        self._seen: dict[str, int] = {}
        self.active: tuple[str, ...] = ()

    def observe(self, seen: Sequence[Finding], *, step: int) -> tuple[str, ...]:
        """Takes in the findings of one measurement; returns the active alarms."""
        if step < self.after_step:
            return self.active
        found = {item.name: item.text for item in seen}
        self._seen = {name: self._seen.get(name, 0) + 1 for name in found}
        active = tuple(name for name, seen in self._seen.items() if seen >= PATIENCE)
        for name in active:
            if name not in self.active:
                logging.warning("Step %d, alarm: %s: %s.", step, name, found[name])
        for name in self.active:
            if name not in active:
                logging.warning("Step %d: the alarm '%s' is withdrawn.", step, name)
        self.active = active
        return active
