"""Several instruments' scorecards as one, by numbers on paper."""

import json
import math
import pathlib

import numpy as np
import pytest

from evaluation import run_matrix
from evaluation.matrix import across
from evaluation.matrix import instruments
from evaluation.matrix import scorecards
from evaluation.summary import builder
from evaluation.summary import gates
from evaluation.summary import index_intervals
from evaluation.summary import paired
from prep import errors

FIVE = ("flute", "trumpet", "clarinet", "saxophone", "viola")
GRU = "stage5"


def system(name, *, index=0.2, half=0.1, loss=5.0, loudness=1.0):
    ends = (None, None) if index is None else (index - half, index + half)
    interval = dict(zip(("mean", "low", "high"), (index, *ends), strict=True))
    return {
        "name": name,
        "index": {"interval": interval},
        "metrics": {
            "spectral_loss": {"mean": loss},
            "loudness_distance": {"mean": loudness},
        },
    }


def document(*systems, baseline=GRU, states=None):
    """A summary.json as far as the matrix reads it."""
    names = [one["name"] for one in systems]
    known = {name: {"state": (states or {}).get(name, "healthy")} for name in names}
    return {
        "schema_version": builder.SCHEMA_VERSION,
        "baseline": baseline,
        "verdict": {"headline": "H.", "caution": "", "systems": known},
        "leaderboard": [{"system": name} for name in names],
        "systems": list(systems),
        "gates": [],
        "comparisons": [],
        "clips": [],
        "runs": {},
    }


def joined(documents):
    cards = {
        name: scorecards.checked_json.build(scorecards.Scorecard, one, name)
        for name, one in documents.items()
    }
    return instruments.Instruments(cards)


def together(values, names=FIVE, **others):
    """stage1 with a value of its own on each instrument, beside an even GRU."""
    key = next(iter(values))
    return joined(
        {
            name: document(system("stage1", **{key: value}), system(GRU), **others)
            for name, value in zip(names, values[key], strict=False)
        }
    )


# --- what is pooled ---


def test_the_mean_loss_is_geometric():
    every = together({"loss": (4.0, 9.0)})
    assert every.mean_loss("stage1") == pytest.approx(6.0)


def test_losses_are_compared_as_shares_of_the_baseline_s():
    """+20 % and −10 % of losses that differ by a factor of ten: +5 %, not +8 or −8."""
    every = joined(
        {
            "a": document(system("stage1", loss=1.2), system(GRU, loss=1.0)),
            "b": document(system("stage1", loss=9.0), system(GRU, loss=10.0)),
        }
    )
    loss, index = every.compare(GRU, "stage1", n_tests=1)
    assert loss.difference.mean == pytest.approx(0.05)
    assert loss.share_better == 0.5
    assert (loss.unit, loss.n_units, loss.n_clips) == ("instrument", 2, 2)
    assert loss.reason == "only 2 instruments; 5 needed"
    assert index.difference.mean == pytest.approx(0.0)


def test_a_difference_is_decided_over_instruments():
    every = together({"loss": (5.4, 5.5, 5.6, 5.5, 5.5)})
    loss, _ = every.compare(GRU, "stage1", n_tests=3)
    assert loss.outcome == paired.WORSE
    assert loss.difference.mean == pytest.approx(0.1)
    # Student's t with four degrees of freedom at 0.05 / 3: 4.002 standard errors.
    standard_error = np.std([0.08, 0.1, 0.12, 0.1, 0.1], ddof=1) / math.sqrt(5)
    reach = loss.simultaneous.high - loss.simultaneous.mean
    assert reach == pytest.approx(3.96 * standard_error, rel=0.05)
    assert loss.simultaneous.high > loss.difference.high
    one_ill = together({"loss": (5.4, 5.5, 5.6, 5.5, 2.0)})
    loss, _ = one_ill.compare(GRU, "stage1", n_tests=3)
    assert loss.outcome == paired.UNDECIDED
    assert loss.reason == "the interval includes zero"


def test_an_instrument_without_a_score_is_counted_as_skipped():
    every = together({"loudness": (1.5, None, 2.5)})
    differences = every.means("stage1", "loudness_distance") - every.means(
        GRU, "loudness_distance"
    )
    found = instruments.compare_instruments(differences, n_tests=1)
    assert (found.n_units, found.n_skipped) == (2, 1)
    assert found.difference.mean == pytest.approx(1.0)
    unknown = instruments.compare_instruments(np.array([np.nan]), n_tests=1)
    assert math.isnan(unknown.difference.mean) and math.isnan(unknown.share_better)
    assert np.isnan(every.means("stage1", "no_such_metric")).all()


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (0.2, index_intervals.HEALTHY),
        (0.45, index_intervals.OPEN),  # its own interval holds the threshold
        (0.8, index_intervals.OPEN),
    ],
)
def test_healthy_is_what_is_healthy_on_every_instrument(last, state):
    found = together({"index": (0.2, 0.2, 0.2, 0.2, last)}).index("stage1")
    assert found.state == state
    assert found.interval.mean == pytest.approx((0.8 + last) / 5)
    assert found.by_run["viola"] == last
    assert (found.unit, found.n_units) == ("instrument", 5)


