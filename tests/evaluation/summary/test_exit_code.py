"""The exit codes of ddsp_report, and what stderr says with them."""

import pathlib
import re

import numpy as np
import pytest

from evaluation import evaluate
from evaluation import run_report
from evaluation.report import page as report_page
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from evaluation.summary import exit_code
from prep import command_line
from tests.helpers import evaluation_helpers as helpers
from tests.helpers import programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made():
    """Recordings, with a healthy and a collapsed rendering of them."""
    rng = np.random.default_rng(5)
    refs, trackers = helpers.references([57, 64, 71], rng=rng)
    change = {
        "healthy": helpers.degraded("frozen distribution", 0.1),
        "dead": helpers.degraded("flat gain", 0.95),
    }
    return refs, {
        kind: helpers.system(refs, trackers, change=one, rng=rng)
        for kind, one in change.items()
    }


def judge(made, monkeypatch, folder, *, baseline, skipped=(), **kinds):
    """Runs the program over made-up runs; returns its code."""
    refs, rendered = made
    runs = {name.replace("_", "-"): rendered[kind] for name, kind in kinds.items()}

    def stand_in(choice, *, output, options):
        system = rows_lib.system_name(choice.baseline.name)
        document = helpers.write_report_inputs(
            output, runs, refs, baseline=system, n_media=0
        )
        document["skipped_runs"] = list(skipped)
        builder.write_summary(document, output / builder.SUMMARY_NAME)
        return document

    monkeypatch.setattr(evaluate, "evaluate", stand_in)
    candidates = [f"--candidate=runs/{name}" for name in runs if name != baseline]
    words = (f"--baseline=runs/{baseline}", f"--output={folder}", "--fail_if_collapsed")
    return command_line.run_words(run_report.PROGRAM, [*words, *candidates])


@pytest.mark.parametrize(
    ("kinds", "code", "said"),
    [
        ({"stage5": "healthy", "stage1": "healthy"}, 0, ""),
        ({"stage5": "dead", "stage1": "healthy"}, 0, ""),
        ({"stage5": "healthy", "stage1": "dead"}, 1, "collapsed: stage1."),
        (
            {"stage5": "healthy", "stage5_seed1": "dead"},
            1,
            "collapsed: stage5-seed1 (of the baseline's system).",
        ),
        (
            {
                "stage5": "healthy",
                "stage1": "healthy",
                "stage1_seed1": "healthy",
                "stage1_seed2": "dead",
            },
            1,
            "collapsed: stage1-seed2.",
        ),
    ],
    ids=["healthy", "baseline only", "candidate", "twin of the baseline", "one seed"],
)
def test_the_gate_judges_every_training(
    made, monkeypatch, tmp_path, capsys, kinds, code, said
):
    assert judge(made, monkeypatch, tmp_path, baseline="stage5", **kinds) == code
    lines = capsys.readouterr().err.splitlines()
    found = [line for line in lines if "collapsed:" in line]
    assert found == ([f"ddsp_report: {said}"] if said else [])


def test_the_report_says_that_one_training_collapsed(made, monkeypatch, tmp_path):
    kinds = {"stage1": "healthy", "stage1_seed1": "healthy", "stage1_seed2": "dead"}
    judge(made, monkeypatch, tmp_path, baseline="stage5", stage5="healthy", **kinds)
    sentence = "stage1 has collapsed in 1 of 3 trainings: stage1-seed2."
    for name in (report_page.PAGE_NAME, report_page.TEXT_NAME):
        text = (tmp_path / name).read_text()
        assert sentence in text
        assert re.search(
            r"3 trainings: stage1 0\S+ stage1-seed1 0\S+ stage1-seed2", text
        )
        assert "Each system was trained once" not in text


def test_the_baseline_s_other_trainings_are_told_of_in_one_line(
    made, monkeypatch, tmp_path, capsys
):
    kinds = {"stage5": "healthy", "stage5_seed1": "healthy", "stage5_seed2": "healthy"}
    assert judge(made, monkeypatch, tmp_path, baseline="stage5", **kinds) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "stage5-seed1, stage5-seed2 are other trainings of the baseline's" in line
    page = (tmp_path / report_page.PAGE_NAME).read_text()
    assert "<h1>stage5, trained 3 times</h1>" in page


def test_a_skipped_run_does_not_pass_the_gate(made, monkeypatch, tmp_path, capsys):
    skipped = [{"run": "stage2", "reason": "its training <diverged> | early"}]
    kinds = {"stage5": "healthy", "stage1": "healthy"}
    code = judge(
        made, monkeypatch, tmp_path, baseline="stage5", skipped=skipped, **kinds
    )
    assert code == exit_code.EXIT_UNJUDGED
    assert "skipped and so not judged: stage2." in capsys.readouterr().err
    page = (tmp_path / report_page.PAGE_NAME).read_text()
    text = (tmp_path / report_page.TEXT_NAME).read_text()
    assert "<strong>stage2</strong>: its training &lt;diverged&gt; | early" in page
    assert r"**stage2**: its training &lt;diverged&gt; \| early" in text
    assert "1 run skipped, see Runs" in page and "1 run skipped, see Runs" in text


@pytest.mark.parametrize(
    ("collapsed", "unjudged", "code"),
    [
        ([], [], 0),
        ([], ["stage1"], exit_code.EXIT_UNJUDGED),
        ([], ["stage5"], 0),
        (["stage2"], ["stage1"], exit_code.EXIT_COLLAPSED),
    ],
)
def test_what_could_not_be_judged_does_not_pass(collapsed, unjudged, code):
    document = {
        "baseline": "stage5",
        "systems": [{"name": "stage5", "runs": ["stage5"]}],
        "verdict": {"collapsed_runs": collapsed, "unjudged_runs": unjudged},
        "skipped_runs": [],
    }
    found, told = exit_code.decide(document, excused=["stage5"])
    assert found == code
    assert any("could not be judged: stage1" in x for x in told) == (
        "stage1" in unjudged
    )


def test_a_file_without_a_counterpart_is_no_system_that_was_skipped():
    document = {
        "verdict": {"collapsed_runs": [], "unjudged_runs": []},
        "skipped_runs": [{"run": "outs/notes.wav", "reason": "no recording"}],
        "index_key": "heard_collapse_index",
    }
    assert exit_code.decide(document, excused=[]) == (0, [])


@pytest.mark.slow
@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--bad", 2), ("bad", 2)])
def test_the_program_itself_keeps_to_its_codes(word, code, tmp_path):
    words = ("-m", "evaluation.run_report", "--baseline=x", word)
    programs.run(programs.PYTHON, *words, code=code)
