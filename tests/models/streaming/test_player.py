"""Blocks, steps and the whole sequence give the same sound."""

import ddsp
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from evaluation.render import renderer
from models.streaming import block_controls
from models.streaming import block_model
from models.streaming import block_noise
from models.streaming import convolvers
from models.streaming import lite
from models.streaming import phase
from models.streaming import player as streaming_player
from models.synths import harmonic as harmonic_synth
from tests.helpers import render_helpers

TOLERANCE = 1e-4  # the promise; full scale is 1
STREAMED = {
    "stage1": ("stage1",),
    "stage2": ("stage2",),
    "micro_rnn": ("stage4",),
    "gru": ("stage5",),
    "mingru": ("experiments/mingru",),
    "fir": ("experiments/smoothing_fir",),
    "biquad": ("experiments/smoothing_biquad",),
    "before": ("experiments/smoothing_before",),
    "ar_residual": ("experiments/smoothing_ar_residual",),
}


def whole_audio(model, played, *, seed=0):
    """What ddsp's processors make of a whole performance, with our noise; dry."""
    controls = model.decode(render_helpers.as_batch(played))["controls"]
    n_samples = 64 * played.n_frames
    harmonic = harmonic_synth.synthesize_harmonics(
        controls["amps"] * controls["harmonic_distribution"],
        controls["f0_hz"],
        n_samples=n_samples,
        sample_rate=16000,
    )
    noise = block_noise.WhiteNoise(seed).span(0, n_samples)[np.newaxis]
    filtered = ddsp.core.frequency_filter(noise, controls["noise_magnitudes"])
    return harmonic.numpy()[0], filtered.numpy()[0]


def controls_in_blocks(model, played, block_frames):
    """Controls by name, decoded block by block."""
    blocks = block_controls.BlockControls(model)
    run = tf.function(blocks.__call__, reduce_retracing=False, autograph=False)
    state, parts = blocks.initial_state(1), []
    batch = render_helpers.as_batch(played)
    for start in range(0, played.n_frames, block_frames):
        cut = {k: v[:, start : start + block_frames] for k, v in batch.items()}
        controls, state = run(cut, state)
        parts.append(controls)
    if blocks.latency_frames:
        parts.append(blocks.flush(state))
    return {
        key: np.concatenate([part[key] for part in parts], 1)[
            :, blocks.latency_frames :
        ]
        for key in parts[0]
    }


def check_controls(files, block_frames):
    model = render_helpers.build_model(*files)
    played = render_helpers.make_performance()
    whole = model.decode(render_helpers.as_batch(played))["controls"]
    joined = controls_in_blocks(model, played, block_frames)
    assert set(joined) == set(whole)
    for key, expected in whole.items():
        np.testing.assert_allclose(joined[key], expected, atol=1e-5, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("block_frames", [7])
def test_controls_of_stage2_in_blocks_equal_the_whole(block_frames):
    check_controls(STREAMED["stage2"], block_frames)


@pytest.mark.slow
@pytest.mark.parametrize("block_frames", [20])
@pytest.mark.parametrize("files", STREAMED.values(), ids=STREAMED.keys())
def test_controls_in_blocks_equal_the_whole(files, block_frames):
    check_controls(files, block_frames)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["micro_rnn", "mingru", "biquad"])
def test_controls_frame_by_frame_equal_the_whole(name):
    check_controls(STREAMED[name], 1)


