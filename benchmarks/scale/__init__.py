"""What grows with the number of recordings, workers and examples.

A size and a folder enter, a line of JSON with seconds and memory leaves; each module
runs in a process of its own, for `benchmarks.bench_scale`. Begin at `stopwatch`.
"""
