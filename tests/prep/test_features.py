import functools

import numpy as np
import pytest
from ddsp import spectral_ops

from prep import features
from prep import loudness
from tests.helpers import prep_helpers

# float32 of two FFTs; in dB, above the floor of -80.
MAX_LOUDNESS_ERROR = 2e-3
RATE = 16000
PADDING = {"aligned": "center", "ddsp_center": "center", "ddsp_same": "same"}


@pytest.fixture
def clip(rng):
    """Two seconds: a tone that fades into noise, then silence."""
    tone = prep_helpers.tone(2.0)
    fade = np.linspace(1, 0, len(tone), dtype=np.float32) ** 2
    noise = rng.standard_normal(len(tone)).astype(np.float32) * 1e-3
    clip = tone * fade + noise
    clip[-4000:] = 0
    return clip


@pytest.mark.parametrize("framing", sorted(PADDING))
@pytest.mark.parametrize("n_cut", [0, 1, 63])
def test_loudness_equals_ddsp(clip, framing, n_cut):
    audio = clip[: len(clip) - n_cut]
    ours = features.loudness_db(audio, framing=framing)
    theirs = spectral_ops.compute_loudness(audio, padding=PADDING[framing]).numpy()
    if framing == "aligned":  # the same frames without the one at the very end
        theirs = theirs[: len(ours)]
        assert len(ours) == -(-len(audio) // 64)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=MAX_LOUDNESS_ERROR)


@pytest.mark.parametrize("framing", sorted(PADDING))
@pytest.mark.parametrize("frame_rate", [50, 250])
def test_power_equals_ddsp(clip, framing, frame_rate):
    found = features.compute_features(
        clip, tracker=prep_helpers.StubTracker(), frame_rate=frame_rate, framing=framing
    )
    theirs = spectral_ops.compute_power(
        clip, frame_rate=frame_rate, frame_size=1024, padding=PADDING[framing]
    ).numpy()
    ours = found["power_db"]
    assert ours.shape == found["f0_hz"].shape
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=MAX_LOUDNESS_ERROR)


def test_power_of_a_sine_is_its_rms():
    tone = np.sin(2 * np.pi * 500.0 * np.arange(4096) / 16000).astype(np.float32)
    found = loudness.frame_power(0.5 * tone, hop_size=320)
    np.testing.assert_allclose(found, 20 * np.log10(0.5 / np.sqrt(2)), atol=1e-3)


@pytest.mark.parametrize("sample_rate, frame_rate, n_fft", [(48000, 250, 2048)])
def test_loudness_equals_ddsp_at_other_rates(sample_rate, frame_rate, n_fft):
    audio = prep_helpers.tone(1.0, rate=sample_rate)
    ours = features.loudness_db(
        audio, sample_rate, frame_rate=frame_rate, n_fft=n_fft, framing="ddsp_center"
    )
    theirs = spectral_ops.compute_loudness(
        audio, sample_rate, frame_rate, n_fft, padding="center"
    ).numpy()
    np.testing.assert_allclose(ours, theirs, atol=MAX_LOUDNESS_ERROR)


def test_twice_the_amplitude_is_six_decibels(clip):
    louder = features.loudness_db(2 * clip[:16000])
    step = louder - features.loudness_db(clip[:16000])
    np.testing.assert_allclose(step, 6.0206, atol=1e-2)


def test_silence_is_the_floor():
    assert set(features.loudness_db(np.zeros(1000, np.float32))) == {-80.0}


def test_frame_stands_at_its_sample():
    click = np.zeros(16000, np.float32)
    click[100 * 64] = 1.0
    assert np.argmax(features.loudness_db(click)) == 100
    assert np.argmax(features.loudness_db(click, framing="ddsp_same")) == 96


