"""The ways in which a training can stand or end; run.json's `outcome`."""

import enum


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
