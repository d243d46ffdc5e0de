"""Pictures of controls: one example at one step, or at several.

Figures are drawn without pyplot, which keeps every figure it makes and is not meant for
programs that run for days. matplotlib is imported when the first is drawn: most
trainings draw none, and it takes a tenth of a start.
"""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence

import numpy as np

from models.measures import control_arrays
from models.measures import distributions
from models.measures import levels

if typing.TYPE_CHECKING:
    from matplotlib import axis as axis_lib
    from matplotlib import figure

_DPI = 100
_BLUE = "#1f6f8b"
_ORANGE = "#d9822b"
_GREY = "#8a8f98"
_MAP = "magma"
_FLOOR_DB = -100.0  # of gains in pictures
_DEPTH_DB = 70.0  # shown of a spectrum below its loudest part
_LEAST_SPAN_DB = 10.0  # of an axis, so that a still curve looks still
_GAIN_LEAST = 1e-6
WAVETABLE_SIZE = 512  # samples of one period


@dataclasses.dataclass(frozen=True)
class Shown:
    """Controls of one example, [n_frames(, n)]; `frame` is shown in full."""

    f0_hz: np.ndarray
    f0_confidence: np.ndarray
    loudness_db: np.ndarray
    amps: np.ndarray
    harmonic_distribution: np.ndarray
    noise_magnitudes: np.ndarray
    raw_amps: np.ndarray
    raw_harmonic_distribution: np.ndarray
    raw_noise_magnitudes: np.ndarray
    step: int
    name: str
    frame: int
    sample_rate: int
    frame_rate: int

    @property
    def times(self) -> np.ndarray:
        """Seconds of each frame."""
        return np.arange(len(self.amps)) / self.frame_rate


def _new_figure(width: float, height: float) -> "figure.Figure":
    """An empty figure, in inches."""
    from matplotlib import figure

    return figure.Figure(figsize=(width, height), layout="constrained")


