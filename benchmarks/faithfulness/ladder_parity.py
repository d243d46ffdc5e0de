"""How far the ladder's parts are from ddsp's, and parallel forms from their loops.

    python -m benchmarks.faithfulness.ladder_parity

Prints one line a comparison: the largest absolute difference over 4 s clips, the
tolerance that the tests hold it to, and the scale of what is compared. The last line is
JSON.
"""

import json
from collections.abc import Callable
from typing import Any

import ddsp
import gin
import numpy as np
import tensorflow as tf
from absl import app
from absl import logging
from ddsp.training import ddsp_run
from ddsp.training import decoders as ddsp_decoders
from ddsp.training import models as ddsp_models

from benchmarks import bench_ladder
from models.controls import filters
from models.controls import heads
from models.controls import smoothing
from models.decoders import recurrent
from models.decoders import transformer
from models.layers import recurrences
from models.losses import terms as loss_terms

TensorPair = tuple[tf.Tensor, tf.Tensor]
SPLITS = (("amps", 1), ("harmonic_distribution", 60), ("noise_magnitudes", 65))
SHARED: dict[str, Any] = {
    "input_keys": ("ld_scaled", "f0_scaled"),
    "output_splits": SPLITS,
}


def normal(*shape: int) -> tf.Tensor:
    """Fixed standard normal numbers."""
    return tf.random.stateless_normal(shape, seed=[1, 2])


def copy_decoder(source: tf.keras.layers.Layer, target: tf.keras.layers.Layer) -> None:
    """Copies the weights of a GRU decoder, part by part."""
    for part in ("rnn", "out_stack", "dense_out"):
        getattr(target, part).set_weights(getattr(source, part).get_weights())
    for a, b in zip(source.input_stacks, target.input_stacks, strict=True):
        b.set_weights(a.get_weights())


def exp_sigmoid() -> TensorPair:
    """Activation."""
    raw = 5.0 * normal(100000)
    return heads.exp_sigmoid(raw), ddsp.core.exp_sigmoid(raw)


def nyquist_mask() -> TensorPair:
    """Masked and normalised distribution."""
    share = heads.exp_sigmoid(normal(4, 1000, 60))
    f0_hz = 100.0 + 900.0 * tf.random.stateless_uniform([4, 1000, 1], seed=[3, 4])
    ours = heads.ExpSigmoidHead().renormalize(share, f0_hz)
    return ours, ddsp.core.normalize_harmonics(share, f0_hz, 16000)


def spectral_loss() -> TensorPair:
    """Sum of both terms with ddsp's own logarithm."""
    ref, est = 0.1 * normal(2, 64000), 0.1 * normal(3, 64000)[1:]
    loss = loss_terms.SpectralTerms(log_epsilon=0.0)
    terms = loss.terms({"audio": ref, "audio_synth": est})
    stock = ddsp.losses.SpectralLoss(logmag_weight=1.0)
    return tf.add_n(list(terms.values())), stock(ref, est)


def gru_decoder() -> TensorPair:
    """`GruDecoder` with the weights of `RnnFcDecoder`, paper size."""
    features = bench_ladder.make_batch(2)
    inputs = {
        "ld_scaled": features["loudness_db"] / 80.0 + 1.0,
        "f0_scaled": ddsp.core.hz_to_midi(features["f0_hz"]) / 127.0,
    }
    stock = ddsp_decoders.RnnFcDecoder(rnn_type="gru", **SHARED)
    ours = recurrent.GruDecoder(**SHARED)
    expected, _ = stock(inputs), ours(inputs)
    copy_decoder(stock, ours)
    join = lambda outputs: tf.concat([outputs[key] for key, _ in SPLITS], axis=-1)
    return join(ours(inputs)), join(expected)


