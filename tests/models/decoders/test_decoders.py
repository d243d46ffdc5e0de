import numpy as np
import pytest
import tensorflow as tf
from ddsp.training import decoders as ddsp_decoders

from models.decoders import attention
from models.decoders import mlp
from models.decoders import recurrent
from models.decoders import transformer
from models.layers import products
from models.layers import recurrent_kernels
from tests.helpers import ladder_helpers

SPLITS = (("amps", 1), ("harmonic_distribution", 6), ("noise_magnitudes", 5))
INPUTS = ("ld_scaled", "f0_scaled")
N_FRAMES = 21  # three blocks of seven: kernels are compiled once a length
SEQUENCE_TOLERANCE = 1e-6  # the future must not reach the past, float32 rounding may
ROUNDED_TOLERANCE = 0.03  # of the norm; each of some ten products in a row errs by 2^-9
FORM_TOLERANCE = 2e-5  # two orders of float32 sums over 21 frames
SHARED = {"input_keys": INPUTS, "output_splits": SPLITS}
DECODERS = {
    "mlp": lambda: mlp.MlpDecoder(hidden=16, **SHARED),
    "mlp_stacks": lambda: mlp.MlpDecoder(
        hidden=16, activation="leaky_relu", stack_layers=1, stack_ch=8, **SHARED
    ),
    "micro": lambda: recurrent.MicroRnnDecoder(hidden=16, stack_ch=8, **SHARED),
    "micro_bare": lambda: recurrent.MicroRnnDecoder(
        hidden=16, stack_layers=0, stack_ch=8, **SHARED
    ),
    "mingru": lambda: recurrent.MinGruDecoder(hidden=16, stack_ch=8, **SHARED),
    "gru": lambda: recurrent.GruDecoder(
        rnn_channels=16, ch=8, layers_per_stack=1, **SHARED
    ),
    "transformer": lambda: transformer.TransformerDecoder(d_model=8, **SHARED),
    "transformer_heads": lambda: transformer.TransformerDecoder(
        d_model=8, n_heads=2, use_positional_encoding=False, **SHARED
    ),
    "transformer_window": lambda: transformer.TransformerDecoder(
        d_model=8, window=9, **SHARED
    ),
}
ALL = pytest.mark.parametrize("name", DECODERS)
WITH_MEMORY = [name for name in DECODERS if not name.startswith("mlp")]


def make_inputs(rng, *, batch_size=2, n_frames=N_FRAMES):
    return {
        key: tf.constant(rng.uniform(size=(batch_size, n_frames, 1)), tf.float32)
        for key in INPUTS
    }


def run_blocks(decoder, inputs, *, block_frames=1, n_frames=None):
    """Raw controls of a sequence, decoded block by block."""
    batch_size, length, _ = inputs[INPUTS[0]].shape
    state = decoder.initial_state(batch_size)
    blocks = []
    for start in range(0, n_frames or length, block_frames):
        block = {k: v[:, start : start + block_frames] for k, v in inputs.items()}
        output, state = decoder.decode_block(block, state=state)
        blocks.append(output)
    return {key: tf.concat([b[key] for b in blocks], axis=1) for key, _ in SPLITS}


@ALL
@pytest.mark.parametrize(
    "batch_size, n_frames",
    [
        (1, 1),
        (2, N_FRAMES),
        *(pytest.param(*size, marks=pytest.mark.slow) for size in ((3, 7), (1, 1000))),
    ],
)
def test_shape_contract(rng, name, batch_size, n_frames):
    outputs = DECODERS[name]()(
        make_inputs(rng, batch_size=batch_size, n_frames=n_frames)
    )
    assert {key: value.shape for key, value in outputs.items()} == {
        key: (batch_size, n_frames, size) for key, size in SPLITS
    }


@ALL
@pytest.mark.parametrize(
    "block_frames",
    # Of eight the last block is shorter.
    [7, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 8))],
)
def test_block_form_equals_sequence_form(rng, name, block_frames):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    whole = decoder(inputs)
    joined = run_blocks(decoder, inputs, block_frames=block_frames)
    for key, value in whole.items():
        np.testing.assert_allclose(joined[key], value, atol=FORM_TOLERANCE)


