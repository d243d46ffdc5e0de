"""A decoder as a list of operations on vectors, which the page runs frame by frame.

Operations read slots and write one (`js/decoder.mjs` computes them): `dense`,
`layer_norm`, `activation`, `concat` and the gates of the three recurrent cores. Whoever
adds a decoder registers a function with `build`; what has none is refused.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from evaluation.instrument import tensors
from models.controls import control_smoothing
from models.decoders import base
from models.decoders import mlp
from models.decoders import recurrent
from prep import checked_json
from prep import errors

# A decoder's outputs in the page's order.
OUTPUTS = ("harm_gain", "harm_dist", "noise_gain")


class InstrumentError(errors.InputError):
    """An instrument that cannot be made; the message says why."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: What is computed.
        sources: Slots that are read.
        target: Slot that is written, or changed in place.
        options: What else the kind needs, by name.
    """

    kind: str
    sources: tuple[str, ...]
    target: str
    options: dict[str, str | float] = dataclasses.field(default_factory=dict)

    def to_json(self) -> checked_json.Json:
        """As the page reads it."""
        return {
            "kind": self.kind,
            "from": list(self.sources),
            "to": self.target,
            **self.options,
        }


class Builder:
    """Collects a decoder's operations, slots and weights.

    Args:
        packer: Where weights go.
    """

    def __init__(self, packer: tensors.Packer):
        self._packer = packer
        self.slots: dict[str, int] = {}
        self.states: list[str] = []
        self.operations: list[Operation] = []

    def slot(self, size: int) -> str:
        """A new slot of so many numbers."""
        name = f"v{len(self.slots)}"
        self.slots[name] = size
        return name

    def state(self, size: int) -> str:
        """A new slot that keeps its value to the next frame, zeros at first."""
        name = self.slot(size)
        self.states.append(name)
        return name

    def add(
        self, kind: str, sources: Sequence[str], target: str, **options: Any
    ) -> str:
        """Appends an operation; returns the slot that it writes."""
        self.operations.append(Operation(kind, tuple(sources), target, options))
        return target

    def concat(self, sources: Sequence[str]) -> str:
        """Slots side by side."""
        if len(sources) == 1:
            return sources[0]
        size = sum(self.slots[name] for name in sources)
        return self.add("concat", sources, self.slot(size))

    def product(self, source: str, kernel: Any, bias: Any = None) -> str:
        """A kernel [n_in, n_out] times a slot, plus a bias [n_out]."""
        n_out = int(kernel.shape[1])
        target = self.slot(n_out)
        options = {"weight": self._packer.add_matrix(f"{target}.weight", kernel)}
        if bias is not None:
            options["bias"] = self._packer.add(f"{target}.bias", bias)
        return self.add("dense", [source], target, **options)

    def dense(self, source: str, layer: tf.keras.layers.Dense) -> str:
        """A Keras layer with its activation."""
        target = self.product(source, layer.kernel, layer.bias)
        name = layer.activation.__name__
        if name != "linear":
            self.add("activation", [target], target, function=name)
        return target

    def stack(self, source: str, stack: Any) -> str:
        """Ddsp's stack: dense, layer norm and leaky ReLU, some times over."""
        for block in stack.layers:
            product, norm, _ = block.layers
            source = self.dense(source, product)
            self.add(
                "layer_norm",
                [source],
                source,
                gain=self._packer.add(f"{source}.gain", norm.gamma),
                offset=self._packer.add(f"{source}.offset", norm.beta),
                epsilon=float(norm.epsilon),
            )
            self.add("activation", [source], source, function="leaky_relu")
        return source

    def stacked(self, inputs: Sequence[str], stacks: Sequence[Any]) -> str:
        """Inputs through a stack each, if there are any, side by side."""
        if stacks:
            pairs = zip(inputs, stacks, strict=True)
            inputs = [self.stack(name, stack) for name, stack in pairs]
        return self.concat(inputs)


