import math

import numpy as np
import pytest

from evaluation.collapse_index import audible
from evaluation.collapse_index import rooms

RATE = 16000
PAIRS = 2


def melody(rng, *, secs=3.0, bright=1.0, noise=0.001):
    """Notes that follow each other without a rest, phases of their own."""
    times = np.arange(round(secs * RATE)) / RATE
    audio = noise * rng.standard_normal(times.size)
    midis = rng.permutation([60, 62, 64, 65, 67, 69, 71, 72])
    for place, midi in enumerate(midis):
        sounds = (times // (secs / midis.size)).astype(int) == place
        f0_hz = 440.0 * 2.0 ** ((midi - 69) / 12)
        for k in range(1, 9):
            phase = rng.uniform(0, 2 * np.pi)
            audio += (
                sounds * 0.2 / k**bright * np.sin(2 * np.pi * k * f0_hz * times + phase)
            )
    return audio


def played(change, *, seed=0):
    """Recordings, and other renderings of them after a change."""
    pairs = []
    for number in range(PAIRS):
        ref = melody(np.random.default_rng(number))
        # The same notes: the permutation is drawn first.
        est = melody(np.random.default_rng(number), bright=1.4)
        pairs.append((ref, change(est, np.random.default_rng(seed))))
    return pairs


@pytest.mark.parametrize(
    ("secs", "db"), [(0.3, -9.0), (0.4, -6.0), (0.5, -3.0), (0.7, 0.0), (1.0, 3.0)]
)
@pytest.mark.long
def test_a_room_is_found(secs, db):
    pairs = played(
        lambda est, rng: audible.add_room(
            est, sample_rate=RATE, rng=rng, room_secs=secs, room_db=db
        )
    )
    room = rooms.estimate(pairs, sample_rate=RATE)
    assert room.secs == secs
    assert db - 3.0 <= room.db <= db  # what lies under the next note is not heard


@pytest.mark.parametrize(
    "change",
    [
        lambda est, rng: est,
        lambda est, rng: 0.05 * est,
        lambda est, rng: est + 0.1 * rng.standard_normal(est.size),
        lambda est, rng: est * (np.arange(est.size) // 2000 % 2),
        lambda est, rng: np.zeros_like(est),
    ],
    ids=["dry", "soft", "noisy", "gaps", "silent"],
)
@pytest.mark.long
def test_what_is_no_room_is_taken_for_none(change):
    assert rooms.estimate(played(change), sample_rate=RATE).is_none


def test_a_room_of_both_sides_is_none():
    pairs = [
        tuple(
            audible.add_room(one, sample_rate=RATE, rng=np.random.default_rng(seed))
            for seed, one in enumerate(pair)
        )
        for pair in played(lambda est, rng: est)
    ]
    assert rooms.estimate(pairs, sample_rate=RATE).is_none


def test_a_held_note_has_no_falls_and_no_room():
    times = np.arange(RATE) / RATE
    note = np.sin(2 * np.pi * 440 * times)
    assert rooms.estimate([(note, note)], sample_rate=RATE).is_none
    short = note[:1000]
    assert rooms.estimate([(short, short)], sample_rate=RATE).is_none


def test_a_fall_is_where_the_level_before_is_20_db_above_that_after():
    # One frequency at 40 dB, which ends at frame 60; and one that begins there.
    power = np.full((2, 160), 1e4)
    power[0, 60:] = 1.0
    power[1, :60] = 1.0
    falls = rooms._measure_falls(power, 3.0 * power)
    # Frames 60 - 6 ... 60 + 2 have all of 8 to 2 frames before in the note, and all of
    # 6 to 10 frames after in what follows it.
    assert falls.est.shape == (9, 40)
    expected = np.where(np.arange(54, 63)[:, np.newaxis] + rooms.LAGS < 60, 1.0, 1e-4)
    np.testing.assert_allclose(falls.direct, expected)
    np.testing.assert_allclose(falls.est, expected)  # whatever the system's level
    np.testing.assert_array_equal(falls.counted, expected < 1e-2)
    assert rooms._measure_falls(power[1:], power[1:]) is None


def test_a_fall_needs_all_of_what_is_looked_at():
    # 8 frames before it, and 43 after the frame where it stands.
    power = np.ones((1, 53))
    power[0, :8] = 1e4
    assert rooms._measure_falls(power[:, :52], power[:, :52]) is None
    assert len(rooms._measure_falls(power, power).est) == 1


def test_the_rooms_and_noises_that_are_tried():
    assert rooms.ROOM_SECS == (0.3, 0.4, 0.5, 0.7, 1.0)
    assert rooms.ROOM_DB == (-15.0, -12.0, -9.0, -6.0, -3.0, 0.0, 3.0, 6.0)
    assert rooms.NOISE_DB == (
        *(-math.inf, -45.0, -35.0, -28.0, -22.0),
        *(-16.0, -12.0, -8.0, -4.0, 0.0),
    )
    assert (rooms.MIN_GAIN, rooms.MIN_EVENTS, rooms.MAX_EVENTS) == (0.15, 25, 3000)
    assert (rooms.MIN_FALL_DB, rooms.BELOW_LOUDEST_DB, rooms.HEARD_DB) == (20, 40, 30)
    assert (rooms.HOP_SECS, rooms.WINDOW_SECS) == (0.008, 0.032)
    assert rooms.LAGS.tolist() == list(range(4, 44))


def test_being_put_into_a_room_adds_its_energy_and_no_samples():
    ref = melody(np.random.default_rng(0))
    wet = rooms.Room(0.5, 0.0).around(ref, sample_rate=RATE)
    assert wet.shape == ref.shape
    gain_db = 10 * np.log10(np.sum(wet**2) / np.sum(ref**2))
    assert gain_db == pytest.approx(3.0, abs=1.0)
    assert rooms.Room().around(ref, sample_rate=RATE) is ref
