import copy
import json
import pathlib
import re

import jsonschema
import numpy as np
import pytest
import soundfile

from evaluation.metrics import catalogue
from evaluation.report import bar_charts
from evaluation.report import charts
from evaluation.report import documents
from evaluation.report import page as report_page
from evaluation.report import tables
from evaluation.report import text as report_text
from evaluation.report import view as report_view
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from evaluation.summary import configurations
from models.runs import configurations as run_configurations
from tests.helpers import evaluation_helpers as helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
NASTY = "<script>alert('x')</script> & \"more\" | *\\*"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of two systems, one of them collapsed, with a nasty name."""
    rng = np.random.default_rng(7)
    refs, trackers = helpers.references([57, 62, 66, 71, 76], rng=rng)
    lively = helpers.degraded("frozen distribution", 0.15)
    dead = helpers.degraded("flat gain", 0.95)
    systems = {
        "stage5": helpers.system(refs, trackers, change=lively, rng=rng),
        NASTY: helpers.system(refs, trackers, change=dead, rng=rng),
    }
    path = tmp_path_factory.mktemp("report")
    helpers.write_report_inputs(path, systems, refs, baseline="stage5")
    report_page.write(path)
    return path


def read(folder):
    return json.loads((folder / builder.SUMMARY_NAME).read_text())


def test_summary_keeps_to_its_schema(folder):
    jsonschema.Draft202012Validator.check_schema(helpers.SUMMARY_SCHEMA)
    jsonschema.validate(read(folder), helpers.SUMMARY_SCHEMA)
    broken = read(folder) | {"n_clips": "five"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, helpers.SUMMARY_SCHEMA)


def test_page_is_the_same_bytes_when_rendered_twice(folder):
    names = (report_page.PAGE_NAME, report_page.TEXT_NAME)
    before = [(folder / name).read_bytes() for name in names]
    report_page.write(folder)
    assert [(folder / name).read_bytes() for name in names] == before


def test_page_fetches_nothing_and_escapes_names(folder):
    page = (folder / report_page.PAGE_NAME).read_text()
    outside = re.findall(r"""(?:src|href)=["'](?!data:|#)([^"']*)""", page)
    assert outside == []
    assert "http://" not in page and "https://" not in page and "@import" not in page
    assert NASTY not in page and "&lt;script&gt;alert" in page
    assert page.count("data:audio/flac") == 3 * 3  # three clips of three tracks


def test_a_run_with_an_instrument_is_linked(folder, tmp_path):
    document = read(folder)
    document["runs"]["stage5"]["instrument"] = str(tmp_path / "my flute.html")
    (tmp_path / builder.SUMMARY_NAME).write_text(json.dumps(document))
    for name in (rows_lib.SCORES_NAME, "media"):
        (tmp_path / name).symlink_to(folder / name)
    report_page.write(tmp_path, place=tmp_path / "report")
    page = (tmp_path / report_page.PAGE_NAME).read_text()
    assert page.count('<a href="../my%20flute.html">Play it</a>') == 1


def test_verdict_names_the_collapse(folder):
    document = read(folder)
    assert document["verdict"]["collapsed"] == [NASTY]
    told = document["verdict"]["systems"]
    assert told["stage5"]["state"] == "healthy"
    assert "level hardly follows" in told[NASTY]["sentence"]
    page = (folder / report_page.PAGE_NAME).read_text()
    assert "level hardly follows" in page


def test_text_and_page_carry_the_summary_s_numbers(folder):
    document = read(folder)
    page = (folder / report_page.PAGE_NAME).read_text()
    text = (folder / report_page.TEXT_NAME).read_text()
    rows = {
        tuple(line.split(" | ")[:2]): line.split(" | ") for line in text.splitlines()
    }
    checked = 0
    for system in document["systems"]:
        for metric in catalogue.ALL:
            aggregate = system["metrics"][metric.key]
            unit = f" ({metric.unit})" if metric.unit else ""
            row = rows[f"| {metric.title}{unit}", report_text.escape(system["name"])]
            assert row[2] == tables.number(aggregate["mean"])
            assert f">{row[2]}</td>" in page
            if aggregate["low"] is not None:
                low, high = (tables.number(aggregate[e]) for e in ("low", "high"))
                assert row[3] == f"[{low}, {high}]" and row[3] in page
            assert row[6] == str(aggregate["n"])
            checked += 1
    assert checked == 2 * len(catalogue.ALL)


def test_missing_scores_show_as_missing(folder):
    document = read(folder)
    rows = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    rows[0]["runs"]["stage5"]["values"]["spectral_loss"] = None
    rows[0]["runs"]["stage5"]["reasons"]["spectral_loss"] = "it was silent"
    view = report_view.build(document, rows)
    column = next(
        place
        for place, one in enumerate(view["clip_columns"])
        if (one["key"], one["run"]) == ("spectral_loss", "stage5")
    )
    cell = view["clip_rows"][0]["cells"][column]
    assert (cell.text, cell.detail, cell.sort) == ("–", "it was silent", "")


def test_aggregates_count_what_they_skip(folder):
    document = read(folder)
    aggregate = document["systems"][0]["metrics"]["voicing_false_alarm"]
    assert aggregate["n"] == 0 and aggregate["n_skipped"] == 5
    assert aggregate["mean"] is None
    assert sum(aggregate["reasons"].values()) == 5


def test_too_much_audio_is_left_out_and_named(folder, monkeypatch):
    document = read(folder)
    rows = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    monkeypatch.setattr(report_page, "MAX_PAGE_BYTES", 300_000)
    shown, left_out = report_page.embed_clips(document, rows, folder)
    assert len(shown) == 1 and len(left_out) == 2
    assert left_out[0] == document["clips"][1]["clip"]


def test_a_table_of_many_clips_leaves_less_room_for_media(folder, monkeypatch):
    document = read(folder)
    rows = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    assert len(report_page.embed_clips(document, rows, folder)[0]) == 3
    per_clip = report_page.CELL_BYTES * len(catalogue.HEADLINE) * 2
    many = rows * (report_page.MAX_PAGE_BYTES // (per_clip * len(rows)) + 1)
    shown, left_out = report_page.embed_clips(document, many, folder)
    assert len(shown) == 1 and len(left_out) == 2


def test_audio_is_the_system_s_own(folder):
    document = read(folder)
    clip = document["clips"][0]
    audio, rate = soundfile.read(folder / clip["folder"] / clip["tracks"][0]["audio"])
    assert rate == helpers.SAMPLE_RATE
    assert audio.size == helpers.CLIP_SECS * helpers.SAMPLE_RATE
    assert [t["who"] for t in clip["tracks"]] == ["recording", "stage5", NASTY]


def test_clips_to_hear_are_the_typical_and_the_extremes():
    rows = [
        {
            "recording_id": f"r{place % 3}",
            "runs": {"x": {"values": {"spectral_loss": loss}}},
        }
        for place, loss in enumerate([5.0, 9.0, 1.0, 4.0, 6.0, None])
    ]
    chosen = documents.choose_clips(rows, run="x", n_wanted=4)
    assert chosen[:3] == [(0, "typical"), (1, "worst"), (2, "best")]
    assert len(chosen) == 4


def test_differences_of_configuration_are_found():
    splits = "splits = \\\n    (('amps', 1),\n     ('x', 2))\n"
    first = f"import x\n# A comment\na.b = 1\n{splits}"
    second = f"a.b = 2\n{splits}new = 'y'\n"
    rows = configurations.differences({"p": {"config": first}, "q": {"config": second}})
    assert rows == [
        {"binding": "a.b", "values": {"p": "1", "q": "2"}},
        {"binding": "new", "values": {"p": None, "q": "'y'"}},
    ]
    assert (
        run_configurations.parse_bindings(first)["splits"] == "(('amps', 1), ('x', 2))"
    )


def test_reasons_count_clips_however_many_trainings_there_are(folder):
    rows = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    for row in rows:
        row["runs"] = {"stage5": row["runs"]["stage5"]} | {
            f"stage1-seed{n}": copy.deepcopy(row["runs"]["stage5"]) for n in (1, 2)
        }

    def lose(row, run, reason):
        rows[row]["runs"][run]["values"]["pitch_error_cents"] = None
        rows[row]["runs"][run]["reasons"]["pitch_error_cents"] = reason

    lose(0, "stage1-seed1", "silent")
    lose(0, "stage1-seed2", "silent")
    lose(1, "stage1-seed2", "silent")
    lose(2, "stage1-seed1", "silent")
    lose(2, "stage1-seed2", "no pitch")
    runs = {name: helpers.facts_of(name) for name in rows[0]["runs"]}
    document = builder.build(
        rows,
        runs=runs,
        baseline="stage5",
        settings={},
        dataset=read(folder)["dataset"],
    )
    aggregate = document["systems"][1]["metrics"]["pitch_error_cents"]
    assert (aggregate["n"], aggregate["n_skipped"]) == (2, 3)
    assert aggregate["reasons"] == {"silent": 2, "silent, no pitch": 1}


def test_an_unknown_baseline_is_refused(folder):
    rows = [json.loads(x) for x in (folder / rows_lib.SCORES_NAME).open()]
    with pytest.raises(KeyError, match="stage9"):
        builder.build(rows, runs={}, baseline="stage9", settings={}, dataset={})


def test_charts_have_gaps_and_descriptions():
    series = charts.Series(
        name="a<b", slot=1, xs=[0, 1, 2, 3], ys=[1.0, None, 2.0, 3.0]
    )
    svg = charts.line_chart([series], title="T", x_label="s", unit="dB")
    assert svg.count("M") == 2 and 'role="img"' in svg and "a&lt;b" in svg
    empty = charts.line_chart(
        [charts.Series("x", 0, [0.0], [None])], title="T", x_label=""
    )
    assert "nothing to show" in empty


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (4, 30, [5, 10, 20]),
        (0.9, 1100, [1, 10, 100, 1000]),
        (5.1, 5.9, [5.2, 5.4, 5.6]),
    ],
)
def test_logarithmic_ticks_are_numbers_that_people_know(low, high, expected):
    ticks = charts.log_ticks(np.log10(low), np.log10(high))
    found = [float(f"{10**tick:.4g}") for tick in ticks]
    assert found[: len(expected)] == expected


