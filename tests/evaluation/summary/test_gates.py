"""Decision gates: rules on intervals, exactly at their margins, and whole tables."""

import dataclasses
import math

import pytest

from evaluation.collapse_index import index as collapse_index
from evaluation.summary import gates
from evaluation.summary import index_intervals
from evaluation.summary import paired
from tests.helpers import score_tables

FIVE = [f"r{i}" for i in range(5)]
# A spectral loss of 5 has a margin of 0.25, which is a whole number of float's parts.
LOSS = 5.0
LOSS_MARGIN = 0.25
NOWHERE = paired.Interval(math.nan, math.nan, math.nan)


def comparison(mean=0.0, low=-1.0, high=1.0, *, outcome=paired.UNDECIDED, wide=False):
    """A comparison in which the interval that must not be read is nowhere."""
    interval = paired.Interval(mean, low, high)
    return paired.Comparison(
        difference=NOWHERE if wide else interval,
        simultaneous=interval if wide else NOWHERE,
        effect_size=math.nan,
        share_better=math.nan,
        unit="recording",
        n_units=5,
        n_clips=5,
        n_skipped=0,
        outcome=outcome,
        reason="",
    )


@pytest.fixture
def compare_as(monkeypatch):
    """Sets what comparisons of spectral loss and of the index say."""

    def set_both(loss, index, *, n_tests):
        def of_loss(baseline, candidate, **arguments):
            assert arguments["n_tests"] == n_tests
            return loss

        def of_index(table, baseline, candidate, **arguments):
            assert arguments == {"n_tests": n_tests}
            return index

        monkeypatch.setattr(gates.paired, "compare", of_loss)
        monkeypatch.setattr(gates.index_intervals, "compare_index", of_index)

    return set_both


def healthy(state=index_intervals.HEALTHY, n_units=5):
    return index_intervals.SystemIndex(
        interval=paired.Interval(0.1, 0.0, 0.2),
        state=state,
        point_state=state,
        kind="flat",
        severities={},
        components={},
        by_run={"run": 0.1},
        unit="recording",
        n_units=n_units,
    )


def scores_of(**losses):
    table = score_tables.exact_table([(name, losses) for name in FIVE])
    return gates.TableScores(table)


# --- the lowest rung that is as good as the best ---

BELOW, AT, ABOVE = -0.125, LOSS_MARGIN, 0.375  # spectral loss against its margin
I_BELOW, I_AT, I_ABOVE = -0.05, 0.1, 0.2  # the same of the index


@pytest.mark.parametrize(
    ("loss", "index", "answer"),
    [
        # Both intervals end at their margins at the latest.
        ((BELOW, AT), (I_BELOW, I_AT), "stage1"),
        ((BELOW, BELOW), (I_BELOW, I_BELOW), "stage1"),
        # One reaches beyond and begins within, or at the margin.
        ((BELOW, ABOVE), (I_BELOW, I_AT), gates.OPEN),
        ((BELOW, AT), (I_BELOW, I_ABOVE), gates.OPEN),
        ((AT, ABOVE), (I_BELOW, I_BELOW), gates.OPEN),
        ((BELOW, BELOW), (I_AT, I_ABOVE), gates.OPEN),
        # One lies beyond, whatever the other says.
        ((ABOVE, ABOVE), (I_BELOW, I_BELOW), "stage5"),
        ((BELOW, BELOW), (I_ABOVE, I_ABOVE), "stage5"),
        ((ABOVE, ABOVE), (I_BELOW, I_ABOVE), "stage5"),
        # Nothing is known of one.
        ((math.nan, math.nan), (I_BELOW, I_BELOW), gates.OPEN),
    ],
)
def test_as_good_is_within_both_margins(loss, index, answer, compare_as):
    compare_as(comparison(0.0, *loss), comparison(0.0, *index), n_tests=1)
    rungs = {"stage1": "stage1", "stage5": "stage5"}
    indices = {rung: healthy() for rung in rungs}
    trainings = {"stage5-seed0": LOSS - 1.0, "stage5-seed1": LOSS + 1.0}
    scores = scores_of(stage1=LOSS + 1.0, **trainings)
    found = gates.lowest_rung(scores, rungs, indices)
    assert found.answer == answer
    assert "against a margin of 0.250" in found.evidence[1]
    end = {"stage1": ": as good.", "stage5": ": worse."}.get(answer, " not decide it.")
    assert found.evidence[1].endswith(end)
    assert ("probably" in found.evidence[1]) is False


