"""The ear hears what the preparation measures, a fixed time later, in any blocks."""

import pickle

import numpy as np
import pytest

from evaluation.live import ear as ear_lib
from prep import features
from prep.pitch import tracker
from prep.recordings import resample

N_BINS = tracker.N_BINS
# float32 transforms of one row and of many differ in the last digits.
LOUDNESS_TOLERANCE_DB = 1e-3
# The short filter of the ear against the long one of the preparation: its pass band
# ends earlier, which the A-weighted sum of a noise's power shows.
RESAMPLED_TOLERANCE_DB = 0.3
PITCH_TOLERANCE_CENTS = 0.01  # of the same window, by two arithmetics of the network


class StubNetwork:
    """Bins by the window's zero crossings; counts its calls."""

    def __init__(self):
        self.n_calls = 0

    def activations(self, frame):
        self.n_calls += 1
        n_crossings = np.count_nonzero(np.diff(np.signbit(frame)))
        peak = np.float32(0.9 if np.abs(frame).max() > 1e-3 else 0.1)
        return peak * np.exp(-0.1 * (np.arange(N_BINS) - n_crossings) ** 2)


def make_ear(sample_rate=16000, **options):
    options = {"network": StubNetwork(), **options}
    return ear_lib.Ear(sample_rate, **options)


def make_tune(sample_rate, *, secs=0.6, seed=5):
    """A gliding tone that swells, with some noise."""
    time = np.arange(round(secs * sample_rate)) / sample_rate
    tone = np.sin(2 * np.pi * (300.0 * time + 200.0 * time**2))
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(time))
    return ((0.1 + 0.3 * time) * tone + noise).astype(np.float32)


def push_in_blocks(ear, samples, block_size):
    parts = [
        ear.push(samples[start : start + block_size])
        for start in range(0, len(samples), block_size)
    ]
    return np.concatenate(
        [[part.f0_hz, part.f0_confidence, part.loudness_db] for part in parts], axis=1
    )


@pytest.mark.parametrize("sample_rate", [16000, 44100, 48000])
@pytest.mark.parametrize("frame_rate", [50, 100])
@pytest.mark.long
def test_blocks_of_any_size_give_the_same_frames(sample_rate, frame_rate):
    tune = make_tune(sample_rate, secs=0.2)
    whole = push_in_blocks(make_ear(sample_rate, frame_rate=frame_rate), tune, 1 << 20)
    assert whole.shape[1] > 5
    for block_size in (1, 64, 1000):
        ear = make_ear(sample_rate, frame_rate=frame_rate)
        np.testing.assert_array_equal(push_in_blocks(ear, tune, block_size), whole)


@pytest.mark.parametrize("frame_rate", [25, 50, 100, 125, 250])
def test_frames_are_those_of_the_preparation(frame_rate):
    tune = make_tune(16000)
    heard = make_ear(frame_rate=frame_rate).push(tune)
    expected = features.loudness_db(tune, 16000, frame_rate=frame_rate)
    n_known = heard.n_frames
    # All frames whose window has passed, and no other.
    assert n_known == (len(tune) - 512) // (16000 // frame_rate) + 1
    np.testing.assert_allclose(
        heard.loudness_db, expected[:n_known], atol=LOUDNESS_TOLERANCE_DB
    )


@pytest.mark.parametrize(("sample_rate", "frame_rate"), [(44100, 100), (48000, 250)])
def test_other_rates_are_heard_at_the_same_times(sample_rate, frame_rate):
    tune = make_tune(sample_rate)
    heard = make_ear(sample_rate, frame_rate=frame_rate).push(tune)
    audio_16k = resample.resample_audio(tune, sample_rate, out_rate=16000)
    expected = features.loudness_db(audio_16k, 16000, frame_rate=frame_rate)
    np.testing.assert_allclose(
        heard.loudness_db, expected[: heard.n_frames], atol=RESAMPLED_TOLERANCE_DB
    )