def solo_instrument(exact_phase: bool) -> TensorPair:
    """stage5 and ddsp's solo_instrument with the same weights and noise, as audio."""
    batch = bench_ladder.make_batch(1)
    ours = bench_ladder.build(str(bench_ladder.GIN / "stage5.gin"))
    if not exact_phase:
        ours.processor_group.harmonic = ddsp.synths.Harmonic(scale_fn=None)
    gin.add_config_file_search_path(ddsp_run.GIN_PATH)
    gin.parse_config_file("models/solo_instrument.gin")
    gin.parse_config("F0LoudnessPreprocessor.compute_loudness = False")
    stock = ddsp_models.get_model()
    gin.clear_config()
    for model in (ours, stock):
        model(batch, training=False)
    stock.processor_group.reverb.set_weights([1e-3 * normal(48000)])
    copy_decoder(stock.decoder, ours.decoder)
    reverb = stock.processor_group.reverb.get_weights()
    ours.processor_group.reverb.set_weights(reverb)
    audio = []
    for model in (ours, stock):
        tf.random.set_seed(5)
        audio.append(model(batch, training=False)["audio_synth"])
    return audio[0], audio[1]


def scan() -> TensorPair:
    """MinGRU's parallel scan against its loop."""
    gates, inputs = tf.sigmoid(normal(2, 1000, 8)), normal(2, 1000, 8)
    state, states = tf.zeros([2, 8]), []
    for t in range(1000):
        state = gates[:, t] * state + inputs[:, t]
        states.append(state)
    return recurrences.linear_scan(gates, inputs), tf.stack(states, axis=1)


def smoother(layer: filters.Smoother) -> TensorPair:
    """A smoother's parallel form against its steps."""
    frames = normal(2, 1000, 3)
    state, outputs = layer.initial_state(frames[:, 0]), []
    for t in range(1000):
        output, state = layer.smooth_block(frames[:, t : t + 1], state=state)
        outputs.append(output)
    return layer(frames), tf.concat(outputs, axis=1)


def steps(decoder: tf.keras.layers.Layer) -> TensorPair:
    """A decoder's sequence form against single frames, 200 frames."""
    inputs = {key: normal(1, 200, 1) for key in SHARED["input_keys"]}
    whole = decoder(inputs)["harmonic_distribution"]
    state, outputs = decoder.initial_state(1), []
    for t in range(200):
        frame = {key: value[:, t : t + 1] for key, value in inputs.items()}
        output, state = decoder.decode_block(frame, state=state)
        outputs.append(output["harmonic_distribution"])
    return tf.concat(outputs, axis=1), whole


COMPARISONS: dict[str, tuple[float, Callable[[], TensorPair]]] = {
    "exp_sigmoid, ddsp": (1e-6, exp_sigmoid),
    "Nyquist mask, ddsp": (1e-6, nyquist_mask),
    "spectral loss, ddsp": (1e-3, spectral_loss),
    "GRU decoder, ddsp": (1e-5, gru_decoder),
    "stage5 audio, ddsp, its own synth": (2e-6, lambda: solo_instrument(False)),
    "minGRU scan, loop": (1e-5, scan),
    "one-pole, steps": (1e-5, lambda: smoother(smoothing.OnePole(0.97))),
    "biquad, steps": (1e-5, lambda: smoother(smoothing.Biquad(7.0, 3.0))),
    "AR residual, steps": (1e-5, lambda: smoother(smoothing.ArResidual(0.95))),
    "micro-RNN, steps": (2e-5, lambda: steps(recurrent.MicroRnnDecoder(**SHARED))),
    "minGRU, steps": (2e-5, lambda: steps(recurrent.MinGruDecoder(**SHARED))),
    "GRU, steps": (2e-5, lambda: steps(recurrent.GruDecoder(**SHARED))),
    "transformer, steps": (
        2e-5,
        lambda: steps(transformer.TransformerDecoder(**SHARED)),
    ),
    "transformer with window, steps": (
        2e-5,
        lambda: steps(transformer.TransformerDecoder(window=50, **SHARED)),
    ),
}


def main(_: list[str]) -> None:
    """Prints a line a comparison, then one line of JSON."""
    logging.set_verbosity(
        logging.ERROR
    )  # gin and TensorFlow tell of each file and graph
    found = {}
    for name, (tolerance, compare) in COMPARISONS.items():
        tf.keras.utils.set_random_seed(0)  # the weights
        ours, reference = compare()
        difference = float(np.max(np.abs(ours - reference)))
        scale = float(np.max(np.abs(reference)))
        found[name] = {"difference": difference, "tolerance": tolerance, "scale": scale}
        print(f"{name:36}{difference:10.1e}  (tolerance {tolerance:.0e}, {scale:.3g})")
    print(json.dumps(found))


if __name__ == "__main__":
    app.run(main)
