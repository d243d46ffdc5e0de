"""The ends of a model's amplitude scale, for the metric that asks whether it sticks.

Only heads with a fixed lowest and highest amplitude have them: an exp_sigmoid gain and
a gain in decibels. Softplus has no upper end, and the legacy gain is multiplied by a
mean over harmonics, so that its ends move from frame to frame.
"""

import ddsp
import tensorflow as tf

from models.controls import heads


def of_model(model: tf.keras.Model) -> tuple[float, float] | None:
    """Lowest and highest amplitude that a model can play.

    Args:
        model: Of the ladder, or ddsp's own with a harmonic synthesiser.

    Returns:
        Linear amplitudes, or None where the scale has no fixed ends or is not known.
    """
    head = getattr(model, "head", None)
    if isinstance(head, heads.SoftmaxDbHead):
        return 10 ** (head.gain_min_db / 20), 10 ** (head.gain_max_db / 20)
    if type(head) is heads.ExpSigmoidHead or (head is None and _is_stock(model)):
        return heads.THRESHOLD, heads.MAX_VALUE
    return None


def _is_stock(model: tf.keras.Model) -> bool:
    """Whether ddsp's harmonic synthesiser scales the model's outputs by default."""
    group = getattr(model, "processor_group", None)
    return any(
        isinstance(part, ddsp.synths.Harmonic)
        and part.scale_fn is ddsp.core.exp_sigmoid
        for part in getattr(group, "processors", [])
    )
