"""What a metric says that a healthy and a collapsed case score."""

import re

import pytest

RELATIVE = 0.1  # documented values have two digits, and noise is drawn anew
ABSOLUTE = 0.02  # of values near 0


def first_number(text: str) -> float:
    """The number that a documented example begins with, "0: flat" or "-1.00"."""
    found = re.match(r"-?\d+(\.\d+)?(e-\d+)?", text)
    assert found, f"{text!r} begins with no number"
    return float(found[0])


def as_documented(text: str):
    """What a measured value is compared with."""
    return pytest.approx(first_number(text), rel=RELATIVE, abs=ABSOLUTE)
