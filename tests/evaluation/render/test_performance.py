"""Recordings as performances."""

import dataclasses

import numpy as np
import pytest
import soundfile

from evaluation.render import performance
from prep import errors
from prep import features
from tests.helpers import prep_helpers
from tests.helpers import render_helpers

FRAME_RATE = render_helpers.FRAME_RATE


# ---- recordings


def listen(path):
    """A recording as the stub tracker hears it."""
    return performance.listen(
        path, frame_rate=FRAME_RATE, tracker=render_helpers.stub_tracker
    )


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 96000])
def test_any_rate_is_heard_on_the_same_grid(tmp_path, sample_rate):
    path = render_helpers.write_tone(tmp_path / "tone.wav", sample_rate=sample_rate)
    played = listen(path)
    assert played.n_frames == FRAME_RATE
    assert played.voiced_share > 0.95
    assert np.ptp(played.loudness_db[10:-10]) < 0.5


@pytest.mark.parametrize("segment_secs", [60, 2], ids=["in one", "by segments"])
def test_hearing_equals_preparation(tmp_path, monkeypatch, segment_secs):
    monkeypatch.setattr(features, "SEGMENT_SECS", segment_secs)
    path = tmp_path / "fading.wav"
    time = np.arange(int(2.5 * 16000)) / 16000
    soundfile.write(path, 0.3 * 0.1**time * np.sin(2 * np.pi * 440 * time), 16000)
    samples, _ = soundfile.read(path, dtype="float32")
    expected = features.compute_features(
        samples, 16000, tracker=render_helpers.stub_tracker
    )
    played = listen(path)
    for key in ("f0_hz", "f0_confidence", "loudness_db", "power_db"):
        np.testing.assert_array_equal(getattr(played, key), expected[key])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_lies_above_the_range_is_heard_an_octave_lower(tmp_path, rate, caplog):
    """As in preparation, and the person is told."""
    high = prep_helpers.tone(2.0, f0_hz=3000.0, rate=rate)
    for name, audio in (("high", high), ("middle", prep_helpers.tone(2.0, rate=rate))):
        soundfile.write(tmp_path / f"{name}.wav", audio, rate)
        caplog.clear()
        played = performance.listen(
            tmp_path / f"{name}.wav",
            frame_rate=FRAME_RATE,
            tracker=prep_helpers.BoundedTracker(),
        )
        wanted = 3000.0 if name == "high" else 440.0
        assert np.median(played.f0_hz) == pytest.approx(wanted, rel=0.02)
        assert ("tracked an octave lower" in caplog.text) == (name == "high")


def test_power_follows_what_is_done_to_loudness():
    played = dataclasses.replace(
        render_helpers.make_performance(4), power_db=np.full(4, -30.0, np.float32)
    )
    louder = played.replace(loudness_db=played.loudness_db + 6.0)
    np.testing.assert_allclose(louder.power_db, -24.0, atol=1e-5)
    softer = played.replace(loudness_db=played.loudness_db - 60.0)
    np.testing.assert_array_equal(softer.power_db, -80.0)
    assert played.replace(f0_hz=played.f0_hz * 2.0).power_db is played.power_db


def test_silence_is_refused(tmp_path):
    path = render_helpers.write_tone(tmp_path / "silence.wav", level=0.0)
    with pytest.raises(errors.InputError, match="is silent"):
        listen(path)


