"""Charts as SVG text, drawn from numbers; colours come from the page's style sheet.

Every chart has a title and a description for screen readers, and series differ by dash
as well as by colour. The same numbers give the same text.
"""

import dataclasses
import html
import math
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

WIDTH, HEIGHT = 640, 190  # units of the view box; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 26
N_TICKS = 4  # about, on each axis
DASHES = ("", "6 3", "2 3", "9 3 2 3", "4 2", "1 2", "8 4", "3 6")


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: In the legend.
        slot: Colour and dash: 0 the recording, 1 the baseline, 2 and on candidates.
        xs: Positions.
        ys: Values, None for a gap.
    """

    name: str
    slot: int
    xs: Sequence[float]
    ys: Sequence[float | None]


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_y: bool = False,
) -> str:
    """Draws lines over a common axis.

    Args:
        series: At least one point among them, or the chart says that there is none.
        title: For screen readers.
        x_label: Axis and unit.
        y_label: Axis and unit.
        log_y: Whether the vertical axis is logarithmic; values <= 0 are gaps then.

    Returns:
        SVG.
    """
    known = [
        (x, _scaled(y, log_y=log_y))
        for one in series
        for x, y in zip(one.xs, one.ys, strict=True)
    ]
    known = [(x, y) for x, y in known if not math.isnan(y)]
    if not known:
        return f'<p class="empty">{html.escape(title)}: nothing to show.</p>'
    xs, ys = (np.array(values) for values in zip(*known, strict=True))
    frame = _Frame.around(xs, ys)
    parts = [_axes(frame, x_label=x_label, y_label=y_label, log_y=log_y)]
    parts += [_path(one, frame, log_y=log_y) for one in series]
    names = ", ".join(one.name for one in series)
    label = html.escape(f"{title}: {names}", quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Data limits of a chart."""

    x0: float
    x1: float
    y0: float
    y1: float

    @classmethod
    def around(cls, xs: np.ndarray, ys: np.ndarray) -> "_Frame":
        low, high = float(ys.min()), float(ys.max())
        margin = 0.06 * (high - low) or 0.5 * (abs(high) or 1.0)
        x0, x1 = float(xs.min()), float(xs.max())
        return cls(x0, x1 if x1 > x0 else x0 + 1.0, low - margin, high + margin)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Data to view box."""
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (y - self.y0) / (self.y1 - self.y0)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )


def _scaled(value: float | None, *, log_y: bool) -> float:
    """The value on the axis' scale, NaN for a gap."""
    if value is None or not math.isfinite(value):
        return math.nan
    if not log_y:
        return value
    return math.log10(value) if value > 0 else math.nan


def _path(one: Series, frame: _Frame, *, log_y: bool) -> str:
    """A line, broken at gaps."""
    commands = []
    pen_down = False
    for x, value in zip(one.xs, one.ys, strict=True):
        y = _scaled(value, log_y=log_y)
        if math.isnan(y):
            pen_down = False
            continue
        left, top = frame.place(x, y)
        commands.append(f"{'L' if pen_down else 'M'}{left:.1f} {top:.1f}")
        pen_down = True
    dash = DASHES[one.slot % len(DASHES)]
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path class="line s{one.slot % len(DASHES)}" d="{"".join(commands)}"{style}/>'
    )


