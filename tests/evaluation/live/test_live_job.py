"""A recording goes through ear and player in blocks, and lies under itself."""

import pathlib

import numpy as np
import pytest
import soundfile

from evaluation import run_render
from evaluation.live import ear as ear_lib
from evaluation.live import job
from evaluation.scoring import rendering
from models.runs import loading
from prep import command_line
from prep.pitch import single_frame
from tests.evaluation.live import test_ear
from tests.helpers import render_helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a small model, heard by a stub in CREPE's place."""
    opened = render_helpers.make_run(tmp_path, render_helpers.build_model("stage2"))
    monkeypatch.setattr(rendering, "open_run", lambda path, *, checkpoint: opened)
    monkeypatch.setattr(
        single_frame, "SingleFrameNetwork", lambda capacity: test_ear.StubNetwork()
    )
    monkeypatch.chdir(tmp_path)
    render_helpers.write_tone(tmp_path / "tone.wav", sample_rate=44100, secs=0.4)
    return opened


def call(*arguments):
    return command_line.run_words(run_render.PROGRAM, ["--run=r", "--live", *arguments])


@pytest.mark.slow
def test_a_file_is_played_as_a_host_would(run, tmp_path, capsys):
    assert call("--input=tone.wav", "--output=out.wav", "--gain_db=-40") == 0
    told = capsys.readouterr().out
    assert "0.40 s in blocks of 256 samples; live it would sound 36 ms later" in told
    played, rate = soundfile.read("out.wav", dtype="float32")
    assert rate == 16000
    assert len(played) == 6400
    assert np.abs(played).max() > 1e-5
    # The same samples as the instrument gives in one block.
    instrument = job.make_instrument(run, job.LiveRequest())
    heard = np.concatenate(
        list(job.host_blocks(tmp_path / "tone.wav", 16000, n_after=575))
    )
    expected = instrument.process(heard)[instrument.latency_samples :]
    np.testing.assert_allclose(played, 0.01 * expected, atol=2**-23)  # 24 bits


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--output=o.wav", "--match"], "--match needs the whole performance"),
        (["--output=o.wav", "--stems"], "--stems needs the whole performance"),
        (["--gallery=p.html"], "--live says nothing to --gallery"),
        (["--output=tone.wav"], "tone.wav is the input"),
        (["--output=o.mp3"], "the suffix is not one of .wav"),
    ],
)
def test_bad_requests_get_one_sentence(run, capsys, arguments, text):
    assert call("--input=tone.wav", *arguments) == command_line.EXIT_USAGE
    assert text in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "text"), [(b"x", "not audio"), (None, "holds no sample")]
)
def test_what_holds_no_sound_is_refused(run, tmp_path, capsys, content, text):
    if content is None:
        soundfile.write("none.wav", np.zeros(0), 16000)
    else:
        (tmp_path / "none.wav").write_bytes(content)
    assert call("--input=none.wav", "--output=o.wav") == command_line.EXIT_USAGE
    assert text in capsys.readouterr().err
    assert not (tmp_path / "o.wav").exists()


@pytest.mark.slow
def test_the_documents_example_runs(run, monkeypatch):
    text = (REPOSITORY / "docs" / "render.md").read_text("utf-8")
    example = text.split("## Live")[1].split("```python\n")[1].split("```")[0]
    monkeypatch.setattr(loading, "load_run", lambda path: run)
    render_helpers.write_tone(pathlib.Path("singing.wav"), sample_rate=16000)
    exec(compile(example, "render.md", "exec"), {})
    played, _ = soundfile.read("flute.wav")
    assert len(played) == 16000
    assert np.abs(played).max() > 0.01


def test_an_ear_that_hears_crepe_is_made_of_the_named_size(monkeypatch):
    sizes = []
    monkeypatch.setattr(single_frame, "SingleFrameNetwork", sizes.append)
    ear_lib.Ear(16000, capacity="full")
    assert sizes == ["full"]
