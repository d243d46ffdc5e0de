"""Measurements: speed against stock libraries, memory, and what survives a kill.

Each module is a program of its own, `python -m benchmarks.NAME`: made-up or shared
recordings enter, tables and a last line of JSON leave. None is installed. Begin at
`bench_training`; docs/speed.md says what they found.
"""

import ddsp_compat  # noqa: F401  (before TensorFlow)
