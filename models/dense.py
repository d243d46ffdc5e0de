"""ddsp's fully connected stack with layer norm and activation as one operation.

`ddsp.training.nn.FcStack` is Dense, LayerNormalization and leaky ReLU, three times
over. The products are as fast as they can be; bias, norm and activation are a dozen
passes over memory in Keras and one compiled loop each way here.
"""

import tensorflow as tf
from ddsp.training import nn

from models import compiled

LEAK = 0.2  # slope of tf.nn.leaky_relu below zero


@compiled.compiled
def _forward(inputs, bias, gain, offset, epsilon):
    inputs = inputs + bias
    mean = tf.reduce_mean(inputs, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(inputs - mean), axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + epsilon)
    outputs = (inputs - mean) * inverse * gain + offset
    return tf.nn.leaky_relu(outputs, LEAK), mean, inverse


@compiled.compiled
def _backward(upstream, inputs, bias, gain, offset, mean, inverse):
    normalized = (inputs + bias - mean) * inverse
    is_positive = normalized * gain + offset > 0.0
    upstream = tf.where(is_positive, upstream, LEAK * upstream)
    batch_axes = list(range(len(inputs.shape) - 1))
    scaled = upstream * gain
    average = tf.reduce_mean(scaled, axis=-1, keepdims=True)
    along = tf.reduce_mean(scaled * normalized, axis=-1, keepdims=True)
    d_inputs = inverse * (scaled - average - normalized * along)
    d_gain = tf.reduce_sum(upstream * normalized, axis=batch_axes)
    d_offset = tf.reduce_sum(upstream, axis=batch_axes)
    return d_inputs, tf.reduce_sum(d_inputs, axis=batch_axes), d_gain, d_offset


def normalize_and_activate(
    inputs: tf.Tensor,
    *,
    bias: tf.Tensor,
    gain: tf.Tensor,
    offset: tf.Tensor,
    epsilon: float = 1e-3,
) -> tf.Tensor:
    """Adds a bias, normalises each frame, scales, and applies a leaky ReLU.

    Args:
        inputs: Output of a product with a kernel. Shape [..., n_channels].
        bias: Added before the norm. Shape [n_channels].
        gain: Layer norm's gamma. Shape [n_channels].
        offset: Layer norm's beta. Shape [n_channels].
        epsilon: Added to the variance, the guard for constant frames.

    Returns:
        leaky_relu(layer_norm(inputs + bias)), shape of `inputs`.

    Source:
        Ba et al., "Layer Normalization", 2016, as in ddsp's `nn.Fc`; the fused gradient
        is own.
    """

    @tf.custom_gradient
    def apply(inputs, bias, gain, offset):
        outputs, mean, inverse = _forward(inputs, bias, gain, offset, epsilon)

        def gradient(upstream):
            return _backward(upstream, inputs, bias, gain, offset, mean, inverse)

        return outputs, gradient

    return apply(inputs, *(tf.convert_to_tensor(v) for v in (bias, gain, offset)))


class FastFcStack(nn.FcStack):
    """ddsp's `FcStack` with the same layers and weights, computed in fewer passes.

    Args:
        ch: Channels of every layer.
        layers: Number of layers.
        nonlinearity: 'leaky_relu', the only one that has a fused form.

    Raises:
        ValueError: If `nonlinearity` is another.
    """

    def __init__(
        self, ch: int = 256, layers: int = 2, *, nonlinearity: str = "leaky_relu"
    ) -> None:
        if nonlinearity != "leaky_relu":
            raise ValueError(
                f"nonlinearity={nonlinearity!r}, but FastFcStack fuses 'leaky_relu' "
                "only; use ddsp.training.nn.FcStack for others."
            )
        super().__init__(ch, layers, nonlinearity)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Builds the layers under the names that Keras would give their weights."""
        shape = tf.TensorShape(input_shape)
        for block in self.layers:
            with tf.name_scope(block.name):
                for layer in block.layers:
                    with tf.name_scope(layer.name):
                        layer.build(shape)
                    shape = layer.compute_output_shape(shape)
            block.built = True
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Applies the stack to every frame. [..., n_inputs] -> [..., ch]."""
        del training, mask  # there is no dropout, and frames do not mix
        outputs = tf.convert_to_tensor(inputs, tf.float32)
        for block in self.layers:
            product, norm, _ = block.layers
            outputs = tf.tensordot(outputs, product.kernel, axes=1)
            outputs = normalize_and_activate(
                outputs,
                bias=product.bias,
                gain=norm.gamma,
                offset=norm.beta,
                epsilon=norm.epsilon,
            )
        return outputs
