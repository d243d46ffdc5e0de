#!/usr/bin/env python3
r"""Judges trained runs and writes one page about them.

    ddsp_report --baseline runs/stage5 --candidate runs/stage2
    ddsp_report --baseline runs/stage5 --runs 'runs/*' --fail_if_collapsed

writes report/scores.jsonl (a row a clip), report/summary.json, report/report.md and
report/report.html, one file that works offline. Exit code 0 when all went well, 1 with
--fail_if_collapsed when a candidate has collapsed, 2 when something given cannot be
evaluated, 130 when interrupted. Without a finished report nothing is replaced: what
was there stays as it was.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import functools
import glob
import pathlib
import shutil
import sys
import tempfile

from absl import app
from absl import flags
from absl import logging

from evaluation import controls
from evaluation import evaluate
from evaluation import inference
from evaluation import options
from evaluation import report

EXIT_COLLAPSED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130


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
    several("runs", [], "Glob of runs to judge, e.g. 'runs/*', baseline or not.")
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
        controls.MIN_CONFIDENCE,
        "Pitch confidence, 0 to 1, from which a frame counts as pitched.",
    )
    real(
        "audible_range_db",
        controls.AUDIBLE_RANGE_DB,
        "dB below a clip's loudest frame that still count as audible.",
    )
    switch("allow_other_dataset", False, "Judge runs of different datasets.")
    switch("fail_if_collapsed", False, "Exit with 1 when a candidate has collapsed.")


def find_runs(
    *, baseline: str, candidates: list[str], patterns: list[str]
) -> list[pathlib.Path]:
    """The runs to judge, the baseline first, each once.

    Args:
        baseline: Directory.
        candidates: Directories.
        patterns: Globs; what they match and is no run is left out, with a note.

    Raises:
        inference.InputError: If a glob matches no run, or nothing but the baseline is
            left.
    """
    found = [pathlib.Path(baseline), *map(pathlib.Path, candidates)]
    for pattern in patterns:
        found += match_runs(pattern)
    named: dict[pathlib.Path, pathlib.Path] = {}
    for path in found:
        named.setdefault(path.resolve(), path)
    unique = list(named.values())
    if len(unique) < 2:
        given = ", ".join([*candidates, *patterns]) or "nothing"
        raise inference.InputError(
            f"there is no run to compare with {baseline} ({given} was given); say "
            "--candidate runs/stage2 or --runs 'runs/*'."
        )
    return unique


def match_runs(pattern: str) -> list[pathlib.Path]:
    """The runs that a glob matches.

    Args:
        pattern: Glob; what it matches and is no run is left out, with a note.

    Raises:
        inference.InputError: If it matches none.
    """
    found = []
    for name in sorted(glob.glob(str(pathlib.Path(pattern).expanduser()))):
        path = pathlib.Path(name)
        if any(path.glob("operative_config-*.gin")):
            found.append(path)
        elif path.is_dir():
            logging.warning("%s is no run (no operative_config); left out", path)
    if not found:
        raise inference.InputError(
            f"--runs={pattern} matches no run, seen from {pathlib.Path.cwd()}; a run "
            "is a folder that ddsp_run wrote."
        )
    return found


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
        raise inference.InputError(f"--output={output} is a file; name a folder.")
    there = [path for path in _files_of(output) if path.exists()]
    if there and not overwrite:
        raise inference.InputError(
            f"{output} already holds a report ({there[0].name}); pass --overwrite to "
            "replace it or --output for another folder."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise inference.InputError(
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
    return [output / name for name in (*report.FILES, evaluate.MEDIA_NAME)]


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
        masks=controls.MaskSettings(
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
    run_dirs = find_runs(
        baseline=values.baseline, candidates=values.candidate, patterns=values.runs
    )
    check_output(output, overwrite=values.overwrite)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=output) as name:
        unfinished = pathlib.Path(name)
        document = evaluate.evaluate(
            run_dirs,
            baseline=pathlib.Path(values.baseline),
            output=unfinished,
            options=make_options(values),
        )
        report.write(unfinished)
        move_report(unfinished, output)
    print(document["verdict"]["headline"])
    print(f"Report: {output / report.PAGE_NAME}")
    collapsed = set(document["verdict"]["collapsed"]) - {document["baseline"]}
    return EXIT_COLLAPSED if values.fail_if_collapsed and collapsed else 0


def main(argv: list[str]) -> int:
    """Runs the program; returns an exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected {argv[1]!r}: every argument is a --flag.")
    try:
        return run(flags.FLAGS)
    except inference.InputError as error:
        print(f"ddsp_report: {error}", file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        print("ddsp_report: interrupted; nothing was written.", file=sys.stderr)
        return EXIT_INTERRUPTED


def console() -> None:
    """Entry point of the console script."""
    define_flags()
    app.run(main)


if __name__ == "__main__":
    console()
