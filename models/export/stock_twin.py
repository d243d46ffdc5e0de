"""ddsp's own model for its plug-in (models/vst/vst.gin) as a model of the ladder.

Its decoder is the paper's GRU and its synths' scaling the paper's head, so that one way
out serves both. Weights are copied; the reverb, which the plug-in lacks, is left out.
"""

from __future__ import annotations

import ddsp
import tensorflow as tf
from ddsp.training import decoders
from ddsp.training import models as ddsp_models
from ddsp.training import preprocessing

from models import autoencoder
from models.controls import conditioning
from models.controls import heads
from models.decoders import recurrent
from models.export import ddsp_vst
from models.measures import model_outputs

_N_FRAMES = 2  # of the example that creates the twin's variables
_CONTROLS = ("amps", "harmonic_distribution", "f0_hz")


def twin_of(model: tf.keras.Model) -> autoencoder.LadderAutoencoder:
    """Returns a model of the ladder that gives a model's controls.

    Args:
        model: Built; one of the ladder is its own twin.

    Raises:
        ddsp_vst.PluginError: If it is neither of the ladder nor like ddsp's vst.gin.
    """
    if isinstance(model, autoencoder.LadderAutoencoder):
        return model
    if not _is_like_vst_gin(model):
        raise ddsp_vst.PluginError(
            f"DDSP-VST plays models of the ladder and of ddsp's models/vst/vst.gin; "
            f"this {type(model).__name__} is neither."
        )
    harmonic = model.processor_group.harmonic
    noise = model.processor_group.filtered_noise
    decoder = _copy_decoder(model.decoder)
    rates = {
        "sample_rate": harmonic.sample_rate,
        "frame_rate": model.preprocessor.frame_rate,
    }
    return autoencoder.LadderAutoencoder(
        decoder,
        ddsp.processors.ProcessorGroup(
            [
                (ddsp.synths.Harmonic(**_as_played(harmonic)), _CONTROLS),
                (ddsp.synths.FilteredNoise(scale_fn=None), ("noise_magnitudes",)),
            ]
        ),
        conditioning=conditioning.Conditioning(
            level_keys=conditioning.POWER[1:], use_confidence=False, **rates
        ),
        head=heads.ExpSigmoidHead(
            sample_rate=harmonic.sample_rate, noise_bias=noise.initial_bias
        ),
    )


def _as_played(harmonic: ddsp.synths.Harmonic) -> dict[str, object]:
    """Arguments of a harmonic synth that is fed scaled controls."""
    return {
        "sample_rate": harmonic.sample_rate,
        "amp_resample_method": harmonic.amp_resample_method,
        "scale_fn": None,
        "normalize_below_nyquist": False,
    }


def _is_like_vst_gin(model: tf.keras.Model) -> bool:
    """Tells ddsp's autoencoder of power and pitch, with a GRU and the paper's scaling.

    Functions are compared by name: gin wraps those that it hands over.
    """
    if not (
        isinstance(model, ddsp_models.Autoencoder)
        and isinstance(model.preprocessor, preprocessing.OnlineF0PowerPreprocessor)
        and isinstance(model.decoder, decoders.RnnFcDecoder)
        and isinstance(model.decoder.rnn.rnn, tf.keras.layers.GRU)
        and hasattr(model.processor_group, "harmonic")
        and hasattr(model.processor_group, "filtered_noise")
    ):
        return False
    group = model.processor_group
    scalings = (group.harmonic.scale_fn, group.filtered_noise.scale_fn)
    return all(map(model_outputs.is_exp_sigmoid, scalings))


def _copy_decoder(stock: decoders.RnnFcDecoder) -> recurrent.GruDecoder:
    """Copies ddsp's decoder into ours."""
    copied = recurrent.GruDecoder(
        rnn_channels=stock.rnn.rnn.units,
        ch=int(stock.out_stack.layers[-1].output_shape[-1]),
        layers_per_stack=len(stock.out_stack.layers),
        input_keys=list(stock.input_keys),
        output_splits=list(stock.output_splits),
    )
    copied({key: tf.zeros([1, _N_FRAMES, 1]) for key in stock.input_keys})
    pairs = [
        *zip(copied.input_stacks, stock.input_stacks, strict=True),
        (copied.rnn.rnn, stock.rnn.rnn),
        (copied.out_stack, stock.out_stack),
        (copied.dense_out, stock.dense_out),
    ]
    for ours, theirs in pairs:
        ours.set_weights(theirs.get_weights())
    return copied