def test_text_is_refused(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("no audio")
    with pytest.raises(errors.InputError, match="not audio that libsndfile reads"):
        listen(path)


def test_nothing_is_refused(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(errors.InputError, match="holds no sample"):
        listen(path)
    with pytest.raises(errors.InputError, match="there is no recording"):
        listen(tmp_path / "absent.wav")


def test_infinite_samples_are_refused(tmp_path):
    path = tmp_path / "inf.wav"
    soundfile.write(path, np.full(8000, np.inf), 16000, subtype="FLOAT")
    with pytest.raises(errors.InputError, match="NaN or infinite"):
        listen(path)


def test_no_room_on_disk_is_said_before_measuring(tmp_path, monkeypatch):
    path = render_helpers.write_tone(tmp_path / "tone.wav")
    free = lambda n_bytes: monkeypatch.setattr(
        performance.shutil,
        "disk_usage",
        lambda folder: type("Usage", (), {"free": n_bytes}),
    )
    free(4 * 16000)  # a second of float32 at 16 kHz
    assert listen(path).secs == 1.0
    free(4 * 16000 - 1)
    with pytest.raises(
        errors.InputError,
        match=r"tone.wav: 1 s need 0\.0 GB .* has 0\.0 GB; set TMPDIR to a larger disk",
    ):
        listen(path)


def test_unpitched_recordings_are_warned_of(caplog):
    played = render_helpers.make_line([60] * 100, confidence=0.1)
    performance.check_audible(played, name="cymbal.wav")
    assert "Only 0 % of the audible part of cymbal.wav" in caplog.text


def listen_to(path, *frequencies_hz):
    time = np.arange(2 * 16000) / 16000
    noise = np.random.default_rng(1).normal(0, 0.01, len(time))
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in frequencies_hz)
    soundfile.write(path, 0.2 * tones + noise, 16000)
    return listen(path)


def test_chords_with_a_sure_pitch_are_warned_of(tmp_path, caplog):
    """The tracker is sure of 440 Hz; two other notes sound as loud."""
    played = listen_to(tmp_path / "chord.wav", 440.0, 554.4, 659.3)
    assert played.off_pitch_share == pytest.approx(2 / 3, abs=0.1)
    assert "chord.wav lies at no multiple of its pitch" in caplog.text


def test_overtones_and_breath_are_no_chord(tmp_path, caplog):
    played = listen_to(tmp_path / "note.wav", 440.0, 880.0, 1320.0)
    assert played.off_pitch_share < 0.05
    assert not caplog.text


def test_voiced_share_is_of_audible_frames():
    """Of six frames four are audible and three of these have a pitch."""
    played = render_helpers.make_line(
        [60.0] * 6, loudness=np.array([-20.0, -20.0, -20.0, -20.0, -79.0, -79.0])
    )
    confidence = np.array([0.9, 0.9, 0.9, 0.1, 0.9, 0.1])
    assert played.replace(f0_confidence=confidence).voiced_share == 0.75


@pytest.mark.parametrize(("share", "is_told"), [(0.09, False), (0.11, True)])
def test_a_tenth_of_the_power_off_pitch_is_told(share, is_told, caplog):
    played = dataclasses.replace(
        render_helpers.make_line([60.0] * 10), off_pitch_share=share
    )
    performance.check_audible(played, name="a.wav")
    assert ("at no multiple" in caplog.text) == is_told


def test_what_is_as_loud_as_the_limit_is_played():
    line = lambda decibels: render_helpers.make_line([60.0] * 2, loudness=decibels)
    limit = performance.MIN_LOUDNESS_DB
    performance.check_audible(line([-80.0, limit]), name="a.wav")
    told = f"a.wav is silent: its loudest moment has {limit - 0.25:.1f} dB, and below"
    with pytest.raises(errors.InputError, match=told):
        performance.check_audible(line([-80.0, limit - 0.25]), name="a.wav")
    assert line([-80.0, -80.0]).voiced_share == 0.0
    assert line([limit, -80.0]).voiced_share == 1.0


@pytest.mark.parametrize(("n_voiced", "is_told"), [(5, False), (4, True)])
def test_less_than_half_of_the_frames_with_a_pitch_is_told(n_voiced, is_told, caplog):
    """That there may be several voices is said only where the pitch is sure."""
    line = render_helpers.make_line([60.0] * 10)
    confidence = np.where(np.arange(10) < n_voiced, 0.9, 0.1)
    played = dataclasses.replace(line, off_pitch_share=0.5)
    performance.check_audible(played.replace(f0_confidence=confidence), name="a.wav")
    assert ("Only 40 % of the audible part of a.wav" in caplog.text) == is_told
    told = "50 % of the sound of a.wav lies at no multiple of its pitch (of a solo "
    told += "recording, below 10 %)"
    assert (told in caplog.text) != is_told


@pytest.mark.parametrize(("rate", "is_told"), [(16000, False), (15999, True)])
def test_rates_below_16_khz_are_told(tmp_path, rate, is_told, caplog):
    path = render_helpers.write_tone(tmp_path / "a.wav", sample_rate=rate, secs=0.1)
    blocks = list(performance.mono_blocks(path, sample_rate=16000))
    assert sum(map(len, blocks)) == pytest.approx(1600, abs=2)
    told = "a.wav has 15999 samples a second, less than the 16000 at which"
    assert (told in caplog.text) == is_told