@pytest.mark.parametrize(
    ("value", "trainings", "state"),
    [
        (0.3, (), "under"),
        (0.5, (), "over"),
        (0.3, (0.1, 0.5), "over"),
        (0.3, (0.2, 0.4), "under"),
        (None, (), "under"),
    ],
)
def test_a_meter_is_bad_where_one_training_is(value, trainings, state):
    svg = bar_charts.meter(
        value, low=None, high=None, threshold=0.5, label="x", trainings=trainings
    )
    assert f'class="meter {state}"' in svg
    assert svg.count('class="training"') == len(trainings)


def test_bars_are_read_out_to_those_who_cannot_see_them():
    svg = bar_charts.component_bars(
        {"a<b": {"frozen": 0.25, "flat": None}}, threshold=0.5
    )
    assert "a&lt;b: frozen 0.25, flat not determined." in svg


def test_legends_show_a_line_as_it_is_drawn():
    series = charts.Series(name="a", slot=2, xs=[0, 1], ys=[1.0, 2.0])
    chart = charts.line_chart([series], title="T", x_label="s")
    dash = re.search(r'stroke-dasharray="[^"]+"', charts.swatch(2))
    assert dash and dash.group() in chart
    assert "dasharray" not in charts.swatch(0)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.00054, -0.0002], ["+0.00054", "\N{MINUS SIGN}0.00020"]),
        ([0.00316, -0.176, 0.182], ["+0.003", "\N{MINUS SIGN}0.176", "+0.182"]),
        ([-3e-6], ["\N{MINUS SIGN}3.00e-06"]),
        ([0.0, None], ["0.000", "–"]),
        ([-1e-9, 2.0], ["0.000", "+2.000"]),
    ],
)
def test_small_differences_are_not_shown_as_nothing(values, texts):
    assert tables.signed(*values) == texts


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-80, 3), (0.001, 0.002), (5, 5000)])
def test_ticks_are_round_and_inside(low, high):
    ticks = charts.nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_every_metric_is_documented():
    text = (REPOSITORY / "docs" / "metrics.md").read_text()
    missing = [
        m.key
        for m in catalogue.ALL
        if m not in catalogue.SCALES and f"`{m.key}`" not in text
    ]
    assert missing == []
    assert set(catalogue.HEADLINE) <= set(catalogue.BY_KEY)


def test_runs_of_a_system_average_to_its_index(folder):
    for system in read(folder)["systems"]:
        aggregate = system["metrics"]["collapse_index"]
        (by_run,) = aggregate["by_run"].values()
        assert by_run == pytest.approx(aggregate["mean"], rel=1e-12)  # rounding


def test_what_training_heard_is_said_of_its_own_dataset_alone(folder):
    document = read(folder)
    assert report_view._summary_line(document).endswith("that training did not hear")
    document["dataset"]["split"] = "train"
    assert report_view._summary_line(document).endswith("that training heard")
    document["runs"]["stage5"]["plan_hash"] = "another"
    assert report_view._summary_line(document).endswith("from 5 recordings")
