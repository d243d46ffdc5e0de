"""What is played: recordings and how they are fitted to a model."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from evaluation.render import performance
from evaluation.render import transfer
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


def test_hearing_equals_preparation(tmp_path):
    path = render_helpers.write_tone(tmp_path / "tone.wav", sample_rate=16000)
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
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(performance.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(errors.InputError, match="set TMPDIR to a larger disk"):
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


# ---- transfer


def test_transpose_and_shift():
    played = transfer.adjust(
        render_helpers.make_line([60.0, 61.0]),
        transfer.Adjustments(transpose=-12.0, loudness_shift=-70.0),
        heard=None,
    )
    np.testing.assert_allclose(render_helpers.to_midi(played), [48.0, 49.0], atol=1e-3)
    assert played.loudness_db.tolist() == [-80.0, -80.0]  # the floor


def test_match_moves_by_octaves_and_maps_quantiles(rng):
    source = render_helpers.make_line(
        rng.uniform(38.0, 48.0, 500), loudness=rng.uniform(-58, -38, 500)
    )
    matched = transfer.match(source, render_helpers.HEARD)
    moved = render_helpers.to_midi(matched) - render_helpers.to_midi(source)
    np.testing.assert_allclose(moved, moved[0], atol=1e-3)
    assert round(float(moved[0])) == 24  # 43 -> 67, the octave nearest to 72
    for share in (0.1, 0.5, 0.9):
        expected = np.quantile(render_helpers.HEARD.loudness_db, share)
        got = np.quantile(matched.loudness_db, share)
        assert abs(got - expected) < 1.0
    order = np.argsort(source.loudness_db)
    assert (np.diff(matched.loudness_db[order]) >= -1e-4).all()  # louder stays louder


def test_match_of_a_constant_loudness_is_finite():
    matched = transfer.match(
        render_helpers.make_line([60.0] * 50), render_helpers.HEARD
    )
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
    tuned = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(60.3 + vibrato), 1.0)
    )
    middle = tuned[100:400]
    assert abs(middle.mean() - 60.0) < 0.03
    assert np.ptp(middle) > 0.5
    half = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(60.3 + 0 * vibrato), 0.5)
    )
    np.testing.assert_allclose(half, 60.15, atol=1e-3)


def test_suppress_noise_lowers_what_is_no_note():
    played = render_helpers.make_line([60.0] * 100)
    confidence = played.f0_confidence.copy()
    confidence[40:80] = 0.1
    confidence[20:22] = 0.1  # too short to end a note
    quiet = transfer.suppress_noise(played.replace(f0_confidence=confidence), 30.0)
    np.testing.assert_allclose(quiet.loudness_db[50:70], -55.0)
    np.testing.assert_allclose(quiet.loudness_db[10:30], -25.0)


def make_tune(*pitches, secs=0.6):
    """Notes one behind the other, with vibrato."""
    size = round(secs * FRAME_RATE)
    time = np.arange(size * len(pitches)) / FRAME_RATE
    vibrato = 0.2 * np.sin(2 * np.pi * 5.5 * time)
    return render_helpers.make_line(np.repeat(np.array(pitches, float), size) + vibrato)


SCALE = np.array([60.0, 62.0, 64.0, 65.0, 67.0, 65.0, 62.0])


@pytest.mark.parametrize("a4", [415.0, 427.47, 435.0, 442.0])
def test_auto_tune_leaves_a_tune_in_its_own_tuning(a4):
    offset = 12.0 * np.log2(a4 / 440.0)
    # One note of seven is out of tune, and comes to where the others are.
    played = make_tune(*(SCALE + offset + np.array([0, 0, 0.3, 0, 0, 0, 0])))
    tuned = render_helpers.to_midi(transfer.auto_tune(played, 1.0))
    size = round(0.6 * FRAME_RATE)
    for number, note in enumerate(SCALE):
        middle = tuned[number * size + 30 : (number + 1) * size - 30]
        assert middle.mean() == pytest.approx(note + offset, abs=0.08)


def test_a4_is_the_tuning_where_it_is_given():
    played = make_tune(*(SCALE + 12.0 * np.log2(442.0 / 440.0)))
    # 0.4 semitones below concert pitch, where 415 Hz would be a whole one.
    tuned = render_helpers.to_midi(transfer.auto_tune(played, 1.0, a4=430.0))
    middle = tuned[30 : round(0.6 * FRAME_RATE) - 30]
    grid = middle.mean() - 12.0 * np.log2(430.0 / 440.0)
    assert grid == pytest.approx(round(grid), abs=0.03)


def test_auto_tune_does_not_flip_between_two_semitones():
    time = np.arange(4 * FRAME_RATE) / FRAME_RATE
    # Drifts over the middle between two semitones, with a vibrato of half a semitone.
    pitch = 60.4 + 0.05 * time + 0.25 * np.sin(2 * np.pi * 5.5 * time)
    tuned = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(pitch), 1.0, a4=440.0)
    )
    assert np.abs(np.diff(tuned)).max() < 0.1  # a flip is a step of 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"auto_tune": 2.0}, "give 0 to 1"),
        ({"suppress_noise": -3.0}, "0 or more"),
        ({"auto_tune": 1.0, "a4": 44.0}, "give 380 to 500"),
        ({"a4": 415.0}, "does nothing without --auto_tune"),
    ],
)
def test_bad_adjustments_are_refused(arguments, text):
    with pytest.raises(errors.InputError, match=text):
        transfer.Adjustments(**arguments)


@pytest.mark.parametrize(
    ("adjustments", "text"),
    [
        ({"transpose": 1e6}, "inf Hz, lies above the 8192"),
        ({"transpose": -1e6}, "0 Hz, lies below the 20"),
        ({"loudness_shift": 1e39}, "loudness is no number"),
        ({"suppress_noise": 1e39}, "loudness is no number"),
        ({"transpose": 1e39, "auto_tune": 1.0}, "inf Hz, lies above"),
    ],
    ids=str,
)
def test_what_is_no_number_in_float32_is_not_played(adjustments, text):
    played = make_tune(60.0, 64.0)
    with pytest.raises(errors.InputError, match=text):
        transfer.adjust(played, transfer.Adjustments(**adjustments), heard=None)


RISING = list(range(101))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        {"pitch_midi": {"quantiles": "x"}, "loudness_db_voiced": {"quantiles": RISING}},
        {"pitch_midi": {"quantiles": RISING}, "loudness_db_voiced": {"quantiles": []}},
        {
            "pitch_midi": {"quantiles": [None] * 101},
            "loudness_db_voiced": {"quantiles": RISING},
        },
        {
            "pitch_midi": {"quantiles": RISING[::-1]},
            "loudness_db_voiced": {"quantiles": RISING},
        },
    ],
    ids=["no UTF-8", "deep", "list", "text", "empty", "null", "falling"],
)
def test_damaged_statistics_are_one_sentence(tmp_path, content):
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    (tmp_path / "statistics.json").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"statistics\.json.*dataset again"):
        transfer.read_heard(tmp_path)


def test_statistics_that_are_gone_are_named(tmp_path):
    with pytest.raises(errors.InputError, match="--data_dir"):
        transfer.read_heard(tmp_path)
    (tmp_path / "statistics.json").write_text('{"pitch_midi": null}')
    with pytest.raises(errors.InputError, match="prepare the dataset again"):
        transfer.read_heard(tmp_path)


def test_what_the_model_never_heard_is_warned_of(caplog):
    transfer.warn_if_unheard(
        render_helpers.make_line([30.0] * 50), render_helpers.HEARD
    )
    assert "outside the pitch that the model has heard, C4 to C6" in caplog.text
    caplog.clear()
    transfer.warn_if_unheard(
        render_helpers.make_line([70.0] * 50), render_helpers.HEARD
    )
    assert not caplog.text


# ---- worked by hand


@pytest.mark.parametrize(
    ("midi", "octaves"),
    [
        # The training data's middle is 72; 2.4 and 2.6 octaves, 0.4 and 0.6, above too.
        (72.0 - 2.4 * 12, 2),
        (72.0 - 2.6 * 12, 3),
        (72.0 - 0.4 * 12, 0),
        (72.0 - 0.6 * 12, 1),
        (72.0 + 0.6 * 12, -1),
        (72.0 + 1.4 * 12, -1),
    ],
)
def test_match_moves_by_the_nearest_number_of_octaves(midi, octaves):
    played = render_helpers.make_line([midi] * 20)
    moved = render_helpers.to_midi(transfer.match(played, render_helpers.HEARD))
    np.testing.assert_allclose(moved, midi + 12 * octaves, atol=1e-3)


def test_match_is_decided_by_the_median_of_voiced_frames():
    """Eleven frames of 60, nine of 30; unvoiced ones do not count, however many."""
    pitches = np.repeat([60.0, 30.0, 30.0], [11, 9, 40])
    played = render_helpers.make_line(pitches, loudness=np.linspace(-40, -20, 60))
    confidence = np.where(np.arange(60) < 20, 0.9, 0.1)
    matched = transfer.match(
        played.replace(f0_confidence=confidence), render_helpers.HEARD
    )
    np.testing.assert_allclose(
        render_helpers.to_midi(matched), pitches + 12.0, atol=1e-3
    )
    # The loudness of the voiced frames alone is laid on what was heard.
    middle = np.median(matched.loudness_db[:20])
    assert middle == pytest.approx(np.median(render_helpers.HEARD.loudness_db), abs=0.5)


def test_match_lays_quantiles_on_quantiles_between_5_and_95_percent():
    """Both run evenly: 40 dB are laid on 30, and go on in parallel outside."""
    source = np.linspace(-60.0, -20.0, 101)
    played = render_helpers.make_line([72.0] * 101, loudness=source)
    assert played.voiced.all()
    matched = transfer.match(played, render_helpers.HEARD).loudness_db
    at = lambda share: matched[round(100 * share)]
    for share in (0.05, 0.25, 0.5, 0.95):
        assert at(share) == pytest.approx(-40.0 + 30.0 * share, abs=1e-3)
    assert at(1.0) == pytest.approx(at(0.95) + 2.0, abs=1e-3)  # 5 % of 40 dB
    assert at(0.0) == pytest.approx(at(0.05) - 2.0, abs=1e-3)


def test_a_semitone_is_a_twelfth_of_an_octave():
    played = transfer.transpose(render_helpers.make_line([60.0]), 7.0)
    np.testing.assert_allclose(render_helpers.to_midi(played), [67.0], atol=1e-3)


def test_adjustments_come_in_their_order():
    """Matched to an octave up, then a fifth down: 60 -> 72 -> 65, never 53 -> 77."""
    played = render_helpers.make_line([60.0] * 20)
    done = transfer.adjust(
        played,
        transfer.Adjustments(match=True, transpose=-7.0, loudness_shift=-3.0),
        heard=render_helpers.HEARD,
    )
    np.testing.assert_allclose(render_helpers.to_midi(done), 65.0, atol=1e-3)
    matched = transfer.match(played, render_helpers.HEARD)
    np.testing.assert_allclose(done.loudness_db, matched.loudness_db - 3.0, atol=1e-4)


@pytest.mark.parametrize(("hz", "is_played"), [(8192.0, True), (8193.0, False)])
def test_pitches_are_played_up_to_the_synthesiser_s_end(hz, is_played):
    played = render_helpers.make_line([60.0] * 2).replace(f0_hz=np.array([440.0, hz]))
    if is_played:
        transfer.check_playable(played)
    else:
        with pytest.raises(errors.InputError, match="lies above the 8192"):
            transfer.check_playable(played)


@pytest.mark.parametrize(("hz", "is_played"), [(20.0, True), (19.9, False)])
def test_one_pitch_from_20_hz_on_is_enough(hz, is_played):
    played = render_helpers.make_line([60.0] * 2).replace(f0_hz=np.array([1.0, hz]))
    if is_played:
        transfer.check_playable(played)
    else:
        with pytest.raises(errors.InputError, match="lies below the 20"):
            transfer.check_playable(played)


@pytest.mark.parametrize(
    ("n_gap", "n_blip", "is_note"),
    # At 250 frames a second 50 ms are 12 frames.
    [(11, 0, "one"), (13, 0, "two"), (0, 11, "none"), (0, 13, "blip")],
)
def test_gaps_and_blips_of_50_ms_make_no_notes(n_gap, n_blip, is_note):
    sounding = np.ones(100, bool) if n_gap else np.zeros(100, bool)
    sounding[40 : 40 + n_gap] = False
    sounding[40 : 40 + n_blip] = True
    played = render_helpers.make_line([60.0] * 100)
    played = played.replace(f0_confidence=np.where(sounding, 0.9, 0.1))
    found = transfer.find_notes(played)
    whole = {"one": np.ones(100, bool), "none": np.zeros(100, bool)}
    np.testing.assert_array_equal(found, whole.get(is_note, sounding))


def test_passages_fade_into_one_another_over_20_ms():
    """11 frames around the edge: 5 of them sound on its quiet side's first frame."""
    played = render_helpers.make_line([60.0] * 200)
    played = played.replace(f0_confidence=np.where(np.arange(200) < 100, 0.9, 0.1))
    weight = transfer.note_weight(played)
    np.testing.assert_allclose(
        weight[[94, 95, 99, 100, 104, 105]],
        [1.0, 10 / 11, 6 / 11, 5 / 11, 1 / 11, 0.0],
        atol=1e-6,
    )


@pytest.mark.parametrize(("outside", "is_told"), [(49, False), (50, False), (51, True)])
def test_most_frames_outside_are_warned_of(outside, is_told, caplog):
    """Quantiles of 1 and 99 % are 60.24 and 83.76."""
    pitches = np.where(np.arange(100) < outside, 60.2, 60.3)
    transfer.warn_if_unheard(
        render_helpers.make_line(pitches, loudness=-25.0), render_helpers.HEARD
    )
    assert ("outside the pitch" in caplog.text) == is_told


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
