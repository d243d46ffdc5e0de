"""MIDI files as performances."""

import dataclasses

import numpy as np
import pytest

from evaluation.render import midi
from evaluation.render import midi_file
from evaluation.render import transfer
from prep import errors
from tests.helpers import render_helpers

FRAME_RATE = render_helpers.FRAME_RATE


def test_midi_notes_sound_where_they_stand(tmp_path):
    path = render_helpers.write_midi(
        tmp_path / "tune.mid", [(127, 69, 0.0, 0.5), (1, 81, 1.0, 1.5)]
    )
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=render_helpers.HEARD)
    assert played.n_frames == round(FRAME_RATE * (1.5 + midi.REST_SECS))
    assert abs(played.f0_hz[50] - 440.0) < 1.0
    assert abs(played.f0_hz[300] - 880.0) < 2.0
    assert played.f0_confidence[50] > 0.9
    assert played.f0_confidence[200] == 0.0
    assert played.loudness_db[80] > played.loudness_db[330] + 15.0  # velocity
    assert played.loudness_db[240] == -80.0  # released
    assert played.loudness_db[0] < played.loudness_db[30] - 10.0  # attack


def test_midi_has_vibrato_after_a_while(tmp_path):
    path = render_helpers.write_midi(tmp_path / "tune.mid", [(90, 69, 0.0, 3.0)])
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=render_helpers.HEARD)
    cents = 100.0 * (render_helpers.to_midi(played) - 69.0)
    assert np.abs(cents[:60]).max() < 0.01
    assert 19.0 < np.abs(cents[200:700]).max() < 21.0


def test_midi_bends(tmp_path):
    path = render_helpers.write_midi(
        tmp_path / "tune.mid", [(90, 69, 0.0, 1.0)], bends=[(4096, 0.1)]
    )
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=render_helpers.HEARD)
    assert render_helpers.to_midi(played)[10] == pytest.approx(69.0, abs=0.01)
    assert render_helpers.to_midi(played)[50] == pytest.approx(70.0, abs=0.01)


def test_midi_chords_become_one_voice(tmp_path, caplog):
    notes = [(90, 60, 0.0, 1.0), (90, 64, 0.0, 1.0), (90, 67, 0.5, 1.0)]
    path = render_helpers.write_midi(tmp_path / "chord.mid", notes)
    played = midi.read_midi(path, frame_rate=FRAME_RATE, heard=render_helpers.HEARD)
    assert render_helpers.to_midi(played)[50] == pytest.approx(64.0, abs=0.01)
    assert render_helpers.to_midi(played)[150] == pytest.approx(67.0, abs=0.1)
    assert "2 of 3 notes overlap" in caplog.text


def test_midi_without_notes_is_refused(tmp_path):
    path = render_helpers.write_midi(
        tmp_path / "drums.mid", [(90, 40, 0.0, 1.0)], drums=True
    )
    with pytest.raises(errors.InputError, match="no notes"):
        midi.read_midi(path, frame_rate=FRAME_RATE, heard=render_helpers.HEARD)
    (tmp_path / "text.mid").write_text("x")
    with pytest.raises(errors.InputError, match="is no MIDI file"):
        midi.read_midi(
            tmp_path / "text.mid", frame_rate=FRAME_RATE, heard=render_helpers.HEARD
        )


# --- worked by hand ---

# Loudness that was heard: -60 dB at the least, -10 dB at the most, evenly.
EVEN = transfer.Heard(np.linspace(60, 84, 101), np.linspace(-60.0, -10.0, 101))
PLAIN = midi.Phrasing(
    attack_secs=0.0,
    release_secs=0.0,
    attack_db=0.0,
    decay_db=0.0,
    glide_secs=0.0,
    vibrato_cents=0.0,
)


def note(pitch=69, start=0.0, end=1.0, velocity=127, channel=0):
    return midi_file.ScoreNote(
        pitch=pitch, start=start, end=end, velocity=velocity, channel=channel
    )


def near_to(*semitones):
    return pytest.approx(semitones, abs=1e-4)  # of float32 frequencies


def play(*notes, curves=None, **phrasing):
    return midi.play_notes(
        list(notes),
        frame_rate=100,
        heard=EVEN,
        phrasing=dataclasses.replace(PLAIN, **phrasing),
        curves=curves or {},
    )


@pytest.mark.parametrize(
    ("velocity", "share"), [(1, 0.1), (64, 0.525), (127, 0.95), (22, 0.1 + 0.85 / 6)]
)
def test_velocity_is_a_straight_line_through_what_was_heard(velocity, share):
    """A velocity of 64 is half-way from 1 to 127, a quantile of 0.525."""
    played = play(note(velocity=velocity))
    assert played.loudness_db[50] == pytest.approx(-60.0 + 50.0 * share, abs=1e-4)


