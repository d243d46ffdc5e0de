"""Whether ours computes what ddsp computes: parts, whole models, and their training.

Nothing enters but a dataset for the training; tables and a line of JSON leave. Begin at
`ladder_parity`, which compares parts.
"""
