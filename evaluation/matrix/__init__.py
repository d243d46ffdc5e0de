"""The experiment matrix: which trainings there are, and running them.

A preset and a dataset enter, runs, their reports and matrix.json leave. Begin at
`experiments`.
"""
