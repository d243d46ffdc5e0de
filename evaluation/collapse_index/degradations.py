"""Controlled degradations: healthy controls made to collapse, a bit or all the way.

The collapse index is derived from these and tested against them. `amount` runs from 0
(unchanged) to 1 (collapsed); each degradation leaves alone what the others change.

Source: own; the kinds are the failures that users of DDSP report.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from evaluation.collapse_index import sums
from models.measures import control_arrays
from models.measures import distributions

SILENCE_POWER = 1e-14  # mean square of a frame that is called silent; not log(0)


def frozen(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Mixes every frame's distribution with the mean of all clips."""
    mean = distributions.normalise(
        np.broadcast_to(typical.distribution, clip.harmonic_distribution.shape),
        f0_hz=clip.f0_hz,
        sample_rate=clip.sample_rate,
    )
    mixed = (1.0 - amount) * clip.harmonic_distribution + amount * mean
    return _with_distribution(clip, mixed)


def one_harmonic(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Moves every frame's distribution onto its usual strongest harmonic."""
    target = np.zeros_like(clip.harmonic_distribution)
    target[:, int(np.argmax(typical.distribution))] = 1.0
    mixed = (1.0 - amount) * clip.harmonic_distribution + amount * target
    return _with_distribution(clip, mixed)


def _with_distribution(
    clip: control_arrays.ControlArrays, distribution: np.ndarray
) -> control_arrays.ControlArrays:
    """The clip with another distribution at the same harmonic power."""
    before = clip.harmonic_power
    changed = dataclasses.replace(
        clip,
        harmonic_distribution=distributions.normalise(
            distribution, f0_hz=clip.f0_hz, sample_rate=clip.sample_rate
        ),
    )
    after = changed.harmonic_power
    gain = np.sqrt(np.divide(before, after, out=np.ones_like(after), where=after > 0))
    return dataclasses.replace(changed, amps=clip.amps * gain)


def flat_gain(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Pulls the level of every frame, in dB, to the mean level of all clips."""
    power = np.maximum(clip.power, SILENCE_POWER)
    wanted = typical.level_db * amount + 10.0 * np.log10(power) * (1.0 - amount)
    return _scaled(clip, 10.0 ** (wanted / 10.0) / power)


def noise_takeover(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Turns a share of the harmonic power into noise."""
    del typical
    return dataclasses.replace(
        clip,
        amps=clip.amps * np.sqrt(1.0 - amount),
        noise_power=clip.noise_power + amount * clip.harmonic_power,
    )


def fading(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Turns the whole clip down, in the end to nothing."""
    del typical
    return _scaled(clip, np.full(clip.n_frames, (1.0 - amount) ** 2))


def gaps(
    clip: control_arrays.ControlArrays, amount: float, *, typical: sums.Typical
) -> control_arrays.ControlArrays:
    """Silences frames in stretches of a quarter second, spread over the clip."""
    del typical
    stretch = max(1, clip.frame_rate // 4)
    n_silent = round(amount * stretch)
    silent = np.arange(clip.n_frames) % stretch < n_silent
    return _scaled(clip, np.where(silent, 0.0, 1.0))


def _scaled(
    clip: control_arrays.ControlArrays, power_gain: np.ndarray
) -> control_arrays.ControlArrays:
    """The clip with harmonic and noise power multiplied frame by frame."""
    return dataclasses.replace(
        clip,
        amps=clip.amps * np.sqrt(power_gain),
        noise_power=clip.noise_power * power_gain,
    )


Degradation = Callable[..., control_arrays.ControlArrays]

# Degradation by name, and the component of the index that it must move.
KINDS: dict[str, tuple[Degradation, str]] = {
    "frozen distribution": (frozen, "frozen"),
    "one harmonic": (one_harmonic, "narrow"),
    "flat gain": (flat_gain, "flat"),
    "noise takeover": (noise_takeover, "noisy"),
    "fading to silence": (fading, "silent"),
    "gaps of silence": (gaps, "silent"),
}