@pytest.mark.parametrize("sample_rate", [16000, 22050, 44100, 48000])
def test_envelope_of_a_stream_follows_loudness(sample_rate):
    audio = prep_helpers.tone(3.0, rate=sample_rate)
    audio[sample_rate : 2 * sample_rate] = 0
    blocks = np.array_split(audio, 7)
    envelope = loudness.measure_envelope(blocks, sample_rate)
    per_sec = sample_rate / loudness.envelope_hop(sample_rate)
    assert len(envelope) == pytest.approx(3 * per_sec, abs=1.5)
    middle = envelope[int(1.1 * per_sec) : int(1.9 * per_sec)]
    assert set(middle) == {-80.0}
    fine = features.loudness_db(prep_helpers.tone(3.0))
    loud = slice(int(2.2 * per_sec), int(2.8 * per_sec))
    wanted = fine[int(2.2 * 250) : int(2.8 * 250)].mean()
    assert envelope[loud].mean() == pytest.approx(wanted, abs=1.0)


@pytest.mark.parametrize("octaves", [-1, 0, 1])
def test_features_of_any_segmentation_are_those_of_the_whole(octaves, monkeypatch, rng):
    audio = np.concatenate(
        [prep_helpers.tone(1.3, f0_hz=f) for f in (220, 330, 440, 880)]
    )
    audio += rng.standard_normal(len(audio)).astype(np.float32) * 1e-2
    compute = functools.partial(
        features.compute_features,
        audio,
        tracker=prep_helpers.StubTracker(),
        octaves=octaves,
    )
    for framing in PADDING:
        whole = compute(framing=framing)
        with monkeypatch.context() as patch:
            patch.setattr(features, "SEGMENT_SECS", 1)
            patch.setattr(features, "MARGIN_SECS", 0)  # the stub needs no context
            parts = compute(framing=framing)
        for key, values in whole.items():
            np.testing.assert_array_equal(parts[key], values, err_msg=key)


@pytest.mark.parametrize("framing", sorted(PADDING))
@pytest.mark.parametrize("octaves", [-1, 1])
def test_octaves_change_neither_the_moment_of_a_note_nor_its_pitch(octaves, framing):
    """From one note to the next, within the range of all: the same curve."""
    audio = np.concatenate([prep_helpers.tone(0.5, f0_hz=f) for f in (500.0, 1000.0)])
    compute = functools.partial(
        features.compute_features,
        audio,
        tracker=prep_helpers.StubTracker(),
        framing=framing,
    )
    one, other = compute()["f0_hz"], compute(octaves=octaves)["f0_hz"]
    assert one.shape == other.shape
    # At the ends the stub counts the crossings of the filter's ringing.
    steps = [40 + int(np.argmax(f0_hz[40:] > 750.0)) for f0_hz in (one, other)]
    assert abs(steps[0] - steps[1]) <= 1  # frame of 4 ms; crossings are whole numbers
    at = steps[0]
    for part in (slice(40, at - 40), slice(at + 40, -40)):
        # A crossing more or less is 1024 samples' worth, 2048 at half the speed.
        np.testing.assert_allclose(other[part], one[part], atol=2 * RATE / 1024)


def test_a_clip_is_tracked_like_a_recording():
    audio = prep_helpers.tone(1.0, f0_hz=3000.0)
    wanted = features.compute_features(
        audio, tracker=prep_helpers.BoundedTracker(), octaves=-1
    )
    f0_hz, confidence = features.track_clip(
        audio, 250, tracker=prep_helpers.BoundedTracker(), octaves=-1
    )
    np.testing.assert_array_equal(f0_hz, wanted["f0_hz"])
    np.testing.assert_array_equal(confidence, wanted["f0_confidence"])
    assert np.median(f0_hz) == pytest.approx(3000.0, rel=0.01)


def test_tracker_hears_the_recording_around_a_segment(monkeypatch):
    monkeypatch.setattr(features, "SEGMENT_SECS", 1)
    monkeypatch.setattr(features, "MARGIN_SECS", 1)
    audio = np.arange(5 * 16000, dtype=np.float32)
    heard = []

    def spy(audio_16k, frame_rate, *, center=True):
        heard.append(audio_16k)
        assert not center
        n_frames = 1 + (len(audio_16k) - 1024) // 64
        return np.ones(n_frames, np.float32), np.ones(n_frames, np.float32)

    features.analyse_segment(
        functools.partial(features.read_array, audio),
        2,
        n_frames=1250,
        frame_rate=250,
        framing="aligned",
        tracker=spy,
    )
    np.testing.assert_array_equal(heard[0], np.arange(15488, 64448))


