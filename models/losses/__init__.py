"""Losses on audio, and penalties on controls.

Audio and controls enter, one scalar a term leaves. Begin at `terms`.
"""
