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

Made for several instruments, each into a folder of its own, their reports are joined:

    ddsp_matrix --across=viola:matrix_viola/minimum/report-shuffled \
        --across=flute:matrix_flute/minimum/report-shuffled --output=all

trains nothing and writes all/instruments.md and instruments.json, in which each
instrument counts once.

An experiment that needs more clips than the dataset has is skipped, and matrix.md says
so. Exit code 0 when all runs are done, 1 when one or a scorecard failed, 2 when
something given cannot be used, 70 with a traceback for a fault of ours, 130 when it was
interrupted.
"""

import pathlib
import shlex
import sys
from collections.abc import Sequence

from absl import flags

from evaluation.matrix import experiments as matrix_experiments
from prep import command_line
from prep import errors

EXIT_FAILED = 1
EXAMPLE_OVERLAY = "stage5:gin/overlays/demo_gru.gin"
EXAMPLE_REPORT = "viola:matrix_viola/minimum/report-shuffled"


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("what is run")
    groups.choice(
        "preset", "smoke", list(matrix_experiments.PRESETS), "Which experiments."
    )
    groups.listing("experiments", "", "Experiments of the preset; all by default.")
    groups.listing("rungs", "", "Rungs of the ladder; all by default.")
    groups.real("scale", 1.0, "Multiplies the numbers of steps.")
    groups.whole("seeds", None, "Seeds of the judged experiments.", least=1)
    groups.listing(
        "overlays", "", "Gin files on top of every run, e.g. gin/overlays/demo.gin."
    )
    groups.several(
        "rung_overlay",
        "RUNG:FILE, a gin file on top of one rung's runs only, e.g. "
        f"{EXAMPLE_OVERLAY}; repeatable.",
    )
    groups.several(
        "across",
        f"NAME:FOLDER, the report of an instrument, e.g. {EXAMPLE_REPORT}; repeatable. "
        "Joins them into instruments.md, and trains nothing.",
    )
    groups.group("with what, and where")
    groups.text("data_dir", "data", "Prepared dataset.")
    groups.text("output", "matrix", "Folder of the runs and reports.")
    groups.choice(
        "crepe_capacity",
        "",
        ["", "tiny", "full"],
        "Size of the pitch tracker of the reports; the dataset's by default.",
    )
    groups.switch("dry_run", "Only print the commands; reads no dataset.")


def read_rung_overlays(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Gin files by rung, from the words of the flag.

    Args:
        given: "RUNG:FILE" each.

    Raises:
        errors.InputError: If one is not of that form.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in given:
        rung, file = _split(
            word, flag="rung_overlay", form="RUNG:FILE", example=EXAMPLE_OVERLAY
        )
        found[rung] = (*found.get(rung, ()), file)
    return found


def read_reports(given: Sequence[str]) -> dict[str, pathlib.Path]:
    """Folders of reports by instrument, from the words of the flag.

    Args:
        given: "NAME:FOLDER" each.

    Raises:
        errors.InputError: If one is not of that form, a name comes twice, or there is
            only one.
    """
    found: dict[str, pathlib.Path] = {}
    for word in given:
        name, folder = _split(
            word, flag="across", form="NAME:FOLDER", example=EXAMPLE_REPORT
        )
        if name in found:
            raise errors.InputError(
                f"across={word!r}: {name!r} is there twice; each instrument needs a "
                "name of its own."
            )
        found[name] = pathlib.Path(folder).expanduser()
    if len(found) == 1:
        raise errors.InputError(
            f"across={given[0]!r} is one instrument; say --across for each of several."
        )
    return found


def _split(word: str, *, flag: str, form: str, example: str) -> tuple[str, str]:
    """Both sides of a word's first colon; refuses a word without."""
    first, _, second = word.partition(":")
    if not (first and second):
        raise errors.InputError(
            f"{flag}={word!r} is not {form}; say for example {example}."
        )
    return first, second


def choose(values: flags.FlagValues) -> list[matrix_experiments.Experiment]:
    """The experiments that the flags ask for.

    Raises:
        errors.InputError: If one of them is unknown.
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
        raise errors.InputError(str(error)) from error
    # Only those experiments that were named.
    wanted = [name for name in values.experiments if name]
    unknown = set(wanted) - {experiment.name for experiment in found}
    if unknown:
        names = ", ".join(experiment.name for experiment in found)
        raise errors.InputError(f"experiments {sorted(unknown)}: there are {names}.")
    return [one for one in found if not wanted or one.name in wanted]


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.

    Raises:
        errors.InputError: If something given cannot be used.
    """
    from evaluation.matrix import history
    from evaluation.matrix import invocation
    from evaluation.matrix import results
    from evaluation.matrix import runner
    from evaluation.scoring import rendering

    # Reports that are there, joined.
    if reports := read_reports(values.across):
        from evaluation.matrix import across  # matplotlib

        folder = pathlib.Path(values.output).expanduser()
        _make_folder(folder)
        command = ["ddsp_matrix", *sys.argv[1:]]
        print(across.write(folder, reports, command=command))
        print(f"Results: {folder / across.TEXT_NAME}")
        return 0
    experiments = choose(values)
    folder = pathlib.Path(values.output).expanduser() / values.preset
    # The commands alone.
    if values.dry_run:
        for one in runner.list_runs(
            experiments,
            folder=folder / history.RUNS_NAME,
            data_dir=values.data_dir,
        ):
            print(shlex.join(["ddsp_run", *one.command[3:]]))
        return 0
    dataset = rendering.open_dataset(values.data_dir).info
    _make_folder(folder)
    # Train, judge, and join with what the folder holds.
    job = invocation.Invocation(
        experiments=experiments,
        folder=folder,
        data_dir=values.data_dir,
        dataset=dataset,
        command=["ddsp_matrix", *sys.argv[1:]],
        crepe_capacity=values.crepe_capacity,
    )
    for name, reason in job.skipped.items():
        print(f"{name} is skipped: {reason}.")
    outcome = job.run()
    command_line.complain(PROGRAM.name, *outcome.unjudged)
    n_done = sum(row["state"] in runner.DONE for row in outcome.rows)
    print(f"{n_done} of {len(outcome.rows)} runs are done.")
    print(f"Results: {folder / results.TEXT_NAME}")
    is_whole = n_done == len(outcome.rows) and not outcome.unjudged
    return 0 if is_whole else EXIT_FAILED


def _make_folder(folder: pathlib.Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(
            f"cannot write to {folder} ({error.strerror}); say another --output."
        ) from error


def _check(values: flags.FlagValues) -> None:
    """Refuses what asks for no experiment that there is."""
    try:
        choose(values)
        read_reports(values.across)
    except errors.InputError as error:
        raise command_line.UsageError(str(error)) from error


PROGRAM = command_line.Program(
    name="ddsp_matrix",
    summary="Trains every rung of the ladder the same way, and reports them side by "
    "side.",
    examples=(
        "ddsp_matrix --preset=smoke",
        "ddsp_matrix --preset=minimum --data_dir=data --rungs=stage1,stage2,stage5",
        "ddsp_matrix --preset=full --dry_run",
    ),
    define_flags=define_flags,
    check=_check,
    main=run,
    exit_codes="0 all runs are done; 1 one or a scorecard failed; 2 something given "
    "cannot be used; 70 a fault of ours; 130 interrupted.",
    loads=("evaluation.matrix.invocation",),
    when_interrupted="the run that was training has saved. Run the same command again "
    "to go on.",
)


def console() -> None:
    """Entry point of the console script."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
