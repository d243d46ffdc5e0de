"""Bars as SVG text: the meter of the collapse index, and its components.

As in `evaluation.report.charts`, colours come from the style sheet, every chart has a
description for screen readers, and the same numbers give the same text.
"""

import html
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.report import charts

BARS_WIDTH = 420  # units of the view box; the page scales it
LABEL_WIDTH, NUMBER_WIDTH = 52, 40  # units left and right of the bars


def meter(
    value: float | None,
    *,
    low: float | None,
    high: float | None,
    threshold: float,
    label: str,
    trainings: Sequence[float] = (),
) -> str:
    """Draws a number in [0, 1] as a bar with a threshold and an interval.

    It is coloured as bad as soon as the number or one training reaches the threshold.

    Args:
        value: The number, None when missing.
        low: Lower end of its interval, None when there is none.
        high: Upper end.
        threshold: Where the mark stands.
        label: For screen readers.
        trainings: The number of each training, if it is a mean of several.

    Returns:
        SVG.
    """
    width, height = 300, 26
    known = value is not None
    length = (value or 0.0) * width
    bar = f'<rect class="bar" x="0" y="8" width="{length:.1f}" height="10"/>'
    # The interval, and a tick for each training.
    whisker = ""
    if low is not None and high is not None:
        whisker = (
            f'<line class="whisker" x1="{low * width:.1f}" x2="{high * width:.1f}" '
            f'y1="13" y2="13"/><line class="whisker" x1="{low * width:.1f}" '
            f'x2="{low * width:.1f}" y1="9" y2="17"/><line class="whisker" '
            f'x1="{high * width:.1f}" x2="{high * width:.1f}" y1="9" y2="17"/>'
        )
    ticks = "".join(
        f'<line class="training" x1="{one * width:.1f}" x2="{one * width:.1f}" '
        f'y1="3" y2="23"/>'
        for one in trainings
    )
    all_known = [*([] if value is None else [value]), *trainings]
    state = "over" if any(one >= threshold for one in all_known) else "under"
    return (
        f'<svg class="meter {state}" viewBox="0 0 {width} {height}" role="img" '
        f'preserveAspectRatio="none" '
        f'aria-label="{html.escape(label, quote=True)}">'
        f'<rect class="track" x="0" y="8" width="{width}" height="10"/>'
        f"{bar if known else ''}{ticks}{whisker}"
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
    row, gap, left = 13, 14, LABEL_WIDTH
    group = row * len(systems) + gap
    height = group * len(names) + 18
    span = BARS_WIDTH - left - NUMBER_WIDTH
    # A group of bars for each component, a bar for each system.
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
                f'<rect class="fill s{slot % len(charts.DASHES)}" x="{left}" y="{y}" '
                f'width="{max(length, 1):.1f}" height="{row - 3}"/>'
                f'<text class="tick" x="{left + max(length, 1) + 4:.1f}" '
                f'y="{y + row - 4}">{text}</text>'
            )
    # The line from which a component counts as collapsed.
    mark = left + span * threshold
    parts.append(
        f'<line class="threshold" x1="{mark:.1f}" x2="{mark:.1f}" y1="0" '
        f'y2="{height - 16}"/><text class="tick" x="{mark:.1f}" y="{height - 3}" '
        f'text-anchor="middle">collapsed from here</text>'
    )
    label = html.escape(_read_out(systems), quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {BARS_WIDTH} {height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


def _read_out(systems: Mapping[str, Mapping[str, float | None]]) -> str:
    """All bars as a sentence, for those who hear the page."""
    told = []
    for system, values in systems.items():
        numbers = ", ".join(
            f"{name} {'not determined' if value is None else f'{value:.2f}'}"
            for name, value in values.items()
        )
        told.append(f"{system}: {numbers}")
    return f"Severity by kind of collapse. {'; '.join(told)}."
