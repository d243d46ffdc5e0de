"""A summary of made-up scores: aggregates, comparisons and the order of systems."""

import math

import pytest

from evaluation.metrics import catalogue
from evaluation.summary import builder
from evaluation.summary import index_intervals
from evaluation.summary import paired
from tests.helpers import evaluation_helpers as helpers
from tests.helpers import score_tables

OWNERS = ["a", "a", "b", "c", "d", "e"]


def rows_of(losses, *, lost=None, top1=None, recording_top1=None):
    """Rows of six clips of five recordings.

    Args:
        losses: Of each run, clip by clip.
        lost: Of each run's movement; nothing where it is left out.
        top1: A metric that is compared with the recording's, of each run.
        recording_top1: The recordings' own.
    """
    clips = [
        (owner, {run: values[place] for run, values in losses.items()})
        for place, owner in enumerate(OWNERS)
    ]
    rows = score_tables.exact_table(clips, lost=lost).rows
    for place, row in enumerate(rows):
        for run, values in (top1 or {}).items():
            row["runs"][run]["values"]["top1_share"] = values[place]
            if values[place] is None:
                row["runs"][run]["reasons"]["top1_share"] = "no pitch"
        if recording_top1:
            row["recording"]["values"]["top1_share"] = recording_top1[place]
    return rows


def build(rows, *, baseline="gru"):
    return builder.build(
        rows,
        runs={run: helpers.facts_of(run) for run in rows[0]["runs"]},
        baseline=baseline,
        settings={},
        dataset={"plan_hash": "1234", "data_dir": "data"},
    )


def system(document, name):
    return next(one for one in document["systems"] if one["name"] == name)


def test_aggregates_are_means_over_recordings_of_their_clips():
    """Clips of 0.2 and 0.4 are one recording's 0.3."""
    top1 = {"gru": [0.2, 0.4, 0.5, 0.6, 0.7, 0.8]}
    found = system(build(rows_of({"gru": [1.0] * 6}, top1=top1)), "gru")["metrics"]
    mean = (0.3 + 0.5 + 0.6 + 0.7 + 0.8) / 5
    assert found["top1_share"]["mean"] == pytest.approx(mean)
    assert found["top1_share"]["by_run"] == {"gru": pytest.approx(mean)}


def test_aggregates_are_of_the_clips_that_have_a_score():
    document = build(
        rows_of(
            {"gru": [1.0] * 6},
            top1={"gru": [0.2, None, 0.5, 0.6, 0.7, 0.8]},
            recording_top1=[0.1, 0.9, 0.6, 0.6, 0.9, 0.9],
        )
    )
    found = system(document, "gru")["metrics"]["top1_share"]
    assert found["mean"] == pytest.approx((0.2 + 0.5 + 0.6 + 0.7 + 0.8) / 5)
    # The recordings' own over the same clips, and the mean distance from them.
    assert found["recording"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.9 + 0.9) / 5)
    assert found["distance"] == pytest.approx((0.1 + 0.1 + 0.0 + 0.2 + 0.1) / 5)
    assert (found["n"], found["n_skipped"]) == (5, 1)
    assert found["reasons"] == {"no pitch": 1}
    # By themselves the recordings have a value of every clip.
    own = (0.5 + 0.6 + 0.6 + 0.9 + 0.9) / 5
    assert document["recording"]["top1_share"] == pytest.approx(own)


def test_a_score_of_few_of_the_recordings_has_no_interval():
    """Four are left, of five clips: the mean is over recordings, as of other scores."""
    top1 = {"gru": [0.2, 0.4, 0.5, 0.6, 0.7, None]}
    found = system(build(rows_of({"gru": [1.0] * 6}, top1=top1)), "gru")["metrics"]
    assert found["top1_share"]["mean"] == pytest.approx((0.3 + 0.5 + 0.6 + 0.7) / 4)
    assert found["top1_share"]["by_run"]["gru"] == pytest.approx(2.1 / 4)
    assert found["top1_share"]["low"] is None
    assert found["spectral_loss"]["low"] == 1.0


def test_a_listener_s_sentence_is_of_the_clips_of_both_systems():
    """The candidate has no score of the hardest: on the rest it is further away."""
    losses = {"gru": [9.0, 9.0, 1.0, 1.0, 1.0, 1.0], "mlp": [None, None] + [2.0] * 4}
    document = build(rows_of(losses))
    (sentence,) = document["verdict"]["comparisons"]["mlp"]
    assert sentence.startswith("Further from the recording than the baseline: spectral")
    assert "loss 2.00 against 1.00;" in sentence


