"""ddsp's fully connected stack with layer norm and activation as one operation.

`ddsp.training.nn.FcStack` is Dense, LayerNormalization and leaky ReLU, three times
over. The products are as fast as they can be; bias, norm and activation are a dozen
passes over memory in Keras and one compiled loop each way here. Of each layer only the
product is kept for the way back, and what the next layer read is computed again; a
stack of a few input channels can keep these alone. Several inputs that a stack reads
side by side are put together for the product and not kept as one.

At ddsp's initial biases of zero a stack that reads a single curve hears nothing of it:
the norm divides the first product by its own size, which leaves the curve's sign. The
decoder is deaf to pitch and loudness until biases have grown, for hundreds of steps of
the paper's GRU. `first_bias` draws them instead; weights and their names stay ddsp's.
"""

import collections.abc

import gin
import tensorflow as tf
from ddsp.training import nn

from models.layers import compiled
from models.layers import products

_Parts = collections.abc.Sequence[tf.Tensor]
_Weights = collections.abc.Sequence[collections.abc.Sequence[tf.Tensor]]

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


def _after(wait_for: tf.Tensor, tensors: _Parts) -> tuple[tf.Tensor, ...]:
    """The same tensors, to be read only when `wait_for` is there.

    What is computed from them is not shared with, or started like, the way there.
    """
    with tf.control_dependencies([wait_for]):
        return tuple(tf.identity(tensor) for tensor in tensors)


def _joined(parts: _Parts) -> tf.Tensor:
    """Channels side by side."""
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)


def _stack_forward(
    parts: _Parts, weights: _Weights, epsilon: float, *, by: products.Active
):
    """Outputs, and what each layer keeps: its product, and mean and scale of frames."""
    outputs, kept = _joined(parts), []
    for kernel, bias, gain, offset in weights:
        product = by.tensordot(outputs, kernel)
        outputs, mean, inverse = _forward(product, bias, gain, offset, epsilon)
        kept.append((product, mean, inverse))
    return outputs, kept


def _stack_backward(upstream, *, parts, weights, kept, epsilon, by):
    """Gradients of each input and, layer by layer, of the weights."""
    gradients = []
    axes = [list(range(len(upstream.shape) - 1))] * 2
    for layer in reversed(range(len(weights))):
        kernel, bias, gain, offset = weights[layer]
        upstream, d_bias, d_gain, d_offset = _backward(
            upstream, kept[layer][0], bias, gain, offset, *kept[layer][1:]
        )
        entered = parts
        if layer:
            # Computed again, and not before it is needed: half the memory of a stack.
            product = _after(upstream, kept[layer - 1][:1])
            entered = _forward(*product, *weights[layer - 1][1:], epsilon)[:1]
        d_kernel = [by.tensordot(part, upstream, axes) for part in entered]
        gradients.append((tf.concat(d_kernel, axis=0), d_bias, d_gain, d_offset))
        if layer:
            upstream = by.tensordot(upstream, kernel, [[-1], [1]])
    rows = tf.split(weights[0][0], [part.shape[-1] for part in parts], axis=0)
    d_parts = [by.tensordot(upstream, kernel, [[-1], [1]]) for kernel in rows]
    return d_parts, gradients[::-1]


