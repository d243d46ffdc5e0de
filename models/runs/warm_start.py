"""Loads weights into a model that is not the one they were saved from.

A rung that gained a smoother, or whose decoder was exchanged, starts from the weights
that the two have in common. What matched, what stayed as it was and what was not used
is returned and logged, never guessed. ddsp's own checkpoints of solo_instrument load
into stage5, because the modules bear the same names.

Source: own; names are those of TensorFlow's object-based checkpoints.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import tensorflow as tf
from absl import logging
from ddsp.training import train_util

from models.runs import layout

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
ROOT = "model/"
SHOWN_NAMES = 3  # in one line
COUNTERS = (
    "step",
)  # the schedules' clock: set by the trainer, never restored from here


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """What became of every variable, by its path in the model.

    Attributes:
        checkpoint: The checkpoint that was read.
        matched: Restored.
        initial: In the model but not in the checkpoint: left as they were.
        ignored: In the checkpoint but not in the model.
        mismatched: In both, with other shapes: (path, shape saved, shape here).
    """

    checkpoint: str
    matched: tuple[str, ...]
    initial: tuple[str, ...]
    ignored: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def summary(self) -> str:
        """The report in a line: how many, and the first names of what is amiss."""
        shapes = [
            f"{path} {list(saved)} saved, {list(here)} here"
            for path, saved, here in self.mismatched
        ]
        return (
            f"{len(self.matched)} variables restored"
            f"{_named(', {} left at their initial value', self.initial)}"
            f"{_named(', {} not used', self.ignored)}"
            f"{_named(', {} of another shape', shapes)}"
        )

    def text(self) -> str:
        """The report in lines, one group after the other."""
        lines = [f"{self.checkpoint}: {self.summary()}"]
        lines += [f"  restored: {path}" for path in self.matched]
        lines += [f"  initial:  {path}" for path in self.initial]
        lines += [f"  not used: {path}" for path in self.ignored]
        lines += [
            f"  shape:    {path}: {list(saved)} saved, {list(here)} here"
            for path, saved, here in self.mismatched
        ]
        return "\n".join(lines)


def _named(what: str, names: Sequence[str]) -> str:
    """A count with the first names behind it; nothing for none."""
    if not names:
        return ""
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return f"{what.format(len(names))} ({', '.join(names[:SHOWN_NAMES])}{more})"


def variables_by_path(model: tf.keras.Model) -> dict[str, tf.Variable]:
    """The model's variables under the names that a checkpoint gives them.

    Args:
        model: A built model.

    Returns:
        Path from the model, e.g. "decoder/dense_out/kernel", to variable. An object
        that is reachable by two paths has the shortest, as in TensorFlow's checkpoints.
    """
    view = tf.train.TrackableView(model)
    paths: dict[str, tf.Variable] = {}
    queue = collections.deque([("", model)])
    seen = {id(model)}
    while queue:
        prefix, item = queue.popleft()
        if isinstance(item, tf.Variable):
            paths[prefix] = item
        for name, child in view.children(item).items():
            if id(child) not in seen:
                seen.add(id(child))
                queue.append((f"{prefix}/{name}" if prefix else name, child))
    return paths


def _saved_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the model's variables in a checkpoint, by path from the model."""
    return {
        name[len(ROOT) : -len(SUFFIX)]: tuple(shape)
        for name, shape in tf.train.list_variables(path)
        if name.startswith(ROOT) and name.endswith(SUFFIX)
    }


def compare(model: tf.keras.Model, path: str) -> RestoreReport:
    """Compares a checkpoint with a model; restores nothing.

    Args:
        model: A built model.
        path: A checkpoint, or a folder whose newest is meant.

    Returns:
        The report.

    Raises:
        FileNotFoundError: If there is no checkpoint.
    """
    path = train_util.get_latest_checkpoint(path)
    saved = _saved_shapes(path)
    here = {
        name: tuple(variable.shape)
        for name, variable in variables_by_path(model).items()
        if name not in COUNTERS
    }
    # Counters are set by the trainer; they are neither missing nor surplus.
    both = sorted(saved.keys() & here.keys())
    return RestoreReport(
        checkpoint=path,
        matched=tuple(name for name in both if saved[name] == here[name]),
        initial=tuple(sorted(here.keys() - saved.keys())),
        ignored=tuple(sorted(saved.keys() - here.keys() - set(COUNTERS))),
        mismatched=tuple(
            (name, saved[name], here[name])
            for name in both
            if saved[name] != here[name]
        ),
    )


def restore_matching(
    model: tf.keras.Model,
    path: str,
    *,
    allow_shape_mismatch: bool = False,
) -> RestoreReport:
    """Restores what a checkpoint and a model have in common.

    Args:
        model: A built model.
        path: A checkpoint, or a folder whose newest is meant.
        allow_shape_mismatch: Leave variables of another shape as they are, instead of
            raising.

    Returns:
        What was restored and what was not; also logged.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        layout.RunError: If shapes differ, or if nothing matches at all. The model is
            unchanged then.
    """
    report = compare(model, path)
    # All refusals come first, so that a refused model is unchanged.
    if report.mismatched and not allow_shape_mismatch:
        raise layout.RunError(
            f"{report.checkpoint} does not fit: {report.summary()}; build the model "
            "with the sizes it was saved with, or pass allow_shape_mismatch=True "
            "(--allow_shape_mismatch) to leave these as they are."
        )
    if not report.matched:
        raise layout.RunError(
            f"{report.checkpoint} holds nothing that this model has: "
            f"{report.summary()}; is it a checkpoint of a model of ours?"
        )
    # Restoring, variable by variable.
    reader = tf.train.load_checkpoint(report.checkpoint)
    variables = variables_by_path(model)
    for name in report.matched:
        variables[name].assign(reader.get_tensor(f"{ROOT}{name}{SUFFIX}"))
    logging.info("%s", report.text())
    return report
