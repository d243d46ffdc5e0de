"""The runs of a report: which they are, how they are judged, opened and checked.

A run that was named must be sound: what is wrong with it ends the evaluation. A run
that only a glob found is skipped with a warning and listed in the report, because among
many there is often one that has not started or has diverged.
"""

import dataclasses
import glob
import pathlib
from collections.abc import Sequence

from absl import logging

from evaluation.scoring import rendering
from evaluation.scoring import rows as rows_lib
from evaluation.scoring import training_log
from models.data import provider
from models.measures import frame_masks
from models.runs import layout
from models.runs import loading as runs_lib
from prep import errors


@dataclasses.dataclass(frozen=True)
class JudgingOptions:
    """How runs are evaluated.

    Attributes:
        checkpoint: "best", "last" or a step.
        data_dir: Dataset; empty for the one that the first run was trained on.
        split: Which split of it.
        max_clips: Score so many clips, spread over the recordings; 0 for all.
        n_media: Embed so many clips in the report.
        batch_size: Clips rendered at once.
        seed: Decides the noise.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.
        masks: What counts as pitched and audible.
        allow_other_dataset: Score runs that were trained on different data.
    """

    checkpoint: str = "best"
    data_dir: str = ""
    split: str = "eval"
    max_clips: int = 0
    n_media: int = 8
    batch_size: int = 4
    seed: int = 0
    crepe_capacity: str = ""
    masks: frame_masks.MaskSettings = dataclasses.field(
        default_factory=frame_masks.MaskSettings
    )
    allow_other_dataset: bool = False


@dataclasses.dataclass(frozen=True)
class RunChoice:
    """The runs of a report.

    Attributes:
        baseline: The run that the others are compared with.
        run_dirs: All of them, the baseline first, each once.
        optional: Those of `run_dirs` that only a glob found.
    """

    baseline: pathlib.Path
    run_dirs: tuple[pathlib.Path, ...]
    optional: frozenset[pathlib.Path] = frozenset()

    @property
    def has_others(self) -> bool:
        """Returns whether there is more than the baseline."""
        return len(self.run_dirs) > 1


def find_runs(
    *, baseline: str, candidates: Sequence[str], patterns: Sequence[str]
) -> RunChoice:
    """The runs to judge, the baseline first, each once.

    Args:
        baseline: Directory; empty for the first of the others.
        candidates: Directories.
        patterns: Globs; what they match and is no run is left out, with a note.

    Raises:
        errors.InputError: If there is no run, a glob matches none, all that is given
            beside the baseline is the baseline, or two runs have one name.
    """
    if not (baseline or candidates or patterns):
        raise errors.InputError(
            "there is no run to judge; say --candidate runs/recommended for one beside "
            "its recordings, or --baseline runs/stage5 --runs 'runs/*' for many."
        )
    explicit = [pathlib.Path(name) for name in (baseline, *candidates) if name]
    matched = [path for pattern in patterns for path in match_runs(pattern)]
    named: dict[pathlib.Path, pathlib.Path] = {}
    for path in [*explicit, *matched]:
        named.setdefault(path.resolve(), path)
    others = ", ".join([*candidates, *patterns])
    if baseline and others and len(named) < 2:
        raise errors.InputError(
            f"there is no run to compare with {baseline} ({others} was given); say "
            "--candidate runs/stage2 or --runs 'runs/*'."
        )
    _check_names(list(named.values()))
    asked_for = {path.resolve() for path in explicit}
    return RunChoice(
        baseline=next(iter(named.values())),
        run_dirs=tuple(named.values()),
        optional=frozenset(p for real, p in named.items() if real not in asked_for),
    )


def match_runs(pattern: str) -> list[pathlib.Path]:
    """The runs that a glob matches, also those that only started.

    Args:
        pattern: Glob; what it matches and is no run is left out, with a note.

    Raises:
        errors.InputError: If it matches none.
    """
    found = []
    for name in sorted(glob.glob(str(pathlib.Path(pattern).expanduser()))):
        path = pathlib.Path(name)
        started = (path / layout.RUN_NAME).is_file()
        if started or any(path.glob("operative_config-*.gin")):
            found.append(path)
        elif path.is_dir():
            logging.warning(
                "%s is no run (no operative_config); left out",
                errors.printable(str(path)),
            )
    if not found:
        raise errors.InputError(
            f"--runs={pattern} matches no run, seen from {pathlib.Path.cwd()}; a run "
            "is a folder that ddsp_run wrote."
        )
    return found


def _check_names(run_dirs: Sequence[pathlib.Path]) -> None:
    """Refuses two runs of one name: tables and audio could not tell them apart."""
    taken: dict[str, pathlib.Path] = {}
    for path in run_dirs:
        if path.name in taken:
            raise errors.InputError(
                f"two runs are named {path.name!r} ({path} and {taken[path.name]}); "
                "rename one directory."
            )
        taken[path.name] = path


def describe_twins(choice: RunChoice) -> str:
    """Says what becomes of the baseline's further trainings; empty without any.

    Args:
        choice: The runs of a report.
    """
    system = rows_lib.system_name(choice.baseline.name)
    twins = [
        path.name
        for path in choice.run_dirs[1:]
        if rows_lib.system_name(path.name) == system
    ]
    if not twins:
        return ""
    verb = "is another training" if len(twins) == 1 else "are other trainings"
    return (
        f"{', '.join(twins)} {verb} of the baseline's system {system}: averaged into "
        "it, not compared with it."
    )


class OpenedRuns:
    """The runs of a report, restored, with the dataset that they are judged on.

    Attributes:
        dataset: The open split.
        runs: Restored runs by name, the baseline first; skipped ones are missing.
        logs: Rows of each run's metrics.jsonl, by its name.
        skipped: `{"run": name, "reason": sentence}` of each skipped run.
    """

    def __init__(self, choice: RunChoice, *, options: JudgingOptions):
        """Opens all runs.

        Args:
            choice: Which.
            options: How they will be judged.

        Raises:
            errors.InputError: If a named run or the dataset cannot be used, or if
                none of several candidates is left.
        """
        self.runs: dict[str, runs_lib.Run] = {}
        self.logs: dict[str, list[training_log.LogRow]] = {}
        self.skipped: list[dict[str, str]] = []
        self._options = options
        self._baseline = choice.baseline.name
        self._n_asked = len(choice.run_dirs)
        self._optional = {path.name for path in choice.optional}
        # The baseline decides the dataset; without it there is nothing to compare.
        first, *others = choice.run_dirs
        baseline = _open(first, checkpoint=options.checkpoint)
        self.dataset: provider.PreparedDataset = rendering.open_dataset_of(
            baseline, options.data_dir, split=options.split
        )
        rendering.check_rates([baseline], self.dataset)
        self.logs[first.name] = training_log.read_rows(first)
        self.runs[first.name] = baseline
        # A run that only a glob found is passed over with the reason.
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
        self.logs[path.name] = training_log.read_rows(path)
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
        logging.warning(
            "run %s is skipped: %s",
            errors.printable(name),
            errors.printable(str(error)),
        )
        self.runs.pop(name, None)
        self.skipped.append({"run": name, "reason": str(error)})

    def check_left(self) -> None:
        """Refuses to go on with the baseline alone, unless it was asked for alone.

        Raises:
            errors.InputError: If every candidate was skipped.
        """
        if len(self.runs) > 1 or self._n_asked == 1:
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
