"""docs/metrics.md's tables against the metrics that reports are made from."""

import math
import pathlib
import re

import pytest

from evaluation.metrics import catalogue
from evaluation.metrics import metric as metric_lib

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
COLUMNS = ["Key", "Definition", "Range", "Better", "Healthy", "Collapsed"]
BETTER = {
    "lower": metric_lib.LOWER,
    "higher": metric_lib.HIGHER,
    "nearer": metric_lib.RECORDING,
}


def read_rows():
    """Rows of the tables of metrics, by key."""
    rows, inside = {}, False
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells == COLUMNS:
            inside = True
        elif inside and not line.startswith("|---"):
            key = cells[0].strip("`")
            assert key not in rows, f"{key} is defined twice"
            rows[key] = dict(zip(COLUMNS, cells, strict=True))
    return rows


def read_range(text):
    """(low, high, unit) of "0 to 1", "≥ 0 dB" or "0 or 1"."""
    number = r"(-?\d+)"
    text = text.replace("\N{MINUS SIGN}", "-")
    if found := re.fullmatch(rf"{number} (?:to|or) {number} ?(\S*)", text):
        return float(found[1]), float(found[2]), found[3]
    found = re.fullmatch(rf"≥ {number} ?(\S*)", text)
    assert found, f"no range: {text}"
    return float(found[1]), math.inf, found[2]


def test_every_metric_has_its_row_and_every_row_a_metric():
    described = {m.key for m in catalogue.ALL} - {m.key for m in catalogue.SCALES}
    assert set(read_rows()) == described


@pytest.mark.parametrize(
    "metric",
    [m for m in catalogue.ALL if m not in catalogue.SCALES],
    ids=lambda m: m.key,
)
def test_range_direction_and_examples_agree(metric):
    row = read_rows()[metric.key]
    assert read_range(row["Range"]) == (metric.low, metric.high, metric.unit)
    assert BETTER[row["Better"]] == metric.better
    written = row["Healthy"], row["Collapsed"]
    assert [t.replace("\N{MINUS SIGN}", "-") for t in written] == [
        metric.healthy,
        metric.collapsed,
    ]
