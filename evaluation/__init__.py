"""Trained runs → judgement: controls, metrics, comparison, report, rendering.

Begin at `evaluation.evaluate`, which makes a report's three files. Folders are named
after the file that they leave: scoring, summary, report.
"""

import ddsp_compat  # noqa: F401  (before TensorFlow)