def test_envelope_by_hand():
    """20 dB below at first, half of it after half the attack; 3 dB a second later."""
    phrasing = {"attack_secs": 0.1, "attack_db": 20.0, "decay_db": 3.0}
    played = play(note(end=3.0), **phrasing, release_secs=0.25)
    full = -60.0 + 50.0 * 0.95
    relative = played.loudness_db - full
    assert relative[0] == pytest.approx(-20.0, abs=1e-4)
    assert relative[5] == pytest.approx(-10.0, abs=1e-4)
    assert relative[10] == pytest.approx(0.0, abs=1e-4)
    assert relative[60] == pytest.approx(-1.5, abs=1e-4)
    assert relative[200] == pytest.approx(-3.0, abs=1e-4)  # a second, and no more
    # 60 dB in a quarter second after the end.
    assert relative[305] == pytest.approx(-3.0 - 12.0, abs=1e-4)


def test_frames_inside_notes_are_sure_and_others_are_not():
    played = play(note(start=0.1, end=0.2), note(71, 0.3, 0.4))
    inside = np.flatnonzero(played.f0_confidence > 0)
    assert inside.tolist() == [*range(10, 20), *range(30, 40)]
    assert played.f0_confidence[15] == np.float32(0.95)
    assert played.loudness_db[:10].max() == -80.0  # before the first note
    assert render_helpers.to_midi(played)[[0, 9, 29, 30]] == near_to(69, 69, 69, 71)


def test_a_glide_is_a_straight_line_in_semitones():
    """From 60 to 64 in 0.25 s; a rest as long as the glide or longer has none."""
    pitch = lambda *notes: render_helpers.to_midi(play(*notes, glide_secs=0.25))
    joined = pitch(note(60, 0.0, 1.0), note(64, 1.0, 2.0))
    assert joined[[0, 99, 100, 105, 110, 125]] == near_to(60, 60, 60, 60.8, 61.6, 64)
    near = pitch(note(60, 0.0, 0.9), note(64, 1.0, 2.0))
    assert near[[110]] == near_to(61.6)
    apart = pitch(note(60, 0.0, 0.75), note(64, 1.0, 2.0))
    assert apart[[99, 100, 110]] == near_to(60, 64, 64)


def test_vibrato_by_hand():
    """Nothing for 0.25 s, full after as long again: 50 cents at the crests of 5 Hz."""
    played = play(
        note(end=2.0), vibrato_cents=50.0, vibrato_hz=5.0, vibrato_delay_secs=0.25
    )
    cents = 100.0 * (render_helpers.to_midi(played) - 69.0)
    np.testing.assert_allclose(cents[:26], 0.0, atol=1e-2)
    assert cents[30] == pytest.approx(10.0, abs=0.05)  # a fifth of the way in
    assert cents[50] == pytest.approx(50.0, abs=0.05)
    assert cents[60] == pytest.approx(-50.0, abs=0.05)
    assert cents[55] == pytest.approx(0.0, abs=0.05)


def controller(name, *changes, channel=0):
    return {(channel, name): list(changes)}


@pytest.mark.parametrize("name", [midi_file.EXPRESSION, midi_file.BREATH])
@pytest.mark.parametrize(
    ("value", "decibels"), [(127.0, 0.0), (63.5, -12.0412), (12.7, -40.0), (0.0, -70.0)]
)
@pytest.mark.filterwarnings("error")
def test_expression_is_40_db_a_decade(name, value, decibels):
    """General MIDI's curve: 40 log10(value / 127), down to the floor of -80 dB."""
    loud = transfer.Heard(EVEN.pitch_midi, np.full(101, -10.0))
    played = midi.play_notes(
        [note()],
        frame_rate=100,
        heard=loud,
        phrasing=PLAIN,
        curves=controller(name, (0.5, value)),
    )
    assert played.loudness_db[49] == pytest.approx(-10.0)  # full before it is moved
    assert played.loudness_db[50] == pytest.approx(-10.0 + decibels, abs=1e-3)


def test_a_moved_mod_wheel_takes_the_vibrato_s_place():
    """Half of the wheel is half of 50 cents, at once; at 0 it has no say."""
    phrasing = {"vibrato_cents": 20.0, "vibrato_hz": 5.0, "vibrato_delay_secs": 0.0}
    cents = lambda *changes: (
        100.0
        * (
            render_helpers.to_midi(
                play(
                    note(), curves=controller(midi_file.MOD_WHEEL, *changes), **phrasing
                )
            )
            - 69.0
        )
    )
    assert cents((0.0, 63.5))[5] == pytest.approx(25.0, abs=0.05)
    assert cents((0.0, 0.0))[5] == pytest.approx(20.0, abs=0.05)
    assert cents((0.5, 63.5))[5] == pytest.approx(0.0, abs=0.05)
    assert cents((0.0, 1.0))[5] == pytest.approx(50.0 / 127, abs=0.05)  # moved, too
    other = play(note(), curves=controller(midi_file.BREATH, (0.0, 127.0)), **phrasing)
    assert render_helpers.to_midi(other)[[5]] == near_to(69.2)


