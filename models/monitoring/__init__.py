"""Observation of a training: held-out distance, statistics, alarms, dumps.

Outputs of the held-out batch enter, rows of metrics and warnings leave. Begin at
`observer`.
"""
