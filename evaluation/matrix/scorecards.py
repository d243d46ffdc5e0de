"""What a report's summary.json says, as far as the matrix shows or compares it."""

import dataclasses
import pathlib

from evaluation.summary import builder
from evaluation.summary import gates
from prep import checked_json
from prep import errors


@dataclasses.dataclass(frozen=True)
class Mean:
    """An estimate with its interval; None where there is none.

    Attributes:
        mean: Of a metric, or the index of all clips.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Index:
    """The collapse index of a system."""

    interval: Mean


@dataclasses.dataclass(frozen=True)
class ScoredSystem:
    """A system of a scorecard.

    Attributes:
        name: Its name.
        index: Its collapse index.
        metrics: Mean by metric.
    """

    name: str
    index: Index
    metrics: dict[str, Mean]


@dataclasses.dataclass(frozen=True)
class State:
    """How the verdict calls a system, e.g. "probably healthy"."""

    state: str


@dataclasses.dataclass(frozen=True)
class CardVerdict:
    """The verdict of a scorecard.

    Attributes:
        headline: Its first sentence.
        caution: What keeps it from being certain.
        systems: State by system.
    """

    headline: str
    caution: str
    systems: dict[str, State]


@dataclasses.dataclass(frozen=True)
class Place:
    """A place of the leaderboard."""

    system: str


@dataclasses.dataclass(frozen=True)
class CardGate:
    """A decision of the plan, as `evaluation.summary.gates` gives it."""

    question: str
    answer: str
    evidence: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Scorecard:
    """A report.

    Attributes:
        verdict: What it says.
        leaderboard: Systems, the best first.
        systems: Their scores.
        gates: The plan's decisions.
        baseline: The system that the others are compared with.
    """

    verdict: CardVerdict
    leaderboard: tuple[Place, ...]
    systems: tuple[ScoredSystem, ...]
    gates: tuple[CardGate, ...]
    baseline: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError if the leaderboard names what is not there."""
        names = {system.name for system in self.systems} & set(self.verdict.systems)
        missing = {place.system for place in self.leaderboard} - names
        if missing:
            raise ValueError(f"nothing is said of {sorted(missing)}")


def read(report: pathlib.Path) -> Scorecard:
    """Reads the summary of a report's folder.

    Raises:
        InputError: If it is missing, damaged or of a later version of the program.
    """
    path = report / builder.SUMMARY_NAME
    try:
        return checked_json.build(Scorecard, builder.read_summary(path), str(path))
    except checked_json.DamagedError as error:
        raise errors.InputError(f"{error}; make the report anew.") from error


def gate_line(gate: gates.Gate | CardGate) -> str:
    """A decision of the plan with its evidence, as an item of a Markdown list."""
    return f"- {gate.question} **{gate.answer}**. {' '.join(gate.evidence)}"
