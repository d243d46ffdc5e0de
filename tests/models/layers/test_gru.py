"""The fast GRU, micro-RNN and stacks against Keras: numbers, weights, shapes."""

import numpy as np
import pytest
import tensorflow as tf
from ddsp.training import decoders
from ddsp.training import nn

from models.layers import dense
from models.layers import gru
from models.layers import recurrent_kernels
from tests.helpers import defaults

VALUE_TOLERANCE = 1e-5  # absolute, states are below 1
GRADIENT_TOLERANCE = 1e-5  # share of the largest gradient; float32 sums over frames
N_UNITS = 24
N_INPUTS = 7


def gaussian(rng, *shape, scale=1.0):
    return tf.constant(rng.normal(0, scale, shape), tf.float32)


def gradients(function, inputs, weights, upstream):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    return [outputs, *tape.gradient(outputs, [inputs, *weights], upstream)]


def assert_same(ours, keras):
    for est, ref in zip(ours, keras, strict=True):
        error = np.abs(est - ref).max()
        assert error <= GRADIENT_TOLERANCE * np.abs(ref).max()


@pytest.fixture
def pair(rng):
    """Keras's layer and ours with equal random weights, biases included."""
    layers = [
        cls(N_UNITS, return_sequences=True)
        for cls in (tf.keras.layers.GRU, gru.FastGru)
    ]
    for layer in layers:
        layer.build(tf.TensorShape([None, None, N_INPUTS]))
    weights = [rng.normal(0, 0.3, w.shape) for w in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(weights)
    return layers


@pytest.mark.parametrize(("batch", "n_frames"), [(1, 1), (3, 200)])
@pytest.mark.long
def test_gru_and_its_gradients_are_keras(rng, pair, batch, n_frames):
    inputs = gaussian(rng, batch, n_frames, N_INPUTS)
    upstream = gaussian(rng, batch, n_frames, N_UNITS)
    keras, ours = (gradients(x, inputs, x.trainable_weights, upstream) for x in pair)
    assert_same(ours, keras)


def test_initial_state_and_its_gradient_are_keras(rng, pair):
    inputs = gaussian(rng, 2, 9, N_INPUTS)
    results = []
    for layer in pair:
        state = gaussian(np.random.default_rng(1), 2, N_UNITS)
        with tf.GradientTape() as tape:
            tape.watch(state)
            outputs = layer(inputs, initial_state=state)
        results.append([outputs, tape.gradient(outputs, state)])
    assert_same(results[1], results[0])


def test_weights_have_keras_names_order_and_checkpoint_keys(tmp_path, pair):
    keras, ours = pair
    assert [w.name.split("/", 1)[-1] for w in ours.weights] == [
        w.name.split("/", 1)[-1] for w in keras.weights
    ]
    path = tf.train.Checkpoint(layer=keras).write(str(tmp_path / "keras"))
    before = [w.copy() for w in keras.get_weights()]
    ours.set_weights([w * 0.0 for w in before])
    tf.train.Checkpoint(layer=ours).read(path).assert_consumed()
    for restored, saved in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(restored, saved)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_float32_take_the_fast_path(rng, monkeypatch, dtype):
    seen = []
    scan = recurrent_kernels.gru_scan
    monkeypatch.setattr(
        recurrent_kernels, "gru_scan", lambda *x: seen.append(x) or scan(*x)
    )
    layer = gru.FastGru(N_UNITS, dtype=dtype)
    layer(tf.constant(rng.normal(size=(1, 2, N_INPUTS)), dtype))
    assert len(seen) == (dtype == "float32")


def test_a_decoder_keeps_no_products_of_its_input_stacks():
    decoder = gru.FastRnnFcDecoder(rnn_channels=4, ch=4, layers_per_stack=1)
    assert not any(stack.keep_products for stack in decoder.input_stacks)


def test_steps_equal_the_sequence(rng, pair):
    inputs = gaussian(rng, 2, 5, N_INPUTS)
    sequence = pair[1](inputs)
    state = tf.zeros([2, N_UNITS])
    for frame in range(5):
        state = pair[1].step(inputs[:, frame], state)
        np.testing.assert_allclose(state, sequence[:, frame], atol=VALUE_TOLERANCE)


def test_last_state_is_returned(rng):
    layer = gru.FastGru(N_UNITS, return_state=True)
    output, state = layer(gaussian(rng, 2, 5, N_INPUTS))
    assert output.shape == (2, N_UNITS)
    np.testing.assert_array_equal(output, state)


@pytest.mark.long
def test_graph_of_unknown_sizes_survives_saving(rng, tmp_path, pair):
    keras, ours = pair
    module = tf.Module()
    module.layer = ours
    spec = tf.TensorSpec([None, None, N_INPUTS], tf.float32)
    module.run = tf.function(lambda inputs: ours(inputs), input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    restored = tf.saved_model.load(str(tmp_path))
    for batch, n_frames in ((1, 4), (3, 11)):
        inputs = gaussian(rng, batch, n_frames, N_INPUTS)
        np.testing.assert_allclose(
            restored.run(inputs), keras(inputs), atol=VALUE_TOLERANCE
        )


def test_a_mask_takes_keras_own_path(rng, pair):
    inputs = gaussian(rng, 2, 5, N_INPUTS)
    mask = tf.constant([[True] * 5, [True, True, False, False, False]])
    keras, ours = (layer(inputs, mask=mask) for layer in pair)
    np.testing.assert_allclose(ours, keras, atol=VALUE_TOLERANCE)


def micro_reference(projected, kernel, state):
    """The micro-RNN frame by frame, differentiated by TensorFlow."""
    states = []
    for frame in range(projected.shape[1]):
        product = projected[:, frame] + tf.matmul(state, kernel)
        update = tf.sigmoid(product[:, :N_UNITS])
        state = update * state + (1.0 - update) * tf.tanh(product[:, N_UNITS:])
        states.append(state)
    return tf.stack(states, axis=1)


def test_micro_rnn_and_its_gradients_match_the_formula(rng):
    arguments = [
        gaussian(rng, 3, 12, 2 * N_UNITS),
        gaussian(rng, N_UNITS, 2 * N_UNITS, scale=0.4),
        gaussian(rng, 3, N_UNITS, scale=0.4),
    ]
    upstream = gaussian(rng, 3, 12, N_UNITS)
    results = []
    for function in (recurrent_kernels.micro_rnn_scan, micro_reference):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            outputs = function(*arguments)
        results.append([outputs, *tape.gradient(outputs, arguments, upstream)])
    assert_same(*results)


def test_fc_stack_and_its_gradients_are_ddsps(rng):
    stock, fast = nn.FcStack(N_UNITS, 3), dense.FastFcStack(N_UNITS, 3)
    inputs = gaussian(rng, 2, 9, N_INPUTS)
    upstream = gaussian(rng, 2, 9, N_UNITS)
    stock(inputs)
    fast(inputs)
    weights = [rng.normal(0, 0.5, w.shape) for w in stock.get_weights()]
    for stack in (stock, fast):
        stack.set_weights(weights)
    ref, est = (
        gradients(x, inputs, x.trainable_weights, upstream) for x in (stock, fast)
    )
    assert_same(est, ref)


@pytest.mark.parametrize("keep_products", [True, False])
@pytest.mark.long
def test_fc_stack_reads_inputs_side_by_side_as_if_they_were_one(rng, keep_products):
    whole = dense.FastFcStack(N_UNITS, 3)
    split = dense.FastFcStack(N_UNITS, 3, keep_products=keep_products)
    inputs = gaussian(rng, 2, 9, N_INPUTS)
    upstream = gaussian(rng, 2, 9, N_UNITS)
    cut = lambda x: [x[..., :3], x[..., 3:4], x[..., 4:]]
    whole(inputs)
    split(cut(inputs))
    weights = [rng.normal(0, 0.5, w.shape) for w in whole.get_weights()]
    for stack in (whole, split):
        stack.set_weights(weights)
    ref = gradients(whole, inputs, whole.trainable_weights, upstream)
    results = gradients(
        tf.function(lambda x: split(cut(x))),
        inputs,
        split.trainable_weights,
        upstream,
    )
    assert_same(results, ref)


def test_first_biases_let_a_stack_hear_a_single_curve():
    """At zero the norm leaves a curve's sign alone; see `models.dense`."""
    curve = tf.constant([[[0.5], [1.0]]])
    moved = []
    for first_bias in (0.0, 0.1):
        stack = dense.FastFcStack(N_UNITS, 3, first_bias=first_bias)
        outputs = stack(curve)
        moved.append(np.abs(outputs[:, 1] - outputs[:, 0]).mean())
    deaf, hearing = moved
    assert deaf < 0.1  # what epsilon lets through
    assert hearing > 3.0 * deaf
    assert len(stack.trainable_weights) == 12


def test_fc_stack_has_finite_gradients_on_constant_frames():
    stack = dense.FastFcStack(N_UNITS, 1)
    inputs = tf.zeros([1, 3, N_INPUTS])
    stack(inputs)
    results = gradients(
        stack, inputs, stack.trainable_weights, tf.ones([1, 3, N_UNITS])
    )
    assert all(np.all(np.isfinite(value)) for value in results)


def decoder_inputs(rng):
    return {key: gaussian(rng, 2, 9, 1) for key in ("ld_scaled", "f0_scaled")}


def decoder_options():
    return {
        "rnn_channels": N_UNITS,
        "ch": 16,
        "input_keys": ("ld_scaled", "f0_scaled"),
        "output_splits": (("amps", 1), ("harmonic_distribution", 6)),
    }


@pytest.mark.long
def test_decoder_restores_ddsps_checkpoint_and_agrees(rng, tmp_path):
    inputs = decoder_inputs(rng)
    stock = decoders.RnnFcDecoder(**decoder_options())
    fast = gru.FastRnnFcDecoder(**decoder_options())
    ref = stock(inputs)
    fast(inputs)
    path = tf.train.Checkpoint(decoder=stock).write(str(tmp_path / "stock"))
    tf.train.Checkpoint(decoder=fast).read(path).assert_consumed()
    est = fast(inputs)
    assert est.keys() == ref.keys()
    for key, value in ref.items():
        np.testing.assert_allclose(est[key], value, atol=VALUE_TOLERANCE)


def test_stateless_decoder_carries_its_state(rng):
    decoder = gru.FastRnnFcDecoder(**decoder_options(), stateless=True)
    inputs = decoder_inputs(rng)
    whole = decoder({**inputs, "state": tf.zeros([2, N_UNITS])})
    state, pieces = tf.zeros([2, N_UNITS]), []
    for part in (slice(0, 4), slice(4, 9)):
        piece = {key: value[:, part] for key, value in inputs.items()}
        outputs = decoder({**piece, "state": state})
        state = outputs["state"]
        pieces.append(outputs["amps"])
    np.testing.assert_allclose(
        tf.concat(pieces, axis=1), whole["amps"], atol=VALUE_TOLERANCE
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gru.FastRnnFcDecoder(rnn_type="lstm"), "use decoders.RnnFcDecoder"),
        (lambda: dense.FastFcStack(nonlinearity="relu"), "fuses 'leaky_relu'"),
        (lambda: dense.FastFcStack(first_bias=-0.1), "first_bias=-0.1 is below 0"),
    ],
)
def test_bad_arguments_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("ours", "theirs", "added"),
    [
        (gru.FastRnnFcDecoder, decoders.RnnFcDecoder, {}),
        (dense.FastFcStack, nn.FcStack, {"keep_products": True, "first_bias": 0.0}),
    ],
)
def test_defaults_are_ddsps(ours, theirs, added):
    defaults.check_defaults(ours, theirs, added=added)
