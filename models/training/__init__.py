"""Training: from a request on the command line to a finished run.

A request enters, a run directory leaves. Begin at `session`; `loop` is the training
loop.
"""