@pytest.mark.parametrize(
    ("states", "answer", "line"),
    [
        (("collapsed", "collapsed"), "no", "Every rung has collapsed."),
        (
            ("collapsed", "not decided"),
            "not decided",
            "Every rung has probably collapsed.",
        ),
    ],
)
def test_where_every_rung_collapsed_none_is_the_lowest(states, answer, line):
    indices = {
        rung: dataclasses.replace(healthy(state), point_state=index_intervals.COLLAPSED)
        for rung, state in zip(("stage1", "stage5"), states, strict=True)
    }
    rungs = {rung: rung for rung in indices}
    found = gates.lowest_rung(scores_of(stage1=1.0, stage5=1.0), rungs, indices)
    assert (found.key, found.answer) == ("lowest_rung", answer)
    assert found.evidence == [line]


def test_one_rung_has_none_to_be_compared_with():
    found = gates.lowest_rung(
        scores_of(stage1=1.0), {"stage1": "stage1"}, {"stage1": healthy()}
    )
    assert (found.key, found.answer) == ("lowest_rung", "not run")
    assert found.evidence == ["Fewer than two rungs."]


@pytest.mark.parametrize(
    ("state", "answer"),
    [("healthy", "yes"), ("collapsed", "no"), ("not decided", "not decided")],
)
def test_a_rung_resolves_collapse_beside_the_lowest_and_the_gru(state, answer):
    """The index of each is shown with its interval, units and trainings."""
    several = dataclasses.replace(healthy(state), by_run={"a": 0.05, "b": 0.15})
    lone = paired.Interval(0.25, math.nan, math.nan)
    unknown = paired.Interval(math.nan, math.nan, math.nan)
    indices = {
        "stage5": dataclasses.replace(healthy(n_units=1), interval=lone),
        "stage4": healthy(),
        "stage1": several,
        "stage0": dataclasses.replace(healthy(), interval=unknown),
    }
    found = gates.resolves_collapse(indices, rung="stage1")
    assert (found.key, found.answer) == ("stage1_resolves", answer)
    assert found.evidence == [
        "The legacy MLP (stage 0): collapse index not measured over 5 recordings.",
        "The framewise MLP (stage 1): collapse index 0.100 [0.000, 0.200] over 5 "
        "recordings, mean of a 0.050, b 0.150.",
        "The paper's GRU (stage 5): collapse index 0.250 (too few for an "
        "interval) over 1 recording.",
    ]


@pytest.mark.parametrize(("n_units", "answer"), [(4, gates.OPEN), (5, "stage1")])
def test_five_units_are_enough(n_units, answer, compare_as):
    near = comparison(0.0, BELOW, BELOW)
    compare_as(near, near, n_tests=1)
    rungs = {"stage1": "stage1", "stage5": "stage5"}
    indices = {rung: healthy(n_units=n_units) for rung in rungs}
    scores = scores_of(stage1=LOSS + 1.0, stage5=LOSS)
    assert gates.lowest_rung(scores, rungs, indices).answer == answer


def test_the_best_is_that_of_the_lowest_mean_over_recordings():
    """stage1 is better in two clips of one recording, stage5 in four recordings."""
    clips = [("a", {"stage1": 0.0, "stage5": 9.0})] * 9 + [
        (name, {"stage1": 5.0, "stage5": 4.0}) for name in "bcde"
    ]
    rungs = {"stage1": "stage1", "stage5": "stage5"}
    table = score_tables.exact_table(clips)  # means 4.0 and 5.0
    found = gates.lowest_rung(
        gates.TableScores(table), rungs, {rung: healthy() for rung in rungs}
    )
    assert "Best: the framewise MLP (stage 1), spectral loss 4.000" in found.evidence[0]
    clips[0] = ("a", {"stage1": 90.0, "stage5": 9.0})  # 6.0 and 5.0
    found = gates.lowest_rung(
        gates.TableScores(score_tables.exact_table(clips)),
        rungs,
        {rung: healthy() for rung in rungs},
    )
    assert "Best: the paper's GRU (stage 5), spectral loss 5.000" in found.evidence[0]


