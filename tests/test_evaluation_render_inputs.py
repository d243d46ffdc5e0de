"""What is played: recordings, transfer, MIDI and CSV."""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import numpy as np
import pretty_midi
import pytest
import render_helpers
import soundfile

from evaluation import control_csv
from evaluation import inference
from evaluation import midi
from evaluation import performance
from evaluation import transfer
from prep import features

FRAME_RATE = render_helpers.FRAME_RATE
HEARD = transfer.Heard(
    pitch_midi=np.linspace(60.0, 84.0, 101), loudness_db=np.linspace(-40.0, -10.0, 101)
)


def stub_tracker(audio_16k, frame_rate, *, center=True):
    """440 Hz, sure of itself where there is sound."""
    hop = 16000 // frame_rate
    frames = np.lib.stride_tricks.sliding_window_view(audio_16k, 1024)[::hop]
    confidence = np.where(np.abs(frames).max(axis=1) > 1e-3, 0.9, 0.1)
    return np.full(len(frames), 440.0, np.float32), confidence.astype(np.float32)


def write_tone(path, *, sample_rate=22050, secs=1.0, level=0.3):
    time = np.arange(round(secs * sample_rate)) / sample_rate
    soundfile.write(path, level * np.sin(2 * np.pi * 440.0 * time), sample_rate)
    return path


def make(midi_notes, loudness=-25.0, confidence=0.9):
    notes = np.asarray(midi_notes, float)
    return performance.Performance(
        frame_rate=FRAME_RATE,
        f0_hz=(440.0 * 2.0 ** ((notes - 69.0) / 12.0)).astype(np.float32),
        f0_confidence=np.full(len(notes), confidence, np.float32),
        loudness_db=np.broadcast_to(np.float32(loudness), notes.shape).copy(),
    )


def to_midi(played):
    return 69.0 + 12.0 * np.log2(played.f0_hz / 440.0)


# ---- recordings


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 96000])
def test_any_rate_is_heard_on_the_same_grid(tmp_path, sample_rate):
    path = write_tone(tmp_path / "tone.wav", sample_rate=sample_rate)
    played = performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)
    assert played.n_frames == FRAME_RATE
    assert played.voiced_share > 0.95
    assert np.ptp(played.loudness_db[10:-10]) < 0.5


def test_hearing_equals_preparation(tmp_path):
    path = write_tone(tmp_path / "tone.wav", sample_rate=16000)
    samples, _ = soundfile.read(path, dtype="float32")
    expected = features.compute_features(samples, 16000, tracker=stub_tracker)
    played = performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)
    for key in ("f0_hz", "f0_confidence", "loudness_db"):
        np.testing.assert_array_equal(getattr(played, key), expected[key])


def test_silence_is_refused(tmp_path):
    path = write_tone(tmp_path / "silence.wav", level=0.0)
    with pytest.raises(inference.InputError, match="is silent"):
        performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)


def test_text_is_refused(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("no audio")
    with pytest.raises(inference.InputError, match="not audio that libsndfile reads"):
        performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)


def test_nothing_is_refused(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(inference.InputError, match="holds no sample"):
        performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)
    with pytest.raises(inference.InputError, match="there is no recording"):
        performance.listen(
            tmp_path / "absent.wav", frame_rate=FRAME_RATE, tracker=stub_tracker
        )


def test_infinite_samples_are_refused(tmp_path):
    path = tmp_path / "inf.wav"
    soundfile.write(path, np.full(8000, np.inf), 16000, subtype="FLOAT")
    with pytest.raises(inference.InputError, match="NaN or infinite"):
        performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)


