"""Line charts as SVG text, drawn from numbers; colours come from the style sheet.

Every chart has a title and a description for screen readers, and series differ by dash
as well as by colour. The same numbers give the same text.
"""

import dataclasses
import html
import math
from collections.abc import Sequence

import markupsafe
import numpy as np

WIDTH, HEIGHT = 480, 190  # units of the view box; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 28, 26
N_TICKS = 4  # about, on each axis
X_LABEL_WIDTH = 66  # units at the right end of the horizontal axis
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
    unit: str = "",
    log_y: bool = False,
) -> str:
    """Draws lines over a common axis.

    Args:
        series: At least one point among them, or the chart says that there is none.
        title: Above the lines, and for screen readers.
        x_label: Axis and unit.
        unit: Of the values, behind the title.
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
    head = f"{title}, {unit}" if unit else title
    parts = [_axes(frame, x_label=x_label, head=head, log_y=log_y)]
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


def _axes(frame: _Frame, *, x_label: str, head: str, log_y: bool) -> str:
    """Title, grid lines and numbers."""
    parts = [f'<text class="label" x="{LEFT}" y="14">{html.escape(head)}</text>']
    ticks = log_ticks(frame.y0, frame.y1) if log_y else nice_ticks(frame.y0, frame.y1)
    for tick in ticks:
        _, top = frame.place(frame.x0, tick)
        text = _number(10**tick) if log_y else _number(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" '
            f'y2="{top:.1f}"/><text class="tick" x="{LEFT - 5}" y="{top + 4:.1f}" '
            f'text-anchor="end">{text}</text>'
        )
    # The axis' name stands at its right end; numbers that would touch it stay away.
    for tick in nice_ticks(frame.x0, frame.x1):
        left, _ = frame.place(tick, frame.y0)
        if left > WIDTH - RIGHT - X_LABEL_WIDTH:
            continue
        parts.append(
            f'<text class="tick" x="{left:.1f}" y="{HEIGHT - BOTTOM + 16}" '
            f'text-anchor="middle">{_number(tick)}</text>'
        )
    parts.append(
        f'<text class="label" x="{WIDTH - RIGHT}" y="{HEIGHT - BOTTOM + 16}" '
        f'text-anchor="end">{html.escape(x_label)}</text>'
    )
    return "".join(parts)


def log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2, 5, 10, ... between two limits, themselves logarithms.

    Powers of ten alone where these are too many, round numbers of equal distance where
    they are fewer than two.
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    marks = [math.log10(m) + d for d in decades for m in (1, 2, 5)]
    inside = [mark for mark in marks if low <= mark <= high]
    if len(inside) > 2 * N_TICKS:
        return [float(d) for d in decades if low <= d <= high]
    if len(inside) >= 2:
        return inside
    return [math.log10(v) for v in nice_ticks(10**low, 10**high) if v > 0]


def swatch(slot: int) -> markupsafe.Markup:
    """A short piece of a series' line, for legends; screen readers pass it over."""
    dash = DASHES[slot % len(DASHES)]
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return markupsafe.Markup(
        f'<svg class="swatch" viewBox="0 0 28 6" aria-hidden="true"><line x1="0" '
        f'x2="28" y1="3" y2="3" class="line s{slot % len(DASHES)}"{style}/></svg>'
    )


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
