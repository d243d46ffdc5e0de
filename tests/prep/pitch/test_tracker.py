"""Decoders against a plain hidden Markov model; the tracker; the voiced rule."""

import pickle

import numpy as np
import pytest

from prep.pitch import tracker as pitch_tracker
from prep.pitch import viterbi

N_BINS = 360


def plain_path(observations: np.ndarray) -> np.ndarray:
    """The decoder of hmmlearn, written out: all 360 x 360 transitions."""
    rows, columns = np.meshgrid(range(N_BINS), range(N_BINS))
    transition = np.maximum(12 - abs(rows - columns), 0)
    transition = transition / np.sum(transition, axis=1)[:, None]
    emission = np.eye(N_BINS) * 0.1 + np.ones((N_BINS, N_BINS)) * (0.9 / N_BINS)
    with np.errstate(divide="ignore"):
        log_transition = np.log(transition)
    log_emission = np.log(emission)
    lattice = np.empty((len(observations), N_BINS))
    lattice[0] = np.log(np.ones(N_BINS) / N_BINS) + log_emission[:, observations[0]]
    for t in range(1, len(observations)):
        best = (lattice[t - 1][:, None] + log_transition).max(axis=0)
        lattice[t] = best + log_emission[:, observations[t]]
    path = [int(lattice[-1].argmax())]
    for t in range(len(observations) - 2, -1, -1):
        scores = lattice[t] + log_transition[:, path[-1]]
        path.append(int(np.flatnonzero(scores == scores.max())[-1]))
    return np.array(path[::-1])


def observations(kind: str, rng) -> np.ndarray:
    if kind == "random":
        return rng.integers(0, N_BINS, 300)
    if kind == "walk":
        return np.clip(np.cumsum(rng.integers(-9, 10, 400)) + 180, 0, 359)
    if kind == "jumps":
        return np.repeat([3, 350, 100, 101, 359, 0], 40)
    if kind == "two bins in turn":
        return np.tile([100, 140], 150)
    return np.full(200, 5)


KINDS = ["random", "walk", "jumps", "two bins in turn", "constant"]


@pytest.mark.parametrize("kind", KINDS)
def test_path_is_that_of_the_plain_model(kind, rng):
    observed = observations(kind, rng)
    np.testing.assert_array_equal(viterbi.viterbi_path(observed), plain_path(observed))


@pytest.mark.parametrize("kind", KINDS)
def test_path_given_out_early_is_the_same(kind, rng, monkeypatch):
    observed = observations(kind, rng)
    whole = viterbi.viterbi_path(observed)
    monkeypatch.setattr(viterbi, "_FLUSH_FRAMES", 16)
    decoder = viterbi.ViterbiDecoder()
    parts = [decoder.push(part) for part in np.array_split(observed, 11)]
    early = sum(map(len, parts))
    path = np.concatenate([*parts, decoder.finish()])
    np.testing.assert_array_equal(path, whole)
    if kind in ("constant", "walk"):
        assert early > 0
    assert len(decoder.finish()) == 0


def test_one_frame_and_no_frame_have_a_path():
    np.testing.assert_array_equal(viterbi.viterbi_path(np.array([77])), [77])
    assert len(viterbi.viterbi_path(np.zeros(0, int))) == 0


def test_average_of_a_symmetric_peak_is_its_centre():
    activations = np.zeros((1, N_BINS))
    activations[0, 196:205] = [1, 2, 3, 4, 5, 4, 3, 2, 1]
    cents = pitch_tracker.local_average_cents(activations, np.array([200]))
    np.testing.assert_allclose(cents, 1997.3794084376191 + 20 * 200, rtol=1e-12)


