"""Trains the toy and kills itself with SIGKILL: run by the resume tests.

    python training_killed.py <gin file> <data> <save dir> step|save <n>

`step n` dies right after the n-th update; `save n` dies in the n-th checkpoint's save,
between the renaming of its data and of its index.
"""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import os
import signal
import sys

from models import checkpointing
from models import session
from models import trainer


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after_step(count: int) -> None:
    original = trainer.LadderTrainer.set_model_step

    def counting(self, step):
        if step == count:
            _die()
        original(self, step)

    trainer.LadderTrainer.set_model_step = counting


def _die_in_save(count: int) -> None:
    seen = [0]
    original = os.replace

    def counting(source, target):
        if str(target).endswith(".index") and "best" not in str(target):
            seen[0] += 1
            if seen[0] == count:
                _die()
        original(source, target)

    checkpointing.os.replace = counting


def main() -> None:
    gin_file, data_dir, save_dir, mode, count = sys.argv[1:]
    {"step": _die_after_step, "save": _die_in_save}[mode](int(count))
    session.train(
        session.Request(
            save_dir=save_dir, gin_files=(gin_file,), data_dir=data_dir, quiet=True
        )
    )


if __name__ == "__main__":
    main()
