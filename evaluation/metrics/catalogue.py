"""Every metric: what it is called, how it is read, which way is better.

The report's tables and the comparison take names, units and directions from here. The
tables of docs/metrics.md repeat units, ranges, directions and example values, and a
test compares them (tests/evaluation/metrics/test_docs.py).

`better` is "lower", "higher" or "recording": closer to the recording's own value.
"""

from evaluation.metrics import collapse_catalogue
from evaluation.metrics import fidelity_catalogue

INDEX = collapse_catalogue.INDEX
HEARD_INDEX = collapse_catalogue.HEARD_INDEX
COLLAPSE = collapse_catalogue.COLLAPSE
FIDELITY = fidelity_catalogue.FIDELITY
SCALES = fidelity_catalogue.SCALES

ALL = (INDEX, HEARD_INDEX, *COLLAPSE, *FIDELITY, *SCALES)
BY_KEY = {metric.key: metric for metric in ALL}

# What the verdict rests on and the first table shows; the family over which the
# comparison is corrected for testing several things at once.
HEADLINE = (
    "collapse_index",
    "heard_collapse_index",
    "spectral_loss",
    "spectral_mag",
    "spectral_logmag",
    "loudness_distance",
    "pitch_error_cents",
    "harmonic_distribution_entropy",
    "top1_share",
    "noise_share",
)
