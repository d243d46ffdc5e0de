"""The sums of the heard index: controls measured from audio, against the recording's.

Two things are measured from audio that are not the controls': noise that lies over the
harmonics moves their distribution, and a room lays old notes under new ones. Both act
on the recording's side too, so that they cancel: a recording is put into the room that
the system is found to stand in, and the movement of a distribution that stands still is
measured, with the recording's noise and in that room, and taken off.

Source: own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from evaluation.collapse_index import audible
from evaluation.collapse_index import degradations
from evaluation.collapse_index import rooms
from evaluation.collapse_index import sums as index_sums
from evaluation.scoring import clips
from models.measures import control_arrays


@dataclasses.dataclass(frozen=True)
class _Standing:
    """Recordings in a room, clip by clip.

    Attributes:
        controls: Measured from them there.
        powers: Mean square around each frame. Shape [n_frames] each.
        floors: Movement that is measured where a distribution stands still.
        typical: Mean distributions over all clips.
    """

    controls: list[control_arrays.ControlArrays]
    powers: list[np.ndarray]
    floors: list[float]
    typical: index_sums.Typical


class Recordings:
    """Recordings that systems are compared with, measured once in every room.

    Args:
        references: The clips, in order.
    """

    def __init__(self, references: Sequence[clips.Reference]):
        self.references = references
        self._masks = [ref.masks for ref in references]
        self._standing: dict[rooms.Room, _Standing] = {}

    def measure(
        self,
        *,
        audios: Sequence[np.ndarray],
        heard: Sequence[control_arrays.ControlArrays],
        powers: Sequence[np.ndarray],
    ) -> list[index_sums.Sums]:
        """Measures the sums of a system, clip by clip.

        Args:
            audios: What the system makes of the clips. Shape [n_samples] each.
            heard: Controls measured from that.
            powers: Mean square around each frame. Shape [n_frames] each.
        """
        pairs = zip(self.references, audios, strict=True)
        room = rooms.estimate(
            [(ref.clip.audio, est) for ref, est in pairs],
            sample_rate=self.references[0].clip.sample_rate,
        )
        standing = self._in(room)
        est_typical = index_sums.measure_typical(heard, self._masks)
        return [
            index_sums.clip_sums(
                controls,
                est,
                masks=mask,
                ref_typical=standing.typical,
                est_typical=est_typical,
                ref_power=ref_power,
                est_power=est_power,
                floor_movement=floor,
                is_heard=True,
            )
            for controls, ref_power, floor, est, est_power, mask in zip(
                standing.controls,
                standing.powers,
                standing.floors,
                heard,
                powers,
                self._masks,
                strict=True,
            )
        ]

    def _in(self, room: rooms.Room) -> _Standing:
        """The recordings in a room; systems often share one, or none."""
        if room not in self._standing:
            found = [_put_into(room, ref) for ref in self.references]
            controls = [one for one, _ in found]
            self._standing[room] = _Standing(
                controls=controls,
                powers=[power for _, power in found],
                floors=_measure_floors(self.references, room=room),
                typical=index_sums.measure_typical(controls, self._masks),
            )
        return self._standing[room]


def _put_into(
    room: rooms.Room, ref: clips.Reference
) -> tuple[control_arrays.ControlArrays, np.ndarray]:
    """A recording's controls and power in a room, as loud as without.

    Whether a system was set as loud as the recording before or after it got its room
    cannot be told; so a room makes nothing look silent.
    """
    if room.is_none:
        return ref.controls, ref.hearing.power
    audio = room.around(ref.clip.audio, sample_rate=ref.clip.sample_rate)
    louder = float(np.sum(np.square(audio, dtype=np.float64)))
    energy = float(np.sum(np.square(ref.clip.audio, dtype=np.float64)))
    audio = audio * (energy / louder) ** 0.5 if louder > 0 else audio
    return _measure(ref, audio), clips.power_of(audio, clip=ref.clip)


def _measure(ref: clips.Reference, audio: np.ndarray) -> control_arrays.ControlArrays:
    return clips.measure_heard(
        audio, clip=ref.clip, hearing=ref.hearing, masks=ref.masks
    )


def _measure_floors(
    references: Sequence[clips.Reference], *, room: rooms.Room
) -> list[float]:
    """Movement that is measured where the distribution stands still, clip by clip."""
    masks = [ref.masks for ref in references]
    typical = index_sums.measure_typical([ref.controls for ref in references], masks)
    still = []
    for number, ref in enumerate(references):
        frozen = degradations.frozen(ref.controls, 1.0, typical=typical)
        audio = audible.play(
            frozen, ref.noise_magnitudes, rng=np.random.default_rng(number)
        )
        audio = room.around(audio, sample_rate=ref.clip.sample_rate)
        padded = np.pad(audio, (0, max(0, ref.clip.audio.size - audio.size)))
        still.append(_measure(ref, padded[: ref.clip.audio.size]))
    own = index_sums.measure_typical(still, masks)
    return [
        index_sums.movement(one, mask, typical=own)
        for one, mask in zip(still, masks, strict=True)
    ]
