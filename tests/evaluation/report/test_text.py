"""report.md: escaped, and with the numbers of the page."""

import json
import re

import jsonschema
import numpy as np
import pytest

from evaluation.metrics import catalogue
from evaluation.report import page
from evaluation.report import tables
from evaluation.report import text as report_text
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from tests.helpers import evaluation_helpers as helpers

NASTY = "a|b\x1b[1m\n[x](y) <b>*\\"
CELL_BORDER = re.compile(r"(?<!\\)(?:\\\\)*\|")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of three systems, one of them trained twice."""
    rng = np.random.default_rng(9)
    refs, trackers = helpers.references([57, 64, 71], rng=rng)

    def make(amount):
        change = helpers.degraded("frozen distribution", amount)
        return helpers.system(refs, trackers, change=change, rng=rng)

    systems = {"stage5": make(0.1), NASTY: make(0.3)}
    systems |= {"stage1-seed1": make(0.2), "stage1-seed2": make(0.9)}
    path = tmp_path_factory.mktemp("text")
    helpers.write_report_inputs(path, systems, refs, baseline="stage5", n_media=1)
    page.write(path)
    return path


@pytest.fixture
def text(folder):
    return (folder / page.TEXT_NAME).read_text()


@pytest.fixture
def document(folder):
    return json.loads((folder / builder.SUMMARY_NAME).read_text())


def section(text, title):
    """The tables' rows below a heading, cell by cell."""
    body = text.split(f"# {title}\n", 1)[1].split("\n#", 1)[0]
    rows = [line for line in body.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", r)[1:-1]] for r in rows]


def test_summary_of_several_trainings_keeps_to_its_schema(document):
    jsonschema.validate(document, helpers.SUMMARY_SCHEMA)
    assert document["verdict"]["collapsed_runs"] == ["stage1-seed2"]


def test_rendering_twice_gives_the_same_bytes(folder):
    names = (page.PAGE_NAME, page.TEXT_NAME)
    before = [(folder / name).read_bytes() for name in names]
    page.write(folder)
    assert [(folder / name).read_bytes() for name in names] == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("*x* `y`", r"\*x\* \`y\`"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\x07", r"\\x1b[31mred\\x07"),
        ("[a](b) [c][d]", r"[a]\(b) [c]\[d]"),
        ("[0.1, 0.2]", "[0.1, 0.2]"),
        (3, "3"),
    ],
)
def test_values_are_escaped(value, expected):
    assert report_text.escape(value) == expected


def test_no_name_breaks_a_table_or_the_page(text):
    assert NASTY not in text and "<b>" not in text
    assert report_text.escape(NASTY) in text
    width, checked = 0, 0
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if not line.startswith("|"):
            continue
        n_borders = len(CELL_BORDER.findall(line))
        width = n_borders if not before.startswith("|") else width
        assert n_borders == width, line
        checked += 1
    assert checked > 50


def test_leaderboard_stands_in_the_text(text, document):
    rows = section(text, "Leaderboard")[2:]
    places = [entry["system"] for entry in document["leaderboard"]]
    assert [row[1] for row in rows] == [report_text.escape(name) for name in places]
    assert all("123,456" in row for row in rows)


def test_kinds_of_collapse_stand_in_the_text(text, document):
    head, _, *rows = section(text, "Kinds of collapse")
    assert len(rows) == 5
    column = head.index("stage1")
    index = next(s["index"] for s in document["systems"] if s["name"] == "stage1")
    for row in rows:
        numbers = [
            tables.number(index[part][row[0]], decimals=2)
            for part in ("severities", "components")
        ]
        assert row[column] == "{} ({})".format(*numbers)


def test_values_by_training_stand_in_the_text(text, document):
    head, _, *rows = section(text, "Every number")
    column = head.index("By run")
    index = next(s["index"] for s in document["systems"] if s["name"] == "stage1")
    row = next(r for r in rows if r[:2] == ["Collapse index", "stage1"])
    assert row[column] == ", ".join(
        tables.number(value) for value in index["by_run"].values()
    )


def test_two_means_of_recordings_have_two_names(text, document):
    """The recordings' own mean, and that over the clips in which a system counts."""
    assert "Recording" in section(text, "Scores")[0]
    head = section(text, "Every number")[0]
    assert "Recording, same clips" in head and "Recording" not in head


def test_intervals_are_described_as_they_are_made(document):
    document |= {"n_units": 6, "unit": "recording"}
    told = dict(report_text.describe_settings(document))["Intervals"]
    assert told == (
        "95%, bootstrap over 6 recordings, 9999 resamples, at least as wide as "
        "Student's t"
    )


def test_cost_and_configurations_stand_in_the_text(text):
    head, _, *rows = section(text, "Runs")
    assert len(rows) == 4
    costs = ["Render 1 s", "Training step", "Forward, backward"]
    costs += ["Memory of training", "Memory of judging, so far"]
    for row in rows:
        found = [row[head.index(name)] for name in costs]
        assert found == ["0.050 s", "250 ms", "200 ms", "1100 MB", "900 MB"]
    head, _, row = section(text, "What differs between their configurations")
    assert row[0] == "Decoder.name"
    assert row[head.index("stage1-seed2")] == "'stage1-seed2'"


def test_every_clip_stands_in_the_text(text, folder):
    rows = section(text, "Every clip")[2:]
    scores = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    assert len(rows) == len(scores) * 4
    found = {(row[0], row[2]): row[3:] for row in rows}
    for one in scores:
        values = one["runs"]["stage1-seed2"]["values"]
        expected = [tables.number(values[key]) for key in catalogue.HEADLINE]
        assert found[one["clip"], "stage1-seed2"] == expected
