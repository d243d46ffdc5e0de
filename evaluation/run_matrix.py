#!/usr/bin/env python3
r"""Runs the plan's experiment matrix and writes what came out.

    ddsp_matrix --preset=smoke
    ddsp_matrix --preset=minimum --data_dir=data --rungs=stage1,stage2,stage5

trains below matrix/<preset>/runs/, writes a scorecard for every judged experiment
(matrix/<preset>/report-<experiment>/report.html), and matrix.json and matrix.md with
all runs, those that failed too. Run again, it goes on where it stopped. Exit code 0
when all runs finished, 1 when one failed, 2 when something given cannot be used, 130
when it was interrupted.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

from absl import app
from absl import flags

from evaluation import inference
from evaluation import matrix
from evaluation import matrix_plan
from evaluation import matrix_report
from prep import progress

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_enum(
        "preset", "smoke", ["smoke", "minimum", "full"], "Which experiments."
    )
    flags.DEFINE_string("data_dir", "data", "Prepared dataset.")
    flags.DEFINE_string("output", "matrix", "Folder of the runs and reports.")
    flags.DEFINE_list("rungs", "", "Rungs of the ladder; all by default.")
    flags.DEFINE_list("experiments", "", "Experiments of the preset; all by default.")
    flags.DEFINE_list(
        "overlays", "", "Gin files on top of every run, e.g. gin/overlays/demo.gin."
    )
    flags.DEFINE_multi_string(
        "rung_overlay",
        [],
        "RUNG:FILE, a gin file on top of one rung's runs only, e.g. "
        "stage5:gin/overlays/demo_gru.gin; repeatable.",
    )
    flags.DEFINE_float("scale", 1.0, "Multiplies the numbers of steps.")
    flags.DEFINE_integer("seeds", None, "Seeds of the judged experiments.")
    flags.DEFINE_string("crepe_capacity", "", "Of the reports; the dataset's.")
    flags.DEFINE_boolean("dry_run", False, "Only print the commands.")


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
            raise inference.InputError(
                f"rung_overlay={word!r} is not RUNG:FILE; say for example "
                "stage5:gin/overlays/demo_gru.gin."
            )
        found[rung] = (*found.get(rung, ()), file)
    return found


def choose(values: flags.FlagValues) -> list[matrix_plan.Experiment]:
    """The experiments that the flags ask for.

    Raises:
        inference.InputError: If one of them is unknown.
    """
    rungs = [rung for rung in values.rungs if rung] or list(matrix_plan.RUNGS)
    if values.preset == "smoke" and not any(values.rungs):
        rungs = ["stage1", "stage2", "stage5"]
    try:
        found = matrix_plan.plan(
            values.preset,
            rungs=rungs,
            scale=values.scale,
            n_seeds=values.seeds,
            overlays=[name for name in values.overlays if name],
            rung_overlays=read_rung_overlays(values.rung_overlay),
        )
    except ValueError as error:
        raise inference.InputError(str(error)) from error
    wanted = [name for name in values.experiments if name]
    unknown = set(wanted) - {experiment.name for experiment in found}
    if unknown:
        names = ", ".join(experiment.name for experiment in found)
        raise inference.InputError(f"experiments {sorted(unknown)}: there are {names}.")
    return [one for one in found if not wanted or one.name in wanted]


def judge(
    experiment: matrix_plan.Experiment,
    rows: list[matrix.Json],
    *,
    folder: pathlib.Path,
    crepe_capacity: str,
) -> str:
    """Writes the scorecard of an experiment's finished runs.

    Args:
        experiment: The experiment.
        rows: Its runs.
        folder: Of the preset.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.

    Returns:
        What came of it, for the table: the report's path or why there is none.
    """
    finished = [row for row in rows if row["state"] == matrix.FINISHED]
    if len(finished) < 2:
        return "no scorecard: fewer than two runs finished"
    baseline = next((r for r in finished if r["rung"] == "stage5"), finished[0])
    output = folder / f"report-{experiment.name}"
    words = [
        sys.executable,
        "-m",
        "evaluation.run_report",
        f"--baseline={baseline['path']}",
        *(f"--candidate={row['path']}" for row in finished if row is not baseline),
        f"--output={output}",
        "--overwrite",
    ]
    if crepe_capacity:
        words.append(f"--crepe_capacity={crepe_capacity}")
    log_path = folder / f"report-{experiment.name}.log"
    with log_path.open("w", encoding="utf-8") as log:
        done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        return f"no scorecard: ddsp_report ended with {done.returncode}, see {log_path}"
    return str(output)


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.
    """
    experiments = choose(values)
    folder = pathlib.Path(values.output).expanduser() / values.preset
    runs = matrix.list_runs(
        experiments, folder=folder / "runs", data_dir=values.data_dir
    )
    if values.dry_run:
        for one in runs:
            print(" ".join(["ddsp_run", *one.command[3:]]))
        return 0
    dataset = inference.open_dataset(values.data_dir)
    rows: list[matrix.Json] = []
    reports: dict[str, str] = {}
    number = {one.title: place for place, one in enumerate(runs, start=1)}
    left = sum(one.cost for one in runs if not one.finished())

    def tick(one: matrix.Run, n_steps: float) -> None:
        bar.set_description(f"[{number[one.title]}/{len(runs)}] {one.title}")
        bar.update(n_steps * one.experiment.cost(one.rung))

    with progress.bar(left, unit="MLP steps", label="matrix") as bar:
        for experiment in experiments:
            found = matrix.run_all(
                [one for one in runs if one.experiment is experiment], tick=tick
            )
            rows.extend(found)
            if experiment.judged:
                bar.set_description(f"judging {experiment.name}")
                bar.tick()
                reports[experiment.name] = judge(
                    experiment,
                    found,
                    folder=folder,
                    crepe_capacity=values.crepe_capacity,
                )
            # Written after every experiment: what is there can be read at any time.
            matrix_report.write(
                folder,
                experiments=experiments,
                rows=rows,
                reports=reports,
                dataset=dataset.info,
                command=["ddsp_matrix", *sys.argv[1:]],
            )
    failed = [row["run"] for row in rows if row["state"] != matrix.FINISHED]
    print(f"{len(rows) - len(failed)} of {len(rows)} runs finished.")
    print(f"Results: {folder / matrix_report.TEXT_NAME}")
    return EXIT_FAILED if failed else 0


def main(argv: list[str]) -> int:
    """Runs the program; returns an exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected {argv[1]!r}: every argument is a --flag.")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(flags.FLAGS)
    except inference.InputError as error:
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
    app.run(main)


if __name__ == "__main__":
    console()
