"""Recordings and what any system made of them, as files: paired, aligned, cut.

Folders, patterns or a table of pairs enter; clips and renderings as `scoring` takes
them leave. Begin at `pairing`.
"""
