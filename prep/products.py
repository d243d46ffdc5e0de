"""Matrix products in float32 or bfloat16: CREPE's, and a decoder's in training.

In bfloat16 both factors of every product, and what comes out of it, are rounded to 8
significant bits; sums inside a product, and all else, stay in float32. A processor with
AMX or AVX512-BF16 multiplies such numbers several times as fast as float32. On any
other TensorFlow's own products in bfloat16 also add up in it, so there rounded numbers
are multiplied in float32: equal numbers but for the order of sums, at no gain.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from prep import tensorflow_setup


@dataclasses.dataclass(frozen=True)
class Products:
    """A way to multiply float32 matrices.

    Attributes:
        precision: Of the factors, "float32" or "bfloat16".
        native: Whether TensorFlow's own products in bfloat16 are used; without, they
            are computed in float32 from rounded numbers.
    """

    precision: str = "float32"
    native: bool = False

    def constant(self, values: np.ndarray) -> tf.Tensor:
        """Returns a factor that does not change, in memory once.

        `tf.constant` alone keeps a second copy of a large array for as long as it lives
        (measured with TensorFlow 2.21); the identity lets go of it.
        """
        return self.rounded(tf.identity(tf.constant(values, tf.float32)))

    def rounded(self, factor: tf.Tensor) -> tf.Tensor:
        """Rounds a float32 factor to what is multiplied: a factor for `@`."""
        if self.precision == "float32":
            return factor
        bfloat16 = tf.cast(factor, tf.bfloat16)
        return bfloat16 if self.native else tf.cast(bfloat16, tf.float32)

    def float32(self, product: tf.Tensor) -> tf.Tensor:
        """Returns a product of two factors in float32, rounded as they are.

        Where nothing is rounded, float64 of gradient checks passes through.
        """
        if self.precision == "float32":
            return product
        return tf.cast(self.rounded(product), tf.float32)


def products_of(precision: str) -> Products:
    """Chooses the products of a precision that suit this processor."""
    return Products(precision, native=not tensorflow_setup.lacks_bfloat16())