def test_an_index_stays_between_its_ends():
    found = together({"index": (0.0, 0.0, 0.0, 0.0, 0.3)}).index("stage1")
    assert found.interval.low == 0.0
    assert found.interval.mean == pytest.approx(0.06)


# --- what does not fit ---


def test_systems_of_some_instruments_alone_are_left_out():
    every = joined(
        {
            "a": document(system("stage1"), system("stage2"), system(GRU)),
            "b": document(system("stage1"), system(GRU), system("stage3")),
        }
    )
    assert every.systems == ["stage1", GRU]
    assert every.left_out == {"stage2": ["b"], "stage3": ["a"]}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (document(system("x"), system(GRU)), "1 systems in common"),
        (document(system("stage1"), system(GRU), baseline="stage1"), "one --baseline"),
    ],
    ids=["other systems", "another baseline"],
)
def test_reports_that_do_not_fit_together_are_refused(second, message):
    with pytest.raises(errors.InputError, match=message):
        joined({"a": document(system("stage1"), system(GRU)), "b": second})


def test_a_baseline_that_one_instrument_lacks_is_refused():
    three = [system("stage1"), system("stage2")]
    with pytest.raises(errors.InputError, match="judged on every instrument"):
        joined({"a": document(*three, system(GRU)), "b": document(*three)})


# --- the plan's questions, over instruments ---


def answers(every):
    found = gates.decide_all(every, {name: every.index(name) for name in every.systems})
    return {gate.key: gate for gate in found}


def test_the_lowest_rung_is_asked_of_all_instruments_together():
    """Within 5 % of the best's loss, and 0.1 of its index, with whole intervals."""
    found = answers(together({"loss": (5.1, 5.2, 5.1, 5.2, 5.1)}))["lowest_rung"]
    assert found.answer == "stage1"
    assert found.evidence[0] == "Best: the paper's GRU (stage 5), spectral loss 5.000."
    assert "spectral loss 0.028 [" in found.evidence[1]
    assert "against a margin of 0.050" in found.evidence[1]
    found = answers(together({"loss": (5.5, 5.6, 5.5, 5.6, 5.5)}))["lowest_rung"]
    assert found.answer == GRU


def test_four_instruments_decide_nothing():
    found = answers(together({"loss": (5.1, 5.2, 5.1, 5.2)}))["lowest_rung"]
    assert found.answer == gates.OPEN
    assert found.evidence == ["Only 4 to judge by; 5 needed."]


def test_a_rung_resolves_collapse_that_is_healthy_on_every_instrument():
    found = answers(together({"index": (0.1, 0.2, 0.1, 0.2, 0.1)}))["stage1_resolves"]
    assert found.answer == gates.YES
    assert "over 5 instruments, mean of flute 0.100, trumpet 0.200" in found.evidence[0]
    found = answers(together({"index": (0.1, 0.2, 0.1, 0.2, 0.9)}))["stage1_resolves"]
    assert found.answer == gates.OPEN


# --- the files ---


def write_reports(folder, losses, **states):
    for name, loss in zip(FIVE, losses, strict=False):
        (folder / name).mkdir()
        text = json.dumps(
            document(system("stage1", loss=loss), system(GRU), states=states)
        )
        (folder / name / builder.SUMMARY_NAME).write_text(text)
    return {name: folder / name for name in FIVE[: len(losses)]}


def test_the_page_says_each_number_once(tmp_path):
    reports = write_reports(
        tmp_path, (5.4, 5.5, 5.6, 5.5, 5.5), stage1="probably healthy"
    )
    text = across.write(tmp_path, reports, command=["ddsp_matrix", "--across=x y"])
    lines = text.splitlines()
    assert lines[0] == "# 5 instruments together"
    assert "`ddsp_matrix '--across=x y'`" in lines
    gru, mlp = (line for line in lines if " healthy | " in line)  # the lower loss first
    assert gru == "| stage5 | 0.20 [0.20, 0.20] | 5 healthy | – | – |"
    assert mlp.startswith("| stage1 | 0.20 [0.20, 0.20] | 5 probably healthy | +10.0 [")
    assert mlp.endswith("] worse | +0.00 [+0.00, +0.00] open |")
    assert "| stage1 | 5.40 | 5.50 | 5.60 | 5.50 | 5.50 |" in lines
    assert "| stage1 | " + " | ".join(["0.20 [0.10, 0.30]"] * 5) + " |" in lines
    assert any(line.startswith("- Which is the lowest rung") for line in lines)
    written = json.loads((tmp_path / across.JSON_NAME).read_text())
    assert [one["system"] for one in written["systems"]] == [GRU, "stage1"]
    assert written["systems"][1]["loss"]["outcome"] == paired.WORSE
    assert written["reports"]["flute"] == str(tmp_path / "flute")
    png = (tmp_path / across.FIGURE_NAME).read_bytes()
    assert png.startswith(b"\x89PNG")
    page = (tmp_path / across.TEXT_NAME).read_text()
    assert page.startswith(text) and across.FIGURE_NAME in page


