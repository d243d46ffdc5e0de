"""The report on a dataset: statistics.json and dataset.html.

Finished shards enter, a page to look at before training leaves. Begin at `statistics`.
"""
