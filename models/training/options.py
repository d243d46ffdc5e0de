"""What can be set about the training loop, and how a run can end."""

import dataclasses
import math

import gin


# Named after the loop: configurations of finished runs say so.
@gin.register(module="models.loop")
@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How often to look, and when to stop.

    Attributes:
        log_every: Steps between two rows of metrics.jsonl.
        held_out_every: Steps between two measurements on the held-out batch.
        held_out_examples: Examples of the held-out batch, spread over its recordings.
        held_out_split: 'eval'; or 'train' to overfit on purpose.
        patience: Stop after so many measurements without improvement; 0 never stops.
        min_delta: What a measurement must be lower by to count as better.
        collapse_penalty: Share by which a measurement's loss counts for more when an
            alarm's rule holds at it; 0 chooses by the loss alone.
        max_skipped_in_row: Stop after so many steps in a row that were not finite.
        dump_controls_every: Steps between two dumps of the controls; 0 writes none.
        render_every: Steps between two renderings of the held-out batch; 0 none.
        alarms: Whether to watch for collapse.
        alarms_after: Steps before the first alarm may be raised.
        early_stop_loss_value: Stop when the training loss is this low, as in ddsp.
        max_minutes: Stop after the first step beyond so many minutes of training,
            counted from the start of this process's training; 0 never stops.
    """

    log_every: int = 10
    held_out_every: int = 50
    held_out_examples: int = 8
    held_out_split: str = "eval"
    patience: int = 0
    min_delta: float = 0.0
    collapse_penalty: float = 0.1
    max_skipped_in_row: int = 10
    dump_controls_every: int = 0
    render_every: int = 0
    alarms: bool = True
    alarms_after: int = 100
    early_stop_loss_value: float | None = None
    max_minutes: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot work."""
        for name in ("log_every", "held_out_every", "held_out_examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; at least 1.")
        for name in (
            "patience",
            "min_delta",
            "collapse_penalty",
            "dump_controls_every",
            "render_every",
            "max_minutes",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)}; at least 0.")
        if self.held_out_split not in ("eval", "train"):
            raise ValueError(
                f"held_out_split={self.held_out_split!r}; 'eval' or 'train'."
            )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How training ended.

    Attributes:
        reason: 'finished', 'early stop', 'loss reached', 'time limit', 'interrupted'.
        step: Updates made.
        best_loss: Held-out spectral loss of the best checkpoint.
        best_step: Where it was.
        skipped: Steps that were not finite.
        best_measure: What that checkpoint was chosen by: `best_loss`, and a penalty
            where it has collapsed.
        best_collapsed: Whether an alarm's rule held at it.
    """

    reason: str
    step: int
    best_loss: float
    best_step: int
    skipped: int
    best_measure: float = math.inf
    best_collapsed: bool = False
