"""What grows with the number of recordings, workers and examples.

Each module measures one of these, in a process of its own, for
`benchmarks.bench_scale`.
"""
