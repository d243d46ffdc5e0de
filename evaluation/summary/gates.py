"""The plan's decision gates: questions with an answer, a rule and the evidence.

Each gate is answered "yes", "no", "not decided" or "not run". The first two need an
interval that lies on one side of the line; an estimate alone decides nothing. Systems
are recognised as rungs of the ladder by their names (`stage0` to `stage5`,
`transformer`, with anything after a dash or underscore).
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from evaluation.summary import index_intervals
from evaluation.summary import paired
from evaluation.summary import score_table

TITLES = {
    "stage0": "the legacy MLP (stage 0)",
    "stage1": "the framewise MLP (stage 1)",
    "stage2": "the MLP with smoothed controls (stage 2)",
    "stage3": "the wider MLP (stage 3)",
    "stage4": "the micro-RNN (stage 4)",
    "transformer": "the transformer",
    "stage5": "the paper's GRU (stage 5)",
}
RUNGS = tuple(TITLES)
MARGIN = 0.05  # of the best system's spectral loss: that much worse is still as good
INDEX_MARGIN = 0.1  # of the collapse index: that much more is still as good
MATCHED = ("b_mlp", "c_transformer")  # runs B and C differ in the decoder alone
YES = "yes"
NO = "no"
OPEN = "not decided"
ABSENT = "not run"
Indices = Mapping[str, index_intervals.SystemIndex]
_RUNG = re.compile(r"(stage[0-5]|transformer)(?![0-9a-z])")


@dataclasses.dataclass(frozen=True)
class Gate:
    """A question of the plan and what the scores say.

    Attributes:
        key: Short name.
        question: In words.
        answer: `YES`, `NO`, `OPEN`, `ABSENT`, or the name of a rung.
        rule: What decides it.
        evidence: The numbers, a sentence each.
    """

    key: str
    question: str
    answer: str
    rule: str
    evidence: list[str]


class JudgedScores(Protocol):
    """What the gates ask of systems that were judged by the same material."""

    def mean_loss(self, system: str) -> float:
        """Mean spectral loss of a system."""

    def loss_margin(self, system: str) -> float:
        """By how much a loss may exceed that of a system and still be as good."""

    def compare(
        self, baseline: str, candidate: str, *, n_tests: int
    ) -> tuple[paired.Comparison, paired.Comparison]:
        """Compares two systems in spectral loss and collapse index."""


@dataclasses.dataclass(frozen=True)
class TableScores:
    """The scores of one dataset's clips, as `JudgedScores`."""

    table: score_table.ScoreTable

    def mean_loss(self, system: str) -> float:
        """Mean over recordings, and over the system's trainings."""
        return self.table.mean(self.table.badness(system, "spectral_loss").mean(axis=0))

    def loss_margin(self, system: str) -> float:
        """`MARGIN` of the system's loss, in units of it."""
        return MARGIN * self.mean_loss(system)

    def compare(
        self, baseline: str, candidate: str, *, n_tests: int
    ) -> tuple[paired.Comparison, paired.Comparison]:
        """Compares clip by clip, over recordings."""
        loss = paired.compare(
            self.table.badness(baseline, "spectral_loss"),
            self.table.badness(candidate, "spectral_loss"),
            recordings=self.table.recordings,
            n_tests=n_tests,
        )
        index = index_intervals.compare_index(
            self.table, baseline, candidate, n_tests=n_tests
        )
        return loss, index


def find_rungs(systems: list[str]) -> dict[str, str]:
    """The system of each rung, the shortest name where several would do."""
    found: dict[str, str] = {}
    for name in sorted(systems, key=lambda name: (len(name), name)):
        match = _RUNG.match(name.lower())
        if match:
            found.setdefault(match.group(1), name)
    return {rung: found[rung] for rung in RUNGS if rung in found}


