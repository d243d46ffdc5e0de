"""The fast harmonic synth against ddsp over short clips, float64 over long ones."""

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from models.synths import harmonic
from models.synths import oscillators

SAMPLE_RATE = 16000  # Hz
HOP = 64  # samples
STOCK_TOLERANCE = 1e-3  # share of the RMS: ddsp's own phases over 320 samples
EXACT_TOLERANCE = 5e-7  # share of the RMS: float32 sines, float64 phase


def exact(amplitudes, f0_hz, *, n_samples, fade="window", sample_rate=SAMPLE_RATE):
    """The same synthesis sample by sample in float64."""
    amplitudes, f0_hz = (np.asarray(v, np.float64) for v in (amplitudes, f0_hz))
    batch, n_frames, n_harmonics = amplitudes.shape
    hop_size = n_samples // n_frames
    position = np.arange(hop_size) / hop_size
    weight = 0.5 - 0.5 * np.cos(np.pi * position) if fade == "window" else position

    def upsample(frames, weight):
        following = np.concatenate([frames[:, 1:], frames[:, -1:]], axis=1)
        return (frames + (following - frames) * weight).reshape(batch, n_samples)

    frequency = upsample(f0_hz, position)
    phase = 2 * np.pi * np.cumsum(frequency, axis=1) / sample_rate
    audio = np.zeros([batch, n_samples])
    for k in range(1, n_harmonics + 1):
        envelope = upsample(amplitudes[..., k - 1 : k], weight)
        audio += np.where(k * frequency < sample_rate / 2, envelope, 0) * np.sin(
            k * phase
        )
    return audio


def relative_rms(est, ref):
    return np.sqrt(np.mean((est - ref) ** 2) / np.mean(ref**2))


def random_controls(rng, *, n_frames, n_harmonics=60, batch=2, low=220, high=880):
    """Raw controls and a wandering f0."""
    amps = rng.normal(size=[batch, n_frames, 1]).astype(np.float32)
    distribution = rng.normal(size=[batch, n_frames, n_harmonics]).astype(np.float32)
    walk = np.cumsum(rng.normal(0, 0.01, [batch, n_frames, 1]), axis=1)
    f0_hz = np.clip(rng.uniform(low, high, [batch, 1, 1]) * 2**walk, low, high)
    return tf.constant(amps), tf.constant(distribution), tf.constant(f0_hz, tf.float32)


def test_short_clip_sounds_like_ddsp(rng):
    controls = random_controls(rng, n_frames=5)
    stock = ddsp.synths.Harmonic(n_samples=5 * HOP)(*controls).numpy()
    fast = harmonic.FastHarmonic(n_samples=5 * HOP)(*controls).numpy()
    assert relative_rms(fast, stock) < STOCK_TOLERANCE


def test_controls_are_ddsps(rng):
    controls = random_controls(rng, n_frames=5)
    stock = ddsp.synths.Harmonic().get_controls(*controls)
    fast = harmonic.FastHarmonic().get_controls(*controls)
    assert fast.keys() == stock.keys()
    for key, value in stock.items():
        np.testing.assert_array_equal(fast[key], value)


@pytest.mark.slow
@pytest.mark.parametrize("fade", harmonic.FADES)
def test_long_clip_is_exact(rng, fade):
    """Four seconds, where ddsp's own float32 phases are off by half the signal."""
    controls = random_controls(rng, n_frames=1000, batch=1)
    synth = harmonic.FastHarmonic(n_samples=64000, amp_resample_method=fade)
    scaled = synth.get_controls(*controls)
    est = synth.get_signal(**scaled).numpy()
    amplitudes = scaled["amplitudes"] * scaled["harmonic_distribution"]
    ref = exact(amplitudes, scaled["f0_hz"], n_samples=64000, fade=fade)
    assert relative_rms(est, ref) < EXACT_TOLERANCE


def test_frames_that_fill_no_chunk_are_synthesized(rng):
    n_frames = oscillators.CHUNK_INTERVALS + 3
    controls = random_controls(rng, n_frames=n_frames, batch=1, n_harmonics=10)
    synth = harmonic.FastHarmonic(n_samples=n_frames * 16)
    scaled = synth.get_controls(*controls)
    amplitudes = scaled["amplitudes"] * scaled["harmonic_distribution"]
    ref = exact(amplitudes, scaled["f0_hz"], n_samples=n_frames * 16)
    est = synth.get_signal(**scaled).numpy()
    assert est.shape == (1, n_frames * 16)
    assert relative_rms(est, ref) < EXACT_TOLERANCE


