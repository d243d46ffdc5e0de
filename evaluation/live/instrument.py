"""A model that plays what it hears, as the host of a plug-in would run it.

    instrument = Instrument(streaming.player.Player(run.model))
    out = instrument.process(block)  # as many samples as came in

The sound of a sample comes `latency_samples` later: the ear's window, and what the
player waits for. Both are constant, so blocks of any length give the same samples.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from evaluation.live import ear as ear_lib
from evaluation.render import performance
from evaluation.render import transfer
from models.streaming import player as player_lib
from prep import errors


@dataclasses.dataclass(frozen=True)
class Shift:
    """How what is heard is moved before it is played.

    Attributes:
        transpose: Semitones.
        loudness_db: dB.
    """

    transpose: float = 0.0
    loudness_db: float = 0.0

    def apply(self, heard: performance.Performance) -> performance.Performance:
        """Moves pitch, at most to what the synthesiser has, and loudness."""
        moved = transfer.transpose(heard, self.transpose)
        moved = transfer.shift_loudness(moved, self.loudness_db)
        return moved.replace(f0_hz=np.minimum(moved.f0_hz, transfer.MAX_F0_HZ))


class Instrument:
    """An ear and a player.

    Args:
        player: Plays one frame a step.
        ear: Hears; by default with CREPE tiny at the player's rates.
        shift: How pitch and loudness are moved.

    Attributes:
        latency_samples: By which a sample's sound comes later.
        n_restarts: How often the model gave NaN and began anew, in silence.

    Raises:
        ValueError: If the player takes several frames a step, or the ear's hop differs
            from its.
    """

    def __init__(
        self,
        player: player_lib.Player,
        *,
        ear: ear_lib.Ear | None = None,
        shift: Shift | None = None,
    ):
        if player.frames_per_step != 1:
            raise ValueError(
                f"frames_per_step={player.frames_per_step}: live, the ear gives one "
                "frame at a time; make the player with frames_per_step=1."
            )
        ear = ear or ear_lib.Ear(player.sample_rate, frame_rate=player.frame_rate)
        if ear.hop_size != player.n_samples:
            raise ValueError(
                f"the ear has a frame every {ear.hop_size} samples, the player every "
                f"{player.n_samples}; make the ear with the player's rates."
            )
        if "loudness_db" not in player.block.controls.feature_keys:
            raise errors.InputError(
                "the live ear measures A-weighted loudness, and this model is told "
                "unweighted power; play it with a file, or from DDSP-VST."
            )
        self.player, self.ear = player, ear
        self.shift = shift or Shift()
        late_samples = player.latency_frames * player.n_samples
        self.latency_samples = ear.latency_samples + late_samples
        self.reset()

    @property
    def latency_secs(self) -> float:
        """The latency in seconds, without a host's buffers."""
        return self.latency_samples / self.player.sample_rate

    def reset(self) -> None:
        """Begins anew, as if nothing had been heard."""
        self.ear.reset()
        self.n_restarts = 0
        self._state = self.player.initial_state()
        self._n_early = self.player.latency_frames  # steps before the first sound
        self._ready = np.zeros(self.latency_samples, np.float32)  # not yet given

    def process(self, samples: np.ndarray) -> np.ndarray:
        """Hears a block and plays one.

        Args:
            samples: Mono at the model's rate, finite, [n_samples] of any length.

        Returns:
            float32 [n_samples]: the sound of what came `latency_samples` ago.

        Raises:
            ValueError: If the block is not one row of finite numbers; nothing changes.
        """
        heard = self.shift.apply(self.ear.push(samples))
        frames = zip(heard.f0_hz, heard.loudness_db, heard.f0_confidence, strict=True)
        played = [self._play(*frame) for frame in frames]
        ready = np.concatenate([self._ready, *played])
        self._ready = ready[len(samples) :]
        return ready[: len(samples)]

    def _play(
        self, f0_hz: float, loudness_db: float, f0_confidence: float
    ) -> np.ndarray:
        """Plays a frame; nothing of what lies before the beginning."""
        sound, self._state = self.player.step(
            f0_hz, loudness_db, state=self._state, f0_confidence=f0_confidence
        )
        if not np.isfinite(sound).all():
            # The state holds what made it: one NaN would stay for ever.
            self._state = self.player.initial_state()
            self.n_restarts += 1
            sound = np.zeros(self.player.n_samples, np.float32)
        if self._n_early:
            self._n_early -= 1
            return sound[:0]
        return sound