def decide_all(scores: JudgedScores, indices: Indices) -> list[Gate]:
    """Answers every gate from the scores.

    Args:
        scores: Of the systems.
        indices: The collapse index of each system, by its name.
    """
    rungs = find_rungs(list(indices))
    by_rung = {rung: indices[name] for rung, name in rungs.items()}
    return [
        lowest_rung(scores, rungs, by_rung),
        resolves_collapse(by_rung, rung="stage1"),
        resolves_collapse(by_rung, rung="stage2"),
        transformer_benefit(scores, rungs, systems=list(indices)),
    ]


def lowest_rung(scores: JudgedScores, rungs: dict[str, str], indices: Indices) -> Gate:
    """The lowest rung that is not worse than the best by more than the margins."""
    question = "Which is the lowest rung that is as good as the best?"
    rule = (
        "Best: the lowest mean spectral loss of those not collapsed. A rung is as good "
        "when the 95 % "
        f"interval of its difference stays below {MARGIN:.0%} of the best's spectral "
        f"loss and below {INDEX_MARGIN} of collapse index, and worse when it lies "
        "above either."
    )
    # Too little to judge by.
    if len(rungs) < 2:
        return Gate("lowest_rung", question, ABSENT, rule, ["Fewer than two rungs."])
    n_units = next(iter(indices.values())).n_units
    if n_units < paired.MIN_UNITS:
        line = f"Only {n_units} to judge by; {paired.MIN_UNITS} needed."
        return Gate("lowest_rung", question, OPEN, rule, [line])
    # The best: lowest spectral loss among those not collapsed.
    alive = [
        rung
        for rung, index in indices.items()
        if index.point_state != index_intervals.COLLAPSED
    ]
    if not alive:
        sure = all(i.state == index_intervals.COLLAPSED for i in indices.values())
        line = f"Every rung has {'' if sure else 'probably '}collapsed."
        return Gate("lowest_rung", question, NO if sure else OPEN, rule, [line])
    every = {rung: scores.mean_loss(rungs[rung]) for rung in alive}
    losses = {rung: loss for rung, loss in every.items() if math.isfinite(loss)}
    if not losses:
        line = "No rung that has not collapsed has a mean spectral loss."
        return Gate("lowest_rung", question, OPEN, rule, [line])
    best = min(losses, key=lambda rung: losses[rung])
    evidence = [f"Best: {TITLES[best]}, spectral loss {losses[best]:.3f}."]
    # From the lowest rung up, the first that is as good answers.
    for rung, name in rungs.items():
        if indices[rung].state == index_intervals.COLLAPSED:
            evidence.append(f"{_sentence(TITLES[rung])}: collapsed.")
            continue
        if rung == best:
            return Gate("lowest_rung", question, rung, rule, evidence)
        state, line = _as_good(scores, name, best=rungs[best])
        doubt = "" if rung in alive else "probably collapsed; "
        evidence.append(f"{_sentence(TITLES[rung])}: {doubt}{line}")
        if state != NO:
            answer = rung if state == YES and rung in alive else OPEN
            return Gate("lowest_rung", question, answer, rule, evidence)
    raise AssertionError("the best rung is among the rungs")


def _as_good(scores: JudgedScores, system: str, *, best: str) -> tuple[str, str]:
    """Returns whether a system is as good as the best, and the numbers."""
    margin = scores.loss_margin(best)
    loss, index = (
        comparison.difference for comparison in scores.compare(best, system, n_tests=1)
    )
    line = (
        f"spectral loss {_show(loss)} against a margin of {margin:.3f}, collapse index "
        f"{_show(index)} against {INDEX_MARGIN}"
    )
    if loss.low > margin or index.low > INDEX_MARGIN:
        return NO, line + ": worse."
    if loss.high <= margin and index.high <= INDEX_MARGIN:
        return YES, line + ": as good."
    return OPEN, line + ": the interval does not decide it."


