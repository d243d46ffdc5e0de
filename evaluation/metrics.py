"""Every metric: what it is called, how it is read, which way is better.

The report's tables and the comparison take names, units and directions from here. The
tables of docs/metrics.md repeat units, ranges, directions and example values, and a
test compares them (tests/test_evaluation_metric_docs.py).

`better` is "lower", "higher" or "recording": closer to the recording's own value.
"""

from evaluation import collapse_metrics
from evaluation import fidelity_metrics

INDEX = collapse_metrics.INDEX
HEARD_INDEX = collapse_metrics.HEARD_INDEX
COLLAPSE = collapse_metrics.COLLAPSE
FIDELITY = fidelity_metrics.FIDELITY
SCALES = fidelity_metrics.SCALES

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
