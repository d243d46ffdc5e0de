"""Scorecards of several instruments as one: what holds on all of them together.

A report's intervals are over the recordings of one instrument and speak about that
instrument. Here the instrument is the unit: each counts once, however many clips and
trainings it has, and an interval says how far the mean would move with other
instruments. Spectral losses of a flute and of a viola differ by a factor of two, so
they are compared as shares of the other system's; the mean of a system is geometric.

The estimate is that of a mixed model with the instrument as random effect, where all
systems were judged on all instruments: the mean over instruments of their differences.
"""

import dataclasses
import math
import pathlib
import shlex
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from evaluation.matrix import scorecards
from evaluation.report import tables
from evaluation.summary import builder
from evaluation.summary import gates
from evaluation.summary import index_intervals
from evaluation.summary import paired
from prep import checked_json
from prep import errors

UNIT = "instrument"
MARKS = {paired.BETTER: "better", paired.WORSE: "worse", paired.UNDECIDED: "open"}


class Instruments:
    """Scores of the systems that were judged on every instrument.

    Attributes:
        names: Of the instruments.
        systems: Of the systems, as the first scorecard orders them.
        baseline: The system that the others are compared with.
        left_out: Instruments that lack it, by system.
    """

    def __init__(self, cards: Mapping[str, scorecards.Scorecard]):
        """Keeps what all instruments have.

        Args:
            cards: Scorecard by instrument, at least two.

        Raises:
            InputError: If they have no two systems in common, or other baselines.
        """
        self.names = list(cards)
        self._cards = [
            {system.name: system for system in card.systems} for card in cards.values()
        ]
        self._states = [card.verdict.systems for card in cards.values()]
        # Systems of some instruments alone would be compared on other material.
        every = dict.fromkeys(name for card in self._cards for name in card)
        lacking = {
            system: [
                name
                for name, card in zip(self.names, self._cards, strict=True)
                if system not in card
            ]
            for system in every
        }
        self.systems = [system for system in every if not lacking[system]]
        self.left_out = {name: where for name, where in lacking.items() if where}
        if len(self.systems) < 2:
            raise errors.InputError(
                f"{', '.join(self.names)} have {len(self.systems)} systems in common; "
                "two are needed. Judge the same rungs on every instrument."
            )
        baselines = sorted({card.baseline for card in cards.values()})
        if len(baselines) > 1 or baselines[0] not in self.systems:
            raise errors.InputError(
                f"the reports compare with {', '.join(map(repr, baselines))}; make "
                "them with one --baseline, judged on every instrument."
            )
        self.baseline = baselines[0]

    def means(self, system: str, metric: str) -> np.ndarray:
        """A metric of a system, NaN where missing. Shape [n_instruments]."""
        found = [card[system].metrics.get(metric) for card in self._cards]
        return np.array([np.nan if one is None else _float(one.mean) for one in found])

    def indices(self, system: str) -> list[paired.Interval]:
        """The collapse index of a system on each instrument, over its recordings."""
        found = [card[system].index.interval for card in self._cards]
        return [
            paired.Interval(*map(_float, (one.mean, one.low, one.high)))
            for one in found
        ]

    def states(self, system: str) -> dict[str, int]:
        """How many instruments' verdicts call a system what, most frequent first."""
        found = [states[system].state for states in self._states]
        return dict(
            sorted(
                {state: found.count(state) for state in found}.items(),
                key=lambda item: -item[1],
            )
        )

    def index(self, system: str) -> index_intervals.SystemIndex:
        """The mean collapse index of a system, healthy only if it is everywhere."""
        each = self.indices(system)
        mean = paired.resample_mean(_means(each)).interval(bounds=(0.0, 1.0))
        return index_intervals.SystemIndex(
            interval=mean,
            state=index_intervals.agreed([mean, *each]),
            point_state=index_intervals.state_of(mean.mean, mean.mean),
            kind="",
            severities={},
            components={},
            by_run={name: one.mean for name, one in zip(self.names, each, strict=True)},
            unit=UNIT,
            n_units=len(each),
        )

    def mean_loss(self, system: str) -> float:
        """Geometric mean over instruments of the loss; NaN where one has none."""
        return float(np.exp(np.mean(np.log(self.means(system, "spectral_loss")))))

    def loss_margin(self, system: str) -> float:
        """`gates.MARGIN`, as `compare` gives losses as shares of the baseline's."""
        del system  # the same for all
        return gates.MARGIN

    def excess_loss(self, baseline: str, candidate: str) -> np.ndarray:
        """Share of the baseline's spectral loss by which a system's is higher.

        Returns:
            Below 0 where it is lower. Shape [n_instruments].
        """
        key = "spectral_loss"
        return self.means(candidate, key) / self.means(baseline, key) - 1.0

    def compare(
        self, baseline: str, candidate: str, *, n_tests: int
    ) -> tuple[paired.Comparison, paired.Comparison]:
        """Compares two systems in spectral loss and collapse index.

        Args:
            baseline: Name of a system.
            candidate: Name of another.
            n_tests: How many metrics are judged together.

        Returns:
            The loss as a share of the baseline's that the candidate's is higher, and
            the difference of the indices, both over instruments.
        """
        losses = self.excess_loss(baseline, candidate)
        indices = [_means(self.indices(name)) for name in (candidate, baseline)]
        return (
            compare_instruments(losses, n_tests=n_tests),
            compare_instruments(indices[0] - indices[1], n_tests=n_tests),
        )


