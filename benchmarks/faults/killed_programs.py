"""The programs that `kill_everything` kills: what they work on, and what must be left.

What is compared leaves out what differs from run to run by its nature: times, memory,
TensorBoard's files, the matrix's note of how long a run took (run.json tells it where
a kill came before the note), which steps were saved on the way because a signal came
there, and the sources of a few kB that TensorFlow's AutoGraph leaves in the system's
folder for temporary files when it is killed.
"""

import json
import pathlib
import re
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from evaluation.matrix import history
from evaluation.report import placement
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from models.runs import checkpoints
from models.runs import layout
from models.runs import metrics_log
from models.runs import record
from prep.dataset import info
from tests.helpers import prep_helpers
from tests.helpers import training_helpers
from tests.helpers import training_toy

EXAMPLE_SECS = 0.5
N_STEPS = 30  # of the toy's training
RUNGS = ("stage1", "stage2")
_PASSING = re.compile(
    r"events\.out\.tfevents|matrix_command\.json|operative_config-\d+\.gin|"
    r"ckpt-\d+\.|__autograph_generated"
)
# Keys of metrics.jsonl that are the same however often a run goes on. Losses are means
# since the row before, of which a run that goes on has seen a part.
_LASTING = re.compile(r"held_out/|controls/|reference/|step$|skipped_steps$")