def _mark_whole_numbers(axis: "axis_lib.Axis") -> None:
    """Puts ticks at whole numbers only."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.MaxNLocator(integer=True))


def decibels(values: np.ndarray) -> np.ndarray:
    """Linear → dB, not below the floor of the pictures."""
    return np.maximum(20.0 * np.log10(np.maximum(values, _GAIN_LEAST)), _FLOOR_DB)


def noise_db(magnitudes: np.ndarray) -> np.ndarray:
    """Level of the filtered noise in dB, not below the floor of the pictures."""
    return levels.power_db(control_arrays.noise_power(magnitudes), floor_db=_FLOOR_DB)


def overview(shown: Shown, path: pathlib.Path) -> None:
    """Gains and voicing; the distribution over time; one frame; the noise filter."""
    fig = _new_figure(11, 7)
    axes = fig.subplots(2, 3)
    fig.suptitle(f"{shown.name}, step {shown.step}", fontsize=11)
    _draw_gains(axes[0, 0], shown)
    _draw_distribution(fig, axes[0, 1], shown)
    _draw_noise_over_time(fig, axes[0, 2], shown)
    _draw_one_distribution(axes[1, 0], shown)
    _draw_wavetable(axes[1, 1], shown)
    _draw_noise_filter(axes[1, 2], shown)
    fig.savefig(path, dpi=_DPI)


def _draw_gains(axis, shown: Shown) -> None:
    axis.plot(shown.times, decibels(shown.amps), color=_BLUE, label="harmonic gain")
    noise = noise_db(shown.noise_magnitudes)
    axis.plot(shown.times, noise, color=_ORANGE, label="noise level")
    axis.plot(
        shown.times,
        shown.loudness_db,
        color=_GREY,
        lw=0.8,
        label="recording's loudness",
    )
    axis.set(title="gains and voicing", xlabel="s", ylabel="dB", ylim=(_FLOOR_DB, 20))
    voicing = axis.twinx()
    voicing.fill_between(
        shown.times, shown.f0_confidence, color=_GREY, alpha=0.15, lw=0
    )
    voicing.set(ylim=(0, 1), yticks=[])
    axis.legend(fontsize=7, loc="lower right")


def _image(fig, axis, values: np.ndarray, *, extent, label: str) -> None:
    """Values in dB as a picture, time to the right."""
    drawn = axis.imshow(
        values.T,
        aspect="auto",
        origin="lower",
        extent=extent,
        cmap=_MAP,
        vmin=values.max() - _DEPTH_DB,
        vmax=values.max(),
        interpolation="nearest",
    )
    bar = fig.colorbar(drawn, ax=axis, pad=0.01)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(label, fontsize=7)


def _draw_distribution(fig, axis, shown: Shown) -> None:
    n_harmonics = shown.harmonic_distribution.shape[-1]
    extent = (0, len(shown.amps) / shown.frame_rate, 0.5, n_harmonics + 0.5)
    values = decibels(shown.harmonic_distribution)
    _image(fig, axis, values, extent=extent, label="dB of the whole")
    axis.set(title="harmonic distribution", xlabel="s", ylabel="harmonic")
    axis.axvline(shown.frame / shown.frame_rate, color="white", lw=0.7, ls=":")


def _draw_noise_over_time(fig, axis, shown: Shown) -> None:
    extent = (0, len(shown.amps) / shown.frame_rate, 0, shown.sample_rate / 2000)
    _image(fig, axis, decibels(shown.noise_magnitudes), extent=extent, label="dB")
    axis.set(title="noise magnitudes", xlabel="s", ylabel="kHz")


def _draw_one_distribution(axis, shown: Shown) -> None:
    shares = shown.harmonic_distribution[shown.frame]
    axis.bar(np.arange(1, len(shares) + 1), shares, color=_BLUE)
    entropy = distributions.entropy_nats(shares)
    axis.set_title(
        f"{shown.times[shown.frame]:.2f} s, {shown.f0_hz[shown.frame]:.0f} Hz: "
        f"{np.exp(entropy):.1f} effective harmonics",
        fontsize=10,
    )
    axis.set(xlabel="harmonic", ylabel="share")
    _mark_whole_numbers(axis.xaxis)


def wavetable(amps: float, shares: np.ndarray) -> np.ndarray:
    """One period of the harmonic sound of a frame, sines in phase, linear."""
    angle = 2 * np.pi * np.arange(WAVETABLE_SIZE) / WAVETABLE_SIZE
    numbers = np.arange(1, len(shares) + 1)
    return amps * np.sin(angle[:, np.newaxis] * numbers) @ shares


def _draw_wavetable(axis, shown: Shown) -> None:
    shares = shown.harmonic_distribution[shown.frame]
    period = wavetable(float(shown.amps[shown.frame]), shares)
    axis.plot(np.arange(WAVETABLE_SIZE) / WAVETABLE_SIZE, period, color=_BLUE)
    axis.set(title="one period of it", xlabel="period", ylabel="amplitude")


def _draw_noise_filter(axis, shown: Shown) -> None:
    bands = shown.noise_magnitudes[shown.frame]
    kilohertz = np.linspace(0, shown.sample_rate / 2000, len(bands))
    axis.plot(kilohertz, decibels(bands), color=_ORANGE)
    axis.set(title="its noise filter", xlabel="kHz", ylabel="dB")
    _widen(axis, _LEAST_SPAN_DB)


def _widen(axis, least: float) -> None:
    """Makes an axis at least so high, about its middle."""
    low, high = axis.get_ylim()
    missing = max(least - (high - low), 0.0)
    axis.set_ylim(low - missing / 2, high + missing / 2)


def total_variation(values: np.ndarray) -> float:
    """Mean absolute change from frame to frame; summed over channels, if any."""
    change = np.abs(np.diff(values, axis=0))
    return float(np.mean(change.sum(-1) if change.ndim > 1 else change))


def smoothing(shown: Shown, path: pathlib.Path) -> None:
    """Raw beside smoothed controls, with the total variation before and after."""
    pairs = (
        ("harmonic gain", "dB", decibels(shown.raw_amps), decibels(shown.amps)),
        (
            "noise level",
            "dB",
            noise_db(shown.raw_noise_magnitudes),
            noise_db(shown.noise_magnitudes),
        ),
        (
            "share of the first harmonic",
            "",
            shown.raw_harmonic_distribution[:, 0],
            shown.harmonic_distribution[:, 0],
        ),
    )
    # A row a control; the title says how much of its movement smoothing took.
    fig = _new_figure(9, 7)
    axes = fig.subplots(len(pairs), 1, sharex=True)
    fig.suptitle(
        f"before and after smoothing: {shown.name}, step {shown.step}", fontsize=11
    )
    for axis, (title, unit, raw, smoothed) in zip(axes, pairs, strict=True):
        axis.plot(shown.times, raw, color=_GREY, lw=0.8, label="raw")
        axis.plot(shown.times, smoothed, color=_BLUE, lw=1.2, label="smoothed")
        before, after = total_variation(raw), total_variation(smoothed)
        axis.set_title(
            f"{title}: total variation {before:.3g} → {after:.3g} {unit} a frame",
            fontsize=10,
        )
        axis.set_ylabel(unit)
        _widen(axis, _LEAST_SPAN_DB if unit else 0.02)
    axes[0].legend(fontsize=8)
    axes[-1].set_xlabel("s")
    fig.savefig(path, dpi=_DPI)


def comparison(steps: Sequence[Shown], path: pathlib.Path) -> None:
    """Several steps side by side: gains, distribution over time, one frame."""
    fig = _new_figure(2.6 * len(steps) + 1, 6.5)
    axes = fig.subplots(3, len(steps), squeeze=False, sharey="row")
    fig.suptitle(steps[-1].name, fontsize=11)
    # A column a step: gains, distribution over time, one frame of it.
    largest = max(item.harmonic_distribution[item.frame].max() for item in steps)
    for column, shown in zip(axes.T, steps, strict=True):
        column[0].plot(shown.times, decibels(shown.amps), color=_BLUE, lw=1)
        noise = noise_db(shown.noise_magnitudes)
        column[0].plot(shown.times, noise, color=_ORANGE, lw=1)
        column[0].set(title=f"step {shown.step}", ylim=(_FLOOR_DB, 10))
        column[1].imshow(
            decibels(shown.harmonic_distribution).T,
            aspect="auto",
            origin="lower",
            cmap=_MAP,
            vmin=-_DEPTH_DB,
            vmax=0,
            interpolation="nearest",
            extent=(
                0,
                shown.times[-1],
                0.5,
                shown.harmonic_distribution.shape[1] + 0.5,
            ),
        )
        shares = shown.harmonic_distribution[shown.frame]
        column[2].bar(np.arange(1, len(shares) + 1), shares, color=_BLUE)
        column[2].set(ylim=(0, 1.05 * largest), xlabel="harmonic")

    # Harmonics are whole numbers; rows share their labels.
    for axis in axes[2]:
        _mark_whole_numbers(axis.xaxis)
    _mark_whole_numbers(axes[1, 0].yaxis)
    axes[0, 0].set_ylabel("gain (blue), noise, dB")
    axes[1, 0].set_ylabel("harmonic over s")
    axes[2, 0].set_ylabel("share, one frame")
    fig.savefig(path, dpi=_DPI)
