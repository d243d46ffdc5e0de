"""Names in a run directory, how its training stands, and what can be wrong with it."""

import enum

from prep import errors

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
BEST_DIR = "best"  # the best checkpoint by the held-out batch


class RunError(errors.InputError, ValueError):
    """A run, or a file of it, that cannot be used."""


class NoRunError(errors.InputError, FileNotFoundError):
    """A run or a checkpoint that is not there."""


class Outcome(enum.StrEnum):
    """How a training stands, in the words of run.json."""

    RUNNING = "running"
    FINISHED = "finished"
    EARLY_STOP = "early stop"
    LOSS_REACHED = "loss reached"
    TIME_LIMIT = "time limit"
    INTERRUPTED = "interrupted"
    NOT_FINITE = "not finite"
    FAILED = "failed"

    @property
    def is_done(self) -> bool:
        """True if the run ended by a rule of its own: nothing is left to do."""
        return self in (Outcome.FINISHED, Outcome.EARLY_STOP, Outcome.LOSS_REACHED)
