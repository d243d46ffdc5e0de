"""How the heard index is summed: one room, one measuring of it, floors as long."""

import types

import numpy as np
import pytest

from evaluation.collapse_index import rooms
from evaluation.scoring import clips
from evaluation.scoring import heard_sums
from models.measures import frame_masks
from tests.helpers import played_controls

N_FRAMES, HOP = 40, 64
RATE = played_controls.SAMPLE_RATE
ROOM = rooms.Room(0.3, 0.0)


def reference(*, level=0.5, n_extra=0):
    """A recording of a steady level, some samples longer than its frames."""
    clip = clips.Clip(
        name="note",
        recording_id="note",
        start_secs=0.0,
        audio=np.full(N_FRAMES * HOP + n_extra, level, np.float32),
        sample_rate=RATE,
        frame_rate=250,
    )
    # Two timbres in turn: frozen at their mean, both are as they are on average.
    return types.SimpleNamespace(
        clip=clip,
        hearing=types.SimpleNamespace(power=np.full(N_FRAMES, level**2)),
        masks=frame_masks.Masks(np.ones(N_FRAMES, bool), np.ones(N_FRAMES, bool)),
        controls=played_controls.played([[0.9, 0.1], [0.1, 0.9]] * (N_FRAMES // 2)),
        noise_magnitudes=np.zeros([N_FRAMES, 3]),
    )


@pytest.fixture
def measured(monkeypatch):
    """Audio that controls are asked of; a recording's own are the answer."""
    asked = []

    def measure(audio, *, clip, hearing, masks):
        asked.append((audio, clip, hearing, masks))
        return played_controls.played([[0.9, 0.1], [0.1, 0.9]] * (N_FRAMES // 2))

    monkeypatch.setattr(clips, "measure_heard", measure)
    return asked


@pytest.mark.parametrize("n_extra", [0, 5, -5])
@pytest.mark.parametrize("room", [rooms.Room(), ROOM], ids=["dry", "room"])
def test_floors_are_of_a_frozen_timbre_as_long_as_the_clip(room, n_extra, measured):
    ref = reference(n_extra=n_extra)
    heard_sums._measure_floors([ref], room=room)
    ((audio, clip, hearing, masks),) = measured
    assert (clip, hearing, masks) == (ref.clip, ref.hearing, ref.masks)
    # Half of an amplitude of one, on 500 Hz and on 1 kHz each.
    phase = 2 * np.pi * 500.0 * np.arange(1, N_FRAMES * HOP + 1) / RATE
    still = 0.5 * np.sin(phase) + 0.5 * np.sin(2 * phase)
    # Frozen at the power that each frame had: 0.82 against 0.5.
    still = room.around(np.sqrt(0.82 / 0.5) * still, sample_rate=RATE)
    expected = np.concatenate([still, np.zeros(5)])[: ref.clip.audio.size]
    np.testing.assert_allclose(audio, expected, atol=1e-6)


def test_systems_in_one_room_share_its_recordings(measured, monkeypatch):
    """One recording in the room and one floor, however many systems are there."""
    given = {}

    def estimate(pairs, *, sample_rate):
        given.update(pairs=pairs, sample_rate=sample_rate)
        return ROOM

    monkeypatch.setattr(rooms, "estimate", estimate)
    ref = reference()
    recordings = heard_sums.Recordings([ref])
    audio = np.zeros(N_FRAMES * HOP)
    # A system that halves what the strongest harmonic leaves, at a quarter's power.
    est = played_controls.played([[0.95, 0.05], [0.05, 0.95]] * (N_FRAMES // 2))
    for _ in range(2):
        (found,) = recordings.measure(
            audios=[audio], heard=[est], powers=[np.full(N_FRAMES, 0.0625)]
        )
        assert len(measured) == 2
    assert given["sample_rate"] == RATE
    assert given["pairs"][0][0] is ref.clip.audio and given["pairs"][0][1] is audio
    # Spread is that of what is heard, the level that of the audio.
    assert found.ref_spread == pytest.approx(0.1 * N_FRAMES)
    assert found.est_spread == pytest.approx(0.05 * N_FRAMES)
    assert found.y == pytest.approx(10 * np.log10(0.0625) * N_FRAMES)
    power = clips.power_of(measured[0][0], clip=ref.clip)
    assert found.x == pytest.approx(np.sum(10 * np.log10(power)))
    # What a frozen timbre would move is measured as the recording itself.
    assert found.floor_movement == pytest.approx(found.ref_movement)
    assert found.floor_movement > 0.2


def test_a_soft_recording_is_as_loud_in_a_room(measured):
    ref = reference(level=0.001)
    heard_sums._put_into(ROOM, ref)
    energy = np.sum(np.square(measured[0][0]))
    assert energy == pytest.approx(1e-6 * ref.clip.audio.size)
