#!/usr/bin/env python3
r"""Judges trained runs and writes one page about them.

    ddsp_report --candidate runs/recommended
    ddsp_report --baseline runs/stage5 --candidate runs/stage2
    ddsp_report --baseline runs/stage5 --runs 'runs/*' --fail_if_collapsed

compares a run with its recordings and with other runs; it
writes report/scores.jsonl (a row a clip), report/summary.json, report/report.md and
report/report.html, one file that works offline. Runs that only a glob found are skipped
when they cannot be judged, and listed; a run that was named ends the program.

Exit code 0 when all went well; with --fail_if_collapsed 1 when a training of a
candidate has collapsed (another training of the baseline's system counts as one, the
run that --baseline names does not) and 3 when none has but one could not be judged or
was skipped; 2 when flags cannot be read or something given cannot be evaluated; 70 for
an error of the program itself, 130 when interrupted. Without a finished report nothing
is replaced: what was there stays as it was.
"""

import pathlib
import sys
from typing import TYPE_CHECKING

from absl import flags

from prep import command_line
from prep import errors

if TYPE_CHECKING:  # seconds of imports, which --help and refusals do without
    from evaluation.scoring import judged_runs


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("what is judged")
    groups.text(
        "baseline", "", "Run that the others are compared with; by default the first."
    )
    groups.several("candidate", "Run to judge; may be given several times.")
    groups.several("runs", "Glob of runs, e.g. 'runs/*'; unsound ones are skipped.")
    groups.text("checkpoint", "best", "Checkpoint of every run: best, last or a step.")
    groups.text("data_dir", "", "Dataset; by default the one the baseline trained on.")
    groups.text("split", "eval", "Split of the dataset to judge on.")
    groups.whole("max_clips", 0, "Judge so many clips, spread over recordings; 0: all.")
    groups.switch("allow_other_dataset", "Judge runs of different datasets.")
    groups.group("what is left")
    groups.text("output", "report", "Folder of the report.")
    groups.switch("overwrite", "Replace a report that is already there.")
    groups.whole(
        "max_embedded_clips", 8, "Clips in the page; fewer when it would be large."
    )
    groups.switch(
        "fail_if_collapsed",
        "Exit with 1 when a training of a candidate has collapsed, 3 when one could "
        "not be judged.",
    )
    groups.group("how it is measured")
    groups.choice(
        "crepe_capacity",
        "",
        ["", "tiny", "full"],
        "Size of the pitch tracker; the dataset's by default.",
    )
    groups.real(
        "min_confidence", None, "Frames are pitched from this confidence on; 0 to 1."
    )
    groups.real(
        "audible_range_db", None, "dB below a clip's loudest frame that are audible."
    )
    groups.whole("batch_size", 4, "Clips rendered at once.", least=1)
    groups.whole("seed", 0, "Decides the noise, the same for all runs.")


def make_options(values: flags.FlagValues) -> "judged_runs.JudgingOptions":
    """Returns how the flags want runs to be evaluated."""
    from evaluation.scoring import judged_runs
    from models.measures import frame_masks

    given = {
        "min_confidence": values.min_confidence,
        "range_db": values.audible_range_db,
    }
    return judged_runs.JudgingOptions(
        checkpoint=values.checkpoint,
        data_dir=values.data_dir,
        split=values.split,
        max_clips=values.max_clips,
        n_media=values.max_embedded_clips,
        batch_size=values.batch_size,
        seed=values.seed,
        crepe_capacity=values.crepe_capacity,
        masks=frame_masks.MaskSettings(
            **{name: value for name, value in given.items() if value is not None}
        ),
        allow_other_dataset=values.allow_other_dataset,
    )


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.
    """
    from evaluation import evaluate
    from evaluation.report import page
    from evaluation.report import placement
    from evaluation.scoring import judged_runs
    from evaluation.summary import exit_code

    output = pathlib.Path(values.output).expanduser()
    # Refuse before anything is computed.
    choice = judged_runs.find_runs(
        baseline=values.baseline, candidates=values.candidate, patterns=values.runs
    )
    # A report takes the old one's place when it is whole.
    with placement.claim(output, overwrite=values.overwrite) as unfinished:
        _complain(*filter(None, [judged_runs.describe_twins(choice)]))
        document = evaluate.evaluate(
            choice, output=unfinished, options=make_options(values)
        )
        page.write(unfinished, place=output)
        placement.replace(unfinished, output)
    print(errors.printable(document["verdict"]["headline"]))
    print(f"Report: {output / page.PAGE_NAME}")
    # The gate for scripts.
    if not values.fail_if_collapsed:
        return 0
    excused = choice.baseline.name if values.baseline and choice.has_others else ""
    code, told = exit_code.decide(document, baseline_run=excused)
    _complain(*told)
    return code


def _complain(*sentences: str) -> None:
    """Says something on the standard error, each sentence with the program's name."""
    for sentence in sentences:
        print(f"ddsp_report: {errors.printable(sentence)}", file=sys.stderr)


PROGRAM = command_line.Program(
    name="ddsp_report",
    summary="Judges trained runs and writes one page about them.",
    examples=(
        "ddsp_report --candidate runs/recommended",
        "ddsp_report --baseline runs/stage5 --runs 'runs/*' --output ranking",
        "ddsp_report --baseline runs/stage5 --runs 'runs/*' --fail_if_collapsed",
    ),
    define_flags=define_flags,
    main=run,
    exit_codes="0 the report is written; with --fail_if_collapsed 1 a training of a "
    "candidate has collapsed, 3 one could not be judged; 2 something given cannot be "
    "used; 70 a fault of ours; 130 interrupted.",
    loads=("evaluation.evaluate", "evaluation.report.page"),
)


def console() -> None:
    """Entry point of the console script."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
