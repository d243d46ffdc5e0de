"""Decoders: from conditioning inputs to raw controls, one file a decoder.

Named inputs enter, raw outputs of every frame leave. Begin at `base`.
"""