def test_no_room_on_disk_is_said_before_measuring(tmp_path, monkeypatch):
    path = write_tone(tmp_path / "tone.wav")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(performance.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(inference.InputError, match="set TMPDIR to a larger disk"):
        performance.listen(path, frame_rate=FRAME_RATE, tracker=stub_tracker)


def test_unpitched_recordings_are_warned_of(caplog):
    played = make([60] * 100, confidence=0.1)
    performance.check_audible(played, name="cymbal.wav")
    assert "Only 0 % of the audible part of cymbal.wav" in caplog.text


# ---- transfer


def test_transpose_and_shift():
    played = transfer.adjust(
        make([60.0, 61.0]),
        transfer.Adjustments(transpose=-12.0, loudness_shift=-70.0),
        heard=None,
    )
    np.testing.assert_allclose(to_midi(played), [48.0, 49.0], atol=1e-3)
    assert played.loudness_db.tolist() == [-80.0, -80.0]  # the floor


def test_match_moves_by_octaves_and_maps_quantiles(rng):
    source = make(rng.uniform(38.0, 48.0, 500), loudness=rng.uniform(-58, -38, 500))
    matched = transfer.match(source, HEARD)
    moved = to_midi(matched) - to_midi(source)
    np.testing.assert_allclose(moved, moved[0], atol=1e-3)
    assert round(float(moved[0])) == 24  # 43 -> 67, the octave nearest to 72
    for share in (0.1, 0.5, 0.9):
        expected = np.quantile(HEARD.loudness_db, share)
        got = np.quantile(matched.loudness_db, share)
        assert abs(got - expected) < 1.0
    order = np.argsort(source.loudness_db)
    assert (np.diff(matched.loudness_db[order]) >= -1e-4).all()  # louder stays louder


def test_match_of_a_constant_loudness_is_finite():
    matched = transfer.match(make([60.0] * 50), HEARD)
    assert np.isfinite(matched.loudness_db).all()
    assert -40.0 <= matched.loudness_db[0] <= -10.0


def test_map_curve_is_parallel_outside():
    source, target = np.array([-40.0, -20.0]), np.array([-30.0, -25.0])
    values = np.array([-50.0, -40.0, -30.0, -20.0, -10.0])
    mapped = transfer.map_curve(values, source, target)
    np.testing.assert_allclose(mapped, [-40.0, -30.0, -27.5, -25.0, -15.0])


def test_auto_tune_keeps_vibrato():
    time = np.arange(500) / FRAME_RATE
    vibrato = 0.3 * np.sin(2 * np.pi * 5.0 * time)
    tuned = to_midi(transfer.auto_tune(make(60.3 + vibrato), 1.0))
    middle = tuned[100:400]
    assert abs(middle.mean() - 60.0) < 0.03
    assert np.ptp(middle) > 0.5
    half = to_midi(transfer.auto_tune(make(60.3 + 0 * vibrato), 0.5))
    np.testing.assert_allclose(half, 60.15, atol=1e-3)


def test_suppress_noise_lowers_what_is_no_note():
    played = make([60.0] * 100)
    confidence = played.f0_confidence.copy()
    confidence[40:80] = 0.1
    confidence[20:22] = 0.1  # too short to end a note
    quiet = transfer.suppress_noise(played.replace(f0_confidence=confidence), 30.0)
    np.testing.assert_allclose(quiet.loudness_db[50:70], -55.0)
    np.testing.assert_allclose(quiet.loudness_db[10:30], -25.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"auto_tune": 2.0}, "give 0 to 1"), ({"suppress_noise": -3.0}, "0 or more")],
)
def test_bad_adjustments_are_refused(arguments, text):
    with pytest.raises(inference.InputError, match=text):
        transfer.Adjustments(**arguments)


def test_statistics_that_are_gone_are_named(tmp_path):
    with pytest.raises(inference.InputError, match="--data_dir"):
        transfer.read_heard(tmp_path)
    (tmp_path / "statistics.json").write_text('{"pitch_midi": null}')
    with pytest.raises(inference.InputError, match="prepare the dataset again"):
        transfer.read_heard(tmp_path)


def test_what_the_model_never_heard_is_warned_of(caplog):
    transfer.warn_if_unheard(make([30.0] * 50), HEARD)
    assert "outside the pitch that the model has heard, C4 to C6" in caplog.text
    caplog.clear()
    transfer.warn_if_unheard(make([70.0] * 50), HEARD)
    assert not caplog.text


# ---- MIDI


def write_midi(path, notes, *, drums=False, bends=()):
    score = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(73, is_drum=drums)
    instrument.notes = [pretty_midi.Note(*note) for note in notes]
    instrument.pitch_bends = [pretty_midi.PitchBend(*bend) for bend in bends]
    score.instruments.append(instrument)
    score.write(str(path))
    return path


def test_midi_notes_sound_where_they_stand(tmp_path):
    path = write_midi(tmp_path / "tune.mid", [(127, 69, 0.0, 0.5), (1, 81, 1.0, 1.5)])
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=HEARD)
    assert played.n_frames == round(FRAME_RATE * (1.5 + midi.REST_SECS))
    assert abs(played.f0_hz[50] - 440.0) < 1.0
    assert abs(played.f0_hz[300] - 880.0) < 2.0
    assert played.f0_confidence[50] > 0.9
    assert played.f0_confidence[200] == 0.0
    assert played.loudness_db[80] > played.loudness_db[330] + 15.0  # velocity
    assert played.loudness_db[240] == -80.0  # released
    assert played.loudness_db[0] < played.loudness_db[30] - 10.0  # attack