def resolves_collapse(indices: Indices, *, rung: str) -> Gate:
    """Returns whether a rung's controls do not collapse."""
    question = f"Is {TITLES[rung]} enough to keep controls from collapsing?"
    rule = (
        "The 95 % interval of its collapse index, in every training, lies below (yes) "
        "or above (no) 0.5."
    )
    key = f"{rung}_resolves"
    if rung not in indices:
        return Gate(key, question, ABSENT, rule, [f"No run named {rung}."])
    # The lowest rung and the GRU stand beside it as evidence.
    evidence = []
    for shown in dict.fromkeys(("stage0", rung, "stage5")):
        if shown in indices:
            index = indices[shown]
            evidence.append(
                f"{_sentence(TITLES[shown])}: collapse index {_show(index.interval)} "
                f"over {index.n_units} {index.unit}{'s' if index.n_units > 1 else ''}"
                f"{_trainings(index)}."
            )
    answers = {
        index_intervals.HEALTHY: YES,
        index_intervals.COLLAPSED: NO,
        index_intervals.OPEN: OPEN,
    }
    return Gate(key, question, answers[indices[rung].state], rule, evidence)


def _trainings(index: index_intervals.SystemIndex) -> str:
    """The index of each training, where there are several."""
    if len(index.by_run) == 1:
        return ""
    each = ", ".join(f"{run} {value:.3f}" for run, value in index.by_run.items())
    return f", mean of {each}"


def transformer_benefit(
    scores: JudgedScores, rungs: dict[str, str], *, systems: Sequence[str]
) -> Gate:
    """Returns whether the transformer beats the framewise MLP.

    Args:
        scores: Of the systems.
        rungs: The system of each rung.
        systems: All systems, among which the matched pair may be.
    """
    question = "Does the transformer show a clear benefit over the framewise MLP?"
    rule = (
        f"Yes when it is better in collapse index by {INDEX_MARGIN} or in spectral "
        f"loss by {MARGIN:.0%}, with an interval that excludes no difference, and "
        "worse in neither; no when it is worse in one, or the intervals exclude so "
        "large a benefit in both. The intervals hold for both at once."
    )
    pair = _transformer_pair(systems, rungs)
    if pair is None:
        line = f"No runs named transformer and stage1, or {' and '.join(MATCHED)}."
        return Gate("transformer_benefit", question, ABSENT, rule, [line])
    baseline, candidate = pair
    # Both differences, at one error rate.
    loss, index = scores.compare(baseline, candidate, n_tests=2)
    evidence = [
        f"Collapse index, {candidate} minus {baseline}: {_show(index.simultaneous)}.",
        f"Spectral loss, {candidate} minus {baseline}: {_show(loss.simultaneous)}.",
    ]
    margins = (INDEX_MARGIN, scores.loss_margin(baseline))
    pairs = list(zip((index, loss), margins, strict=True))
    # Yes needs a benefit beyond the margin, no a loss or its exclusion.
    worse = any(one.outcome == paired.WORSE for one, _ in pairs)
    better = any(
        one.outcome == paired.BETTER and one.simultaneous.mean <= -margin
        for one, margin in pairs
    )
    excluded = all(one.simultaneous.low > -margin for one, margin in pairs)
    answer = NO if worse or excluded else YES if better else OPEN
    return Gate("transformer_benefit", question, answer, rule, evidence)


def _transformer_pair(
    systems: Sequence[str], rungs: dict[str, str]
) -> tuple[str, str] | None:
    """The MLP and the transformer to compare: the matched pair where there is one."""
    if set(MATCHED) <= set(systems):
        return MATCHED
    if {"stage1", "transformer"} <= set(rungs):
        return rungs["stage1"], rungs["transformer"]
    return None


def _sentence(title: str) -> str:
    """A title at the beginning of a sentence."""
    return title[0].upper() + title[1:]


def _show(interval: paired.Interval) -> str:
    """An estimate with its interval, in words where there is none."""
    if math.isnan(interval.mean):
        return "not measured"
    if not np.isfinite(interval.low):
        return f"{interval.mean:.3f} (too few for an interval)"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
