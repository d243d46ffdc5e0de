"""The rearranged network against the published arithmetic."""

import functools

import numpy as np
import pytest

from prep.pitch import keras_model
from prep.pitch import network as crepe_network
from prep.pitch import tracker
from prep.pitch import weights
from tests.helpers import tones

pytestmark = pytest.mark.crepe

TOLERANCE = 1e-5  # of an activation; measured 1.3e-6 (tiny), 9e-7 (full)
CENTS_TOLERANCE = 0.1  # where the confidence is above 0.5
BATCH_FRAMES = 16  # short audio fills several; batches are padded to their length
CAPACITIES = ["tiny", pytest.param("full", marks=pytest.mark.slow)]
# Each multiple of 64 is compiled for itself; the others take the plain way.
HOPS = [128, 50, *(pytest.param(n, marks=pytest.mark.slow) for n in (1024, 320, 160))]


@functools.cache
def network(capacity: str) -> crepe_network.CrepeNetwork:
    return crepe_network.CrepeNetwork(capacity, batch_frames=BATCH_FRAMES)


@functools.cache
def keras_network(capacity: str):
    return keras_model.build_model(weights.load_weights(capacity))


def published(audio, hop_size=64, *, capacity="tiny", center=True) -> np.ndarray:
    """What the crepe package computes, but normalised in float64."""
    frames = keras_model.cut_frames(audio, hop_size, center=center)
    frames = keras_model.normalize_frames(frames, dtype=np.float64)
    # Called, not `predict`ed: that would trace a graph for each number of frames.
    return keras_network(capacity)(frames, training=False).numpy()


def signals(rng) -> dict[str, np.ndarray]:
    clean = tones.gliding(rng)
    gap, burst = clean.copy(), 1e-3 * clean
    gap[2000:5000] = 0
    burst[4000:4064] = 0.9
    square = np.sign(np.sin(2 * np.pi * 300 * np.arange(8000) / 16000))
    return {
        "tone": clean,
        "minus 60 dB": 1e-3 * clean,
        "minus 140 dB": 1e-7 * clean,
        "full-scale square": square,
        "noise": rng.uniform(-1, 1, 8000),
        "one least bit": rng.integers(-1, 2, 8000) / 32768,
        "silence inside": gap,
        "burst beside quiet": burst,
        "slow wave": np.sin(2 * np.pi * 3 * np.arange(8000) / 16000) + 0.01 * clean,
        "offset": clean + 0.1,
        "faint on an offset": 1e-3 * clean + 0.1,
        "impulse": np.eye(1, 8000, 4000)[0],
    }


@pytest.mark.slow
@pytest.mark.parametrize("capacity", CAPACITIES)
def test_activations_equal_the_published_ones(capacity, rng):
    for name, audio in signals(rng).items():
        audio = audio.astype(np.float32)[:5100]
        expected = published(audio, 3 * 64, capacity=capacity)  # a slow way
        found = network(capacity).activations(audio)[::3]
        assert found.shape == expected.shape, name
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=TOLERANCE, err_msg=name
        )


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize(
    "name",
    ["vsco2_flute/flute_C4.wav", "librosa/sorohanro_solo-trumpet-06.wav"],
    ids=["flute", "trumpet"],
)
def test_real_recordings_equal_the_published_ones(capacity, name, recordings):
    audio = tones.recorded(recordings / name)[16000:24000]
    expected = published(audio, 192, capacity=capacity)
    found = network(capacity).activations(audio)[::3]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    ours, confidence = tracker.decode_argmax(found)
    theirs, _ = tracker.decode_argmax(expected)
    sure = confidence > 0.5
    assert sure.mean() > 0.5
    cents = 1200 * np.abs(np.log2(ours / theirs))
    assert cents[sure].max() < CENTS_TOLERANCE


