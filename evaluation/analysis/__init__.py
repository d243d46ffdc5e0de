"""Controls of one clip as arrays, measured from a recording or taken from a model.

Audio and pitch enter, controls and the frames that count leave. Begin at `recording`.
"""