def test_a_clip_counts_when_every_training_has_a_score():
    document = build(
        rows_of(
            {"gru-seed0": [1.0] * 6, "gru-seed1": [3.0] * 6},
            top1={
                "gru-seed0": [0.2, None, 0.4, 0.4, 0.4, 0.4],
                "gru-seed1": [0.4, 0.9, 0.6, 0.6, 0.6, None],
            },
            recording_top1=[0.0] * 6,
        )
    )
    found = system(document, "gru")["metrics"]
    assert found["spectral_loss"]["mean"] == 2.0
    assert found["spectral_loss"]["by_run"] == {"gru-seed0": 1.0, "gru-seed1": 3.0}
    assert found["spectral_loss"]["distance"] is None  # less is better, by itself
    assert (found["top1_share"]["n"], found["top1_share"]["n_skipped"]) == (4, 2)
    assert found["top1_share"]["mean"] == pytest.approx((0.3 + 0.5 * 3) / 4)


def test_the_headline_shares_one_level_and_the_rest_another(monkeypatch):
    levels = {}
    compare, compare_index = paired.compare, index_intervals.compare_index

    def note(baseline, candidate, *, recordings, n_tests):
        levels.setdefault(n_tests, 0)
        levels[n_tests] += 1
        return compare(baseline, candidate, recordings=recordings, n_tests=n_tests)

    def note_index(table, baseline, candidate, *, n_tests, key):
        levels[key] = n_tests
        return compare_index(table, baseline, candidate, n_tests=n_tests, key=key)

    monkeypatch.setattr(builder.paired, "compare", note)
    monkeypatch.setattr(builder.index_intervals, "compare_index", note_index)
    document = build(rows_of({"gru": [2.0] * 6, "mlp": [1.0] * 6}))
    (pair,) = document["comparisons"]
    assert (pair["baseline"], pair["candidate"], pair["n_tests"]) == ("gru", "mlp", 10)
    assert pair["metrics"]["spectral_loss"]["difference"]["mean"] == -1.0
    assert levels["collapse_index"] == levels["heard_collapse_index"] == 10
    # Eight of the headline beside the indices; indices compare clips once more.
    n_all = len(catalogue.ALL)
    assert levels[10] == 8 + 2 and levels[n_all] == n_all - 10


def test_systems_are_ordered_by_loss_and_the_collapsed_come_last():
    rows = rows_of(
        {"gru": [3.0] * 6, "mlp": [2.0] * 6, "rnn": [1.0] * 6, "odd-seed0": [0.5] * 6}
        | {"odd-seed1": [0.5] * 6},
        lost={
            "gru": [0.0] * 6,
            "mlp": [0.1] * 6,
            "rnn": [0.9] * 6,
            "odd-seed0": [0.0] * 6,
            "odd-seed1": [0.6] * 6,  # one of two trainings
        },
    )
    document = build(rows)
    order = [one["system"] for one in document["leaderboard"]]
    assert order == ["mlp", "gru", "odd", "rnn"]
    assert [one["place"] for one in document["leaderboard"]] == [1, 2, 3, 4]
    assert document["verdict"]["collapsed"] == ["rnn", "odd"]


def test_what_could_not_be_judged_stands_between_healthy_and_collapsed():
    losses = {"gru": [3.0] * 6, "mute": [2.0] * 6, "rnn": [1.0] * 6}
    lost = {"gru": [0.0] * 6, "mute": [0.0] * 6, "rnn": [0.9] * 6}
    rows = rows_of(losses, lost=lost)
    for row in rows:
        row["runs"]["mute"]["sums"] = dict.fromkeys(row["runs"]["mute"]["sums"], 0.0)
    order = [one["system"] for one in build(rows)["leaderboard"]]
    assert order == ["gru", "mute", "rnn"]


def test_a_report_says_what_it_rests_on():
    document = build(rows_of({"gru": [1.0] * 6}))
    facts = ("n_clips", "n_recordings", "unit", "n_units", "index_key")
    assert [document[key] for key in facts] == [6, 5, "recording", 5, "collapse_index"]
    assert document["gates"] and document["comparisons"] == []
    assert system(document, "gru")["is_baseline"]
    # An index's mean is that of all clips together, not the mean of clips'.
    lost = {"gru": [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]}
    found = system(build(rows_of({"gru": [1.0] * 6}, lost=lost)), "gru")
    assert found["index"]["components"]["frozen"] == pytest.approx(1 / 6)
    aggregate = found["metrics"]["collapse_index"]
    assert aggregate["mean"] == pytest.approx(1 / 6 / 1.1)
    # Every clip's sums count, though no clip here has an index of its own.
    assert (aggregate["n"], aggregate["n_skipped"], aggregate["reasons"]) == (6, 0, {})


def test_audio_alone_is_judged_by_what_is_heard_and_has_no_gates():
    rows = rows_of({"gru": [1.0] * 6})
    for row in rows:
        del row["runs"]["gru"]["sums"]
    document = build(rows)
    assert document["index_key"] == "heard_collapse_index"
    assert document["gates"] == []


def test_numbers_that_are_none_become_null():
    found = builder.to_json(
        {"a": math.nan, "b": (math.inf, 1.5), 3: paired.Interval(1.0, math.nan, 2.0)}
    )
    assert found == {
        "a": None,
        "b": [None, 1.5],
        "3": {"mean": 1.0, "low": None, "high": 2.0},
    }
