"""Measurements on controls and audio, as arrays: once for training and evaluation.

Arrays of one clip or a batch enter, numbers leave; no model is known here. Begin at
`measured_controls` (controls of a recording) and `statistics` (figures of controls).
"""
