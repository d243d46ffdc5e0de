#!/usr/bin/env python3
r"""Runs the plan's experiment matrix and writes what came out.

    ddsp_matrix --preset=smoke
    ddsp_matrix --preset=minimum --data_dir=data --rungs=stage1,stage2,stage5

trains below matrix/<preset>/runs/, writes a scorecard for every judged experiment
(matrix/<preset>/report-<experiment>/report.html), and matrix.json and matrix.md with
all runs, those that failed too.

Run again, it goes on where it stopped: what is done stays, unless its command, the
content of its gin files or its dataset changed. Gin files go on top of every run, or of
one rung's only, where they come last:

    ddsp_matrix --preset=minimum --overlays=gin/overlays/demo.gin \
        --rung_overlay=stage5:gin/overlays/demo_gru.gin --rung_overlay=stage1:own.gin

Parts of the matrix that are run into the same folder join: rows of runs that this
command does not touch stay in matrix.json and matrix.md as long as the dataset is the
same, and a scorecard is over all runs of its experiment that are done there.

    ddsp_matrix --preset=minimum --rungs=stage1,stage5 --experiments=shuffled
    ddsp_matrix --preset=minimum --rungs=stage2 --experiments=shuffled

An experiment that needs more clips than the dataset has is skipped, and matrix.md says
so. Exit code 0 when all runs are done, 1 when one failed, 2 when something given cannot
be used, 70 with a traceback for a fault of ours, 130 when it was interrupted.
"""

import functools
import pathlib
import signal
import sys
from collections.abc import Sequence

from absl import flags

from evaluation import command_line
from evaluation.matrix import experiments as matrix_experiments
from evaluation.matrix import history
from evaluation.matrix import invocation
from evaluation.matrix import results
from evaluation.matrix import runner
from evaluation.scoring import rendering

EXIT_FAILED = 1
EXIT_INPUT = command_line.EXIT_USAGE
EXIT_INTERRUPTED = command_line.EXIT_INTERRUPTED


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the command line.

    Args:
        values: Where; absl's own by default.
    """
    text = functools.partial(flags.DEFINE_string, flag_values=values)
    several = functools.partial(flags.DEFINE_list, flag_values=values)
    flags.DEFINE_enum(
        "preset",
        "smoke",
        ["smoke", "minimum", "full"],
        "Which experiments.",
        flag_values=values,
    )
    text("data_dir", "data", "Prepared dataset.")
    text("output", "matrix", "Folder of the runs and reports.")
    several("rungs", "", "Rungs of the ladder; all by default.")
    several("experiments", "", "Experiments of the preset; all by default.")
    several(
        "overlays", "", "Gin files on top of every run, e.g. gin/overlays/demo.gin."
    )
    flags.DEFINE_multi_string(
        "rung_overlay",
        [],
        "RUNG:FILE, a gin file on top of one rung's runs only, e.g. "
        "stage5:gin/overlays/demo_gru.gin; repeatable.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "scale", 1.0, "Multiplies the numbers of steps.", flag_values=values
    )
    flags.DEFINE_integer(
        "seeds",
        None,
        "Seeds of the judged experiments, at least 1.",
        lower_bound=1,
        flag_values=values,
    )
    text("crepe_capacity", "", "Of the reports; the dataset's.")
    flags.DEFINE_boolean(
        "dry_run",
        False,
        "Only print the commands; reads no dataset.",
        flag_values=values,
    )


def read_rung_overlays(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Gin files by rung, from the words of the flag.

    Args:
        given: "RUNG:FILE" each.

    Raises:
        inference.InputError: If one is not of that form.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in given:
        rung, colon, file = word.partition(":")
        if not (rung and colon and file):
            raise rendering.InputError(
                f"rung_overlay={word!r} is not RUNG:FILE; say for example "
                "stage5:gin/overlays/demo_gru.gin."
            )
        found[rung] = (*found.get(rung, ()), file)
    return found


def choose(values: flags.FlagValues) -> list[matrix_experiments.Experiment]:
    """The experiments that the flags ask for.

    Raises:
        inference.InputError: If one of them is unknown.
    """
    rungs = [rung for rung in values.rungs if rung] or list(matrix_experiments.RUNGS)
    if values.preset == "smoke" and not any(values.rungs):
        rungs = ["stage1", "stage2", "stage5"]
    try:
        found = matrix_experiments.plan(
            values.preset,
            rungs=rungs,
            scale=values.scale,
            n_seeds=values.seeds,
            overlays=[name for name in values.overlays if name],
            rung_overlays=read_rung_overlays(values.rung_overlay),
        )
    except ValueError as error:
        raise rendering.InputError(str(error)) from error
    wanted = [name for name in values.experiments if name]
    unknown = set(wanted) - {experiment.name for experiment in found}
    if unknown:
        names = ", ".join(experiment.name for experiment in found)
        raise rendering.InputError(f"experiments {sorted(unknown)}: there are {names}.")
    return [one for one in found if not wanted or one.name in wanted]


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.

    Raises:
        inference.InputError: If something given cannot be used.
    """
    experiments = choose(values)
    folder = pathlib.Path(values.output).expanduser() / values.preset
    if values.dry_run:
        for one in runner.list_runs(
            experiments,
            folder=folder / history.RUNS_NAME,
            data_dir=values.data_dir,
        ):
            print(" ".join(["ddsp_run", *one.command[3:]]))
        return 0
    dataset = rendering.open_dataset(values.data_dir).info
    _make_folder(folder)
    job = invocation.Job(
        experiments=experiments,
        folder=folder,
        data_dir=values.data_dir,
        dataset=dataset,
        command=["ddsp_matrix", *sys.argv[1:]],
        crepe_capacity=values.crepe_capacity,
    )
    for name, reason in job.skipped.items():
        print(f"{name} is skipped: {reason}.")
    rows = job.run()
    n_done = sum(row["state"] in runner.DONE for row in rows)
    print(f"{n_done} of {len(rows)} runs are done.")
    print(f"Results: {folder / results.TEXT_NAME}")
    return 0 if n_done == len(rows) else EXIT_FAILED


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise rendering.InputError(
            f"cannot write to {folder} ({error.strerror}); say another --output."
        ) from error


def main() -> int:
    """Runs the program; returns an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(flags.FLAGS)
    except rendering.InputError as error:
        print(f"ddsp_matrix: {error}", file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        print(
            "\nddsp_matrix: interrupted; the run that was training has saved. Run the "
            "same command again to go on.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    """Ends on SIGTERM as on Ctrl-C: with the training that is waited for."""
    raise KeyboardInterrupt


def console() -> None:
    """Entry point of the console script."""
    define_flags()
    command_line.run(main, program="ddsp_matrix")


if __name__ == "__main__":
    console()
