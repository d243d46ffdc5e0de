"""The configuration of a run: parsed, checked and completed by the dataset.

gin files, bindings and a dataset enter, a finished gin configuration leaves. Begin at
`gin_config`.
"""
