"""Finds the synthesiser controls in what a model returns.

The ladder's models return them as `controls`, finished. ddsp's own models (a run of
`papers/iclr2020/solo_instrument.gin`) return what each processor of the group was fed
after scaling, by the processor's name; what carries `harmonic_distribution` is the
harmonic synth, what carries `magnitudes` the noise.
"""

from collections.abc import Mapping
from typing import Any

NEEDED = ("amps", "harmonic_distribution", "f0_hz")


def find_controls(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Takes the scaled controls from a model's outputs.

    Args:
        outputs: What the model returns for a batch.

    Returns:
        `amps`, `harmonic_distribution`, `f0_hz` and, where there is a noise part,
        `noise_magnitudes`; each [batch, n_frames, n_channels].

    Raises:
        KeyError: If there is no harmonic synthesiser to be found.
    """
    own = outputs.get("controls")
    if isinstance(own, Mapping) and set(NEEDED) <= set(own):
        return dict(own)
    fed = [
        part["controls"]
        for part in outputs.values()
        if isinstance(part, Mapping) and isinstance(part.get("controls"), Mapping)
    ]
    tone = [one for one in fed if "harmonic_distribution" in one]
    noise = [one for one in fed if "magnitudes" in one]
    if len(tone) != 1 or len(noise) > 1:
        raise KeyError(
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
