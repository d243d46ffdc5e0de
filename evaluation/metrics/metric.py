"""What there is to know of a metric: its name, its unit, which way is better."""

import dataclasses

LOWER = "lower"
HIGHER = "higher"
RECORDING = "recording"


@dataclasses.dataclass(frozen=True)
class Metric:
    """How one metric is named, read and judged.

    Attributes:
        key: Name in JSON.
        title: Name in tables.
        unit: Unit, empty for a pure number.
        group: "collapse", "fidelity" or "cost".
        better: `LOWER`, `HIGHER` or `RECORDING`.
        low: Smallest possible value.
        high: Largest possible value.
        healthy: Value of the healthy case of the tests, as docs/metrics.md shows it.
        collapsed: Value of the collapsed case and what it is, "0: flat".
        plain: What it says, in a sentence for a musician.
        decimals: Digits after the point in tables.
    """

    key: str
    title: str
    unit: str
    group: str
    better: str
    low: float
    high: float
    healthy: str
    collapsed: str
    plain: str
    decimals: int = 3

    def badness(self, value: float, recording: float) -> float:
        """The value turned so that lower is better; NaN where it cannot be.

        Args:
            value: The system's.
            recording: The recording's own; ignored unless closeness to it counts.
        """
        if self.better == RECORDING:
            return abs(value - recording)
        return value if self.better == LOWER else -value
