"""The one place that decides how a kernel with a hand-written gradient is compiled.

XLA turns a kernel's element-wise operations and its loops into machine code that passes
over memory once, where TensorFlow's executor would pass once an operation. Kernels are
compiled anew for each new shape, in a fraction of a second to a few seconds; graphs of
unknown shapes are compiled when they meet a concrete one. `DDSP_LADDER_XLA=0` in the
environment switches that off, and `as_written` neither traces nor compiles for a while.
"""

import collections.abc
import contextlib
import contextvars
import functools
import typing

import tensorflow as tf

from prep import tensorflow_setup

_CONSTANTS = (int, float, str, type(None))
_is_as_written = contextvars.ContextVar("_is_as_written", default=False)


@contextlib.contextmanager
def as_written() -> collections.abc.Iterator[None]:
    """Runs kernels operation by operation inside this context.

    A kernel takes longer to be traced than to run once on a few frames.
    """
    token = _is_as_written.set(True)
    try:
        yield
    finally:
        _is_as_written.reset(token)


def _detached(value: typing.Any) -> typing.Any:
    return tf.stop_gradient(value) if tf.is_tensor(value) else value


def _call(
    kernel: collections.abc.Callable[..., typing.Any],
    constants: tuple[typing.Any, ...],
    *tensors: typing.Any,
) -> typing.Any:
    return kernel(*tensors, *constants)


def compiled(
    kernel: collections.abc.Callable[..., typing.Any],
) -> collections.abc.Callable[..., typing.Any]:
    """Compiles a function of tensors that is used inside `tf.custom_gradient`.

    Args:
        kernel: Takes float or complex tensors, then numbers and strings, which are
            constants of the compiled code.

    Returns:
        A function of the same arguments. No gradient flows through it: the caller's
        hand-written one replaces it, and without the detachment a tape would keep every
        intermediate value.
    """

    # A function for each set of constants, because TensorFlow warns of a function that
    # is traced five times. It tells partials apart, but not closures of the same code.
    @functools.lru_cache(maxsize=None, typed=True)
    def jitted(*constants: typing.Any) -> typing.Any:
        return tf.function(
            functools.partial(_call, kernel, constants),
            jit_compile=tensorflow_setup.compiles_kernels(),
            autograph=False,
        )

    @functools.wraps(kernel)
    def call(*arguments: typing.Any) -> typing.Any:
        n_tensors = len(arguments)
        while n_tensors and isinstance(arguments[n_tensors - 1], _CONSTANTS):
            n_tensors -= 1
        tensors = tf.nest.map_structure(_detached, arguments[:n_tensors])
        constants = arguments[n_tensors:]
        if _is_as_written.get():
            return _call(kernel, constants, *tensors)
        return jitted(*constants)(*tensors)

    return call
