"""What ddsp_report and ddsp_score share: flags, placing the report, and the gate."""

import math
import pathlib
from collections.abc import Callable
from collections.abc import Collection
from typing import TYPE_CHECKING

from absl import flags

from prep import checked_json
from prep import command_line

if TYPE_CHECKING:  # seconds of imports, which --help and refusals do without
    from models.measures import frame_masks


def define_output_flags(
    groups: command_line.FlagGroups, *, folder: str, gate: str
) -> None:
    """Defines where the report goes, how much of it there is, and the gate.

    Args:
        groups: Of the program.
        folder: Of the report, by default.
        gate: What `--fail_if_collapsed` does, as help says it.
    """
    groups.text("output", folder, "Folder of the report.")
    groups.switch("overwrite", "Replace a report that is already there.")
    groups.whole(
        "max_embedded_clips", 8, "Clips in the page; fewer when it would be large."
    )
    groups.switch("fail_if_collapsed", gate)


def define_mask_flags(groups: command_line.FlagGroups) -> None:
    """Defines which frames count."""
    groups.real(
        "min_confidence", None, "Frames are pitched from this confidence on; 0 to 1."
    )
    groups.real(
        "audible_range_db", None, "dB below a clip's loudest frame that are audible."
    )


def check_masks(values: flags.FlagValues) -> None:
    """Refuses thresholds by which no frame, or any, would count.

    Raises:
        command_line.UsageError: Naming the flag.
    """
    confidence, range_db = values.min_confidence, values.audible_range_db
    # "nan" passes for a number on a command line.
    if confidence is not None and not 0.0 <= confidence <= 1.0:
        raise command_line.UsageError(f"--min_confidence={confidence:g}: give 0 to 1.")
    if range_db is not None and not 0.0 < range_db < math.inf:
        raise command_line.UsageError(
            f"--audible_range_db={range_db:g}: give dB above 0, such as 40."
        )


def read_masks(values: flags.FlagValues) -> "frame_masks.MaskSettings":
    """Returns which frames the flags want to count."""
    from models.measures import frame_masks

    given = {
        "min_confidence": values.min_confidence,
        "range_db": values.audible_range_db,
    }
    return frame_masks.MaskSettings(
        **{name: value for name, value in given.items() if value is not None}
    )


def make_report(
    values: flags.FlagValues,
    judge: Callable[[pathlib.Path], checked_json.Json],
) -> checked_json.Json:
    """Judges, writes the pages, and puts the report where the flags want it.

    A report takes the old one's place when it is whole.

    Args:
        values: Parsed flags.
        judge: Writes all but the pages into a folder.

    Returns:
        The content of summary.json.
    """
    from evaluation.report import page
    from evaluation.report import placement

    output = pathlib.Path(values.output).expanduser()
    with placement.claim(output, overwrite=values.overwrite) as unfinished:
        document = judge(unfinished)
        page.write(unfinished, place=output)
        placement.replace(unfinished, output)
    return document


def page_of(values: flags.FlagValues) -> pathlib.Path:
    """Returns the page that a reader opens."""
    from evaluation.report import page

    return pathlib.Path(values.output).expanduser() / page.PAGE_NAME


def pass_gate(
    values: flags.FlagValues,
    document: checked_json.Json,
    *,
    program: str,
    excused: Collection[str],
) -> int:
    """Decides the exit code, and says why where it is not 0.

    Args:
        values: Parsed flags.
        document: The content of summary.json.
        program: Which says it.
        excused: Runs that may have collapsed: what others are compared with.
    """
    from evaluation.summary import exit_code

    if not values.fail_if_collapsed:
        return 0
    code, told = exit_code.decide(document, excused=excused)
    command_line.complain(program, *told)
    return code