def compare_instruments(differences: np.ndarray, *, n_tests: int) -> paired.Comparison:
    """Compares by one difference an instrument.

    Args:
        differences: Candidate minus baseline, below 0 is better, NaN where one of them
            was not measured. Shape [n_instruments].
        n_tests: How many metrics are judged together.
    """
    known = differences[np.isfinite(differences)]
    return dataclasses.replace(
        paired.compare_units(known, by_seed=np.zeros(0), unit=UNIT, n_tests=n_tests),
        n_skipped=differences.size - known.size,
    )


@dataclasses.dataclass(frozen=True)
class PooledSystem:
    """A system over all instruments.

    Attributes:
        system: Its name.
        index: Its collapse index.
        states: How many instruments' verdicts call it what.
        index_by_instrument: With the interval over that instrument's recordings.
        loss_by_instrument: Spectral loss.
        loss: Against the baseline's, as a share of it; None for the baseline.
        loudness: Distance of loudness minus the baseline's, dB; None for it.
    """

    system: str
    index: index_intervals.SystemIndex
    states: dict[str, int]
    index_by_instrument: dict[str, paired.Interval]
    loss_by_instrument: dict[str, float]
    loss: paired.Comparison | None
    loudness: paired.Comparison | None

    @property
    def without_index(self) -> list[str]:
        """The instruments on which it has no collapse index."""
        each = self.index_by_instrument.items()
        return [name for name, one in each if math.isnan(one.mean)]

    @property
    def without_loss(self) -> list[str]:
        """The instruments on which it has no spectral loss."""
        each = self.loss_by_instrument.items()
        return [name for name, loss in each if math.isnan(loss)]


def summarise(every: Instruments) -> list[PooledSystem]:
    """Describes each system, the lowest mean spectral loss first, none last."""
    rows = []
    means = {system: every.mean_loss(system) for system in every.systems}
    for system in sorted(
        means, key=lambda name: (math.isnan(means[name]), means[name])
    ):
        loss = loudness = None
        if system != every.baseline:
            key = "loudness_distance"
            differences = every.means(system, key) - every.means(every.baseline, key)
            # Index, loss and loudness are judged together.
            loss = compare_instruments(
                every.excess_loss(every.baseline, system), n_tests=3
            )
            loudness = compare_instruments(differences, n_tests=3)
        losses = every.means(system, "spectral_loss").tolist()
        rows.append(
            PooledSystem(
                system=system,
                index=every.index(system),
                states=every.states(system),
                index_by_instrument=dict(
                    zip(every.names, every.indices(system), strict=True)
                ),
                loss_by_instrument=dict(zip(every.names, losses, strict=True)),
                loss=loss,
                loudness=loudness,
            )
        )
    return rows


def judge(
    reports: Mapping[str, pathlib.Path],
) -> tuple[Instruments, list[PooledSystem], list[gates.Gate]]:
    """Reads reports and answers the plan's questions over all of them.

    Args:
        reports: Folder of a report by instrument.

    Returns:
        The scores, a row a system, and the answers.

    Raises:
        InputError: If a report cannot be read, or they do not fit together.
    """
    every = Instruments({name: scorecards.read(at) for name, at in reports.items()})
    rows = summarise(every)
    return every, rows, gates.decide_all(every, {row.system: row.index for row in rows})


