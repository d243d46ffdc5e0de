"""Playing a model live: pitch and loudness in, samples out, frame by frame.

    player = streaming.Player(run.model)
    state = player.initial_state()
    samples, state = player.step(f0_hz, loudness_db, state=state)

Every step gives the samples of as many frames as it takes, `latency_frames` behind
them: sound between two frames is made when both are known. The same controls rendered
to a file give the same samples (`evaluation.render.renderer`), noise included, if the
seed is the same.
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple

import numpy as np

from models import autoencoder
from models.streaming import block_model
from models.streaming import block_noise
from models.streaming import convolvers
from models.streaming import lite


class PlayerState(NamedTuple):
    """Where a stream is; hand each one to the next step and then forget it.

    Attributes:
        n_frames: Frames played so far.
        vector: State of decoder, smoother and synths.
        reverb: State of the reverb, changed in place by a step.
    """

    n_frames: int
    vector: np.ndarray
    reverb: convolvers.ConvolverState


class Player:
    """A model as an instrument.

    Args:
        model: A built model with a causal decoder.
        frames_per_step: Frames that a step takes. More cost less each, and come later.
        with_reverb: Whether the learned reverb is heard.
        seed: Which noise.
        quantize: Whether large matrices are held in 8 bits: for the GRU, at some loss.
        content: What `models.streaming.lite.convert` made of the model; made here if
            absent.

    Attributes:
        n_samples: Samples that a step gives.
        latency_frames: Frames by which the samples lag behind the controls.

    Raises:
        ValueError: If `frames_per_step` is below 1.
        models.streaming.block_controls.StreamError: If the model cannot be streamed.
    """

    def __init__(
        self,
        model: autoencoder.LadderAutoencoder,
        *,
        frames_per_step: int = 1,
        with_reverb: bool = True,
        seed: int = 0,
        quantize: bool = False,
        content: bytes | None = None,
    ):
        if frames_per_step < 1:
            raise ValueError(f"frames_per_step={frames_per_step}; at least 1.")
        self.block = block_model.BlockModel(model)

        # The model as a TFLite graph of one step.
        self._step = lite.FlatStep(self.block, frames_per_step)
        self._run = lite.LiteRunner(
            content or lite.convert(self._step, quantize=quantize)
        )

        # Beside the graph: its noise, and the reverb, whose length is none of it.
        self._noise = block_noise.WhiteNoise(seed)
        response = block_model.impulse_response(model)
        audible = with_reverb and bool(np.any(response))
        self._reverb = (
            convolvers.make_convolver(response, self._step.n_samples)
            if audible
            else None
        )

        self._feature_keys = self.block.controls.feature_keys
        self._noise_lag = self.block.controls.latency_frames
        self._hop_size = self.block.hop_size
        self.frames_per_step = frames_per_step
        self.n_samples = self._step.n_samples
        self.sample_rate = self.block.sample_rate
        self.frame_rate = self.block.frame_rate
        self.latency_frames = self.block.latency_frames

    @property
    def latency_secs(self) -> float:
        """The same, with the frames of a step, which are collected before it."""
        return (self.latency_frames + self.frames_per_step - 1) / self.frame_rate

    def initial_state(self) -> PlayerState:
        """State before the first frame."""
        return PlayerState(
            n_frames=0,
            vector=self._step.initial_state(),
            reverb=self._reverb.initial_state() if self._reverb else {},
        )

    def step(
        self,
        f0_hz: Any,
        loudness_db: Any,
        *,
        state: PlayerState,
        f0_confidence: Any = 1.0,
    ) -> tuple[np.ndarray, PlayerState]:
        """Plays one step.

        Args:
            f0_hz: Hz; a number, or [frames_per_step].
            loudness_db: dB as `prep.features` measures it; same shape. A model that is
                told power takes `power_db` here.
            state: From `initial_state` or the step before; used up.
            f0_confidence: 1 for a pitch, 0 for none; same shape.

        Returns:
            Samples, float32 [frames_per_step * hop_size], and the next state. The first
            `latency_frames` frames of all lie before the beginning and hold nothing.
        """
        harmonic, noise, following = self._play(
            f0_hz, loudness_db, f0_confidence, state
        )
        dry = harmonic + noise
        if self._reverb is None:
            return dry, following
        return dry + self._reverb.process(dry, state.reverb), following

    def _play(
        self, f0_hz: Any, level_db: Any, f0_confidence: Any, state: PlayerState
    ) -> tuple[np.ndarray, np.ndarray, PlayerState]:
        """A step's harmonics and noise, dry, and the next state."""
        first = (state.n_frames - self._noise_lag) * self._hop_size
        features = (f0_hz, level_db, f0_confidence)
        harmonic, noise, vector = self._run(
            **dict(zip(self._feature_keys, features, strict=True)),
            noise=self._noise.span(first, self.n_samples),
            state=state.vector,
        )
        if state.n_frames < self.latency_frames:
            # What sounds before the beginning is an onset towards the first frame.
            early = (self.latency_frames - state.n_frames) * self._hop_size
            harmonic[:early] = 0.0
            noise[:early] = 0.0
        n_frames = state.n_frames + self.frames_per_step
        return harmonic, noise, PlayerState(n_frames, vector, state.reverb)