class Subject:
    """A program under test.

    Args:
        material: Folder of `make_material`; never written to.
    """

    name = ""
    module = ""

    def __init__(self, material: pathlib.Path):
        self.material = material

    def set_up(self, folder: pathlib.Path) -> pathlib.Path:
        """Makes a folder as it is before the program runs; returns it."""
        folder.mkdir(parents=True)
        return folder

    def flags(self, folder: pathlib.Path) -> list[str]:
        """The program's flags, for what is in `folder`."""
        raise NotImplementedError

    def words(self, folder: pathlib.Path) -> list[str]:
        """The command, as a person would type it."""
        return ["python", "-m", self.module, *self.flags(folder)]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:
        """What a reader would take for whole, right after a kill, and is not."""
        raise NotImplementedError

    def differences(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:
        """What tells a folder from that of a run that nobody killed."""
        mine, theirs = _names(folder), _names(whole)
        found = [f"{name} is left behind" for name in sorted(mine - theirs)]
        found += [f"{name} is missing" for name in sorted(theirs - mine)]
        return found or list(self.contents_differ(folder, whole))

    def contents_differ(
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        """Yields what differs between folders of the same files."""
        raise NotImplementedError


class PrepSubject(Subject):
    """`ddsp_prep`."""

    name, module = "prep", "prep.run_beam"

    def flags(self, folder: pathlib.Path) -> list[str]:  # noqa: D102
        return [
            f"--input={self.material / 'wavs'}",
            f"--output={folder / 'data'}",
            f"--example_secs={EXAMPLE_SECS}",
            "--eval_split_fraction=0.4",
            "--quiet",
        ]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:  # noqa: D102
        data = folder / "data"
        try:
            info.read_dataset_info(data)
        except (FileNotFoundError, ValueError):
            return []
        return list(self.contents_differ(folder, whole))

    def contents_differ(  # noqa: D102
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        theirs = prep_helpers.contents(whole / "data")
        mine = prep_helpers.contents(folder / "data")
        yield from (f"{n} differs" for n in theirs if mine.get(n) != theirs[n])


class TrainSubject(Subject):
    """`ddsp_run`."""

    name, module = "train", "models.ddsp_run"

    def flags(self, folder: pathlib.Path) -> list[str]:  # noqa: D102
        return [
            "--quiet",
            f"--gin_file={self.material / 'toy.gin'}",
            f"--data_dir={self.material / 'data'}",
            f"--save_dir={folder / 'run'}",
            f"--gin_param=train.num_steps={N_STEPS}",
            "--gin_param=train.steps_per_save=5",
        ]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:  # noqa: D102
        del whole
        return list(_broken_run(folder / "run"))

    def contents_differ(  # noqa: D102
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        yield from _runs_differ(folder / "run", whole / "run")


class ReportSubject(Subject):
    """`ddsp_report`, replacing an earlier report."""

    name, module = "report", "evaluation.run_report"

    def set_up(self, folder: pathlib.Path) -> pathlib.Path:  # noqa: D102
        super().set_up(folder)
        shutil.copytree(self.material / "data", folder / "data")
        shutil.copytree(self.material / "report", folder / "report")
        return folder

    def flags(self, folder: pathlib.Path) -> list[str]:  # noqa: D102
        return [
            f"--baseline={self.material / 'runs' / 'stage1'}",
            f"--candidate={self.material / 'runs' / 'stage2'}",
            f"--data_dir={folder / 'data'}",
            f"--output={folder / 'report'}",
            "--overwrite",
            "--seed=2",
        ]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:  # noqa: D102
        report, old = folder / "report", self.material / "report"
        scores = report / rows_lib.SCORES_NAME
        known = [(one / scores.name).read_bytes() for one in (old, whole / "report")]
        if scores.exists() and scores.read_bytes() not in known:
            return ["scores.jsonl is neither the old one nor the new one"]
        return list(_broken_report(report))

    def contents_differ(  # noqa: D102
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        for path in sorted((whole / "report").rglob("*")):
            # The summary and the pages say how long rendering took.
            is_timed = path.parent == whole / "report" and path.suffix != ".jsonl"
            mine = folder / path.relative_to(whole)
            if path.is_file() and not is_timed:
                if mine.read_bytes() != path.read_bytes():
                    yield f"{path.relative_to(whole)} differs"
        yield from _broken_report(folder / "report")


class MatrixSubject(Subject):
    """`ddsp_matrix`: two trainings, and their report."""

    name, module = "matrix", "evaluation.run_matrix"

    def set_up(self, folder: pathlib.Path) -> pathlib.Path:  # noqa: D102
        super().set_up(folder)
        shutil.copytree(self.material / "data", folder / "data")
        return folder

    def flags(self, folder: pathlib.Path) -> list[str]:  # noqa: D102
        return [
            "--preset=smoke",
            "--experiments=shuffled",
            f"--rungs={','.join(RUNGS)}",
            f"--data_dir={folder / 'data'}",
            f"--output={folder / 'matrix'}",
        ]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:  # noqa: D102
        del whole
        place = folder / "matrix" / "smoke"
        if (place / history.JSON_NAME).exists():
            json.loads((place / history.JSON_NAME).read_text())
        found = list(_broken_report(place / "report-shuffled"))
        for rung in RUNGS:
            found += _broken_run(place / history.RUNS_NAME / "shuffled" / rung)
        return found

    def contents_differ(  # noqa: D102
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        mine, theirs = (one / "matrix" / "smoke" for one in (folder, whole))
        if _results(mine) != _results(theirs):
            yield f"{history.JSON_NAME} differs"
        for rung in RUNGS:
            name = pathlib.Path(history.RUNS_NAME) / "shuffled" / rung
            yield from _runs_differ(mine / name, theirs / name)
        yield from _broken_report(mine / "report-shuffled")


class RenderSubject(Subject):
    """`ddsp_render` into five files."""

    name, module = "render", "evaluation.run_render"

    def flags(self, folder: pathlib.Path) -> list[str]:  # noqa: D102
        return [
            f"--run={self.material / 'runs' / 'stage2'}",
            f"--input={self.material / 'wavs' / 'tone0.wav'}",
            f"--output={folder / 'out.wav'}",
            f"--controls_out={folder / 'played.csv'}",
            *("--stems", "--dump_controls", "--overwrite"),
        ]

    def halves(self, folder: pathlib.Path, whole: pathlib.Path) -> list[str]:  # noqa: D102
        return list(self.contents_differ(folder, whole))

    def contents_differ(  # noqa: D102
        self, folder: pathlib.Path, whole: pathlib.Path
    ) -> Iterator[str]:
        for path in folder.iterdir():
            if path.is_file() and not path.name.startswith("."):
                if path.read_bytes() != (whole / path.name).read_bytes():
                    yield f"{path.name} differs"


PROGRAMS = {
    one.name: one
    for one in (PrepSubject, TrainSubject, ReportSubject, MatrixSubject, RenderSubject)
}


class _Plain(Subject):
    """A program with the flags that are given."""

    def __init__(self, module: str, *flags: str):
        self.module, self._flags = module, list(flags)

    def flags(self, folder: pathlib.Path) -> list[str]:
        return self._flags


def make_material(
    folder: pathlib.Path, start: Callable[[Subject], object]
) -> pathlib.Path:
    """Makes recordings, a dataset, two trained runs and a report of them.

    Args:
        folder: Where; made.
        start: Runs a program to its end.
    """
    folder.mkdir(parents=True)
    prep_helpers.write_tones(folder / "wavs", [1.5, 1.0, 1.0])
    data = training_helpers.write_dataset(folder / "data", example_secs=EXAMPLE_SECS)
    training_toy.write_toy_gin(folder)
    made = [
        _Plain(
            "models.ddsp_run",
            f"--gin_file=gin/{rung}.gin",
            "--gin_file=gin/overlays/tiny.gin",
            f"--data_dir={data}",
            f"--save_dir={folder / 'runs' / rung}",
            *("--steps=1", "--quiet"),
        )
        for rung in RUNGS
    ]
    made.append(
        _Plain(
            "evaluation.run_report",
            f"--baseline={folder / 'runs' / 'stage1'}",
            f"--candidate={folder / 'runs' / 'stage2'}",
            f"--output={folder / 'report'}",
            "--seed=1",
        )
    )
    for program in made:
        start(program)
    shutil.rmtree(data / ".heard", ignore_errors=True)
    return folder


def _names(folder: pathlib.Path) -> set[str]:
    """Names of all files and folders that a run must leave and may leave."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in names if not _PASSING.search(name)}


def _broken_run(run_dir: pathlib.Path) -> Iterator[str]:
    """Yields what a reader of a run would take for whole, and is not."""
    for place in (run_dir, run_dir / layout.BEST_DIR):
        for found in checkpoints.found_in(place):
            if problem := checkpoints.verify(found.path):
                yield f"{found.path}: {problem}"
    record.read_record(run_dir)


def _broken_report(report: pathlib.Path) -> Iterator[str]:
    """Yields what of a report is there and not whole."""
    if (report / placement.SUMMARY_NAME).exists():
        builder.read_summary(report / placement.SUMMARY_NAME)
    if (report / rows_lib.SCORES_NAME).exists():
        rows_lib.read_rows(report / rows_lib.SCORES_NAME)
    page = report / "report.html"
    if page.exists() and not page.read_text("utf-8").rstrip().endswith("</html>"):
        yield "report.html is cut off"


def _results(place: pathlib.Path) -> list[tuple[Any, ...]]:
    """What matrix.json says of each run, but for times and memory."""
    document = json.loads((place / history.JSON_NAME).read_text("utf-8"))
    return [
        (
            row["run"],
            row["state"],
            row["tracked"]["best_loss"],
            *row["tracked"]["alarms"],
        )
        for row in document["runs"]
    ]


def _runs_differ(mine: pathlib.Path, theirs: pathlib.Path) -> Iterator[str]:
    """Yields what differs between two runs that have ended."""
    if record.read_record(mine).outcome is not layout.Outcome.FINISHED:
        yield "run.json does not say finished"
    last = [checkpoints.found_in(run)[0] for run in (mine, theirs)]
    if last[0].step != last[1].step:
        yield f"the last checkpoint is of step {last[0].step}"
        return
    ours, others = (_tensors(found.path) for found in last)
    if ours.keys() != others.keys():
        yield "the checkpoints hold other tensors"
        return
    yield from (k for k in others if not np.array_equal(ours[k], others[k]))
    rows, wanted = _rows(mine), _rows(theirs)
    if any(rows.get(step) != row for step, row in wanted.items()):
        yield "metrics.jsonl differs"
    # SIGTERM ends a run with a row of its own; nothing else adds one.
    if len(rows) > len(wanted) + 1:
        yield f"metrics.jsonl has {len(rows)} rows in the place of {len(wanted)}"


def _tensors(path: str) -> dict[str, np.ndarray]:
    """Values of a checkpoint by name."""
    reader = tf.train.load_checkpoint(path)
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names if "CHECKPOINT" not in name}


def _rows(run_dir: pathlib.Path) -> dict[int, dict[str, Any]]:
    """What the log says of each step, however often the run went on."""
    return {
        row["step"]: {k: v for k, v in row.items() if _LASTING.match(k)}
        for row in metrics_log.read_metrics(run_dir)
    }