def to_json(
    every: Instruments,
    rows: Sequence[PooledSystem],
    answers: Sequence[gates.Gate],
    *,
    reports: Mapping[str, pathlib.Path],
    command: Sequence[str],
) -> checked_json.Json:
    """The content of instruments.json.

    Args:
        every: The scores.
        rows: A row a system.
        answers: Of the plan's questions.
        reports: Folder of a report by instrument.
        command: What was typed.
    """
    facts = {
        "command": list(command),
        "reports": {name: str(at) for name, at in reports.items()},
        "baseline": every.baseline,
        "systems": list(rows),
        "left_out": every.left_out,
        "gates": list(answers),
    }
    document: checked_json.Json = builder.to_json(facts)
    return document


def to_text(
    every: Instruments,
    rows: Sequence[PooledSystem],
    answers: Sequence[gates.Gate],
    *,
    command: Sequence[str],
) -> str:
    """The page: conclusions over all instruments, then each instrument's numbers."""
    baseline = tables.markdown_cell(every.baseline)
    head = [
        "System",
        "Collapse index [95 %]",
        "Verdicts",
        f"Spectral loss against {baseline}, %",
        f"Loudness off against {baseline}, dB",
    ]
    overall = [
        [
            tables.markdown_cell(row.system),
            _interval(row.index.interval),
            ", ".join(f"{n} {state}" for state, n in row.states.items()),
            _difference(row.loss, factor=100.0, decimals=1),
            _difference(row.loudness, factor=1.0, decimals=2),
        ]
        for row in rows
    ]
    names = [tables.markdown_cell(name) for name in every.names]
    indices = [
        [
            tables.markdown_cell(row.system),
            *(_interval(one) for one in row.index_by_instrument.values()),
        ]
        for row in rows
    ]
    losses = [
        [
            tables.markdown_cell(row.system),
            *(
                tables.number(loss, decimals=2)
                for loss in row.loss_by_instrument.values()
            ),
        ]
        for row in rows
    ]
    return "\n".join(
        [
            f"# {len(every.names)} instruments together\n",
            f"`{shlex.join(command)}`\n",
            "Each instrument counts once. Intervals of the first table are over "
            "instruments (95 %; where a difference is called better or worse it holds "
            "for index, loss and loudness at once), those of the second over the "
            "recordings of one. Losses are compared as shares of the other system's: "
            "0.05 is 5 %.\n",
            tables.markdown_table(head, overall),
            *(
                f"Left out: {tables.markdown_cell(name)}, not judged on "
                f"{', '.join(where)}.\n"
                for name, where in every.left_out.items()
            ),
            *(line for row in rows for line in _describe_gaps(row)),
            *map(scorecards.gate_line, answers),
            "\n## Collapse index on each\n",
            tables.markdown_table(["System", *names], indices),
            "## Spectral loss on each\n",
            tables.markdown_table(["System", *names], losses),
        ]
    )


def _describe_gaps(row: PooledSystem) -> list[str]:
    """Says which means a system lacks, because an instrument has no score of it."""
    system, lines = tables.markdown_cell(row.system), []
    if row.without_index:
        lines.append(
            f"{system} has no collapse index on {', '.join(row.without_index)}, and so "
            "no mean over instruments.\n"
        )
    if row.without_loss:
        lines.append(
            f"{system} has no spectral loss on {', '.join(row.without_loss)}, and so "
            "no mean over instruments: it stands last, and its differences are over "
            "the others.\n"
        )
    return lines


def _interval(interval: paired.Interval) -> str:
    """An index with its interval, where there is one."""
    text = tables.number(interval.mean, decimals=2)
    if not math.isfinite(interval.low):
        return text
    return f"{text} [{interval.low:.2f}, {interval.high:.2f}]"


def _difference(
    comparison: paired.Comparison | None, *, factor: float, decimals: int
) -> str:
    """A difference with the interval that decides it, and what it decides."""
    if comparison is None:
        return tables.DASH
    wide = comparison.simultaneous
    if math.isnan(wide.mean):
        return f"not measured ({comparison.reason})"
    text = f"{factor * wide.mean:+.{decimals}f}"
    if math.isnan(wide.low):
        return f"{text} ({comparison.reason})"
    ends = f"[{factor * wide.low:+.{decimals}f}, {factor * wide.high:+.{decimals}f}]"
    return f"{text} {ends} {MARKS[comparison.outcome]}"


def _float(value: float | None) -> float:
    """A number of a summary, NaN where it says null."""
    return math.nan if value is None else value


def _means(intervals: Sequence[paired.Interval]) -> np.ndarray:
    """Estimates of intervals. Shape [n_intervals]."""
    return np.array([one.mean for one in intervals])
