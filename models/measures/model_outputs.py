"""Finds the synthesiser controls of any model, and the ends of their scale.

The ladder's models return them as `controls`, finished. ddsp's own models (a run of
`papers/iclr2020/solo_instrument.gin`) return what each processor of the group was fed
after scaling, by the processor's name; what carries `harmonic_distribution` is the
harmonic synth, what carries `magnitudes` the noise.
"""

from collections.abc import Mapping
from typing import Any

import ddsp
import tensorflow as tf

# What a model returns for a batch: tensors by name, and under `controls` and
# `raw_controls`, or the name of a processor of ddsp's, dictionaries of them.
ModelOutputs = dict[str, Any]
NEEDED = ("amps", "harmonic_distribution", "f0_hz")


class NoControlsError(KeyError):
    """A model whose outputs hold no harmonic synthesiser's controls."""


def find_controls(
    outputs: Mapping[str, Any], *, key: str = "controls"
) -> dict[str, tf.Tensor]:
    """Takes the scaled controls from a model's outputs.

    Args:
        outputs: What the model returns for a batch.
        key: Where the ladder's models have them: "controls", or "raw_controls" for
            those before smoothing. ddsp's own have no others than the final ones.

    Returns:
        `amps`, `harmonic_distribution`, `f0_hz` and, where there is a noise part,
        `noise_magnitudes`; each [batch, n_frames, n_channels].

    Raises:
        NoControlsError: If there is no harmonic synthesiser to be found.
    """
    # The ladder's models.
    finished = outputs.get(key)
    if isinstance(finished, Mapping) and set(NEEDED) <= set(finished):
        return dict(finished)

    # ddsp's models: what each processor was fed.
    fed = [
        part["controls"]
        for part in outputs.values()
        if isinstance(part, Mapping) and isinstance(part.get("controls"), Mapping)
    ]
    tone = [one for one in fed if "harmonic_distribution" in one]
    noise = [one for one in fed if "magnitudes" in one]
    if len(tone) != 1 or len(noise) > 1:
        raise NoControlsError(
            f"the model has {len(tone)} harmonic and {len(noise)} noise synthesisers "
            "among its outputs; it must have one harmonic, and one noise at most"
        )
    found = {
        "amps": tone[0]["amplitudes"],
        "harmonic_distribution": tone[0]["harmonic_distribution"],
        "f0_hz": tone[0]["f0_hz"],
    }
    if noise:
        found["noise_magnitudes"] = noise[0]["magnitudes"]
    return found


def is_exp_sigmoid(scaling: Any) -> bool:
    """Tells ddsp's scaling of controls, by name: gin hands out a wrapper of it."""
    name: str = ddsp.core.exp_sigmoid.__name__
    return getattr(scaling, "__name__", "") == name


def find_amps_limits(model: tf.keras.Model) -> tuple[float, float] | None:
    """Finds the ends of a model's amplitude scale, for the saturation rate.

    Args:
        model: Of the ladder, whose head says them, or ddsp's own.

    Returns:
        Lowest and highest linear amplitude, or None where the scale has no fixed ends
        or is not known.
    """
    if hasattr(model, "head"):
        return model.head.amps_limits
    group = getattr(model, "processor_group", None)
    for processor in getattr(group, "processors", []):
        if isinstance(processor, ddsp.synths.Harmonic):
            if is_exp_sigmoid(processor.scale_fn):
                low, high = ddsp.core.exp_sigmoid(tf.constant([-1e3, 1e3])).numpy()
                return float(low), float(high)
    return None