def fully_connected(
    inputs: tf.Tensor | _Parts,
    weights: _Weights,
    *,
    epsilon: float = 1e-3,
    keep_products: bool = True,
) -> tf.Tensor:
    """Dense, layer norm and leaky ReLU, as often as there are weights.

    Args:
        inputs: Shape [..., n_inputs], or several that stand side by side as channels.
        weights: For each layer kernel [n_inputs, n_channels], bias, layer norm's gamma
            and beta, each [n_channels].
        epsilon: Added to the variance, the guard for constant frames.
        keep_products: Whether products are kept for the way back; without, all layers
            are computed again there, from the inputs.

    Returns:
        Shape [..., n_channels].

    Source:
        Ba et al., "Layer Normalization", 2016, as in ddsp's `nn.Fc`; the fused gradient
        is own.
    """
    # TensorFlow differentiates by positional tensors: parts, then weights, flat.
    parts: list[tf.Tensor] = [inputs] if tf.is_tensor(inputs) else [*inputs]
    n_parts, by = len(parts), products.active()

    @tf.custom_gradient
    def apply(*arguments):
        parts, flat = arguments[:n_parts], arguments[n_parts:]
        layers = [flat[i : i + 4] for i in range(0, len(flat), 4)]
        outputs, kept = _stack_forward(parts, layers, epsilon, by=by)

        def gradient(upstream):
            # Without kept products the forward pass runs once more, here.
            again = kept
            if not keep_products:
                parts_later = _after(upstream, parts)
                _, again = _stack_forward(parts_later, layers, epsilon, by=by)
            d_parts, gradients = _stack_backward(
                upstream,
                parts=parts,
                weights=layers,
                kept=again,
                epsilon=epsilon,
                by=by,
            )
            return *d_parts, *(item for layer in gradients for item in layer)

        return outputs, gradient

    flat = (tf.convert_to_tensor(w) for layer in weights for w in layer)
    return apply(*parts, *flat)


class Dense(tf.keras.layers.Dense):
    """Keras's layer, whose product is computed as the training step asks."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the layer to the last axis, [..., n_inputs] -> [..., units]."""
        outputs = products.active().tensordot(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


@gin.configurable(module="models.dense")
class FastFcStack(nn.FcStack):
    """ddsp's `FcStack` with the same layers and weights, computed in fewer passes.

    Args:
        ch: Channels of every layer.
        layers: Number of layers.
        nonlinearity: 'leaky_relu', the only one that has a fused form.
        keep_products: See `fully_connected`. Without, a stack's first layer is computed
            once more, which costs little, and each further one, which costs a quarter.
        first_bias: Initial biases of the first layer are drawn between this and its
            negative; 0 is ddsp's. The weights of one input start within about 0.1.

    Raises:
        ValueError: If `nonlinearity` is another, or `first_bias` negative.
    """

    def __init__(
        self,
        ch: int = 256,
        layers: int = 2,
        *,
        nonlinearity: str = "leaky_relu",
        keep_products: bool = True,
        first_bias: float = 0.0,
    ) -> None:
        if first_bias < 0.0:
            raise ValueError(
                f"first_bias={first_bias} is below 0; give 0 (ddsp's) or 0.1."
            )
        if nonlinearity != "leaky_relu":
            raise ValueError(
                f"nonlinearity={nonlinearity!r}, but FastFcStack fuses 'leaky_relu' "
                "only; use ddsp.training.nn.FcStack for others."
            )
        super().__init__(ch, layers, nonlinearity)
        self.keep_products = keep_products
        if first_bias and self.layers:
            initializer = tf.keras.initializers.RandomUniform(-first_bias, first_bias)
            first_product = self.layers[0].layers[0]
            first_product.bias_initializer = initializer

    def build(self, input_shape: tf.TensorShape) -> None:
        """Builds the layers under the names that Keras would give their weights."""
        if isinstance(input_shape, list):
            *frames, _ = input_shape[0]
            input_shape = [*frames, sum(shape[-1] for shape in input_shape)]
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
        inputs: tf.Tensor | _Parts,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Applies the stack to every frame of one or several inputs side by side.

        [..., n_inputs] or a list of such -> [..., ch].
        """
        del training, mask  # there is no dropout, and frames do not mix
        parts = inputs if isinstance(inputs, list | tuple) else [inputs]
        parts = [tf.convert_to_tensor(part, tf.float32) for part in parts]
        weights, epsilon = [], 0.0
        for block in self.layers:
            product, norm, _ = block.layers
            weights.append((product.kernel, product.bias, norm.gamma, norm.beta))
            epsilon = norm.epsilon
        if not weights:
            return _joined(parts)
        return fully_connected(
            parts, weights, epsilon=epsilon, keep_products=self.keep_products
        )