@pytest.mark.crepe
@pytest.mark.long
def test_pitch_is_that_of_the_tracker_frame_by_frame():
    tune = make_tune(16000, secs=0.3)
    heard = ear_lib.Ear(16000, frame_rate=100).push(tune)
    f0_hz, f0_confidence = tracker.CrepeTracker("tiny", "argmax")(tune, 100)
    n_known = heard.n_frames
    cents = 1200.0 * np.log2(heard.f0_hz / f0_hz[:n_known])
    assert np.abs(cents).max() < PITCH_TOLERANCE_CENTS
    np.testing.assert_allclose(heard.f0_confidence, f0_confidence[:n_known], atol=1e-4)


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_the_latency_is_what_it_says(sample_rate):
    """Frame 0 is known with the sample that is `latency_samples` after its own."""
    ear = make_ear(sample_rate)
    assert 0.032 <= (ear.latency_samples + 1) / sample_rate < 0.0335
    assert ear.push(np.zeros(ear.latency_samples, np.float32)).n_frames == 0
    assert ear.push(np.zeros(1, np.float32)).n_frames == 1
    assert ear.n_missing == ear.hop_size


def test_pitch_may_be_looked_at_less_often():
    network = StubNetwork()
    tune = make_tune(16000)
    seldom = make_ear(network=network, pitch_every=4).push(tune)
    always = make_ear().push(tune)
    assert network.n_calls == -(-always.n_frames // 4)
    np.testing.assert_array_equal(
        seldom.f0_hz, np.repeat(always.f0_hz[::4], 4)[: seldom.n_frames]
    )
    np.testing.assert_array_equal(seldom.loudness_db, always.loudness_db)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(4000),
        np.full(4000, 0.3),
        np.resize([1e30, -1e30], 4000),
        np.resize([1e-40, -1e-40], 4000),
        np.random.default_rng(0).standard_normal(4000) * 1e4,
    ],
    ids=["silence", "offset", "huge", "denormal", "loud"],
)
@pytest.mark.crepe
def test_nothing_that_is_finite_gives_nan(samples):
    heard = ear_lib.Ear(16000, frame_rate=50).push(samples.astype(np.float32))
    assert heard.n_frames > 5
    for curve in (heard.f0_hz, heard.f0_confidence, heard.loudness_db):
        assert np.isfinite(curve).all()
    assert (heard.f0_hz > 0).all()


def test_a_block_that_is_not_finite_is_refused_and_leaves_no_trace():
    tune = make_tune(16000)
    ear, undisturbed = make_ear(), make_ear()
    first, expected = ear.push(tune[:1000]), undisturbed.push(tune[:1000])
    with pytest.raises(ValueError, match="1 samples of the block are NaN"):
        ear.push(np.where(np.arange(100) == 7, np.nan, 0.0))
    with pytest.raises(ValueError, match="one row"):
        ear.push(np.zeros((2, 10)))
    np.testing.assert_array_equal(first.f0_hz, expected.f0_hz)
    np.testing.assert_array_equal(
        ear.push(tune[1000:]).loudness_db, undisturbed.push(tune[1000:]).loudness_db
    )


def test_reset_is_a_new_ear():
    tune = make_tune(48000)
    ear = make_ear(48000)
    first = push_in_blocks(ear, tune, 777)
    ear.reset()
    np.testing.assert_array_equal(push_in_blocks(ear, tune, 777), first)


@pytest.mark.slow
def test_an_hour_is_remembered_no_longer_than_a_minute():
    ear = make_ear(frame_rate=10)  # as few frames as an hour can have
    minute = make_tune(16000, secs=60.0)
    sizes = []
    for _ in range(60):
        for start in range(0, len(minute), 16000):
            ear.push(minute[start : start + 16000])
        sizes.append(len(pickle.dumps(vars(ear))))
    assert ear.push(minute[:16000]).n_frames == 10
    assert max(sizes) == min(sizes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame_rate": 300}, "does not divide 16000"),
        ({"sample_rate": 44100, "frame_rate": 250}, "176.40 samples"),
        ({"pitch_every": 0}, "at least 1"),
    ],
)
def test_rates_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_ear(**arguments)