def test_few_instruments_are_told_without_an_interval(tmp_path):
    text = across.write(tmp_path, write_reports(tmp_path, (5.5, 5.5)), command=[])
    assert "| +10.0 (only 2 instruments; 5 needed) |" in text
    assert "| stage1 | 0.20 | 2 healthy |" in text


def test_a_system_without_a_loss_on_one_instrument_is_said_and_stands_last(
    tmp_path, monkeypatch
):
    reports = write_reports(tmp_path, (None, 4.0))
    told = []
    monkeypatch.setattr(
        across.axes.Axes, "text", lambda ax, x, y, words, **k: told.append((y, words))
    )
    text = across.write(tmp_path, reports, command=[])
    sentence = "stage1 has no spectral loss on flute, and so no mean over instruments"
    assert sentence in text
    rows = json.loads((tmp_path / across.JSON_NAME).read_text())["systems"]
    assert [row["system"] for row in rows] == [GRU, "stage1"]
    assert told == [(1, "none on flute")]
    # The best is a rung that has a mean.
    found = answers(together({"loss": (4.0, 4.0, None, 4.0, 4.0)}))["lowest_rung"]
    assert found.evidence[0].startswith("Best: the paper's GRU (stage 5)")


def test_an_index_that_one_instrument_lacks_is_said():
    every = together({"index": (0.2, None)})
    rows = instruments.summarise(every)
    text = instruments.to_text(every, rows, [], command=[])
    assert "stage1 has no collapse index on trumpet, and so no mean over" in text
    assert across.draw(rows).startswith(b"\x89PNG")


def test_a_loss_that_nobody_has_decides_nothing():
    every = joined(
        {
            name: document(system("stage1", loss=None), system(GRU, loss=None))
            for name in FIVE
        }
    )
    found = answers(every)["lowest_rung"]
    assert (found.answer, len(found.evidence)) == (gates.OPEN, 1)
    assert across.draw(instruments.summarise(every)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["viola"], "NAME:FOLDER"),
        ([":folder"], "NAME:FOLDER"),
        (["viola:"], "NAME:FOLDER"),
        (["viola:a", "viola:b"], "twice"),
        (["viola:a"], "one instrument"),
    ],
)
def test_words_that_name_no_reports_are_refused(words, message):
    with pytest.raises(errors.InputError, match=message):
        run_matrix.read_reports(words)


def test_reports_are_read_from_words():
    found = run_matrix.read_reports(["viola:a/b:c", "flute:~/x"])
    assert found["viola"] == pathlib.Path("a/b:c")
    assert found["flute"] == pathlib.Path.home() / "x"
    assert run_matrix.read_reports([]) == {}


def test_the_program_joins_reports_and_trains_nothing(tmp_path, capsys):
    reports = write_reports(tmp_path, (5.5, 5.5))
    values = run_matrix.flags.FlagValues()
    run_matrix.define_flags(run_matrix.command_line.FlagGroups(values))
    output = tmp_path / "all"
    values(
        ["ddsp_matrix", f"--output={output}"]
        + [f"--across={name}:{at}" for name, at in reports.items()]
    )
    assert run_matrix.run(values) == 0
    assert f"Results: {output / across.TEXT_NAME}" in capsys.readouterr().out
    assert sorted(path.name for path in output.iterdir()) == [
        across.JSON_NAME,
        across.TEXT_NAME,
        across.FIGURE_NAME,
    ]


def test_a_report_that_is_not_there_is_named(tmp_path):
    reports = write_reports(tmp_path, (5.5, 5.5))
    (reports["trumpet"] / builder.SUMMARY_NAME).unlink()
    with pytest.raises(errors.InputError, match=r"trumpet/summary.json cannot be read"):
        across.write(tmp_path, reports, command=[])
    (reports["trumpet"] / builder.SUMMARY_NAME).write_text(
        json.dumps({**document(system("stage1")), "leaderboard": [{"system": "y"}]})
    )
    with pytest.raises(errors.InputError, match=r"nothing is said of \['y'\]"):
        across.write(tmp_path, reports, command=[])
