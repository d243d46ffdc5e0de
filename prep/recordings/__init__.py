"""Recordings: found, looked at from end to end, decoded block by block.

Paths, globs and folders enter; probed recordings and streams of mono samples leave.
Begin at `probe`, which looks at a recording before anything is computed.
"""
