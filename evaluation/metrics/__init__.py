"""Metrics: what each computes, and how it is named and read.

Controls or audio of one clip enter, scores leave. Begin at `catalogue`.
"""
