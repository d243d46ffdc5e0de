"""The sums of the heard index: controls measured from audio, against the recording's.

Two things are measured from audio that are not the controls': noise that lies over the
harmonics moves their distribution, and a room lays old notes under new ones. Both act
on the recording's side too, so that they cancel: a recording is put into the room that
the system is found to stand in, and the movement of a distribution that stands still is
measured, with the recording's noise and in that room, and taken off.

Source: own.
"""

from collections.abc import Sequence

import numpy as np

from evaluation.collapse_index import audible
from evaluation.collapse_index import degradations
from evaluation.collapse_index import rooms
from evaluation.collapse_index import sums as index_sums
from evaluation.scoring import clips
from models.measures import control_arrays
from models.measures import measured_controls


def measure(
    references: Sequence[clips.Reference],
    *,
    audios: Sequence[np.ndarray],
    heard: Sequence[control_arrays.ControlArrays],
    powers: Sequence[np.ndarray],
) -> list[index_sums.Sums]:
    """Measures the sums of a system, clip by clip.

    Args:
        references: The clips, in order.
        audios: What the system makes of them. Shape [n_samples] each.
        heard: Controls measured from that.
        powers: Mean square around each frame. Shape [n_frames] each.
    """
    masks = [ref.masks for ref in references]
    room = rooms.estimate(
        [(ref.clip.audio, est) for ref, est in zip(references, audios, strict=True)],
        sample_rate=references[0].clip.sample_rate,
    )
    # The recordings, in the system's room.
    in_room = [_put_into(room, ref) for ref in references]
    recorded = [controls for controls, _ in in_room]
    floors = _measure_floors(references, room=room)
    ref_typical = index_sums.measure_typical(recorded, masks)
    est_typical = index_sums.measure_typical(heard, masks)
    return [
        index_sums.clip_sums(
            controls,
            est,
            masks=mask,
            ref_typical=ref_typical,
            est_typical=est_typical,
            ref_power=ref_power,
            est_power=est_power,
            floor_movement=floor,
            is_heard=True,
        )
        for (controls, ref_power), est, est_power, mask, floor in zip(
            in_room, heard, powers, masks, floors, strict=True
        )
    ]


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
    return _measure(ref, audio), measured_controls.local_power(
        audio,
        n_frames=ref.controls.n_frames,
        sample_rate=ref.clip.sample_rate,
        hop_size=ref.clip.sample_rate // ref.clip.frame_rate,
    )


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
