"""Recordings played an octave lower or higher to the pitch tracker."""

import functools

import numpy as np
import pytest

from prep import features
from prep.pitch import octaves as octaves_lib
from prep.pitch import tracker as pitch_tracker
from tests.helpers import prep_helpers

RATE = 16000
STOP_LEVEL = 1e-4  # -80 dB, of what the filter lets through beyond its band
MAX_CENTS = 30.0  # of the tiny network's answer; its bins are 20 wide


def reader(audio):
    return functools.partial(features.read_array, np.asarray(audio, np.float32))


def tone(f0_hz, secs, *, n_harmonics=8, rate=RATE):
    """Harmonics falling by 6 dB an octave, below Nyquist."""
    time = np.arange(round(secs * rate)) / rate
    numbers = [k for k in range(1, n_harmonics + 1) if k * f0_hz < 0.45 * rate]
    return sum(0.2 / k * np.sin(2 * np.pi * k * f0_hz * time) for k in numbers)


@pytest.mark.parametrize("octaves", [-1, 1])
@pytest.mark.parametrize("start", [-300, 0, 1, 777, 15000])
def test_a_sample_is_the_same_wherever_reading_begins(octaves, start, rng):
    read = octaves_lib.replay(reader(rng.standard_normal(RATE)), octaves)
    whole = read(-400, 16400)
    np.testing.assert_array_equal(
        read(start, start + 1234), whole[400 + start : 1634 + start]
    )


@pytest.mark.parametrize("f0_hz", [100.0, 3000.0, 7000.0])
def test_half_speed_is_the_tone_at_twice_the_rate(f0_hz):
    found = octaves_lib.replay(reader(tone(f0_hz, 1.0, n_harmonics=1)), -1)(4000, 28000)
    wanted = tone(f0_hz, 1.0, n_harmonics=1, rate=2 * RATE)[4000:28000]
    np.testing.assert_allclose(found, wanted, atol=STOP_LEVEL)


@pytest.mark.parametrize(("f0_hz", "stays"), [(30.0, 1), (3500.0, 1), (4100.0, 0)])
def test_double_speed_keeps_what_has_room_and_folds_nothing_down(f0_hz, stays):
    audio = tone(f0_hz, 1.0, n_harmonics=1)
    found = octaves_lib.replay(reader(audio), 1)(1000, 7000)
    np.testing.assert_allclose(found, stays * audio[2000:14000:2], atol=STOP_LEVEL)


def test_a_recording_as_it_is_is_not_touched():
    read = reader(np.ones(10))
    assert octaves_lib.replay(read, 0) is read


@pytest.mark.parametrize("octaves", [-1, 0, 1])
@pytest.mark.parametrize("frame_rate", [25, 250])
def test_frames_are_as_many_and_around_the_same_samples(octaves, frame_rate):
    """The tracker is given half or twice the rate, and clicks in the middles."""
    hop, given = RATE // frame_rate, []
    clicks = np.zeros(2 * RATE, np.float32)
    clicks[RATE : RATE + 5 * hop : hop] = 1.0

    def spy(audio_16k, rate, *, center=True):
        assert not center
        given.append(rate)
        frames = np.lib.stride_tricks.sliding_window_view(audio_16k, 1024)
        frames = frames[:: int(RATE / rate)]
        return np.argmax(frames[:, 500:524], axis=1) + 500.0, np.ones(len(frames))

    f0_hz, f0_confidence = octaves_lib.track_span(
        reader(clicks),
        center=RATE,
        n_frames=5,
        frame_rate=frame_rate,
        tracker=spy,
        octaves=octaves,
    )
    assert given == [frame_rate * 2.0**octaves]
    np.testing.assert_array_equal(f0_hz, [512.0 / 2.0**octaves] * 5)
    np.testing.assert_array_equal(f0_confidence, [1.0] * 5)


@pytest.mark.parametrize(("center", "frame_rate"), [(0, 128), (1, 250)])
def test_half_a_sample_is_refused_where_there_is_none(center, frame_rate):
    track = functools.partial(
        octaves_lib.track_span,
        reader(np.zeros(RATE)),
        center=center,
        n_frames=2,
        frame_rate=frame_rate,
        tracker=prep_helpers.StubTracker(),
    )
    assert len(track(octaves=-1)[0]) == len(track(octaves=0)[0]) == 2
    with pytest.raises(ValueError, match="both must be even"):
        track(octaves=1)


@functools.cache
def tiny():
    return pitch_tracker.CrepeTracker("tiny")


@pytest.mark.crepe
@pytest.mark.parametrize(
    "f0_hz",
    [
        2100.0,
        25.0,
        *(
            pytest.param(f, marks=pytest.mark.slow)
            for f in (2800.0, 3500.0, 20.6, 32.0)
        ),
    ],
)
@pytest.mark.long
def test_crepe_hears_beyond_its_range(f0_hz):
    octaves = -1 if f0_hz > 1000 else 1
    audio = tone(f0_hz, 0.4, n_harmonics=12).astype(np.float32)
    # One hop for the network, 64 samples of whatever it is played: it compiles once.
    found = features.compute_features(
        audio, tracker=tiny(), frame_rate=round(250 / 2.0**octaves), octaves=octaves
    )
    inner = slice(len(found["f0_hz"]) // 8, -len(found["f0_hz"]) // 8)
    cents = 1200 * np.abs(np.log2(found["f0_hz"][inner] / f0_hz))
    assert cents.max() < MAX_CENTS
    assert np.median(found["f0_confidence"][inner]) > pitch_tracker.MIN_CONFIDENCE
    # As it is, it is another note.
    as_it_is, _ = tiny()(audio, 250)
    off = 1200 * np.abs(np.log2(as_it_is[20:-20] / f0_hz))
    assert f0_hz == 32.0 or np.median(off) > 100.0
