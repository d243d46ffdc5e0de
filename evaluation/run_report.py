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
from typing import TYPE_CHECKING

from absl import flags

from evaluation.report import programs
from prep import checked_json
from prep import command_line
from prep import errors

if TYPE_CHECKING:  # seconds of imports, which --help and refusals do without
    from evaluation.scoring import judged_runs


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("what is judged")
    groups.text(
        "baseline",
        "",
        "Run that the others are compared with; by default the first sound one.",
    )
    groups.several("candidate", "Run to judge; may be given several times.")
    groups.several("runs", "Glob of runs, e.g. 'runs/*'; unsound ones are skipped.")
    groups.text("checkpoint", "best", "Checkpoint of every run: best, last or a step.")
    groups.text("data_dir", "", "Dataset; by default the one the baseline trained on.")
    groups.text("split", "eval", "Split of the dataset to judge on.")
    groups.whole("max_clips", 0, "Judge so many clips, spread over recordings; 0: all.")
    groups.switch("allow_other_dataset", "Judge runs of different datasets.")
    groups.group("what is left")
    programs.define_output_flags(
        groups,
        folder="report",
        gate="Exit with 1 when a training of a candidate has collapsed, 3 when one "
        "could not be judged.",
    )
    groups.group("how it is measured")
    groups.choice(
        "crepe_capacity",
        "",
        ["", "tiny", "full"],
        "Size of the pitch tracker; the dataset's by default.",
    )
    programs.define_mask_flags(groups)
    groups.whole("batch_size", 4, "Clips rendered at once.", least=1)
    groups.whole("seed", 0, "Decides the noise, the same for all runs.")


def make_options(values: flags.FlagValues) -> "judged_runs.JudgingOptions":
    """Returns how the flags want runs to be evaluated."""
    from evaluation.scoring import judged_runs

    return judged_runs.JudgingOptions(
        checkpoint=values.checkpoint,
        data_dir=values.data_dir,
        split=values.split,
        max_clips=values.max_clips,
        n_media=values.max_embedded_clips,
        batch_size=values.batch_size,
        seed=values.seed,
        crepe_capacity=values.crepe_capacity,
        masks=programs.read_masks(values),
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
    from evaluation.scoring import judged_runs

    # Refuse before anything is computed.
    choice = judged_runs.find_runs(
        baseline=values.baseline, candidates=values.candidate, patterns=values.runs
    )

    def judge(folder: pathlib.Path) -> checked_json.Json:
        return evaluate.evaluate(choice, output=folder, options=make_options(values))

    document = programs.make_report(values, judge)
    told = filter(None, [judged_runs.describe_twins(list(document["runs"]))])
    command_line.complain(PROGRAM.name, *told)
    print(errors.printable(document["verdict"]["headline"]))
    print(f"Report: {programs.page_of(values)}")
    return programs.pass_gate(
        values,
        document,
        program=PROGRAM.name,
        excused=[choice.baseline.name] if values.baseline and choice.has_others else [],
    )


PROGRAM = command_line.Program(
    name="ddsp_report",
    summary="Judges trained runs and writes one page about them.",
    examples=(
        "ddsp_report --candidate runs/recommended",
        "ddsp_report --baseline runs/stage5 --runs 'runs/*' --output ranking",
        "ddsp_report --baseline runs/stage5 --runs 'runs/*' --fail_if_collapsed",
    ),
    define_flags=define_flags,
    check=programs.check_masks,
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
