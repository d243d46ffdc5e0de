"""A whole model in blocks: features and noise in, harmonic and noise audio out.

What the reverb adds is left to `models.streaming.convolvers`: its length is none of a
graph's business, and outside this project it is a wav file.
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple

import ddsp
import numpy as np
import tensorflow as tf

from models import autoencoder
from models.streaming import block_controls
from models.streaming import block_synth

_PLAYED = (ddsp.synths.Harmonic, ddsp.synths.FilteredNoise, ddsp.effects.Reverb)
_IGNORED = (ddsp.processors.Add,)


class Block(NamedTuple):
    """What a block of frames gives; each lags behind as `BlockModel` says.

    Attributes:
        harmonic: Harmonic audio, [batch, n_frames * hop_size].
        noise: Noise audio, same shape.
        controls: Controls that sound, by name, each [batch, n_frames, n_channels].
    """

    harmonic: tf.Tensor
    noise: tf.Tensor
    controls: dict[str, tf.Tensor]


class BlockModel:
    """Conditioning to synths with carried state.

    Args:
        model: A built model.

    Raises:
        block_controls.StreamError: If the decoder or a processor cannot be streamed.
    """

    def __init__(self, model: autoencoder.LadderAutoencoder):
        self.synth = block_synth.BlockSynth(synth_settings(model))
        self.controls = block_controls.BlockControls(model)
        self.frame_rate = model.conditioning.frame_rate
        self.sample_rate = self.synth.settings.sample_rate
        self.hop_size = self.synth.settings.hop_size
        self.latency_frames = self.synth.latency_frames + self.controls.latency_frames
        layers: list[tf.keras.layers.Layer] = [model.decoder, model.head]
        if model.smoothing is not None:
            layers.append(model.smoothing)
        self.variables = [v for layer in layers for v in layer.variables]

    def initial_state(
        self, batch_size: int | tf.Tensor = 1
    ) -> block_controls.StreamState:
        """Returns the state before the first frame, a nest of tensors."""
        return {
            "controls": self.controls.initial_state(batch_size),
            "synth": self.synth.initial_state(batch_size),
        }

    def __call__(
        self,
        features: dict[str, tf.Tensor],
        noise: tf.Tensor,
        *,
        state: block_controls.StreamState,
    ) -> tuple[Block, block_controls.StreamState]:
        """Runs a block.

        Args:
            features: `controls.feature_keys`, [batch, n_frames, 1] each.
            noise: White noise of the block in [-1, 1], [batch, n_frames * hop_size].
            state: From `initial_state` or the block before.

        Returns:
            The block and the next state. Controls lag behind the features by
            `controls.latency_frames`, audio by `latency_frames`.
        """
        n_frames = int(features["f0_hz"].shape[1])
        exists = self.controls.exists(state["controls"], n_frames)
        controls, after_controls = self.controls(features, state["controls"])
        harmonic, filtered, after_synth = self.synth(
            controls, noise, state=state["synth"], exists=exists
        )
        following = {"controls": after_controls, "synth": after_synth}
        return Block(harmonic, filtered, controls), following


def find_processor(model: autoencoder.LadderAutoencoder, kind: type) -> Any:
    """The processor of a class among a model's, or None."""
    for processor in model.processor_group.processors:
        if isinstance(processor, kind):
            return processor
    return None


def check_processors(model: autoencoder.LadderAutoencoder) -> None:
    """Refuses models whose sound is not harmonics, noise and reverb.

    Raises:
        block_controls.StreamError: Naming the processor.
    """
    if not isinstance(model, autoencoder.LadderAutoencoder):
        raise block_controls.StreamError(
            f"the run's model is a {type(model).__name__}; only "
            "models.autoencoder.LadderAutoencoder can be rendered in blocks."
        )
    for processor in model.processor_group.processors:
        if not isinstance(processor, (*_PLAYED, *_IGNORED)):
            raise block_controls.StreamError(
                f"the model's processor {processor.name!r} "
                f"({type(processor).__name__}) cannot be streamed; Harmonic, "
                "FilteredNoise, Add and Reverb can."
            )
    for kind in (ddsp.synths.Harmonic, ddsp.synths.FilteredNoise):
        if find_processor(model, kind) is None:
            raise block_controls.StreamError(
                f"the model has no {kind.__name__} synthesiser; only models with "
                "harmonics and noise can be streamed."
            )


def synth_settings(
    model: autoencoder.LadderAutoencoder,
) -> block_synth.SynthSettings:
    """Reads off a model what decides the block form of its synths.

    Args:
        model: A built model.

    Raises:
        block_controls.StreamError: If a processor cannot be streamed.
    """
    check_processors(model)
    harmonic = find_processor(model, ddsp.synths.Harmonic)
    noise = find_processor(model, ddsp.synths.FilteredNoise)
    channels = dict(model.decoder.output_splits)
    frame_rate = model.conditioning.frame_rate
    if harmonic.sample_rate % frame_rate:
        raise block_controls.StreamError(
            f"frame_rate={frame_rate} does not divide "
            f"sample_rate={harmonic.sample_rate}: a frame would not be whole samples."
        )
    return block_synth.SynthSettings(
        sample_rate=harmonic.sample_rate,
        hop_size=harmonic.sample_rate // frame_rate,
        n_harmonics=channels["harmonic_distribution"],
        n_noise_bands=channels["noise_magnitudes"],
        noise_window=noise.window_size,
        amplitude_method=harmonic.amp_resample_method,
    )


def impulse_response(model: autoencoder.LadderAutoencoder) -> np.ndarray:
    """Returns the response of the learned reverb without the direct sound.

    Args:
        model: A built model.

    Returns:
        float32, [n_taps], first tap 0; of length 1 where there is no reverb.
    """
    reverb = find_processor(model, ddsp.effects.Reverb)
    if reverb is None:
        return np.zeros(1, np.float32)
    response = reverb.get_controls(tf.zeros([1, 1]))["ir"]
    response = np.asarray(response, np.float32).reshape(-1)
    return np.concatenate([np.zeros(1, np.float32), response[1:]])
