"""Runs, cost and settings in words; escapes and tables of report.md."""

import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.report import tables
from evaluation.scoring import rows as rows_lib
from evaluation.summary import paired
from evaluation.summary import verdict
from prep import checked_json
from prep import errors

_MARKUP = re.compile(r"[\\`*|]|(?<=\])[\[(:]")  # also what makes brackets a link
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(value: Any) -> str:
    """A value as Markdown shows it literally, also within a table's cell.

    Args:
        value: Text or number.

    Returns:
        Text in one line, without active `|`, `*`, backquotes, backslashes, links, HTML
        or control characters.
    """
    text = errors.printable(" ".join(str(value).splitlines()))
    for sign, entity in _HTML.items():
        text = text.replace(sign, entity)
    return _MARKUP.sub(r"\\\g<0>", text)


def kind_rows(systems: Sequence[Mapping[str, Any]]) -> list[checked_json.Json]:
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


def clip_lines(view: Mapping[str, Any]) -> list[checked_json.Json]:
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
            cells = [cell for (_, of), cell in placed.items() if of == run]
            lines.append({**row, "run": run, "cells": cells})
    return lines


def describe_cost(cost: checked_json.Json) -> checked_json.Json:
    """Returns what a run costs, as text."""
    render = cost["render_secs"]
    step = cost["step_ms"]
    return {
        "parameters": tables.DASH
        if cost["n_parameters"] is None
        else f"{cost['n_parameters']:,}",
        "render": tables.DASH if render is None else f"{render:.3f} s",
        "step_time": _milliseconds(step),
        "backward_time": _milliseconds(cost["forward_backward_ms"]),
        "training_memory": _megabytes(cost["training_memory_mb"]),
        "memory": _megabytes(cost["peak_memory_mb"]),
    }


def _megabytes(value: float | None) -> str:
    return tables.DASH if value is None else f"{value:.0f} MB"


def _milliseconds(value: float | None) -> str:
    return tables.DASH if value is None else f"{value:.0f} ms"


def describe_runs(document: checked_json.Json) -> list[checked_json.Json]:
    """Facts of each run."""
    return [
        {
            "name": name,
            "system": rows_lib.system_name(name),
            "path": run["path"],
            "instrument": run.get("instrument"),
            "step": run["step"],
            "seed": run["seed"],
            "config_hash": run["config_hash"] or tables.DASH,
            "commit": (run["commit"] or tables.DASH)[:12],
            "gin_files": ", ".join(run["gin_files"] or []) or tables.DASH,
            "versions": ", ".join(
                f"{package} {version}"
                for package, version in (run["versions"] or {}).items()
            ),
            **describe_cost(run["cost"]),
        }
        for name, run in document["runs"].items()
    ]


def describe_alignment(document: checked_json.Json) -> list[checked_json.Json]:
    """Lists delay, level and ends of every pair of files.

    Args:
        document: The summary; only one of files has any.
    """
    return [
        {
            "system": name,
            "pair": one["pair"],
            "delay": _delay(one),
            "gain": tables.DASH
            if one["gain_db"] is None
            else f"{tables.signed(one['gain_db'])[0]} dB",
            "ends": _ends(one),
            "delay_sort": tables.sort_key(one["delay_secs"]),
            "gain_sort": tables.sort_key(one["gain_db"]),
        }
        for name, run in document["runs"].items()
        for one in run.get("alignment", [])
    ]


def _delay(alignment: checked_json.Json) -> str:
    """A pair's delay, and whether it was removed."""
    secs = alignment["delay_secs"]
    if secs is None:
        return "not determined"
    text = f"{tables.signed(1000 * secs)[0]} ms"
    return text if alignment["is_removed"] or not secs else f"{text}, not removed"


def _ends(alignment: checked_json.Json) -> str:
    """Returns what one of a pair's files has and the other has not."""
    missing, extra = alignment["missing_secs"], alignment["extra_secs"]
    parts = [f"lacks {missing:.2f} s"] if missing else []
    parts += [f"{extra:.2f} s more, not judged"] if extra else []
    return ", ".join(parts)


def _run_settings(document: checked_json.Json) -> list[tuple[str, str]]:
    """Lists where runs were judged."""
    settings, dataset = document["settings"], document["dataset"]
    return [
        (
            "Dataset",
            f"{dataset['data_dir']}, split {dataset['split']}, content "
            f"{dataset['plan_hash'] or tables.DASH}, "
            f"{dataset['sample_rate']} Hz, "
            f"{dataset['frame_rate']} frames/s",
        ),
        ("Checkpoint", str(settings["checkpoint"])),
        ("Noise seed", str(settings["seed"])),
    ]


def _audio_settings(document: checked_json.Json) -> list[tuple[str, str]]:
    """Lists where files were judged."""
    dataset = document["dataset"]
    return [
        ("Recordings", str(dataset["data_dir"])),
        (
            "Rates",
            f"everything brought to {dataset['sample_rate']} Hz, "
            f"{dataset['frame_rate']} frames/s",
        ),
        ("Clips", f"files cut into equal parts of about {dataset['example_secs']:g} s"),
        ("Controls", "measured from the audio of both sides, as heard"),
        (
            "Delays and levels",
            f"delays up to {1000 * document['settings']['max_delay_secs']:g} ms "
            "removed; differences of level left as they are",
        ),
    ]


def _describe_intervals(document: checked_json.Json) -> str:
    """How intervals are made, or why there is none."""
    n_units, settings = document["n_units"], document["settings"]
    units = f"{n_units} {document['unit']}{'' if n_units == 1 else 's'}"
    if n_units < paired.MIN_UNITS:
        return f"none: {units} to judge by, {paired.MIN_UNITS} needed"
    return (
        f"{settings['confidence']:.0%}, bootstrap over {units}, "
        f"{settings['n_resamples']} resamples, at least as wide as Student's t"
    )


def describe_settings(document: checked_json.Json) -> list[tuple[str, str]]:
    """Lists the settings of the measurement, line by line."""
    settings = document["settings"]
    masks = settings["masks"]
    return [
        *(
            _audio_settings(document)
            if verdict.is_of_audio(document)
            else _run_settings(document)
        ),
        (
            "Pitch tracker",
            f"CREPE {settings['crepe_capacity']}, centred frames, on both sides",
        ),
        ("Pitched frames", f"confidence of at least {masks['min_confidence']:g}"),
        (
            "Audible frames",
            f"within {masks['range_db']:g} dB of the clip's loudest frame and above "
            f"{masks['floor_db']:g} dB",
        ),
        ("Intervals", _describe_intervals(document)),
        (
            "Versions of the evaluation",
            ", ".join(f"{name} {v}" for name, v in settings["versions"].items()),
        ),
    ]