@pytest.mark.parametrize("center", [0, 2, 357, 359])
def test_average_at_the_ends_uses_the_bins_that_exist(center, rng):
    activations = rng.uniform(0, 1, (1, N_BINS))
    first, last = max(0, center - 4), min(N_BINS, center + 5)
    weights = activations[0, first:last]
    cents = 1997.3794084376191 + 20 * np.arange(first, last)
    expected = np.sum(weights * cents) / np.sum(weights)
    found = pitch_tracker.local_average_cents(activations, np.array([center]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_440_is_bin_228_and_two_fifths():
    bin_of_a = (1200 * np.log2(44) - pitch_tracker.FIRST_BIN_CENTS) / 20
    activations = np.zeros((1, N_BINS))
    below = int(bin_of_a)
    activations[0, below], activations[0, below + 1] = 1 - bin_of_a % 1, bin_of_a % 1
    f0_hz, _ = pitch_tracker.decode_argmax(activations)
    np.testing.assert_allclose(f0_hz, 440, rtol=1e-6)


@pytest.mark.parametrize(
    "decode", [pitch_tracker.decode_argmax, pitch_tracker.decode_viterbi]
)
def test_decoders_answer_every_frame_in_float32(decode, rng):
    activations = rng.uniform(0, 1, (50, N_BINS)).astype(np.float32)
    activations[7] = 0  # nothing at all
    f0_hz, f0_confidence = decode(activations)
    assert f0_hz.dtype == f0_confidence.dtype == np.float32
    assert f0_hz.shape == f0_confidence.shape == (50,)
    assert np.isfinite(f0_hz).all() and (f0_hz > 0).all()
    np.testing.assert_array_equal(f0_confidence, activations.max(axis=1))


def test_viterbi_ignores_a_single_octave_jump():
    activations = np.full((41, N_BINS), 1e-3)
    activations[:, 150] = 0.8
    activations[20, 150], activations[20, 210] = 0.7, 0.8
    argmax_hz, _ = pitch_tracker.decode_argmax(activations)
    viterbi_hz, _ = pitch_tracker.decode_viterbi(activations)
    assert argmax_hz[20] / argmax_hz[19] > 1.9
    np.testing.assert_allclose(viterbi_hz, viterbi_hz[0], rtol=0.01)


@pytest.mark.parametrize("shape", [(360,), (4, 359), (2, 3, 360)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"\[n_frames, 360\]"):
        pitch_tracker.decode_viterbi(np.zeros(shape))


def test_unknown_decoder_names_those_that_exist():
    with pytest.raises(ValueError, match="viterbi, argmax"):
        pitch_tracker.CrepeTracker("tiny", "best")


@pytest.mark.parametrize(
    ("rate", "hop_size"), [(250, 64), (125, 128), (100, 160), (31.25, 512)]
)
def test_hop_of_rates_that_divide(rate, hop_size):
    assert pitch_tracker.hop_of(rate) == hop_size


@pytest.mark.parametrize("rate", [0, -250, 300, float("nan")])
def test_hop_of_other_rates_is_refused(rate):
    with pytest.raises(ValueError, match="does not divide 16000"):
        pitch_tracker.hop_of(rate)


class _Peak:
    """A stand-in for the network: bin 100, then bin 104."""

    def activation_blocks(self, chunks, hop_size, *, n_frames, center=True):
        bins = np.where(np.arange(n_frames) < n_frames // 2, 100, 104)
        activations = np.eye(N_BINS, dtype=np.float32)[bins]
        yield from np.array_split(activations, 5) if n_frames else []


@pytest.mark.parametrize("decoder", pitch_tracker.DECODERS)
def test_tracker_decodes_blocks_as_it_would_the_whole(decoder, monkeypatch):
    monkeypatch.setattr(viterbi, "_FLUSH_FRAMES", 32)
    tracker = pitch_tracker.CrepeTracker("tiny", decoder)
    tracker._network = _Peak()
    f0_hz, f0_confidence = tracker(np.zeros(64 * 200 + 40), 250)
    assert len(f0_hz) == 201
    decode = {
        "viterbi": pitch_tracker.decode_viterbi,
        "argmax": pitch_tracker.decode_argmax,
    }[decoder]
    whole = decode(np.concatenate(list(_blocks(201))))
    np.testing.assert_array_equal(f0_hz, whole[0])
    np.testing.assert_array_equal(f0_confidence, whole[1])


def _blocks(n_frames: int):
    return _Peak().activation_blocks([], 64, n_frames=n_frames)


@pytest.mark.parametrize(
    ("n_samples", "center", "n_frames"),
    [
        (16031, True, 250),  # 250.48 hops of 64 samples, rounded
        (16033, True, 251),
        (16033, False, None),  # those that lie wholly inside, which the network counts
    ],
)
def test_tracker_asks_for_the_frames_of_its_rate(n_samples, center, n_frames):
    asked = []

    class Network(_Peak):
        def activation_blocks(self, chunks, hop_size, *, n_frames, center=True):
            asked.append((len(chunks[0]), hop_size, n_frames, center))
            return super().activation_blocks(chunks, hop_size, n_frames=3)

    tracker = pitch_tracker.CrepeTracker("tiny", "argmax")
    tracker._network = Network()
    tracker(np.zeros(n_samples), 250, center=center)
    assert asked == [(n_samples, 64, n_frames, center)]


def test_tracker_of_no_audio_gives_no_frames():
    tracker = pitch_tracker.CrepeTracker("tiny")
    tracker._network = _Peak()
    f0_hz, f0_confidence = tracker(np.zeros(0), 250)
    assert f0_hz.shape == f0_confidence.shape == (0,)


def test_pickled_tracker_leaves_its_network_behind():
    tracker = pitch_tracker.CrepeTracker("tiny", "argmax")
    tracker._network = _Peak()
    copy = pickle.loads(pickle.dumps(tracker))
    assert copy._network is None
    assert (copy.capacity, copy.decoder) == ("tiny", "argmax")
    plain = pitch_tracker.CrepeTracker()
    assert (plain.capacity, plain.decoder) == ("full", "viterbi")


@pytest.fixture(scope="module")
def tiny_tracker() -> pitch_tracker.CrepeTracker:
    return pitch_tracker.CrepeTracker("tiny")


@pytest.mark.crepe
@pytest.mark.parametrize("f0_hz", [110.0, 440.0, 1318.5])
def test_tracker_finds_a_tone(f0_hz, tiny_tracker):
    seconds = np.arange(8000) / 16000
    audio = sum(np.sin(2 * np.pi * k * f0_hz * seconds) / k for k in range(1, 5))
    found, confidence = tiny_tracker(audio.astype(np.float32), 250)
    assert len(found) == 125
    inner = slice(10, -10)
    assert (
        np.abs(1200 * np.log2(found[inner] / f0_hz)).max() < 15
    )  # cents; tiny network
    assert confidence[inner].min() > 0.7


def test_voiced_needs_confidence_and_loudness():
    confidence = np.array([0.9, 0.9, 0.1, np.nan, 0.5])
    loudness = np.array([-20.0, -70.0, -20.0, -20.0, -60.0])
    found = pitch_tracker.voiced(confidence, loudness)
    np.testing.assert_array_equal(found, [True, False, False, False, True])
    strict = pitch_tracker.voiced(
        confidence, loudness, min_confidence=0.95, min_loudness_db=-30
    )
    assert not strict.any()


def test_voiced_refuses_different_lengths():
    with pytest.raises(ValueError, match="one value a frame"):
        pitch_tracker.voiced(np.zeros(3), np.zeros(4))
