"""What can be set about training by gin, and what a training comes to.

The gin names are those of the classes that first took these parameters, because the
configurations of finished runs say them: `models.loop.LoopOptions` and
`models.trainer.LadderTrainer`.
"""

import dataclasses
import math

import gin

from models.layers import products
from models.runs import layout
from models.runs import record
from models.training import optimizer


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


@gin.register("LadderTrainer", module="models.trainer")
@dataclasses.dataclass(frozen=True)
class TrainerOptions:
    """How a step updates the weights.

    What gin binds for ddsp's `Trainer` counts where this binds nothing.

    Attributes:
        learning_rate: Rate after the warm-up, 1e-5 to 1e-2.
        lr_schedule: 'exponential', 'cosine' or 'constant'.
        lr_decay_steps: See `optimizer.OptimSettings.decay_steps`.
        lr_decay_rate: See there; 0.5 makes the steps a half-life.
        lr_min: What the rate falls to.
        lr_warmup_steps: Steps of linear rise at the start.
        total_steps: Length of the run, for 'cosine'; the run's own by default.
        grad_clip_norm: Bound of the gradient.
        clip_mode: 'global' (norm over all weights), 'element' or 'none'.
        accumulate_steps: Parts that are read for each update.
        checkpoints_to_keep: Newest checkpoints kept, besides the best.
        product_precision: Of the decoder's matrix products in a step, 'float32' or
            'bfloat16'; see `models.layers.products`.
        restore_keys: Restore only these parts of a model, as in ddsp.
        seed: Decides the noise of each step; the run's own by default.
    """

    learning_rate: float = 3e-4
    lr_schedule: str = "exponential"
    lr_decay_steps: float = 10000
    lr_decay_rate: float = 0.98
    lr_min: float = 0.0
    lr_warmup_steps: int = 0
    total_steps: int | None = None
    grad_clip_norm: float = 3.0
    clip_mode: str = "global"
    accumulate_steps: int = 1
    checkpoints_to_keep: int = 3
    product_precision: str = "float32"
    restore_keys: list[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot work."""
        for name in ("accumulate_steps", "checkpoints_to_keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; at least 1.")
        if self.product_precision not in products.PRECISIONS:
            raise ValueError(
                f"product_precision={self.product_precision!r}; "
                f"{' or '.join(map(repr, products.PRECISIONS))}."
            )
        self.optimizer_settings()

    def optimizer_settings(self) -> optimizer.OptimSettings:
        """The optimiser's part of the options."""
        return optimizer.OptimSettings(
            learning_rate=self.learning_rate,
            schedule=self.lr_schedule,
            minimum=self.lr_min,
            warmup_steps=self.lr_warmup_steps,
            decay_steps=self.lr_decay_steps,
            decay_rate=self.lr_decay_rate,
            total_steps=self.total_steps,
            clip_norm=self.grad_clip_norm,
            clip_mode=self.clip_mode,
        )


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a training came to; its fields are written to run.json.

    Attributes:
        reason: How it ended.
        step: Updates made.
        best_loss: Held-out spectral loss of the best checkpoint.
        best_step: Where it was.
        skipped: Steps that were not finite.
        best_measure: What that checkpoint was chosen by: `best_loss`, and a penalty
            where it has collapsed.
        best_collapsed: Whether an alarm's rule held at it.
    """

    reason: layout.Outcome
    step: int
    best_loss: float
    best_step: int
    skipped: int
    best_measure: float = math.inf
    best_collapsed: bool = False

    @classmethod
    def from_record(cls, done: record.RunRecord) -> "TrainingResult":
        """The result of a run that is done, from its run.json."""
        names = [field.name for field in dataclasses.fields(cls)]
        known = {name: done.fields[name] for name in names if name in done.fields}
        return cls(**known | {"reason": done.outcome})
