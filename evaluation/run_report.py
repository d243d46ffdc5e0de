#!/usr/bin/env python3
r"""Judges trained runs and writes one page about them.

    ddsp_report --baseline runs/stage5 --candidate runs/stage2
    ddsp_report --baseline runs/stage5 --runs 'runs/*' --fail_if_collapsed

writes report/scores.jsonl (a row a clip), report/summary.json, report/report.md and
report/report.html, one file that works offline. Runs that only a glob found are skipped
when they cannot be judged, and listed; a run that was named ends the program.

Exit code 0 when all went well; with --fail_if_collapsed 1 when a training of a
candidate has collapsed (another training of the baseline's system counts as one, the
baseline run itself does not) and 3 when none has but one could not be judged or was
skipped; 2 when flags cannot be read or something given cannot be evaluated; 70 for an
error of the program itself, 130 when interrupted. Without a finished report nothing is
replaced: what was there stays as it was.
"""

import functools
import pathlib
import shutil
import sys
import tempfile

from absl import flags

from evaluation import command_line
from evaluation import evaluate
from evaluation.analysis import masks
from evaluation.report import media
from evaluation.report import page
from evaluation.scoring import options
from evaluation.scoring import rendering
from evaluation.scoring import run_choice
from evaluation.summary import exit_code

EXIT_INPUT = command_line.EXIT_USAGE
EXIT_INTERRUPTED = command_line.EXIT_INTERRUPTED


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the command line.

    Args:
        values: Where; absl's own by default.
    """
    text = functools.partial(flags.DEFINE_string, flag_values=values)
    several = functools.partial(flags.DEFINE_multi_string, flag_values=values)
    number = functools.partial(flags.DEFINE_integer, flag_values=values)
    real = functools.partial(flags.DEFINE_float, flag_values=values)
    switch = functools.partial(flags.DEFINE_boolean, flag_values=values)
    text("baseline", None, "Run that the others are compared with.", required=True)
    several("candidate", [], "Run to judge; may be given several times.")
    several(
        "runs", [], "Glob of runs to judge, e.g. 'runs/*'; unsound ones are skipped."
    )
    text("output", "report", "Folder of the report.")
    switch("overwrite", False, "Replace a report that is already there.")
    text("data_dir", "", "Dataset; by default the one the baseline was trained on.")
    text("split", "eval", "Split of the dataset to judge on.")
    text("checkpoint", "best", "Checkpoint of every run: best, last or a step.")
    number("max_clips", 0, "Judge so many clips, spread over recordings; 0: all.")
    number("max_embedded_clips", 8, "Clips in the page; fewer when it would be large.")
    number("batch_size", 4, "Clips rendered at once.", lower_bound=1)
    number("seed", 0, "Decides the noise, the same for all runs.")
    flags.DEFINE_enum(
        "crepe_capacity",
        "",
        ["", "tiny", "full"],
        "Size of the pitch tracker; the dataset's by default.",
        flag_values=values,
    )
    real(
        "min_confidence",
        masks.MIN_CONFIDENCE,
        "Pitch confidence, 0 to 1, from which a frame counts as pitched.",
    )
    real(
        "audible_range_db",
        masks.AUDIBLE_RANGE_DB,
        "dB below a clip's loudest frame that still count as audible.",
    )
    switch("allow_other_dataset", False, "Judge runs of different datasets.")
    switch(
        "fail_if_collapsed",
        False,
        "Exit with 1 when a training of a candidate has collapsed, 3 when one could "
        "not be judged.",
    )


def check_output(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses, before anything is computed, to write where it cannot or may not.

    Args:
        output: Folder of the report.
        overwrite: Whether a report in it is replaced.

    Raises:
        inference.InputError: If a report is there and may not be replaced, or if no
            folder can be made there.
    """
    if output.is_file():
        raise rendering.InputError(f"--output={output} is a file; name a folder.")
    there = [path for path in _files_of(output) if path.exists()]
    if there and not overwrite:
        raise rendering.InputError(
            f"{output} already holds a report ({there[0].name}); pass --overwrite to "
            "replace it or --output for another folder."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise rendering.InputError(
            f"--output={output} cannot be written: {error.strerror}."
        ) from error


def move_report(source: pathlib.Path, output: pathlib.Path) -> None:
    """Puts a finished report in its place; what else is in the folder stays."""
    for path in _files_of(output):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in source.iterdir():
        path.rename(output / path.name)


def _files_of(output: pathlib.Path) -> list[pathlib.Path]:
    """What a report consists of."""
    return [output / name for name in (*page.FILES, media.MEDIA_NAME)]


def make_options(values: flags.FlagValues) -> options.Options:
    """How the flags want runs to be evaluated."""
    return options.Options(
        checkpoint=values.checkpoint,
        data_dir=values.data_dir,
        split=values.split,
        max_clips=values.max_clips,
        n_media=values.max_embedded_clips,
        batch_size=values.batch_size,
        seed=values.seed,
        crepe_capacity=values.crepe_capacity,
        masks=masks.MaskSettings(
            min_confidence=values.min_confidence, range_db=values.audible_range_db
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
    output = pathlib.Path(values.output).expanduser()
    choice = run_choice.find_runs(
        baseline=values.baseline, candidates=values.candidate, patterns=values.runs
    )
    check_output(output, overwrite=values.overwrite)
    _complain(*filter(None, [run_choice.describe_twins(choice)]))
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=output) as name:
        unfinished = pathlib.Path(name)
        document = evaluate.evaluate(
            choice, output=unfinished, options=make_options(values)
        )
        page.write(unfinished)
        move_report(unfinished, output)
    print(document["verdict"]["headline"])
    print(f"Report: {output / page.PAGE_NAME}")
    if not values.fail_if_collapsed:
        return 0
    code, told = exit_code.decide(document, baseline_run=choice.baseline.name)
    _complain(*told)
    return code


def _complain(*sentences: str) -> None:
    """Says something on the standard error, each sentence with the program's name."""
    for sentence in sentences:
        print(f"ddsp_report: {sentence}", file=sys.stderr)


def main() -> int:
    """Runs the program; returns an exit code."""
    try:
        return run(flags.FLAGS)
    except rendering.InputError as error:
        _complain(str(error))
        return EXIT_INPUT
    except KeyboardInterrupt:
        _complain("interrupted; nothing was written.")
        return EXIT_INTERRUPTED


def console() -> None:
    """Entry point of the console script."""
    define_flags()
    command_line.run(main, program="ddsp_report")


if __name__ == "__main__":
    console()
