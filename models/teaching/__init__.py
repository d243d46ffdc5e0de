"""Lessons before training: the instrument's own controls, learnt without a synth.

The training recordings' measured controls enter, a model that decodes them leaves; the
spectral loss then finishes it. Begin at `lessons`. `targets` measures a dataset once,
`warm_up` starts the decoder from the data and trains it. The loss is
`models.losses.teacher`, which also anchors the training that follows.
"""
