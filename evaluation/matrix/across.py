"""`ddsp_matrix --across`: the reports of several instruments → a page and a picture."""

import io
import json
import math
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from matplotlib import axes
from matplotlib import figure

from evaluation.collapse_index import index
from evaluation.matrix import instruments
from prep import files

JSON_NAME = "instruments.json"
TEXT_NAME = "instruments.md"
FIGURE_NAME = "instruments.png"
DPI = 120
WIDTH = 9.0  # inches
ROW_HEIGHT = 0.4  # inches, of a system
LEAST_HEIGHT = 2.4  # inches
# Of instruments, in turn; told apart also by those who see no red or green.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = "osD^vP"
SPREAD = 0.3  # of a row, over which its instruments are laid
GREY = "#8a8f98"


def write(
    folder: pathlib.Path, reports: Mapping[str, pathlib.Path], *, command: Sequence[str]
) -> str:
    """Joins reports into a page of text, a picture and JSON.

    Args:
        folder: Where to write them; it exists.
        reports: Folder of a report by instrument.
        command: What was typed.

    Returns:
        The page.

    Raises:
        InputError: If a report cannot be read, or they do not fit together.
    """
    every, rows, answers = instruments.judge(reports)
    document = instruments.to_json(
        every, rows, answers, reports=reports, command=command
    )
    text = instruments.to_text(every, rows, answers, command=command)
    files.write_text(
        folder / JSON_NAME, json.dumps(document, indent=1, allow_nan=False) + "\n"
    )
    with files.replacing(folder / FIGURE_NAME) as aside:
        aside.write_bytes(draw(rows))
    files.write_text(folder / TEXT_NAME, f"{text}\n![]({FIGURE_NAME})\n")
    return text


def draw(rows: Sequence[instruments.PooledSystem]) -> bytes:
    """Draws each system as a row: a mark an instrument, the mean with its interval.

    Args:
        rows: From `instruments.summarise`; the first is drawn at the top.

    Returns:
        The picture as PNG.
    """
    height = max(LEAST_HEIGHT, 1.4 + ROW_HEIGHT * len(rows))
    drawn = figure.Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    left, right = drawn.subplots(1, 2, sharey=True)
    # Left: the index, which has a threshold.
    left.axvline(index.THRESHOLD, color=GREY, linestyle="--", linewidth=1)
    left.set_title("Collapse index (from 0.5 on: collapsed)", fontsize=10)
    left.set_xlim(-0.02, 1.02)
    # Right: the loss, as a share of the lowest mean so that instruments fit one axis.
    right.axvline(0.0, color=GREY, linestyle="--", linewidth=1)
    right.set_title("Spectral loss above the instrument's lowest, %", fontsize=10)
    names = list(rows[0].index_by_instrument)
    lowest = {
        name: min(
            (
                row.loss_by_instrument[name]
                for row in rows
                if name not in row.without_loss
            ),
            default=math.nan,
        )
        for name in names
    }
    for place, row in enumerate(rows):
        for turn, name in enumerate(names):
            _mark(left, row.index_by_instrument[name].mean, place, turn, names)
            above = 100.0 * (row.loss_by_instrument[name] / lowest[name] - 1.0)
            _mark(right, above, place, turn, names)
        _tell_gaps(left, row.without_index, place)
        _tell_gaps(right, row.without_loss, place)
        mean = row.index.interval
        left.plot([mean.mean], [place], "|", color="black", markersize=14)
        if math.isfinite(mean.low):
            left.plot([mean.low, mean.high], [place, place], color="black", linewidth=1)
    left.set_yticks(range(len(rows)), [row.system for row in rows])
    left.invert_yaxis()
    drawn.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(len(names), 6),
        fontsize=9,
    )
    with io.BytesIO() as file:
        drawn.savefig(file, format="png")
        return file.getvalue()


def _tell_gaps(ax: axes.Axes, instruments: Sequence[str], place: int) -> None:
    """Says in a system's row on which instruments it has no value."""
    if instruments:
        ax.text(
            0.98,
            place,
            f"none on {', '.join(instruments)}",
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8,
            color=GREY,
        )


def _mark(ax: axes.Axes, x: float, place: int, turn: int, names: Sequence[str]) -> None:
    """Puts one instrument's value into a system's row, beside the others'."""
    offset = SPREAD * ((turn + 0.5) / len(names) - 0.5)
    ax.plot(
        [x],
        [place + offset],
        MARKERS[turn % len(MARKERS)],
        color=COLOURS[turn % len(COLOURS)],
        markersize=5,
        label=names[turn] if place == 0 else None,  # once, for the legend
    )