@pytest.mark.slow
def test_windowed_transformer_streams():
    model = render_helpers.build_model(
        "transformer", bindings=("models.decoders.TransformerDecoder.window = 8",)
    )
    played = render_helpers.make_performance(n_frames=20)
    whole = model.decode(render_helpers.as_batch(played))["controls"]
    joined = controls_in_blocks(model, played, 1)
    np.testing.assert_allclose(joined["amps"], whole["amps"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("binding", "reason"),
    [
        ("window = None", "without a window"),
        ("causal = False", "sees the future"),
    ],
    ids=["endless_memory", "not_causal"],
)
def test_what_cannot_stream_says_why(binding, reason):
    model = render_helpers.build_model(
        "transformer", bindings=(f"models.decoders.TransformerDecoder.{binding}",)
    )
    with pytest.raises(block_controls.StreamError, match=reason):
        block_model.BlockModel(model)


# ---- synthesis


@pytest.mark.long
def test_blocks_equal_the_models_own_synths():
    model = render_helpers.build_model("stage2")
    played = render_helpers.make_performance()
    harmonic, noise = whole_audio(model, played)
    options = renderer.RenderOptions(dry=True, block_frames=25)
    parts = list(renderer.Renderer(model, options).play(played))
    got = np.concatenate([part.harmonic for part in parts])
    assert got.shape == harmonic.shape
    np.testing.assert_allclose(got, harmonic, atol=TOLERANCE)
    got = np.concatenate([part.noise for part in parts])
    np.testing.assert_allclose(got, noise, atol=TOLERANCE)
    assert np.abs(harmonic).max() > 0.05  # something was compared
    assert np.abs(noise).max() > 1e-4


def test_phase_stays_exact_over_hours():
    f0_hz = np.full([1, 2], 443.21, np.float32)
    ticks, rest = tf.zeros([1, 1]), tf.zeros([1, 1])
    n_frames = 3000
    run = tf.function(phase.advance, autograph=False)
    for _ in range(0, n_frames, 1000):
        block = np.full([1, 1001], f0_hz[0, 0])
        all_ticks, all_rest = run(
            tf.constant(block, tf.float32),
            state=(ticks, rest),
            running=tf.ones([1, 1000]),
            hop_size=64,
            sample_rate=16000,
        )
        ticks, rest = all_ticks[:, -1:], all_rest[:, -1:]
    expected = (n_frames * 64 * np.float64(f0_hz[0, 0]) / 16000) % 1.0
    got = float(ticks[0, 0]) / phase.TICKS + float(rest[0, 0])
    assert abs((got - expected + 0.5) % 1.0 - 0.5) < 1e-6


def test_noise_does_not_depend_on_how_it_is_cut():
    source = block_noise.WhiteNoise(5)
    whole = source.span(0, 10000)
    parts = [block_noise.WhiteNoise(5).span(n, 37) for n in range(0, 9990, 37)]
    np.testing.assert_array_equal(np.concatenate(parts)[:9990], whole[:9990])
    assert not np.array_equal(whole, block_noise.WhiteNoise(6).span(0, 10000))
    assert abs(whole.mean()) < 0.02
    assert 0.56 < whole.std() < 0.60  # uniform in [-1, 1]: 0.577


@pytest.mark.parametrize("block_size", [16, 64, 100, 1000, 6000])
@pytest.mark.parametrize("n_taps", [1, 40, 3000])
def test_convolution_in_blocks_equals_the_whole(rng, block_size, n_taps):
    response = rng.normal(size=n_taps).astype(np.float32)
    signal = rng.normal(size=12000).astype(np.float32)
    expected = scipy.signal.oaconvolve(signal.astype(np.float64), response)[:12000]
    convolver = convolvers.make_convolver(response, block_size)
    state = convolver.initial_state()
    n_whole = 12000 // block_size * block_size
    parts = [
        convolver.process(signal[start : start + block_size], state)
        for start in range(0, n_whole, block_size)
    ]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        np.concatenate(parts) / scale, expected[:n_whole] / scale, atol=2e-6
    )


# ---- live


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames_per_step"), [("stage2", 1), ("gru", 1), ("fir", 4)]
)
def test_player_equals_the_offline_render(name, frames_per_step):
    model = render_helpers.build_model(*STREAMED[name])
    played = render_helpers.make_performance()
    parts = list(renderer.Renderer(model, renderer.RenderOptions(seed=4)).play(played))
    expected = np.concatenate([part.mix for part in parts])
    player = streaming_player.Player(model, frames_per_step=frames_per_step, seed=4)
    state, samples = player.initial_state(), []
    for start in range(0, played.n_frames, frames_per_step):
        now = slice(start, start + frames_per_step)
        block, state = player.step(
            played.f0_hz[now],
            played.loudness_db[now],
            f0_confidence=played.f0_confidence[now],
            state=state,
        )
        assert block.shape == (player.n_samples,)
        samples.append(block)
    lag = player.latency_frames * 64
    got = np.concatenate(samples)
    assert not got[:lag].any()
    np.testing.assert_allclose(got[lag:], expected[: len(got) - lag], atol=TOLERANCE)
    assert np.abs(expected).max() > 0.05


@pytest.mark.slow
def test_player_states_are_explicit():
    model = render_helpers.build_model("stage2")
    block = block_model.BlockModel(model)
    content = lite.convert(lite.FlatStep(block))
    players = [streaming_player.Player(model, content=content) for _ in range(2)]
    state = players[0].initial_state()
    first = []
    for _ in range(6):
        samples, state = players[0].step(330.0, -25.0, state=state)
        first.append(samples)
    # Another player goes on from there and from the beginning as if it were the same.
    onward, _ = players[1].step(330.0, -25.0, state=state)
    state = players[1].initial_state()
    for expected in first:
        samples, state = players[1].step(330.0, -25.0, state=state)
        np.testing.assert_array_equal(samples, expected)
    again, _ = players[1].step(330.0, -25.0, state=state)
    # The reverb's state is used up by a step; harmonics and noise are not.
    assert onward.shape == again.shape
    assert players[0].latency_frames == 1
    assert players[0].latency_secs == pytest.approx(0.004)


def test_player_refuses_no_frames():
    with pytest.raises(ValueError, match="frames_per_step=0"):
        streaming_player.Player(None, frames_per_step=0)