@pytest.mark.parametrize("framing", sorted(PADDING))
def test_shapes_of_a_clip_of_odd_length(framing):
    audio = prep_helpers.tone(1.0)[:12345]
    found = features.compute_features(
        audio, tracker=prep_helpers.StubTracker(), framing=framing
    )
    n_frames = 12345 // 64 + 1
    assert found["f0_hz"].shape == (n_frames,)
    assert found["f0_confidence"].shape == found["loudness_db"].shape == (n_frames,)
    assert len(found["audio"]) == len(found["audio_16k"]) == 193 * 64
    assert {v.dtype for v in found.values()} == {np.dtype(np.float32)}


def test_48_khz_clip_has_features_of_16_khz():
    found = features.compute_features(
        prep_helpers.tone(2.0, rate=48000), 48000, tracker=prep_helpers.StubTracker()
    )
    assert len(found["audio"]) == 96000
    assert len(found["audio_16k"]) == 32000
    wanted = features.loudness_db(prep_helpers.tone(2.0))
    np.testing.assert_allclose(found["loudness_db"][5:-5], wanted[5:-5], atol=0.05)


@pytest.mark.parametrize(
    "audio, values, match",
    [
        (np.zeros((2, 100), np.float32), {}, r"\[n_samples\]"),
        (np.zeros(0, np.float32), {}, "empty"),
        (np.full(100, np.nan, np.float32), {}, "NaN"),
        (np.ones(100, np.float32), {"framing": "left"}, "ddsp_same"),
        (np.ones(100, np.float32), {"frame_rate": 300}, "Nearest"),
    ],
)
def test_bad_argument_is_named(audio, values, match):
    with pytest.raises(ValueError, match=match):
        features.compute_features(audio, tracker=prep_helpers.StubTracker(), **values)


def test_tracker_that_answers_wrongly_is_caught():
    def short(audio_16k, frame_rate, *, center=True):
        return np.ones(3, np.float32), np.ones(3, np.float32)

    with pytest.raises(ValueError, match=r"3,.*for 250 frames"):
        features.compute_features(prep_helpers.tone(1.0), tracker=short)


@functools.cache
def crepe(capacity):
    from prep.pitch import tracker

    return tracker.CrepeTracker(capacity)


@pytest.mark.slow
@pytest.mark.crepe
@pytest.mark.parametrize("framing", sorted(PADDING))
def test_pitch_equals_ddsp(recordings, framing):
    """Against ddsp's own call of crepe; both run the full network on a short phrase."""
    from prep.recordings import decode

    path = recordings / "librosa" / "sorohanro_solo-trumpet-06.wav"
    clip = decode.load_audio(path, 16000)[8000:24000]
    ours = features.compute_features(clip, tracker=crepe("full"), framing=framing)
    f0_hz, f0_confidence = spectral_ops.compute_f0(clip, 250, padding=PADDING[framing])
    n_frames = len(ours["f0_hz"])
    cents = 1200 * np.abs(np.log2(ours["f0_hz"] / f0_hz[:n_frames]))
    assert len(f0_hz) == n_frames + (framing == "aligned" and len(clip) % 64 == 0)
    assert cents[ours["f0_confidence"] > 0.5].max() < 0.1
    np.testing.assert_allclose(
        ours["f0_confidence"], f0_confidence[:n_frames], atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.crepe
def test_segments_of_real_pitch_are_those_of_the_whole(recordings, monkeypatch):
    from prep.recordings import decode

    notes = sorted((recordings / "vsco2_flute").glob("*.wav"))[:3]
    clip = np.concatenate([decode.load_audio(p, 16000)[: 4 * 16000] for p in notes])
    whole = features.compute_features(clip, tracker=crepe("tiny"))
    monkeypatch.setattr(features, "SEGMENT_SECS", 5)
    parts = features.compute_features(clip, tracker=crepe("tiny"))
    sure = whole["f0_confidence"] > 0.5
    cents = 1200 * np.abs(np.log2(parts["f0_hz"] / whole["f0_hz"]))
    assert cents[sure].max() < 0.01
    np.testing.assert_array_equal(parts["loudness_db"], whole["loudness_db"])