@functools.singledispatch
def build(decoder: base.LadderDecoder, builder: Builder, inputs: Sequence[str]) -> str:
    """Adds a decoder's operations up to its hidden output.

    Args:
        decoder: A built decoder.
        builder: Where operations go.
        inputs: Slots of its inputs, in the order of `input_keys`.

    Returns:
        The slot of the hidden output.

    Raises:
        InstrumentError: If the page knows no such decoder.
    """
    del builder, inputs
    if decoder.counts_frames:
        raise InstrumentError(
            f"a {type(decoder).__name__} cannot be played in a page: it counts its "
            "frames from the start, and after seconds of playing meets numbers that it "
            "never saw in training; train an MLP, micro-RNN, minGRU or GRU."
        )
    raise InstrumentError(
        f"a {type(decoder).__name__} cannot be played in a page; MLP, micro-RNN, "
        "minGRU and GRU decoders can."
    )


@build.register
def _(decoder: mlp.MlpDecoder, builder: Builder, inputs: Sequence[str]) -> str:
    joined = builder.stacked(inputs, decoder.input_stacks)
    if isinstance(decoder.trunk.layers[0], tf.keras.layers.Dense):
        for layer in decoder.trunk.layers:
            joined = builder.dense(joined, layer)
        return joined
    return builder.stack(joined, decoder.trunk)


@build.register
def _(decoder: recurrent.MicroRnnDecoder, builder: Builder, inputs: Sequence[str]):
    stacked = builder.stacked(inputs, decoder.input_stacks)
    state = builder.state(decoder.hidden)
    projected = builder.dense(stacked, decoder.project)
    recurred = builder.product(state, decoder.recurrent_kernel)
    builder.add("micro_rnn", [projected, recurred], state)
    return builder.stack(builder.concat([stacked, state]), decoder.out_stack)


@build.register
def _(decoder: recurrent.MinGruDecoder, builder: Builder, inputs: Sequence[str]) -> str:
    stacked = builder.stacked(inputs, decoder.input_stacks)
    state = builder.state(decoder.hidden)
    builder.add("min_gru", [builder.dense(stacked, decoder.project)], state)
    return builder.stack(builder.concat([stacked, state]), decoder.out_stack)


@build.register
def _(decoder: recurrent.GruDecoder, builder: Builder, inputs: Sequence[str]) -> str:
    stacks = decoder.input_stacks if decoder.input_stacks[0].layers else []
    stacked = builder.stacked(inputs, stacks)
    state = builder.state(decoder.rnn_channels)
    cell = decoder.rnn.rnn.cell
    projected = builder.product(stacked, cell.kernel, cell.bias[0])
    recurred = builder.product(state, cell.recurrent_kernel, cell.bias[1])
    builder.add("gru", [projected, recurred], state)
    return builder.stack(builder.concat([stacked, state]), decoder.out_stack)


def describe(decoder: base.LadderDecoder, packer: tensors.Packer) -> checked_json.Json:
    """Describes a decoder for the page.

    Args:
        decoder: A built decoder.
        packer: Where its weights go.

    Returns:
        What `Decoder` of `js/decoder.mjs` reads, and `starts`: where amps, harmonics
        and noise bands begin in its output.

    Raises:
        InstrumentError: If the page knows no such decoder.
    """
    builder = Builder(packer)
    for key in decoder.input_keys:
        builder.slots[key] = 1
    hidden = build(decoder, builder, list(decoder.input_keys))
    output = builder.dense(hidden, decoder.dense_out)
    starts, begin = {}, 0
    for key, size in decoder.output_splits:
        starts[key] = begin
        begin += size
    return {
        "inputs": list(decoder.input_keys),
        "slots": builder.slots,
        "states": builder.states,
        "operations": [operation.to_json() for operation in builder.operations],
        "output": output,
        "starts": [starts[control_smoothing.TARGETS[name]] for name in OUTPUTS],
    }