# --- the transformer's benefit ---

SURE_INDEX = comparison(-0.3, -0.4, -0.2, outcome=paired.BETTER, wide=True)
WORSE = comparison(0.5, 0.4, 0.6, outcome=paired.WORSE, wide=True)
OPEN_LOSS = comparison(-0.1, -0.5, 0.1, wide=True)
OPEN_INDEX = comparison(-0.05, -0.2, 0.1, wide=True)


def better(mean):
    """Decided to be better, by an interval that reaches far beyond both margins."""
    return comparison(mean, -0.5, -0.01, outcome=paired.BETTER, wide=True)


def reaching_to(low):
    """Not decided; the benefit may be as large as the interval's end."""
    return comparison(low / 2, low, 0.1, wide=True)


@pytest.mark.parametrize(
    ("loss", "index", "answer"),
    [
        # Better by the margin, exactly, in one of them.
        (OPEN_LOSS, better(-0.1), gates.YES),
        (better(-LOSS_MARGIN), OPEN_INDEX, gates.YES),
        # Better, and by less.
        (OPEN_LOSS, better(-0.09), gates.OPEN),
        (better(-0.24), OPEN_INDEX, gates.OPEN),
        # By more, and not decided.
        (reaching_to(-2.0), reaching_to(-2.0), gates.OPEN),
        # Worse in one outweighs everything.
        (WORSE, SURE_INDEX, gates.NO),
        (better(-0.5), WORSE, gates.NO),
        # A large benefit is excluded in both, in one, in the other.
        (reaching_to(-0.2), reaching_to(-0.05), gates.NO),
        (reaching_to(-0.3), reaching_to(-0.05), gates.OPEN),
        (reaching_to(-0.2), reaching_to(-0.15), gates.OPEN),
        # An interval that ends at the margin does not exclude it.
        (reaching_to(-LOSS_MARGIN), reaching_to(-0.05), gates.OPEN),
        (reaching_to(-0.2), reaching_to(-0.1), gates.OPEN),
    ],
)
def test_a_clear_benefit_is_of_the_margin_in_one_and_worse_in_none(
    loss, index, answer, compare_as
):
    compare_as(loss, index, n_tests=2)
    # The margin is of the baseline's loss, the mean of its trainings'.
    trainings = {"stage1-seed0": LOSS - 1.0, "stage1-seed1": LOSS + 1.0}
    scores = scores_of(**trainings, transformer=1.0)
    rungs = {"stage1": "stage1", "transformer": "transformer"}
    assert (
        gates.transformer_benefit(scores, rungs, systems=list(rungs)).answer == answer
    )


# --- whole tables ---


def answers(systems, rng, **kwargs):
    return decide(score_tables.make_table(systems, rng, **kwargs))


def decide(table):
    indices = index_intervals.every_index(table)
    found = gates.decide_all(gates.TableScores(table), indices)
    return {gate.key: gate for gate in found}


def test_gates_name_the_lowest_rung_that_is_as_good(rng):
    found = answers(
        {
            "stage5": (5.0, 0.1),
            "stage2": (5.02, 0.1),
            "stage1": (6.5, 0.2),
            "stage0": (9.0, 0.9),
        },
        rng,
    )
    assert found["lowest_rung"].answer == "stage2"
    assert found["stage1_resolves"].answer == gates.YES
    assert any("stage 0" in line for line in found["stage1_resolves"].evidence)
    assert found["transformer_benefit"].answer == gates.ABSENT


def test_a_collapsed_rung_is_never_as_good(rng):
    found = answers({"stage5": (5.0, 0.1), "stage1": (5.0, 0.9)}, rng)
    assert found["lowest_rung"].answer == "stage5"
    told = found["lowest_rung"].evidence
    assert "The framewise MLP (stage 1): collapsed." in told
    assert found["stage1_resolves"].answer == gates.NO


