"""What a metric says that a healthy and a collapsed case score."""

import re

import pytest

RELATIVE = 0.1  # documented values have two digits, and noise is drawn anew
ABSOLUTE = 0.02  # of values near 0
# Collapse metrics of the pitched frames alone.
OF_PITCHED_FRAMES = {
    "harmonic_distribution_entropy",
    "effective_harmonics",
    "top1_share",
    "top3_share",
    "modal_share",
    "distribution_flux",
    "static_distance",
    "brightness_loudness",
    "brightness_pitch",
    "noise_share",
}


def first_number(text: str) -> float:
    """The number that a documented example begins with, "0: flat" or "-1.00"."""
    found = re.match(r"-?\d+(\.\d+)?(e-\d+)?", text)
    assert found, f"{text!r} begins with no number"
    return float(found[0])


def as_documented(text: str):
    """What a measured value is compared with."""
    return pytest.approx(first_number(text), rel=RELATIVE, abs=ABSOLUTE)
