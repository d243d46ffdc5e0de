"""One training step: gradients, accumulated and averaged over workers, then the update.

The step is one `tf.function`. It takes `accumulate_steps` parts of a batch at once,
[n_parts, batch, ...], and updates once, with the gradient of the joint batch. A loss or
gradient that is not finite updates nothing; the loop counts and reports it.

A step's noise is a function of (seed, step, row): see `models.synths.seeded_noise`.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from models.layers import products
from models.synths import seeded_noise
from models.training import optimizer
from models.training import options as training_options
from prep import tensorflow_setup

Batch = dict[str, tf.Tensor]


class StepResult(NamedTuple):
    """What a step came to, scalars all.

    Attributes:
        losses: Means over the joint batch, by name.
        grad_norm: Of all gradients together, before clipping.
        learning_rate: That the step had.
        finite: Whether loss and gradient are; else nothing was updated.
        gradient_secs: For losses and gradients.
        update_secs: For the update.
    """

    losses: dict[str, tf.Tensor]
    grad_norm: tf.Tensor
    learning_rate: tf.Tensor
    finite: tf.Tensor
    gradient_secs: tf.Tensor
    update_secs: tf.Tensor


class LadderTrainer:
    """Binds a model, a distribution strategy and an optimiser, as ddsp's Trainer."""

    def __init__(
        self,
        model: tf.keras.Model,
        strategy: tf.distribute.Strategy,
        *,
        options: training_options.TrainerOptions,
    ):
        """Creates the optimiser.

        Args:
            model: A ddsp Model: `model(batch, return_losses=True)` → outputs, losses.
            strategy: Where it runs.
            options: Rates, clipping, accumulation, seed.
        """
        self.model = model
        self.strategy = strategy
        self.options = options
        self.settings = options.optimizer_settings()
        wants_bfloat16 = options.product_precision == "bfloat16"
        if wants_bfloat16 and tensorflow_setup.lacks_bfloat16():
            why = tensorflow_setup.BFLOAT16_IS_SLOWER
            logging.warning("product_precision='bfloat16': %s", why)
        with strategy.scope():
            self.optimizer = optimizer.make_optimizer(self.settings)

    @property
    def step(self) -> tf.Variable:
        """The number of updates made."""
        return self.optimizer.iterations

    @property
    def n_replicas(self) -> int:
        """Devices that share each batch."""
        return self.strategy.num_replicas_in_sync

    def build(self, batch: Batch) -> None:
        """Creates the variables of model and optimiser.

        Where the model has no quicker way, the forward pass is traced on one device and
        not run: kernels would be compiled for a batch of one, which training never
        meets.
        """

        def forward(features: Batch) -> Any:
            return self.model(features, return_losses=True, training=True)

        with self.strategy.scope():
            if hasattr(self.model, "create_variables"):
                self.model.create_variables(batch)
            elif self.n_replicas == 1:
                tf.function(forward, autograph=False).get_concrete_function(batch)
            else:
                forward(batch)
            self.optimizer.build(self.model.trainable_variables)

    def set_model_step(self, step: int) -> None:
        """Tells a model with schedules which step comes next."""
        if hasattr(self.model, "set_step"):
            self.model.set_step(step)

    @tf.function(autograph=False)
    def train_step(self, parts: Batch, attempt: tf.Tensor) -> StepResult:
        """Makes one update from `accumulate_steps` parts.

        Args:
            parts: Features of shape [accumulate_steps, batch, ...] on each replica.
            attempt: Which step this is, int64; decides the noise.

        Returns:
            What it came to, as tensors.
        """
        start = tf.timestamp()
        gradients, losses = self.strategy.run(self._joint_gradients, (parts, attempt))
        losses = {key: self._one_replica(value) for key, value in losses.items()}
        local = [self._one_replica(item) for item in gradients]
        norm = tf.linalg.global_norm(local)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(losses["total_loss"])
        learning_rate = self.optimizer._learning_rate(self.step)
        # Time stamps are ordered by control dependencies: gradients, then update.
        with tf.control_dependencies([finite]):
            middle = tf.timestamp()
        with tf.control_dependencies([middle]):
            updates = tf.cond(finite, lambda: self._update(gradients), self._keep)
        with tf.control_dependencies([updates]):
            end = tf.timestamp()
        return StepResult(
            losses=losses,
            grad_norm=norm,
            learning_rate=learning_rate,
            finite=finite,
            gradient_secs=middle - start,
            update_secs=end - middle,
        )

    def _one_replica(self, value: Any) -> tf.Tensor:
        """A value that is the same on all replicas."""
        return self.strategy.experimental_local_results(value)[0]

    def _update(self, gradients: list[Any]) -> tf.Tensor:
        self.strategy.run(self._apply, (gradients,))
        return tf.constant(1)

    def _keep(self) -> tf.Tensor:
        return tf.constant(0)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        """Clips and updates, on each replica alike."""
        clipped, _ = optimizer.clip_gradients(gradients, settings=self.settings)
        self.optimizer.apply_gradients(
            zip(clipped, self.model.trainable_variables, strict=True),
            skip_gradients_aggregation=True,
        )

    def _joint_gradients(
        self, parts: Batch, attempt: tf.Tensor
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients and losses of the joint batch: mean over parts and replicas."""
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)

        def of_part(index: tf.Tensor | int) -> list[tf.Tensor]:
            part = {key: value[index] for key, value in parts.items()}
            n_rows = part["audio"].shape[0]
            place = tf.cast(index, tf.int64) * self.n_replicas + replica
            key = seeded_noise.NoiseKey(
                self.options.seed, attempt, place * n_rows, n_rows
            )
            return self._gradients(part, key)

        # Names of the losses appear while the first part is traced.
        sums, names = self._sum_parts(of_part)
        means = [item / self.options.accumulate_steps for item in sums]
        if self.n_replicas > 1:
            means = context.all_reduce(tf.distribute.ReduceOp.MEAN, means)
        n_losses = len(names)
        return list(means[n_losses:]), dict(zip(names, means[:n_losses], strict=True))

    def _sum_parts(
        self, of_part: Callable[[Any], list[tf.Tensor]]
    ) -> tuple[list[tf.Tensor], list[str]]:
        """Adds up [losses, gradients] over the parts, in a loop of the graph."""
        if self.options.accumulate_steps == 1:
            return of_part(0), list(self._loss_names)

        def body(index: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            added = zip(sums, of_part(index), strict=True)
            return (index + 1, *(total + item for total, item in added))

        first = of_part(0)
        _, *sums = tf.while_loop(
            lambda index, *_: index < self.options.accumulate_steps,
            body,
            (tf.constant(1), *first),
            parallel_iterations=1,
        )
        return sums, list(self._loss_names)

    def _gradients(self, part: Batch, key: seeded_noise.NoiseKey) -> list[tf.Tensor]:
        """Losses, then a dense gradient for every trainable variable."""
        with (
            tf.GradientTape() as tape,
            seeded_noise.reproducible(key),
            products.computed_in(self.options.product_precision),
        ):
            _, losses = self.model(part, return_losses=True, training=True)
        variables = self.model.trainable_variables
        gradients = tape.gradient(losses["total_loss"], variables)
        self._loss_names = tuple(losses)
        dense = [
            tf.zeros_like(variable) if item is None else tf.convert_to_tensor(item)
            for item, variable in zip(gradients, variables, strict=True)
        ]
        return [*losses.values(), *dense]