def test_controllers_are_those_of_the_note_s_channel():
    curves = controller(midi_file.BEND, (0.0, 2.0), channel=1)
    played = play(note(60, 0.0, 1.0), note(60, 1.0, 2.0, channel=1), curves=curves)
    assert render_helpers.to_midi(played)[[50, 150]] == near_to(60, 62)


@pytest.mark.parametrize(
    ("starts", "ends", "kept"),
    [
        # A chord's notes begin within 10 ms; the highest is kept.
        ((0.0, 0.009), (1.0, 1.0), [(64, 0.009, 1.0)]),
        ((1.0, 1.009), (2.0, 2.0), [(64, 1.009, 2.0)]),
        ((0.0, 0.011), (1.0, 1.0), [(60, 0.0, 0.011), (64, 0.011, 1.0)]),
        ((0.0, 0.01), (1.0, 1.0), [(60, 0.0, 0.01), (64, 0.01, 1.0)]),
        # Overlaps are cut; what ends before stays.
        ((0.0, 0.5), (0.52, 1.0), [(60, 0.0, 0.5), (64, 0.5, 1.0)]),
        ((0.0, 0.5), (0.4, 1.0), [(60, 0.0, 0.4), (64, 0.5, 1.0)]),
    ],
)
def test_one_voice_is_left(starts, ends, kept):
    notes = [note(60, starts[0], ends[0]), note(64, starts[1], ends[1])]
    found = midi.one_voice(notes, name="a.mid")
    assert [(one.pitch, one.start, one.end) for one in found] == kept
    assert notes[0].end == ends[0]  # the file's own stay as they are


@pytest.mark.parametrize(("overlap", "is_told"), [(0.05, False), (0.051, True)])
def test_legato_of_50_ms_is_no_overlap(overlap, is_told, caplog):
    notes = [note(60, 0.0, 0.5 + overlap), note(64, 0.5, 1.0)]
    midi.one_voice(notes, name="a.mid")
    assert bool(caplog.text) == is_told


def test_of_several_voices_the_highest_and_the_latest_are_heard(caplog):
    """Two chords with a note too many each, and two overlaps: in any order."""
    notes = [
        *(note(67, 0.0, 2.0), note(64, 0.0, 2.0), note(62, 1.0, 2.5)),
        *(note(60, 2.0, 3.0), note(72, 2.0, 3.0), note(71, 3.0, 4.0)),
    ]
    found = midi.one_voice(notes, name="a.mid")
    spans = [(one.pitch, one.start, one.end) for one in found]
    assert spans == [(67, 0.0, 1.0), (62, 1.0, 2.0), (72, 2.0, 3.0), (71, 3.0, 4.0)]
    assert "a.mid: 4 of 6 notes overlap" in caplog.text


def test_a_tune_ends_half_a_second_after_its_last_note():
    assert play(note(end=1.0)).n_frames == 150
    assert play(note(end=1.003)).n_frames == 151  # begun frames are whole


def test_notes_are_phrased_as_said_and_by_default_as_documented(tmp_path):
    """20 dB of attack in 60 ms, 60 dB of release in 0.25 s, a glide of 30 ms."""
    path = render_helpers.write_midi(
        tmp_path / "a.mid", [(127, 60, 0.0, 1.0), (127, 64, 1.0, 3.0)]
    )
    read = lambda **phrasing: midi.read_midi(
        path, frame_rate=100, heard=EVEN, **phrasing
    )
    default, plain = read(), read(phrasing=PLAIN)
    below = default.loudness_db - plain.loudness_db[50]
    assert below[[0, 3, 6, 56, 206]] == pytest.approx(
        (-20.0, -10.0, 0.0, -1.5, -3.0), abs=1e-3
    )
    assert below[305] == pytest.approx(-3.0 - 12.0, abs=1e-3)
    pitch = render_helpers.to_midi(default)
    assert pitch[[100, 101, 103]] == near_to(60.0, 60.0 + 4.0 / 3.0, 64.0)
    # Vibrato: 20 cents of 5.5 Hz, from 0.25 s on, full at 0.5 s.
    secs = np.array([0.3, 0.4, 0.5, 0.8])
    depth = 0.2 * np.array([0.2, 0.6, 1.0, 1.0])
    wanted = 60.0 + depth * np.sin(2.0 * np.pi * 5.5 * (secs - 0.25))
    assert pitch[[30, 40, 50, 80]] == near_to(*wanted)
    assert render_helpers.to_midi(plain)[[50, 100]] == near_to(60.0, 64.0)


def test_files_that_cannot_be_opened_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.mid"
    with pytest.raises(errors.InputError, match=r"there is no MIDI file at .*a\.mid"):
        midi.read_midi(path, frame_rate=100, heard=EVEN)
    path.touch()

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(errors.InputError, match=r"a\.mid: Permission denied"):
        midi.read_midi(path, frame_rate=100, heard=EVEN)
