"""Opens the runs of a report and checks that they belong together.

What is wrong with a named run ends the evaluation; a run that only a glob found is
skipped with a warning, and the report lists it.
"""

import pathlib

from absl import logging

from evaluation.scoring import options as options_lib
from evaluation.scoring import rendering
from evaluation.scoring import rows as rows_lib
from evaluation.scoring import run_choice
from models.data import provider
from models.runs import loading as runs_lib
from prep import errors


class OpenedRuns:
    """The runs of a report, restored, with the dataset that they are judged on.

    Attributes:
        dataset: The open split.
        runs: Restored runs by name, the baseline first; skipped ones are missing.
        skipped: `{"run": name, "reason": sentence}` of each skipped run.
    """

    def __init__(self, choice: run_choice.Choice, *, options: options_lib.Options):
        """Opens all runs.

        Args:
            choice: Which.
            options: How they will be judged.

        Raises:
            errors.InputError: If a named run or the dataset cannot be used, or if
                no candidate is left.
        """
        self.runs: dict[str, runs_lib.Run] = {}
        self.skipped: list[dict[str, str]] = []
        self._options = options
        self._baseline = choice.baseline.name
        self._optional = {path.name for path in choice.optional}
        first, *others = choice.run_dirs
        baseline = _open(first, checkpoint=options.checkpoint)
        self.dataset: provider.PreparedDataset = rendering.open_dataset(
            options.data_dir or baseline.data_dir, split=options.split
        )
        rendering.check_rates([baseline], self.dataset)
        self.runs[first.name] = baseline
        for path in others:
            try:
                self.runs[path.name] = self._open_beside(path, baseline)
            except errors.InputError as error:
                self.skip(path.name, error)
        self.check_left()

    def _open_beside(self, path: pathlib.Path, baseline: runs_lib.Run) -> runs_lib.Run:
        """Restores a run that can be compared with the baseline."""
        run = _open(path, checkpoint=self._options.checkpoint)
        if not self._options.allow_other_dataset:
            rendering.check_same_dataset([baseline, run])
        rendering.check_rates([run], self.dataset)
        return run

    def skip(self, name: str, error: errors.InputError) -> None:
        """Leaves out a run that cannot be judged.

        Args:
            name: The run.
            error: Why.

        Raises:
            errors.InputError: The error itself, if the run was named.
        """
        if name not in self._optional:
            raise error
        logging.warning("run %s is skipped: %s", name, error)
        self.runs.pop(name, None)
        self.skipped.append({"run": name, "reason": str(error)})

    def check_left(self) -> None:
        """Refuses to go on with the baseline alone.

        Raises:
            errors.InputError: If every candidate was skipped.
        """
        if len(self.runs) > 1:
            return
        listed = " ".join(f"{one['run']}: {one['reason']}" for one in self.skipped)
        raise errors.InputError(
            f"no run is left to compare with {self._baseline}; name a sound one with "
            f"--candidate. {listed}"
        )


def _open(path: pathlib.Path, *, checkpoint: str) -> runs_lib.Run:
    """Restores a run whose name can be told from the recording's."""
    if rows_lib.system_name(path.name) == rows_lib.RECORDING:
        raise errors.InputError(
            f"{path} is named as the recording is in the report; rename the directory."
        )
    return rendering.open_run(path, checkpoint=checkpoint)