@ALL
def test_the_future_does_not_reach_the_past(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    changed = {
        key: tf.concat([value[:, :12], value[:, 12:] - 3.0], axis=1)
        for key, value in inputs.items()
    }
    before, after = decoder(inputs), decoder(changed)
    stepped = run_blocks(decoder, inputs, n_frames=13)
    changed_steps = run_blocks(decoder, changed, n_frames=13)
    for key, value in before.items():
        np.testing.assert_allclose(
            value[:, :12], after[key][:, :12], atol=SEQUENCE_TOLERANCE
        )
        assert np.array_equal(stepped[key][:, :12], changed_steps[key][:, :12])
        assert np.abs(stepped[key][:, 12] - changed_steps[key][:, 12]).max() > 1e-4
        assert np.abs(value[:, 12:] - after[key][:, 12:]).max() > 1e-4


def gradient(decoder, inputs, precision):
    """Of a weighted sum of all outputs by all weights, one row."""
    with tf.GradientTape() as tape, products.computed_in(precision):
        outputs = tf.concat(list(decoder(inputs).values()), axis=-1)
        weights = tf.cos(tf.range(tf.size(outputs), dtype=tf.float32))
        total = tf.reduce_sum(tf.reshape(outputs, [-1]) * weights)
    gradients = tape.gradient(total, decoder.trainable_variables)
    return np.concatenate([item.numpy().ravel() for item in gradients])


@ALL
@pytest.mark.long
def test_gradients_of_rounded_products_are_those_of_float32(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    decoder(inputs)
    exact = gradient(decoder, inputs, "float32")
    rounded = gradient(decoder, inputs, "bfloat16")
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 1e-4 < error < ROUNDED_TOLERANCE
    # Outside of a step there is nothing left of it.
    np.testing.assert_array_equal(gradient(decoder, inputs, "float32"), exact)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_the_past_reaches_the_future(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    changed = {
        key: tf.concat([value[:, :15] + 1.0, value[:, 15:]], axis=1)
        for key, value in inputs.items()
    }
    difference = decoder(inputs)["amps"] - decoder(changed)["amps"]
    assert np.abs(difference[:, 15:]).max() > 1e-6


@ALL
def test_examples_of_a_batch_do_not_mix(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    of_second = tf.reshape([0.0, 3.0], [2, 1, 1])
    changed = {key: value + of_second for key, value in inputs.items()}
    before, after = decoder(inputs), decoder(changed)
    for key, value in before.items():
        np.testing.assert_array_equal(value[0], after[key][0])
        assert np.abs(value[1] - after[key][1]).max() > 1e-4


@ALL
def test_every_weight_gets_a_gradient(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    with tf.GradientTape() as tape:
        outputs = decoder(inputs)
        total = tf.add_n([tf.reduce_sum(tf.sin(3.0 * v)) for v in outputs.values()])
    gradients = tape.gradient(total, decoder.trainable_variables)
    assert len(gradients) > 0
    for variable, gradient in zip(decoder.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert float(tf.reduce_max(tf.abs(gradient))) > 0.0, variable.name


@ALL
@pytest.mark.long
def test_saved_weights_give_the_same_output(rng, name, tmp_path):
    source, target, inputs = DECODERS[name](), DECODERS[name](), make_inputs(rng)
    expected, before = source(inputs), target(inputs)
    path = tf.train.Checkpoint(decoder=source).write(str(tmp_path / "weights"))
    tf.train.Checkpoint(decoder=target).read(path).assert_consumed()
    for key, value in target(inputs).items():
        assert np.abs(before[key] - expected[key]).max() > 1e-4
        assert np.array_equal(value, expected[key])


@ALL
@pytest.mark.slow
def test_training_stays_finite_at_ten_times_the_learning_rate(rng, name):
    decoder, inputs = DECODERS[name](), make_inputs(rng)
    target = tf.constant(rng.normal(size=(2, N_FRAMES, 12)), tf.float32)
    decoder(inputs)
    optimizer = tf.keras.optimizers.Adam(3e-3)
    optimizer.build(decoder.trainable_variables)

    @tf.function(autograph=False)
    def train():
        with tf.GradientTape() as tape:
            outputs = tf.concat(list(decoder(inputs).values()), axis=-1)
            loss = tf.reduce_mean(tf.square(outputs - target))
        variables = decoder.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
        return loss

    values = [float(train()) for _ in range(200)]
    assert np.all(np.isfinite(values))
    assert values[-1] < values[0]


@pytest.mark.long
def test_gru_decoder_equals_ddsp_and_exchanges_weights(rng):
    inputs = make_inputs(rng)
    sizes = {"rnn_channels": 16, "ch": 8, "layers_per_stack": 2}
    ours = recurrent.GruDecoder(**sizes, **SHARED)
    theirs = ddsp_decoders.RnnFcDecoder(rnn_type="gru", **sizes, **SHARED)
    ours(inputs), theirs(inputs)
    for source, target in ((theirs, ours), (ours, theirs)):
        for part in ("rnn", "out_stack", "dense_out"):
            getattr(target, part).set_weights(getattr(source, part).get_weights())
        for a, b in zip(source.input_stacks, target.input_stacks, strict=True):
            b.set_weights(a.get_weights())
        expected, found = theirs(inputs), ours(inputs)
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, atol=1e-5)
        for variable in source.trainable_variables:
            variable.assign_add(0.1 * tf.random.normal(variable.shape, seed=3))


def test_micro_rnn_by_hand():
    decoder = recurrent.MicroRnnDecoder(
        hidden=16, stack_layers=0, stack_ch=4, input_keys=("x",), output_splits=SPLITS
    )
    ones = tf.ones([1, 2, 1])
    decoder(ones)
    kernel = np.zeros((1, 32), np.float32)
    kernel[0, 16:] = 1.0  # candidate tanh(x), gate sigmoid(0) = 1/2
    decoder.project.set_weights([kernel, np.zeros(32, np.float32)])
    decoder.recurrent_kernel.assign(tf.zeros([16, 32]))
    states = decoder.run(ones, decoder.initial_state(1))
    first = np.tanh(1.0) / 2.0
    np.testing.assert_allclose(states[0, :, 0], [first, 1.5 * first], rtol=1e-5)


def test_micro_rnn_state_feeds_back_by_hand():
    # One step each: gate sigmoid(u h), candidate tanh(1 + v h), both from the state.
    gate_weight, candidate_weight = 2.0, -1.0
    kernel = np.zeros((16, 32), np.float32)
    kernel[0, 0], kernel[0, 16] = gate_weight, candidate_weight
    projected = np.zeros((1, 2, 32), np.float32)
    projected[..., 16:] = 1.0
    states = recurrent_kernels.micro_rnn_scan(
        tf.constant(projected), tf.constant(kernel), tf.zeros([1, 16])
    )
    first = 0.5 * np.tanh(1.0)
    gate = 1.0 / (1.0 + np.exp(-gate_weight * first))
    candidate = np.tanh(1.0 + candidate_weight * first)
    second = gate * first + (1.0 - gate) * candidate
    np.testing.assert_allclose(states[0, :, 0], [first, second], rtol=1e-6)


def test_transformer_block_by_hand():
    # Query and key 0: attention is the mean of what is seen. Frames [1, -1] and
    # [-1, 1] are normalised to themselves, the mean of both is 0. Value and out are 1
    # on the diagonal, so h becomes [2, -2] and [-1, 1]; the feed-forward adds relu of
    # the normalised [1, -1] or [-1, 1] to channel 1 alone.
    block = transformer.TransformerBlock(2, n_heads=1, ff_multiplier=1)
    hidden = tf.constant([[[1.0, -1.0], [-1.0, 1.0]]])
    block.finish(hidden, block.project(hidden)[2])  # builds
    zeros, eye = np.zeros((2, 2)), np.eye(2)
    for layer, kernel in (
        (block.query, zeros),
        (block.key, zeros),
        (block.value, eye),
        (block.out, eye),
    ):
        layer.set_weights([kernel])
    block.ff_in.set_weights([eye, np.zeros(2)])
    block.ff_out.set_weights([np.array([[1.0, 0.0], [1.0, 0.0]]), np.zeros(2)])
    mixed = attention.full_attention(*block.project(hidden), causal=True)
    expected = [[2.0 + 1.0, -2.0], [-1.0 + 1.0, 1.0]]
    # The norms' epsilon of 1e-5 moves each normalised value by 5e-6.
    np.testing.assert_allclose(block.finish(hidden, mixed)[0], expected, atol=3e-5)


def test_weights_start_within_their_bounds(rng):
    decoder = mlp.MlpDecoder(hidden=256, **SHARED)
    decoder(make_inputs(rng))
    kernels = [layer.kernel for layer in decoder.trunk.layers]
    for kernel in kernels:
        bound = 0.5 * np.sqrt(2.0 / kernel.shape[0])
        assert 0.9 * bound < np.abs(kernel).max() <= bound
    assert 0.045 < np.abs(decoder.dense_out.kernel).max() <= 0.05
    assert np.all(decoder.dense_out.bias == 0.0)


def test_mingru_by_hand():
    decoder = recurrent.MinGruDecoder(
        hidden=1, stack_layers=0, stack_ch=4, input_keys=("x",), output_splits=SPLITS
    )
    frames = tf.constant([[[1.0], [0.0], [3.0]]])
    decoder(frames)
    decoder.project.set_weights([np.array([[0.0, 2.0]]), np.zeros(2)])
    states = decoder.run(frames, decoder.initial_state(1))  # gate 1/2, candidate 2 x
    np.testing.assert_allclose(states[0, :, 0], [1.0, 0.5, 3.25], rtol=1e-6)


def test_positional_encoding_by_hand():
    encoding = attention.positional_encoding(tf.constant([0.0, 1.0]), 4)
    np.testing.assert_allclose(encoding[0], [0.0, 1.0, 0.0, 1.0])
    expected = [np.sin(1.0), np.cos(1.0), np.sin(0.01), np.cos(0.01)]
    np.testing.assert_allclose(encoding[1], expected, atol=1e-6)


def test_attention_by_hand():
    # Equal scores: the mean of what is seen.
    query = tf.zeros([1, 1, 3, 2])
    value = tf.constant([[[[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]]]])
    causal = attention.full_attention(query, query, value, causal=True)
    np.testing.assert_allclose(causal[0, 0, :, 0], [1.0, 2.0, 4.0], rtol=1e-6)
    local = attention.windowed_attention(query, query, value, window=2, causal=True)
    np.testing.assert_allclose(local[0, 0, :, 0], [1.0, 2.0, 5.5], rtol=1e-6)
    both = attention.windowed_attention(query, query, value, window=2, causal=False)
    np.testing.assert_allclose(both[0, 0, :, 0], [2.0, 4.0, 5.5], rtol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [1, 4, 10, 30])
def test_windowed_attention_equals_masked_full_attention(rng, window, causal):
    query, key, value = (
        tf.constant(rng.normal(size=(2, 3, 23, 4)), tf.float32) for _ in range(3)
    )
    distance = np.arange(23)[:, np.newaxis] - np.arange(23)[np.newaxis, :]
    visible = np.abs(distance) < window
    if causal:
        visible &= distance >= 0
    np.testing.assert_allclose(
        attention.windowed_attention(query, key, value, window=window, causal=causal),
        attention.attend(query, key, value, visible=tf.constant(visible)),
        atol=1e-6,
    )


def test_a_transformer_that_is_not_causal_has_no_block_form(rng):
    decoder = transformer.TransformerDecoder(d_model=8, causal=False, **SHARED)
    inputs = make_inputs(rng)
    changed = {
        key: tf.concat([value[:, :12], value[:, 12:] - 3.0], axis=1)
        for key, value in inputs.items()
    }
    difference = decoder(inputs)["amps"] - decoder(changed)["amps"]
    assert np.abs(difference[:, :12]).max() > 1e-6
    with pytest.raises(ValueError, match="no block form"):
        decoder.initial_state(1)


def test_attention_weights_start_unequal(rng):
    decoder = transformer.TransformerDecoder(d_model=8, **SHARED)
    decoder(make_inputs(rng))
    block = decoder.blocks[0]
    assert not np.allclose(block.query.kernel, block.key.kernel)


def test_memory_guard_counts_by_hand():
    # 2 layers x 3 examples x 1 head x 1000 x 1000 scores x 4 bytes x 4 copies.
    count = lambda window: attention.score_bytes(
        batch_size=3, n_frames=1000, n_heads=1, n_layers=2, window=window
    )
    assert count(None) == 96_000_000
    assert count(50) == 9_600_000


def test_memory_guard_refuses_with_the_numbers(rng):
    decoder = transformer.TransformerDecoder(
        d_model=8, memory_budget_bytes=100_000, **SHARED
    )
    with pytest.raises(ValueError, match=r"2 x 100 frames takes .* window"):
        decoder(make_inputs(rng, n_frames=100))


def test_memory_guard_warns_before_it_refuses(rng, caplog):
    decoder = transformer.TransformerDecoder(
        d_model=8, memory_budget_bytes=1_000_000, **SHARED
    )
    with caplog.at_level("WARNING"):
        assert decoder.check_memory(1, 100) < 500_000
        assert not caplog.records
        decoder.check_memory(2, 100)
    assert "if memory runs out" in caplog.text
    assert attention.available_bytes() > 1e6


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mlp.MlpDecoder(activation="relu"), "leaky_relu"),
        (lambda: mlp.MlpDecoder(n_layers=0), "at least 1 layer"),
        (lambda: recurrent.MicroRnnDecoder(hidden=512), "16 to 64"),
        (lambda: recurrent.MinGruDecoder(hidden=0), "at least 1"),
        (lambda: transformer.TransformerDecoder(d_model=9, n_heads=2), "divide"),
        (lambda: transformer.TransformerDecoder(window=0), "at least 1"),
        (lambda: transformer.TransformerDecoder(n_layers=0), "at least 1"),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numeric_gradient_of_attention(rng):
    def run(query, key, value):
        return attention.windowed_attention(query, key, value, window=3, causal=True)

    arguments = (rng.normal(size=(1, 1, 7, 2)) for _ in range(3))
    assert ladder_helpers.gradient_error(run, *arguments) < 1e-7
