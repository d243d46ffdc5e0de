"""Where a run begins: at the start, where it stopped, or from another run's weights."""

import datetime
import os
import pathlib
from collections.abc import Sequence

from absl import logging

from models.runs import checkpoints
from models.runs import configurations
from models.runs import record
from models.training import assembly
from prep import errors

_RUN_FILES = (
    "best",
    "checkpoint",
    "ckpt-*",
    "controls",
    "lessons.jsonl",
    "measured_controls",
    "metrics.jsonl",
    "operative_config-*.gin",
    "renders",
    "run.json",
    "staged.json",
    "summaries",
    "warm_up",
)
# Where a run ends and where its data lies may change without a word.
_MAY_CHANGE = ("DATA_DIR", "train.num_steps")
N_NAMED = 5  # settings in one line


class ResumeError(errors.InputError, ValueError):
    """A run that cannot begin as asked."""


def check_writable(directory: pathlib.Path) -> None:
    """Makes a directory and checks that files can be written into it.

    Raises:
        ResumeError: If not.
    """
    probe = directory / f".writable-{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise ResumeError(
            f"cannot write to save_dir {directory} ({error.strerror}); say another "
            "--save_dir."
        ) from error


def find_start(
    save_dir: pathlib.Path, *, restore_dir: pathlib.Path | None, mode: str
) -> checkpoints.FoundCheckpoint | None:
    """The checkpoint that a run goes on from, None for a fresh start.

    Args:
        save_dir: The run's own directory, looked at first.
        restore_dir: Where to look if it holds none, as ddsp's flag says.
        mode: 'auto' takes what is there, 'must' insists, 'never' starts anew: see
            `move_aside`.

    Raises:
        ResumeError: If there must be one and there is none, or if there are only
            damaged ones.
    """
    if mode == "never":
        return None
    # The run's own checkpoints come before those of restore_dir.
    found = checkpoints.newest_sound(save_dir)
    if found is None and restore_dir is not None and restore_dir != save_dir:
        found = checkpoints.newest_sound(restore_dir)
        if found is None and not checkpoints.found_in(save_dir):
            raise ResumeError(
                f"--restore_dir={restore_dir} holds no sound checkpoint; leave the "
                "flag out to start anew."
            )
    # Refusals: a run whose every checkpoint is damaged never starts anew unasked.
    if found is None and checkpoints.found_in(save_dir):
        raise ResumeError(
            f"every checkpoint in {save_dir} is damaged; --resume=never moves them "
            "aside and starts anew."
        )
    if found is None and mode == "must":
        raise ResumeError(
            f"--resume=must, but there is no checkpoint in {restore_dir or save_dir}; "
            "--resume=auto starts anew where there is none."
        )
    return found


def check_dataset(found: checkpoints.FoundCheckpoint | None, *, plan_hash: str) -> None:
    """Checks that a run goes on with the dataset that it began with.

    Another split would put recordings that it has trained on into what it is judged by.

    Args:
        found: The checkpoint that it goes on from; None for a fresh start.
        plan_hash: Of the dataset; empty if it has none.

    Raises:
        ResumeError: If they differ, or if the run has been trained on several.
    """
    if found is None:
        return
    run_dir = pathlib.Path(found.path).parent
    known = record.read_record(run_dir).plan_hashes
    if plan_hash and known and known != (plan_hash,):
        raise ResumeError(
            f"the run in {run_dir} was trained on the dataset {', '.join(known)}, and "
            f"this one is {plan_hash}: recordings that it has trained on may be among "
            "those that judge it. --resume=never starts anew and moves the run aside; "
            f"--init_from={run_dir} with another --save_dir starts from its weights."
        )


def differences(run_dir: pathlib.Path, *, config_text: str, seed: int) -> str | None:
    """Says in what a run goes on with another configuration than it had; None: nothing.

    Args:
        run_dir: The run, before its new start is recorded.
        config_text: The configuration in force.
        seed: The seed in force.
    """
    before = record.read_record(run_dir)
    names = ["seed"] if before.fields.get("seed", seed) != seed else []
    names += configurations.changed(before.config, config_text)
    names = [name for name in names if name not in _MAY_CHANGE]
    if not names:
        return None
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return (
        "goes on with another configuration than this run had: "
        f"{', '.join(names[:N_NAMED])}{more} (another --save_dir makes another run)"
    )


def move_aside(save_dir: pathlib.Path, *, phases: Sequence[str] = ()) -> None:
    """Moves an earlier run's files into a folder of their own.

    Args:
        save_dir: The run's directory.
        phases: Names of folders that are runs too, and parts of this one.
    """
    patterns = (*_RUN_FILES, *phases)
    present = [path for pattern in patterns for path in save_dir.glob(pattern)]
    if not present:
        return
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    aside = save_dir / f"previous-{stamp}"
    aside.mkdir()
    for path in present:
        path.rename(aside / path.name)
    logging.warning("--resume=never: the earlier run's files are now in %s.", aside)


def seed_of(run_dir: pathlib.Path) -> int:
    """Returns the seed that a run began with; 0 where there is none."""
    return int(record.read_record(run_dir).fields.get("seed", 0))


def restore(
    training: assembly.Training,
    *,
    found: checkpoints.FoundCheckpoint,
    save_dir: pathlib.Path,
) -> str:
    """Loads model, optimiser and progress; returns the line that says so.

    Args:
        training: What to load into.
        found: The checkpoint.
        save_dir: The run's own directory; `restore_keys` choose among the parts of
            another run's checkpoint, of one's own everything counts.

    Raises:
        layout.RunError: If the checkpoint is of another architecture.
    """
    trainer = training.trainer
    keys = trainer.options.restore_keys
    if keys and pathlib.Path(found.path).parent != save_dir:
        parts = {key: getattr(trainer.model, key) for key in keys}
        root = checkpoints.sub_model(parts)
        checkpoints.restore(found.path, trackables={"model": root})
        return f"restored {', '.join(keys)} from {found.path} ({found.digest})"
    checkpoints.check_architecture(found.path, trainer.model)
    with trainer.strategy.scope():
        checkpoints.restore(found.path, trackables=training.trackables)
    return (
        f"restored step {int(trainer.step.numpy())} from {found.path} ({found.digest})"
    )
