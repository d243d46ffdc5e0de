"""The one place that decides how a kernel with a hand-written gradient is compiled.

XLA turns a kernel's element-wise operations and its loops into machine code that passes
over memory once, where TensorFlow's executor would pass once an operation. Kernels are
compiled anew for each new shape, in a fraction of a second to a few seconds; graphs of
unknown shapes are compiled when they meet a concrete one.
"""

import collections.abc
import functools
import typing

import tensorflow as tf


def _detached(value: typing.Any) -> typing.Any:
    return tf.stop_gradient(value) if tf.is_tensor(value) else value


def compiled(
    kernel: collections.abc.Callable[..., typing.Any],
) -> collections.abc.Callable[..., typing.Any]:
    """Compiles a function of tensors that is used inside `tf.custom_gradient`.

    Args:
        kernel: Takes float or complex tensors, and numbers or strings that are constant
            for the compiled code.

    Returns:
        A function of the same arguments. No gradient flows through it: the caller's
        hand-written one replaces it, and without the detachment a tape would keep every
        intermediate value.
    """
    jitted = tf.function(kernel, jit_compile=True)

    @functools.wraps(kernel)
    def call(*arguments: typing.Any) -> typing.Any:
        return jitted(*tf.nest.map_structure(_detached, arguments))

    return call
