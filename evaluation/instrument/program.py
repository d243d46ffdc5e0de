"""A trained model as the web page's engine reads it: JSON, and its weights as bytes.

The page's arithmetic (`js/`) is that of `models.streaming.Player`; here stands which
numbers it needs, read from the public attributes of the model's parts.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ddsp import spectral_ops

from evaluation.instrument import decoder_program
from evaluation.instrument import tensors
from models import autoencoder
from models.controls import conditioning as conditioning_lib
from models.controls import control_smoothing
from models.controls import filters
from models.controls import heads
from models.controls import smoothing as smoothing_lib
from models.streaming import block_model
from models.streaming import block_synth
from models.synths import noise as noise_synth
from prep import checked_json

# More weights than this are stored in 8 bits: in 32 they would be 5 MB of page.
MAX_FLOAT_WEIGHTS = 900_000
CONTROL_NAMES = {
    "amps": "amps",
    "harmonic_distribution": "harmonics",
    "noise_magnitudes": "noise",
}
HEAD_KINDS = {
    heads.ExpSigmoidHead: "exp_sigmoid",
    heads.LegacyHead: "legacy",
    heads.NormalizedHead: "normalized",
    heads.SoftmaxDbHead: "softmax_db",
}


@dataclasses.dataclass(frozen=True)
class EngineProgram:
    """What the page's engine plays.

    Attributes:
        description: For `Engine` of `js/engine.mjs`.
        content: Bytes that its table of tensors points into.
        n_weights: Numbers that training moved.
        eight_bits: Whether matrices are in 8 bits.
    """

    description: checked_json.Json
    content: bytes
    n_weights: int
    eight_bits: bool


def describe(
    model: autoencoder.LadderAutoencoder, *, eight_bits: bool | None = None
) -> EngineProgram:
    """Describes a model for the page.

    Args:
        model: A built model.
        eight_bits: Whether matrices are stored in 8 bits; None decides by size.

    Raises:
        decoder_program.InstrumentError: If the page cannot play its decoder or head.
        models.block_controls.StreamError: If its sound is not harmonics, noise, reverb.
    """
    n_weights = sum(int(np.prod(v.shape)) for v in model.decoder.trainable_variables)
    if eight_bits is None:
        eight_bits = n_weights > MAX_FLOAT_WEIGHTS
    packer = tensors.Packer(eight_bits=eight_bits)
    synth = block_synth.BlockSynth(block_model.synth_settings(model))
    settings = synth.settings
    basis = noise_synth.band_responses(settings.n_noise_bands, settings.noise_window)
    packer.add("noise_responses", basis)
    response = block_model.impulse_response(model)
    if np.any(response):
        packer.add("reverb", response)
    description = {
        "frame_rate": model.conditioning.frame_rate,
        "conditioning": _describe_conditioning(model.conditioning),
        "decoder": decoder_program.describe(model.decoder, packer),
        "controls": {
            "head": _describe_head(model.head),
            "smoothing": _describe_smoothing(model.smoothing),
        },
        "synth": {
            "sample_rate": settings.sample_rate,
            "hop_size": settings.hop_size,
            "n_harmonics": settings.n_harmonics,
            "n_noise_bands": settings.n_noise_bands,
            "amplitude_method": settings.amplitude_method,
            "latency_frames": synth.latency_frames,
        },
        "tensors": [dataclasses.asdict(entry) for entry in packer.entries],
    }
    return EngineProgram(description, packer.content, n_weights, eight_bits)


def _describe_conditioning(
    conditioning: conditioning_lib.Conditioning,
) -> checked_json.Json:
    """Scales of the decoder's inputs."""
    if conditioning.level != conditioning_lib.LOUDNESS:
        raise decoder_program.InstrumentError(
            "the page measures A-weighted loudness, and this model is told unweighted "
            "power; train it without gin/overlays/ddsp_vst.gin for a page."
        )
    trends = None
    if conditioning.with_trends:
        trends = {
            "n_frames_back": conditioning.n_frames_back,
            "f0_gain": conditioning_lib.SEMITONES_PER_F0_SCALED,
            "loudness_gain": spectral_ops.DB_RANGE / conditioning_lib.TREND_DB,
        }
    return {
        "semitone_range": spectral_ops.F0_RANGE,
        "db_range": spectral_ops.DB_RANGE,
        "trends": trends,
    }


def _describe_head(head: heads.Head) -> checked_json.Json:
    """A head's kind and numbers."""
    if type(head) not in HEAD_KINDS:
        raise decoder_program.InstrumentError(
            f"the head {type(head).__name__} cannot be played in a page; "
            f"{', '.join(kind.__name__ for kind in HEAD_KINDS)} can."
        )
    # Numbers that every head has, then those of the one that has more.
    names = {function: name for name, function in heads.NOISE_ACTIVATIONS.items()}
    described = {
        "kind": HEAD_KINDS[type(head)],
        "sample_rate": head.sample_rate,
        "mask_above_nyquist": head.mask_above_nyquist,
        "noise_bias": head.noise_bias,
        "noise_activation": names[head.noise_activation],
    }
    if isinstance(head, heads.SoftmaxDbHead):
        temperature = float(head.temperature.at(None))
        described |= {
            "temperature": max(temperature, heads.MIN_TEMPERATURE),
            "amp_floor": head.amp_floor,
            "gain_min_db": head.gain_min_db,
            "gain_max_db": head.gain_max_db,
        }
    return described


def _describe_smoothing(
    layer: control_smoothing.ControlSmoothing | None,
) -> checked_json.Json | None:
    """Filters of every smoothed control."""
    if layer is None:
        return None
    return {
        "position": layer.position,
        "latency_frames": layer.latency_frames,
        "targets": {
            CONTROL_NAMES[key]: _describe_smoother(smoother)
            for key, smoother in layer.smoothers.items()
        },
    }


def _describe_smoother(smoother: filters.Smoother) -> checked_json.Json:
    """A smoother's filters in series, or its taps."""
    if isinstance(smoother, smoothing_lib.Fir):
        return {"taps": list(smoothing_lib.FIR_TAPS)}
    return {
        "systems": [
            {key: np.asarray(value).tolist() for key, value in system._asdict().items()}
            for system in smoother.systems()
        ]
    }
