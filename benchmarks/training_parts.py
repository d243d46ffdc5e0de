"""The parts of a training step, stock's form and ours, forward and backward."""

import collections.abc

import ddsp
import tensorflow as tf

from models.layers import gru
from models.losses import spectral
from models.measures import spectra
from models.synths import harmonic as harmonic_synth
from models.synths import noise
from models.synths import reverb

N_HARMONICS, N_BANDS, N_UNITS = 60, 65, 512  # of the paper's solo_instrument

Function = collections.abc.Callable[[], object]


def forward_and_backward(
    function: collections.abc.Callable[..., tf.Tensor],
    inputs: collections.abc.Sequence[tf.Tensor],
    weights: collections.abc.Sequence[tf.Variable] = (),
) -> Function:
    """A function of the inputs with its gradient, ready to be timed."""

    @tf.function
    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(function(*inputs)))
        gradients = tape.gradient(loss, [*inputs, *weights])
        return [loss, *(tf.convert_to_tensor(value) for value in gradients)]

    return lambda: [value.numpy() for value in run(*inputs)]


def make_parts(batch: dict[str, tf.Tensor]) -> dict[str, tuple[Function, Function]]:
    """Stock's and our form of each part of a step, forward and backward."""
    n_clips, n_frames, _ = batch["f0_hz"].shape
    normal = lambda *shape: tf.random.stateless_normal([n_clips, *shape], seed=[0, 0])
    audio, f0_hz = batch["audio"], batch["f0_hz"]
    controls = [normal(n_frames, 1), normal(n_frames, N_HARMONICS)]
    parts: dict[str, tuple[Function, Function]] = {}
    parts["gru"] = layers(
        tf.keras.layers.GRU(N_UNITS, return_sequences=True),
        gru.FastGru(N_UNITS, return_sequences=True),
        normal(n_frames, 2 * N_UNITS),
    )
    stock_harmonic, harmonic = ddsp.synths.Harmonic(), harmonic_synth.FastHarmonic()
    parts["harmonic"] = both(
        lambda amps, distribution: stock_harmonic(amps, distribution, f0_hz),
        lambda amps, distribution: harmonic(amps, distribution, f0_hz),
        controls,
    )
    bands = [normal(n_frames, N_BANDS)]
    parts["noise"] = both(
        ddsp.synths.FilteredNoise(window_size=0),
        noise.FastFilteredNoise(window_size=0),
        bands,
    )
    parts["reverb"] = layers(
        ddsp.effects.Reverb(trainable=True),
        reverb.FastReverb(trainable=True),
        audio,
    )
    stock_loss = ddsp.losses.SpectralLoss(logmag_weight=1.0)
    parts["spectral_loss"] = both(
        lambda est: stock_loss(audio, est),
        lambda est: spectral_loss(est, audio),
        [normal(audio.shape[1])],
    )
    return parts


def spectral_loss(audio: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Ddsp's default loss in our arithmetic."""
    terms = spectral.spectral_terms(audio, target, fft_sizes=spectra.FFT_SIZES)
    return terms["mag"] + terms["logmag"]


def both(
    stock: collections.abc.Callable[..., tf.Tensor],
    ours: collections.abc.Callable[..., tf.Tensor],
    inputs: list[tf.Tensor],
) -> tuple[Function, Function]:
    """Two functions of the same inputs."""
    return forward_and_backward(stock, inputs), forward_and_backward(ours, inputs)


def layers(
    stock: tf.keras.layers.Layer, ours: tf.keras.layers.Layer, inputs: tf.Tensor
) -> tuple[Function, Function]:
    """Two layers with weights, given the same input."""
    stock(inputs)
    ours(inputs)
    return (
        forward_and_backward(stock, [inputs], stock.trainable_weights),
        forward_and_backward(ours, [inputs], ours.trainable_weights),
    )
