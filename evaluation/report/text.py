"""What report.md needs beyond the page's values: escaping, and charts as tables."""

import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.metrics import catalogue
from evaluation.report import tables

Json = dict[str, Any]
_MARKUP = re.compile(r"[\\`*|]")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(value: Any) -> str:
    """A value as Markdown shows it literally, also within a table's cell.

    Args:
        value: Text or number.

    Returns:
        Text in one line, without active `|`, `*`, backquotes, backslashes or HTML.
    """
    text = " ".join(str(value).splitlines())
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _MARKUP.sub(r"\\\g<0>", text)


def kind_rows(systems: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The kinds of collapse as a table, where the page draws bars.

    Args:
        systems: Of summary.json, in the order of the columns.

    Returns:
        `kind` and one text a system: severity, and the component that it comes from.
    """
    return [
        {
            "kind": kind,
            "cells": [
                f"{_two(system['index']['severities'][kind])} "
                f"({_two(system['index']['components'][kind])})"
                for system in systems
            ],
        }
        for kind in systems[0]["index"]["severities"]
    ]


def _two(value: float | None) -> str:
    return tables.number(value, decimals=2)


def clip_lines(view: Mapping[str, Any]) -> list[Json]:
    """The page's table of all clips, a line for each clip and run.

    Args:
        view: The page's values.

    Returns:
        `clip`, `pitched`, `run` and `cells`, one a headline metric.
    """
    lines = []
    for row in view["clip_rows"]:
        placed = {
            (column["key"], column["run"]): cell
            for column, cell in zip(view["clip_columns"], row["cells"], strict=True)
        }
        for run in view["run_names"]:
            cells = [placed[key, run] for key in catalogue.HEADLINE]
            lines.append({**row, "run": run, "cells": cells})
    return lines
