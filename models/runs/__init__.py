"""The run directory: its names, record, checkpoints and log; opening it again.

A run directory enters, a restored model and its facts leave. Begin at `loading`.
"""
