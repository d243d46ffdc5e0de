"""Matrix products of a decoder, in the precision that a training step asks for.

Outside of `computed_in` all is float32: rendering, live playing, export and the
measurements on held-out data. Inside, the factors of a product and its result are
rounded to bfloat16, those of its gradient too; weights, sums, norms, activations and
the states of recurrent layers stay in float32. A layer with a gradient of its own asks
for `active` on the way there, because the way back is traced outside.
"""

import collections.abc
import contextlib
import contextvars

import tensorflow as tf

from prep import errors
from prep import products

PRECISIONS = ("float32", "bfloat16")


class Active:
    """Products in one precision, counted.

    Attributes:
        n_products: How many have been put into a graph, gradients aside.
    """

    def __init__(self, precision: str = "float32"):
        self.n_products = 0
        self._products = products.products_of(precision)

    def tensordot(
        self,
        left: tf.Tensor,
        right: tf.Tensor,
        axes: int | list[list[int]] = 1,
    ) -> tf.Tensor:
        """Computes `tf.tensordot` of two float32 tensors; float32."""
        return self._product(tf.tensordot, left, right, axes=axes)

    def matmul(
        self, left: tf.Tensor, right: tf.Tensor, *, transpose_b: bool = False
    ) -> tf.Tensor:
        """Computes `tf.matmul` of two float32 tensors; float32."""
        return self._product(tf.matmul, left, right, transpose_b=transpose_b)

    def _product(
        self,
        multiply: collections.abc.Callable[..., tf.Tensor],
        *factors: tf.Tensor,
        **options: object,
    ) -> tf.Tensor:
        """Rounds two factors, multiplies them and rounds what comes out."""
        self.n_products += 1
        rounded = map(self._products.rounded, factors)
        return self._products.float32(multiply(*rounded, **options))


_FLOAT32 = Active()
_ACTIVE = contextvars.ContextVar("products", default=_FLOAT32)


def active() -> Active:
    """Returns the products of the step that is being traced; float32 outside."""
    return _ACTIVE.get()


@contextlib.contextmanager
def computed_in(precision: str) -> collections.abc.Iterator[None]:
    """Has the products of all layers computed in a precision.

    Args:
        precision: "float32" or "bfloat16".

    Raises:
        errors.InputError: If it is not float32 and no layer multiplies in it.
    """
    inside = Active(precision)
    token = _ACTIVE.set(inside)
    try:
        yield
    finally:
        _ACTIVE.reset(token)
    if precision != "float32" and not inside.n_products:
        raise errors.InputError(
            f"LadderTrainer.product_precision={precision!r}, but no layer of this "
            "model multiplies in it; take a rung of gin/ (its decoder is one of "
            "models.decoders), or leave gin/overlays/bfloat16.gin out."
        )
