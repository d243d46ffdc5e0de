"""Synthesisers: from controls to audio.

Controls enter, samples leave. Begin at `harmonic`.
"""
