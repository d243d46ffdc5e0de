"""`ddsp_matrix --across`: the reports of several instruments → files of one."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.matrix import figure
from evaluation.matrix import instruments
from prep import files

JSON_NAME = "instruments.json"
TEXT_NAME = "instruments.md"
FIGURE_NAME = "instruments.png"


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
        aside.write_bytes(figure.draw(rows))
    files.write_text(folder / TEXT_NAME, f"{text}\n![]({FIGURE_NAME})\n")
    return text