@pytest.mark.parametrize("hop_size", HOPS)
@pytest.mark.parametrize("center", [True, False], ids=["centred", "from the start"])
@pytest.mark.long
def test_every_hop_equals_the_published_frames(hop_size, center, rng):
    audio = tones.gliding(rng, 4000)
    expected = published(audio, hop_size, center=center)
    found = network("tiny").activations(audio, hop_size, center=center)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.long
def test_level_does_not_matter(rng):
    audio = tones.gliding(rng)
    loud, quiet = (network("tiny").activations(gain * audio) for gain in (1, 1 / 1024))
    np.testing.assert_allclose(loud, quiet, rtol=0, atol=TOLERANCE)


def test_frames_lie_on_multiples_of_the_hop(rng):
    audio = tones.gliding(rng)
    shifted = np.concatenate([np.zeros(640, np.float32), audio])
    direct = network("tiny").activations(audio)
    later = network("tiny").activations(shifted)[10:]
    # Frames that reach before the start see the same zeros either way.
    np.testing.assert_allclose(later, direct, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("n_frames", [0, 1, 16, 17, 70])
def test_n_frames_cuts_or_continues_with_silence(n_frames, rng):
    audio = tones.gliding(rng, 2000)
    padded = np.pad(audio, (0, 4000))
    found = network("tiny").activations(audio, n_frames=n_frames)
    expected = network("tiny").activations(padded)[:n_frames]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_pieces_of_any_length_give_the_same_activations(rng):
    audio = tones.gliding(rng, 9000)
    cuts = np.sort(rng.integers(0, len(audio), 20))
    blocks = network("tiny").activation_blocks(np.split(audio, cuts))
    whole = network("tiny").activations(audio)
    np.testing.assert_array_equal(np.concatenate(list(blocks)), whole)


def test_one_loud_frame_leaves_its_neighbours_alone(rng):
    audio = tones.gliding(rng)
    spoilt = audio.copy()
    spoilt[4000] = 1e6
    found = network("tiny").activations(spoilt)
    expected = network("tiny").activations(audio)
    far = np.abs(64 * np.arange(len(found)) - 4000) > 512
    np.testing.assert_allclose(found[far], expected[far], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("level", [0.0, 0.1, -1.0])
def test_constant_audio_is_a_frame_of_zeros(level):
    silent = keras_network("tiny")(np.zeros((1, 1024), np.float32)).numpy()
    audio = np.full(3000, level, np.float32)
    inside = network("tiny").activations(audio, center=False)
    expected = np.tile(silent, (len(inside), 1))
    np.testing.assert_allclose(inside, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_batch_size_does_not_matter(rng):
    audio = tones.gliding(rng, 3000)
    small = crepe_network.CrepeNetwork("tiny", batch_frames=7).activations(audio)
    expected = network("tiny").activations(audio)
    np.testing.assert_allclose(small, expected, rtol=0, atol=TOLERANCE)


def test_audio_is_not_changed(rng):
    audio = tones.gliding(rng, 3000) + np.float32(0.5)
    before = audio.copy()
    network("tiny").activations(audio)
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("audio", "arguments", "match"),
    [
        (np.zeros((2, 2000)), {}, "shape"),
        (np.full(2000, np.nan), {}, "NaN or infinite"),
        (np.zeros(2000), {"hop_size": 0}, "hop_size=0"),
        (np.zeros(2000), {"hop_size": 12.5}, "hop_size=12.5"),
        (np.zeros(2000), {"n_frames": -1}, "n_frames=-1"),
        (np.zeros(1000), {"center": False}, "needs 1024"),
    ],
    ids=["channels", "nan", "no hop", "fraction", "negative", "short"],
)
def test_bad_arguments_are_explained(audio, arguments, match):
    with pytest.raises(ValueError, match=match):
        network("tiny").activations(audio, **arguments)


def test_zero_batch_is_refused():
    with pytest.raises(ValueError, match="batch_frames=0"):
        crepe_network.CrepeNetwork("tiny", batch_frames=0)
