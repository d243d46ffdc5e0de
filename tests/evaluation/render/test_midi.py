"""MIDI files as performances."""

import numpy as np
import pytest

from evaluation.render import midi
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
