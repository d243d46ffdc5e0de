"""Trains the toy and kills itself with SIGKILL: run by the resume tests.

    python training_killed.py <gin file> <data> <save dir> step|save|raise <n>

`step n` dies right after the n-th update; `save n` dies in the n-th checkpoint's save,
between the renaming of its data and of its index; `raise n` fails after the n-th
update, with the input pipeline running.
"""

import os
import signal
import sys
from collections.abc import Callable

from models.runs import checkpoints
from models.training import request
from models.training import session
from models.training import trainer


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail() -> None:
    raise RuntimeError("failing as asked")


def _at_step(count: int, happen: Callable[[], None]) -> None:
    original = trainer.LadderTrainer.set_model_step

    def counting(self, step):
        if step == count:
            happen()
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

    checkpoints.os.replace = counting


def main() -> None:
    gin_file, data_dir, save_dir, mode, count = sys.argv[1:]
    if mode == "save":
        _die_in_save(int(count))
    else:
        _at_step(int(count), _die if mode == "step" else _fail)
    session.train(
        request.TrainingRequest(
            save_dir=save_dir, gin_files=(gin_file,), data_dir=data_dir, quiet=True
        )
    )


if __name__ == "__main__":
    main()
