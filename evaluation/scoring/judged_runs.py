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
from models.measures import frame_masks
from models.runs import layout
from models.runs import loading as runs_lib
from prep import errors


@dataclasses.dataclass(frozen=True)
class JudgingOptions:
    """How runs are evaluated.

    Attributes:
        checkpoint: "best", "last" or a step.
        data_dir: Dataset; empty for the one that the baseline was trained on.
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
        baseline: The run that the others are compared with; where it is `optional`,
            the first that opens takes its place.
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


def describe_twins(runs: Sequence[str]) -> str:
    """Says what became of the baseline's further trainings; empty without any.

    Args:
        runs: Of a report, the baseline first.
    """
    baseline, *others = runs
    system = rows_lib.system_name(baseline)
    twins = [name for name in others if rows_lib.system_name(name) == system]
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
        self._n_asked = len(choice.run_dirs)
        self._optional = {path.name for path in choice.optional}
        # A run that only a glob found is passed over with the reason.
        for path in choice.run_dirs:
            try:
                self.runs[path.name] = self._open(path)
            except errors.InputError as error:
                self.skip(path.name, error)
        self.check_left()

    @property
    def baseline(self) -> str:
        """The run that the others are compared with: the first that opened."""
        return next(iter(self.runs))

    def _open(self, path: pathlib.Path) -> runs_lib.Run:
        """Restores a run that can be compared with the baseline, or the baseline."""
        if rows_lib.is_recording(path.name):
            raise errors.InputError(
                f"{path} is named as the recording is in the report; rename the "
                "directory."
            )
        run = rendering.open_run(path, checkpoint=self._options.checkpoint)
        # The first decides the dataset; the others must have learned from the same.
        if not self.runs:
            self.dataset = rendering.open_dataset_of(
                run, self._options.data_dir, split=self._options.split
            )
        elif not self._options.allow_other_dataset:
            rendering.check_same_dataset([self.runs[self.baseline], run])
        rendering.check_rates([run], self.dataset)
        self.logs[path.name] = training_log.read_rows(path)
        return run

    def skip(self, name: str, error: errors.InputError) -> None:
        """Leaves out a run that cannot be judged.

        Args:
            name: The run.
            error: Why.

        Raises:
            errors.InputError: The error itself, if the run was named, and another if
                it is the baseline and others are compared with it.
        """
        if name not in self._optional:
            raise error
        if len(self.runs) > 1 and name == self.baseline:
            raise errors.InputError(
                f"{name}, with which the others would be compared, cannot be judged: "
                f"{error} Name another: --baseline=runs/stage5."
            ) from error
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
            errors.InputError: If every run, or every candidate, was skipped.
        """
        if len(self.runs) >= min(self._n_asked, 2):
            return
        listed = " ".join(f"{one['run']}: {one['reason']}" for one in self.skipped)
        beside = f" to compare with {self.baseline}" if self.runs else ""
        raise errors.InputError(
            f"no run is left{beside}; name a sound one with --candidate. {listed}"
        )
