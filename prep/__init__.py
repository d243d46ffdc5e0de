"""Recordings → TFRecords: reads audio, measures pitch and loudness, writes examples.

Begin at `prep.preparation`, the job from end to end.
"""

from prep import tensorflow_setup  # noqa: F401  (before TensorFlow)