def test_midi_has_vibrato_after_a_while(tmp_path):
    path = write_midi(tmp_path / "tune.mid", [(90, 69, 0.0, 3.0)])
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=HEARD)
    cents = 100.0 * (to_midi(played) - 69.0)
    assert np.abs(cents[:60]).max() < 0.01
    assert 19.0 < np.abs(cents[200:700]).max() < 21.0


def test_midi_bends(tmp_path):
    path = write_midi(tmp_path / "tune.mid", [(90, 69, 0.0, 1.0)], bends=[(4096, 0.1)])
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=HEARD)
    assert to_midi(played)[10] == pytest.approx(69.0, abs=0.01)
    assert to_midi(played)[50] == pytest.approx(70.0, abs=0.01)


def test_midi_chords_become_one_voice(tmp_path, caplog):
    notes = [(90, 60, 0.0, 1.0), (90, 64, 0.0, 1.0), (90, 67, 0.5, 1.0)]
    path = write_midi(tmp_path / "chord.mid", notes)
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=HEARD)
    assert to_midi(played)[50] == pytest.approx(64.0, abs=0.01)
    assert to_midi(played)[150] == pytest.approx(67.0, abs=0.1)
    assert "2 of 3 notes overlap" in caplog.text


def test_midi_without_notes_is_refused(tmp_path):
    path = write_midi(tmp_path / "drums.mid", [(90, 40, 0.0, 1.0)], drums=True)
    with pytest.raises(inference.InputError, match="no notes"):
        midi.read_midi(path, frame_rate=FRAME_RATE, heard=HEARD)
    (tmp_path / "text.mid").write_text("x")
    with pytest.raises(inference.InputError, match="is no MIDI file"):
        midi.read_midi(tmp_path / "text.mid", frame_rate=FRAME_RATE, heard=HEARD)


# ---- CSV


def test_performances_survive_a_csv(tmp_path):
    played = render_helpers.make_performance()
    control_csv.write_performance(tmp_path / "p.csv", played)
    table = control_csv.Table(tmp_path / "p.csv", frame_rate=FRAME_RATE)
    assert not table.has_controls
    for key in control_csv.PERFORMANCE_COLUMNS:
        np.testing.assert_allclose(
            getattr(table.performance(), key), getattr(played, key), rtol=1e-6
        )


def test_controls_survive_a_csv(tmp_path, rng):
    played = render_helpers.make_performance(5)
    controls = {
        "f0_hz": played.f0_hz[:, np.newaxis],
        "amps": rng.random((5, 1)).astype(np.float32),
        "harmonic_distribution": rng.random((5, 3)).astype(np.float32),
        "noise_magnitudes": rng.random((5, 2)).astype(np.float32),
    }
    writer = control_csv.Writer(tmp_path / "c.csv", played)
    writer.write({k: v[:2] for k, v in controls.items()}, 2)
    writer.write({k: v[2:] for k, v in controls.items()}, 3)
    writer.close()
    table = control_csv.Table(tmp_path / "c.csv", frame_rate=FRAME_RATE)
    assert table.has_controls
    (read,) = table.controls(n_harmonics=3, n_noise_bands=2)
    for key, value in controls.items():
        np.testing.assert_allclose(read[key], value, rtol=1e-6)
    with pytest.raises(inference.InputError, match="this model plays 60 and 65"):
        next(table.controls(n_harmonics=60, n_noise_bands=65))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secs,f0_hz\n0,440\n", "no column 'loudness_db'"),
        ("f0_hz,loudness_db\n440,x\n", "line 2: could not convert"),
        ("f0_hz,loudness_db\n440\n", "line 2: 1 values for 2 columns"),
        ("f0_hz,loudness_db\n0,-20\n", "above 0"),
        ("f0_hz,loudness_db\nnan,-20\n", "not finite"),
        ("f0_hz,loudness_db\n", "no rows"),
        ("secs,f0_hz,loudness_db\n0,440,-20\n0.01,440,-20\n", "draw it at 250 rows"),
        ("", "no column 'f0_hz'; it has none"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, reason):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(inference.InputError, match=reason):
        control_csv.Table(tmp_path / "bad.csv", frame_rate=FRAME_RATE)
