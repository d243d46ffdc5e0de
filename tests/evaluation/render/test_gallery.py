import pytest

from evaluation.render import gallery
from prep import errors


def test_what_is_no_audio_is_refused_by_name(tmp_path):
    source = tmp_path / "notes.wav"
    source.write_bytes(b"RIFF no more")
    with pytest.raises(errors.InputError, match=r"notes\.wav: "):
        gallery._read_start(source)


@pytest.mark.parametrize("name", ["tune.mid", "tune.MIDI", "played.csv"])
def test_drawn_performances_have_no_recording_to_show(tmp_path, name):
    assert gallery._read_start(tmp_path / name) is None
