"""Measurements: speed against stock libraries, memory, and what survives a kill.

Each module is a program of its own, `python -m benchmarks.NAME`, and ends with a line
of JSON. None is installed. Begin at docs/speed.md, which says what they found.
"""

import ddsp_compat  # noqa: F401  (before TensorFlow)