def _axes(frame: _Frame, *, x_label: str, y_label: str, log_y: bool) -> str:
    """Grid lines, numbers and labels."""
    parts = []
    for tick in nice_ticks(frame.y0, frame.y1):
        _, top = frame.place(frame.x0, tick)
        text = _number(10**tick) if log_y else _number(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" '
            f'y2="{top:.1f}"/><text class="tick" x="{LEFT - 5}" y="{top + 4:.1f}" '
            f'text-anchor="end">{text}</text>'
        )
    for tick in nice_ticks(frame.x0, frame.x1):
        left, _ = frame.place(tick, frame.y0)
        parts.append(
            f'<text class="tick" x="{left:.1f}" y="{HEIGHT - BOTTOM + 14}" '
            f'text-anchor="middle">{_number(tick)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="label" x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" '
        f'text-anchor="end">{html.escape(x_label)}</text>'
        f'<text class="label" x="12" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle:.1f})">{html.escape(y_label)}</text>'
    )
    return "".join(parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two limits, about `N_TICKS` of them."""
    step = (high - low) / N_TICKS
    power = 10.0 ** math.floor(math.log10(step))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


def _number(value: float) -> str:
    """A tick's number, short."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if abs(value) >= 10000:
        return f"{value / 1000:.0f}k"
    return f"{value:.4g}"


def meter(
    value: float | None,
    *,
    low: float | None,
    high: float | None,
    threshold: float,
    label: str,
) -> str:
    """Draws a number in [0, 1] as a bar with a threshold and an interval.

    Args:
        value: The number, None when missing.
        low: Lower end of its interval, None when there is none.
        high: Upper end.
        threshold: Where the mark stands.
        label: For screen readers.

    Returns:
        SVG.
    """
    width, height = 300, 26
    known = value is not None
    length = (value or 0.0) * width
    bar = f'<rect class="bar" x="0" y="8" width="{length:.1f}" height="10"/>'
    whisker = ""
    if low is not None and high is not None:
        whisker = (
            f'<line class="whisker" x1="{low * width:.1f}" x2="{high * width:.1f}" '
            f'y1="13" y2="13"/><line class="whisker" x1="{low * width:.1f}" '
            f'x2="{low * width:.1f}" y1="9" y2="17"/><line class="whisker" '
            f'x1="{high * width:.1f}" x2="{high * width:.1f}" y1="9" y2="17"/>'
        )
    state = "over" if known and value is not None and value >= threshold else "under"
    return (
        f'<svg class="meter {state}" viewBox="0 0 {width} {height}" role="img" '
        f'preserveAspectRatio="none" '
        f'aria-label="{html.escape(label, quote=True)}">'
        f'<rect class="track" x="0" y="8" width="{width}" height="10"/>'
        f"{bar if known else ''}{whisker}"
        f'<line class="threshold" x1="{threshold * width:.1f}" '
        f'x2="{threshold * width:.1f}" y1="2" y2="24"/></svg>'
    )


def component_bars(
    systems: Mapping[str, Mapping[str, float | None]], *, threshold: float
) -> str:
    """Draws severities of several systems beside each other.

    Args:
        systems: Severity in [0, 1] by component, by system; the first is slot 1.
        threshold: Where the mark stands.

    Returns:
        SVG.
    """
    names = list(next(iter(systems.values())))
    row, gap, left = 13, 14, 70
    group = row * len(systems) + gap
    height = group * len(names) + 18
    span = WIDTH - left - RIGHT - 44
    parts = []
    for place, name in enumerate(names):
        top = place * group
        parts.append(
            f'<text class="label" x="0" y="{top + group / 2:.1f}">{name}</text>'
        )
        for slot, values in enumerate(systems.values(), start=1):
            value = values[name]
            y = top + (slot - 1) * row + 4
            text = "–" if value is None else f"{value:.2f}"
            length = span * (value or 0.0)
            parts.append(
                f'<rect class="fill s{slot % len(DASHES)}" x="{left}" y="{y}" '
                f'width="{max(length, 1):.1f}" height="{row - 3}"/>'
                f'<text class="tick" x="{left + max(length, 1) + 4:.1f}" '
                f'y="{y + row - 4}">{text}</text>'
            )
    mark = left + span * threshold
    parts.append(
        f'<line class="threshold" x1="{mark:.1f}" x2="{mark:.1f}" y1="0" '
        f'y2="{height - 16}"/><text class="tick" x="{mark:.1f}" y="{height - 3}" '
        f'text-anchor="middle">collapsed from here</text>'
    )
    label = html.escape(
        "Severity by kind of collapse: " + ", ".join(systems), quote=True
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )
