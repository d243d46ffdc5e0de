"""An invocation of the matrix: its runs one after the other, scorecards, results."""

import dataclasses
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from absl import logging

from evaluation.matrix import experiments
from evaluation.matrix import history
from evaluation.matrix import results
from evaluation.matrix import runner
from prep import checked_json
from prep import processes
from prep import progress
from prep.dataset import info


class ScorecardError(RuntimeError):
    """A scorecard that ddsp_report did not write; the message says so."""


@dataclasses.dataclass(frozen=True)
class MatrixOutcome:
    """What came of an invocation.

    Attributes:
        rows: A row a run.
        unjudged: What is wrong with each scorecard that failed.
    """

    rows: list[checked_json.Json]
    unjudged: list[str]


@dataclasses.dataclass(frozen=True)
class Invocation:
    """What an invocation is to do.

    Attributes:
        experiments: Which.
        folder: Of the preset.
        data_dir: The dataset as it was given.
        dataset: Its facts.
        command: What was typed.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.
    """

    experiments: Sequence[experiments.Experiment]
    folder: pathlib.Path
    data_dir: str
    dataset: info.DatasetInfo
    command: Sequence[str]
    crepe_capacity: str = ""

    @property
    def skipped(self) -> dict[str, str]:
        """Experiments that the dataset is too small for, and why."""
        n_train = self.dataset.n_examples("train")
        reasons = {one.name: one.why_skipped(n_train) for one in self.experiments}
        return {name: reason for name, reason in reasons.items() if reason}

    def run(self) -> MatrixOutcome:
        """Does it; writes the results after every run, so that they can be read."""
        runs = runner.list_runs(
            [one for one in self.experiments if one.name not in self.skipped],
            folder=self.folder / history.RUNS_NAME,
            data_dir=self.data_dir,
            plan_hash=self.dataset.plan_hash,
        )
        rows: list[checked_json.Json] = []
        reports: dict[str, str | None] = {}
        unjudged: list[str] = []
        number = {one.title: place for place, one in enumerate(runs, start=1)}
        left = sum(one.cost for one in runs if not one.finished())

        def tick(one: runner.MatrixTraining, n_steps: float) -> None:
            bar.set_description(f"[{number[one.title]}/{len(runs)}] {one.title}")
            bar.update(n_steps * one.experiment.cost(one.rung))

        with progress.bar(left, unit="MLP steps", label="matrix") as bar:
            for experiment in self.experiments:
                own = [one for one in runs if one.experiment is experiment]
                for one in own:
                    # What was judged before may not be what is there now.
                    reports[experiment.name] = None
                    rows.append(runner.run_one(one, tick=tick))
                    self._write(rows, reports)
                if own and experiment.judged:
                    bar.set_description(f"judging {experiment.name}")
                    bar.tick()
                    known = self._write(rows, reports)["runs"]
                    try:
                        told = judge(
                            experiment,
                            [r for r in known if r["experiment"] == experiment.name],
                            folder=self.folder,
                            crepe_capacity=self.crepe_capacity,
                        )
                    except ScorecardError as error:
                        told = str(error)
                        unjudged.append(f"{experiment.name}: {told}.")
                    reports[experiment.name] = told
                self._write(rows, reports)
        _say_what_is_unknown(rows)
        return MatrixOutcome(rows, unjudged)

    def _write(
        self, rows: list[checked_json.Json], reports: dict[str, str | None]
    ) -> checked_json.Json:
        """Writes the results so far; returns what matrix.json says now."""
        return results.write(
            self.folder,
            experiments=self.experiments,
            rows=rows,
            reports=reports,
            dataset=self.dataset,
            command=self.command,
            skipped=self.skipped,
        )


def _say_what_is_unknown(rows: Sequence[checked_json.Json]) -> None:
    """Warns of runs that were made before the matrix noted what they depend on."""
    names = [f"{row['experiment']}/{row['run']}" for row in rows if not row["compared"]]
    if names:
        logging.warning(
            "%d runs are taken for what their commands say, because it is not noted "
            "which content their gin files or dataset had: %s.",
            len(names),
            ", ".join(names),
        )


def judge(
    experiment: experiments.Experiment,
    rows: list[checked_json.Json],
    *,
    folder: pathlib.Path,
    crepe_capacity: str,
) -> str:
    """Writes the scorecard of an experiment's runs that are done.

    Args:
        experiment: The experiment.
        rows: All of its runs in the folder; the first is the baseline where there is no
            stage5.
        folder: Of the preset.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.

    Returns:
        What came of it, for the table: the report's path or why there is none.

    Raises:
        ScorecardError: If ddsp_report fails.
    """
    # The baseline is the GRU where there is one.
    done = [row for row in rows if row["state"] in runner.DONE]
    if len(done) < 2:
        return "no scorecard: fewer than two runs are done"
    baseline = next((row for row in done if row["rung"] == "stage5"), done[0])
    output = folder / history.REPORT_NAME.format(experiment.name)
    words = [
        sys.executable,
        "-m",
        "evaluation.run_report",
        f"--baseline={baseline['path']}",
        *(f"--candidate={row['path']}" for row in done if row is not baseline),
        f"--output={output}",
        "--overwrite",
    ]
    if crepe_capacity:
        words.append(f"--crepe_capacity={crepe_capacity}")
    # A process of its own: what it holds in memory ends with it.
    log_path = output.with_name(output.name + ".log")
    with runner.own_log(log_path) as log:
        log.truncate(0)
        code = subprocess.run(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            preexec_fn=processes.end_with_parent(),
        ).returncode
    if code:
        raise ScorecardError(
            f"no scorecard: ddsp_report ended with {code}, see {log_path}"
        )
    return str(output)
