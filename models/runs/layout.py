"""Names of the files and folders of a run directory, and what can be wrong with one."""

from prep import errors

RUN_NAME = "run.json"
METRICS_NAME = "metrics.jsonl"
BEST_DIR = "best"  # the best checkpoint by the held-out batch


class RunError(errors.InputError, ValueError):
    """A run, or a file of it, that cannot be used."""


class NoRunError(errors.InputError, FileNotFoundError):
    """A run or a checkpoint that is not there."""