@pytest.mark.parametrize("normalize", [True, False])
def test_harmonics_stop_at_nyquist_within_a_frame(normalize):
    """f0 leaps by an octave and back, so that many harmonics cross in one interval."""
    f0_hz = tf.constant([100.0, 800.0, 800.0, 90.0, 133.34])[tf.newaxis, :, tf.newaxis]
    amps, distribution = tf.ones([1, 5, 1]), tf.ones([1, 5, 70])
    synth = harmonic.FastHarmonic(
        n_samples=5 * HOP, normalize_below_nyquist=normalize, scale_fn=None
    )
    scaled = synth.get_controls(amps, distribution, f0_hz)
    ref = exact(scaled["harmonic_distribution"], f0_hz, n_samples=5 * HOP)
    est = synth.get_signal(**scaled).numpy()
    assert relative_rms(est, ref) < EXACT_TOLERANCE
    audible = synth.get_signal(
        amps, distribution * tf.cast(tf.range(70) < 11, tf.float32), f0_hz
    )
    assert relative_rms(audible.numpy(), ref) > 0.1  # the crossing ones are heard


def test_silence_and_zero_hertz_give_silence():
    synth = harmonic.FastHarmonic(n_samples=256, scale_fn=None)
    audio = synth.get_signal(
        tf.ones([1, 4, 1]), tf.ones([1, 4, 3]), tf.zeros([1, 4, 1])
    )
    np.testing.assert_array_equal(audio, np.zeros([1, 256]))


def gradients(synth, controls):
    """Gradients of a smooth function of the audio by all three controls."""
    weights = np.cos(np.arange(synth.n_samples)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(controls)
        loss = tf.reduce_sum(synth(*controls) * weights)
    return tape.gradient(loss, controls)


def test_gradients_are_ddsps(rng):
    """Loose enough for ddsp's own phases, over a clip too short to lose them."""
    controls = random_controls(rng, n_frames=5)
    stock = gradients(ddsp.synths.Harmonic(n_samples=5 * HOP), controls)
    fast = gradients(harmonic.FastHarmonic(5 * HOP, f0_gradient=True), controls)
    for ours, ref in zip(fast, stock, strict=True):
        assert relative_rms(ours.numpy(), ref.numpy()) < STOCK_TOLERANCE


def test_f0_gradient_is_spent_only_on_demand(rng):
    controls = random_controls(rng, n_frames=5)
    by_amps, by_distribution, by_f0 = gradients(
        harmonic.FastHarmonic(5 * HOP), controls
    )
    assert by_f0 is None
    assert np.abs(by_amps).min() > 0.0
    assert np.abs(by_distribution).max() > 0.0


def test_gradients_match_differences(rng):
    """Numerical slopes along random directions, with a harmonic crossing Nyquist."""
    amps, distribution, _ = random_controls(rng, n_frames=5, batch=2)
    f0_hz = tf.constant(np.linspace(255.0, 262.0, 10).reshape([2, 5, 1]), tf.float32)
    weights = rng.normal(size=[2, 5 * HOP])

    def loss(amplitudes):
        return np.sum(exact(amplitudes, f0_hz, n_samples=5 * HOP) * weights)

    amplitudes = tf.math.exp(amps) * tf.math.exp(distribution)
    with tf.GradientTape() as tape:
        tape.watch(amplitudes)
        audio = harmonic.synthesize_harmonics(
            amplitudes, f0_hz, n_samples=5 * HOP, sample_rate=SAMPLE_RATE
        )
        value = tf.reduce_sum(audio * weights.astype(np.float32))
    gradient = tape.gradient(value, amplitudes).numpy()
    for _ in range(3):
        direction = rng.normal(size=amplitudes.shape)
        slope = loss(amplitudes + direction) - loss(amplitudes)  # linear: any step does
        assert slope == pytest.approx(np.sum(gradient * direction), rel=1e-4, abs=1e-3)


@pytest.mark.slow
def test_unknown_batch_size_is_accepted(rng):
    synth = harmonic.FastHarmonic(n_samples=3 * HOP)
    shapes = [[None, 3, 1], [None, 3, 7], [None, 3, 1]]
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(lambda *controls: synth(*controls), input_signature=specs)
    for batch in (1, 3):
        controls = random_controls(rng, n_frames=3, n_harmonics=7, batch=batch)
        np.testing.assert_allclose(traced(*controls), synth(*controls), atol=1e-6)


def test_polynomial_sines_are_float32_exact():
    cycles = np.linspace(-0.5, 0.5, 4001).astype(np.float32)
    sine, cosine = oscillators.sine_and_cosine(tf.constant(cycles))
    radians = 2 * np.pi * cycles.astype(np.float64)
    np.testing.assert_allclose(sine, np.sin(radians), atol=1.2e-7)
    np.testing.assert_allclose(cosine, np.cos(radians), atol=1.2e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amp_resample_method": "cubic"}, "window and linear"),
        ({"n_samples": 100}, r"n_samples=100 is not a multiple of n_frames=3"),
    ],
)
def test_bad_arguments_are_explained(rng, change, message):
    with pytest.raises(ValueError, match=message):
        harmonic.FastHarmonic(**change)(*random_controls(rng, n_frames=3))