@pytest.mark.parametrize(
    ("transformer", "answer"),
    [((4.0, 0.1), gates.YES), ((5.0, 0.2), gates.NO), ((6.5, 0.2), gates.NO)],
)
def test_transformer_gate(transformer, answer, rng):
    found = answers({"stage1": (5.0, 0.2), "transformer": transformer}, rng)
    assert found["transformer_benefit"].answer == answer


def test_the_matched_pair_is_compared_where_it_was_run(rng):
    found = answers({"b_mlp": (5.0, 0.2), "c_transformer": (4.0, 0.1)}, rng)
    gate = found["transformer_benefit"]
    assert gate.answer == gates.YES
    assert "c_transformer minus b_mlp" in gate.evidence[0]


def test_gates_are_open_when_there_are_few_recordings(rng):
    found = answers({"stage5": (5.0, 0.1), "stage1": (5.0, 0.2)}, rng, n_recordings=3)
    assert found["lowest_rung"].answer == gates.OPEN
    assert found["stage1_resolves"].answer == gates.OPEN
    assert found["stage2_resolves"].answer == gates.ABSENT


def test_few_recordings_make_no_collapsed_rung_the_best(rng):
    """Its loss is lowest and it comes first; three recordings still decide nothing."""
    found = answers({"stage0": (4.9, 1.0), "stage1": (5.0, 0.1)}, rng, n_recordings=3)
    assert found["lowest_rung"].answer == gates.OPEN


def test_a_rung_that_has_probably_collapsed_is_neither_best_nor_as_good(rng):
    systems = {"stage1": (4.9, 0.6), "stage5": (5.0, 0.6)}
    found = answers(systems, rng, spread=0.4)["lowest_rung"]
    assert found.answer == gates.OPEN and "probably" in found.evidence[0]
    systems["stage5"] = (5.0, 0.1)
    found = answers(systems, rng, spread=0.4)["lowest_rung"]
    assert "Best: the paper's GRU" in found.evidence[0]
    assert "probably collapsed" in found.evidence[1]
    assert found.answer != "stage1"


def test_a_collapse_in_one_of_several_trainings_decides_nothing(rng):
    systems = {"stage1": (5.0, 0.1), "stage1-seed1": (5.0, 0.7), "stage5": (5.0, 0.1)}
    assert answers(systems, rng)["stage1_resolves"].answer == gates.OPEN
    systems["stage1-seed1"] = (5.0, 0.1)
    assert answers(systems, rng)["stage1_resolves"].answer == gates.YES


def test_a_training_that_may_have_collapsed_leaves_the_question_open(rng):
    """Its own interval holds the threshold; that of the mean does not."""
    systems = {"stage1": (5.0, 0.0), "stage1-seed1": (5.0, 0.45), "stage5": (5.0, 0.1)}
    table = score_tables.make_table(systems, rng, spread=0.3)
    index = index_intervals.system_index(table, "stage1")
    assert index.interval.high < collapse_index.THRESHOLD
    assert max(index.by_run.values()) < collapse_index.THRESHOLD
    assert index.state == index_intervals.OPEN
    gate = decide(table)["stage1_resolves"]
    assert gate.answer == gates.OPEN
    assert "mean of stage1 0." in gate.evidence[0]
    assert ", stage1-seed1 0.4" in gate.evidence[0]


def test_rungs_are_found_by_name_and_climb_from_the_legacy_mlp_to_the_gru():
    names = ["stage5", "transformer_nosmooth", "Stage4", "mystage2", "stage55"]
    names += ["stage1-a_wide_one", "stage1-b", "stage3", "stage0"]
    assert list(gates.find_rungs(names).items()) == [
        ("stage0", "stage0"),
        ("stage1", "stage1-b"),  # the shortest name
        ("stage3", "stage3"),
        ("stage4", "Stage4"),
        ("transformer", "transformer_nosmooth"),
        ("stage5", "stage5"),
    ]
