"""The command line: files that are written, and answers to what cannot be used."""

import csv
import dataclasses
import json
import pathlib
import re
import types

import numpy as np
import pytest
import soundfile
from absl import flags

from evaluation import run_render
from evaluation.render import job
from evaluation.render import renderer
from evaluation.render import transfer
from evaluation.scoring import rendering
from prep import command_line
from prep import errors
from tests.helpers import render_helpers

STATISTICS = {
    "pitch_midi": {"quantiles": np.linspace(60, 84, 101).tolist()},
    "loudness_db_voiced": {"quantiles": np.linspace(-40, -10, 101).tolist()},
}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A run with a small model, not read from files; its dataset is in tmp_path."""
    (tmp_path / "statistics.json").write_text(json.dumps(STATISTICS))
    run = render_helpers.make_run(tmp_path, render_helpers.build_model("stage2"))
    monkeypatch.setattr(rendering, "open_run", lambda path, *, checkpoint: run)
    monkeypatch.setattr(
        job.Session, "tracker", lambda self: render_helpers.stub_tracker
    )
    return run


def call(*arguments):
    """Runs the program as the command line would; returns its exit code."""
    return command_line.run_words(run_render.PROGRAM, [*map(str, arguments)])


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    return samples


@pytest.mark.long
def test_a_recording_becomes_files(opened, tmp_path, capsys):
    source = render_helpers.write_tone(
        tmp_path / "tone.wav", sample_rate=44100, secs=0.4
    )
    output = tmp_path / "out.wav"
    arguments = ["--run=r", f"--input={source}", f"--output={output}"]
    more = ["--stems", "--dump_controls", f"--controls_out={tmp_path / 'p.csv'}"]
    assert call(*arguments, *more, "--gain_db=-40") == 0
    mix = read(output)
    assert mix.size == 6400
    stems = [read(tmp_path / f"out.{name}.wav") for name in renderer.STEMS]
    np.testing.assert_allclose(sum(stems), mix, atol=1e-6)
    assert all(np.abs(stem).max() > 1e-5 for stem in stems)
    with open(tmp_path / "out.controls.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 101
    assert rows[0][:6] == [
        *("secs", "f0_hz", "loudness_db", "f0_confidence", "amps", "harmonic_1")
    ]
    assert "0.4 s from step 7" in capsys.readouterr().out
    assert not list(tmp_path.glob(".*.part"))
    # The dumped controls, played again, give the same sound.
    again = tmp_path / "again.wav"
    dumped = tmp_path / "out.controls.csv"
    assert (
        call("--run=r", f"--input={dumped}", f"--output={again}", "--gain_db=-40") == 0
    )
    np.testing.assert_allclose(read(again), mix, atol=1e-4)


@pytest.fixture
def request_of(tmp_path):
    """Makes the request of flags, with a recording to play."""
    source = render_helpers.write_tone(tmp_path / "tone.wav")
    needed = ["--run=r", f"--input={source}", f"--output={tmp_path / 'out.wav'}"]

    def make(*words):
        values = command_line.read_flags(run_render.PROGRAM, [*needed, *words])
        return run_render.make_request(values)

    return make


def test_the_outputs_of_which_one_is_asked_for_stand_first():
    groups = command_line.FlagGroups(flags.FlagValues())
    run_render.define_flags(groups)
    (title,) = (one for one in groups.titles if "one of the first four" in one)
    assert tuple(groups.titles[title][:4]) == run_render.OUTPUTS


def test_flags_that_are_not_given_change_nothing(request_of):
    assert request_of() == job.RenderRequest()


def test_every_flag_reaches_the_request(request_of):
    words = [
        "--match",
        "--transpose=1",
        "--loudness_shift=2",
        "--suppress_noise=3",
    ]
    words += ["--auto_tune=0.4", "--a4=442", "--mask_unvoiced"]
    words += ["--seed=5", "--tail_secs=6", "--gain_db=7", "--stems", "--dump_controls"]
    words += ["--controls_out=c.csv", "--crepe_capacity=tiny", "--data_dir=d"]
    assert request_of(*words, "--overwrite") == job.RenderRequest(
        adjustments=transfer.Adjustments(
            match=True,
            transpose=1.0,
            loudness_shift=2.0,
            suppress_noise=3.0,
            auto_tune=0.4,
            a4=442.0,
        ),
        options=renderer.RenderOptions(mask_unvoiced=True, seed=5, tail_secs=6.0),
        gain_db=7.0,
        stems=True,
        dump_controls=True,
        controls_out=pathlib.Path("c.csv"),
        crepe_capacity="tiny",
        data_dir=pathlib.Path("d"),
        overwrite=True,
    )
    assert request_of("--dry").options == renderer.RenderOptions(dry=True)  # no tail


def test_pitch_is_tracked_as_the_dataset_was_unless_a_person_says_other(
    tmp_path, monkeypatch
):
    run = render_helpers.make_run(tmp_path, render_helpers.build_model("stage2"))
    monkeypatch.setattr(job.tracker, "CrepeTracker", lambda *words: words)

    def asked(**request):
        return job.Session(run, job.RenderRequest(**request)).tracker()

    assert asked() == ("full", "viterbi")
    assert asked(crepe_capacity="tiny") == ("tiny", "viterbi")
    facts = types.SimpleNamespace(crepe_capacity="small", f0_decoder="argmax")
    monkeypatch.setattr(job.info, "read_dataset_info", lambda folder: facts)
    assert asked() == ("small", "argmax")
    assert asked(crepe_capacity="tiny") == ("tiny", "argmax")


@pytest.mark.long
def test_midi_becomes_sound(opened, tmp_path):
    tune = render_helpers.write_midi(tmp_path / "tune.mid", [(100, 69, 0.0, 0.3)])
    output = tmp_path / "tune.flac"
    assert (
        call("--run=r", f"--input={tune}", f"--output={output}", "--gain_db=-40") == 0
    )
    assert read(output).size == 12800


CONTROLS = "f0_hz,loudness_db,amps,harmonic_1,noise_1\n440,-20,0.1,1,0\n"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("--match", "match"),
        ("--transpose=3", "transpose"),
        ("--loudness_shift=1", "loudness_shift"),
        ("--suppress_noise=6", "suppress_noise"),
        ("--auto_tune=1", "auto_tune"),
        ("--mask_unvoiced", "mask_unvoiced"),
    ],
)
@pytest.mark.parametrize("target", ["output=o.wav", "gallery=o.html"])
def test_what_is_played_as_it_stands_is_not_adjusted(
    opened, tmp_path, monkeypatch, capsys, word, name, target
):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("drawn.csv").write_text(CONTROLS)
    words = ("--run=r", "--input=drawn.csv", f"--{target}", word)
    assert call(*words) == command_line.EXIT_USAGE
    said = capsys.readouterr().err
    assert f"they stand: --{name} would do nothing" in said and said.count("\n") == 1


def test_a_table_is_read_once(opened, tmp_path, monkeypatch):
    made = []
    original = job.control_csv.Table
    monkeypatch.setattr(
        job.control_csv,
        "Table",
        lambda *given, **named: made.append(original(*given, **named)) or made[-1],
    )
    (tmp_path / "drawn.csv").write_text(CONTROLS)
    session = job.Session(opened, job.RenderRequest())
    played, table = session.read(tmp_path / "drawn.csv")
    with pytest.raises(errors.InputError, match="has 1 harmonics and 1 noise bands"):
        next(session.controls(played, table))
    assert made == [table]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--output=out.wav"], "one --run and 1 --input are needed here, 1 and 0"),
        (["--input=tone.wav"], "say one of --output=out.wav"),
        (["--input=tone.wav", "--output=o.wav", "--export=e"], "output and export"),
        (
            ["--input=absent.wav", "--output=out.wav"],
            "the input absent.wav is not there",
        ),
        (["--input=tone.wav", "--output=tone.wav"], "tone.wav is the input"),
        (["--input=tone.wav", "--output=there.wav"], "pass --overwrite"),
        (["--input=tone.wav", "--output=out.mp3"], "the suffix is not one of .wav"),
        (["--input=tone.wav", "--output=no/out.wav"], "there is no folder no"),
        (["--input=silence.wav", "--output=out.wav"], "silence.wav is silent"),
        (["--input=text.wav", "--output=out.wav"], "not audio"),
        (["--input=tone.wav", "--output=o.wav", "--auto_tune=3"], "give 0 to 1"),
        (["--input=there", "--output=out.wav"], "the input there is a folder"),
        (["--input=tone.wav", "--output=o.wav", "--transpose=nan"], "is no number"),
        (["--input=tone.wav", "--output=o.wav", "--tail_secs=-1"], "give 0 or more"),
        (["--input=t.wav", "--output=o.wav", "--dry", "--tail_secs=1"], "no reverb"),
        (["--input=tone.wav", "--output=o.wav", "--gain_db=1e39"], "give -200 to 200"),
        (["--input=tone.wav", "--output=o.wav", "--tail_secs=1e9"], "up to 600"),
        (["--export=e", "--transpose=3"], "--transpose says nothing to --export"),
        (["--gallery=p.html", "--input=tone.wav", "--stems"], "--stems says nothing"),
        (
            ["--input=tone.wav", "--output=o.wav", "--controls_out=o.wav"],
            "o.wav would hold both the mix and the performance",
        ),
        (["--gallery=page.html"], "--gallery needs at least one --input"),
        (["--gallery=page.txt", "--input=tone.wav"], "name an .html file"),
        (["--gallery=page.html", "--input=absent.wav"], "no input at absent.wav"),
        (["--export=there"], "no part of an export"),
        (["--export=e", "--for=ddsp_vst"], "gin/overlays/ddsp_vst.gin"),
        (["--output=o.wav", "--for=ddsp_vst"], "--for says nothing to --output"),
    ],
)
def test_bad_requests_get_one_sentence(
    opened, tmp_path, monkeypatch, capsys, arguments, text
):
    monkeypatch.chdir(tmp_path)
    render_helpers.write_tone(pathlib.Path("tone.wav"), secs=0.1)
    render_helpers.write_tone(pathlib.Path("silence.wav"), secs=0.1, level=0.0)
    pathlib.Path("text.wav").write_text("x")
    pathlib.Path("there.wav").write_text("mine")
    pathlib.Path("there").mkdir()
    (pathlib.Path("there") / "mine.txt").write_text("mine")
    assert call("--run=r", *arguments) == command_line.EXIT_USAGE
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.err.count("\n") == 1
    assert pathlib.Path("there.wav").read_text() == "mine"
    assert not pathlib.Path("out.wav").exists()
    assert not list(tmp_path.glob(".*.part"))


def test_runs_that_are_absent_are_named(tmp_path, capsys):
    source = render_helpers.write_tone(tmp_path / "tone.wav", secs=0.1)
    output = tmp_path / "out.wav"
    code = call(f"--run={tmp_path / 'no'}", f"--input={source}", f"--output={output}")
    assert code == command_line.EXIT_USAGE
    assert "there is no run at" in capsys.readouterr().err


def test_a_run_without_checkpoint_is_refused(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "operative_config-0.gin").write_text("")
    source = render_helpers.write_tone(tmp_path / "tone.wav", secs=0.1)
    output = tmp_path / "out.wav"
    code = call(f"--run={tmp_path / 'run'}", f"--input={source}", f"--output={output}")
    assert code == command_line.EXIT_USAGE
    assert "no sound checkpoint" in capsys.readouterr().err


@pytest.mark.long
def test_overwrite_replaces_only_when_asked(opened, tmp_path):
    source = render_helpers.write_tone(tmp_path / "tone.wav", secs=0.1)
    output = tmp_path / "out.wav"
    output.write_text("old")
    arguments = ["--run=r", f"--input={source}", f"--output={output}"]
    assert call(*arguments) == command_line.EXIT_USAGE
    assert output.read_text() == "old"
    assert call(*arguments, "--overwrite") == 0
    assert read(output).size == 1600


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device"), command_line.EXIT_USAGE),
        (soundfile.LibsndfileError(2), command_line.EXIT_USAGE),
        (KeyboardInterrupt(), command_line.EXIT_INTERRUPTED),
    ],
    ids=["disk_full", "libsndfile", "interrupted"],
)
def test_a_failed_rendering_leaves_nothing(opened, tmp_path, monkeypatch, error, code):
    def fail(self, controls, *, n_frames):
        raise error
        yield

    monkeypatch.setattr(renderer.Renderer, "synthesize", fail)
    source = render_helpers.write_tone(tmp_path / "tone.wav", secs=0.1)
    output = tmp_path / "out.wav"
    drawn = f"--controls_out={tmp_path / 'drawn.csv'}"
    request = ["--run=r", f"--input={source}", f"--output={output}", drawn]
    assert call(*request, "--stems") == code
    assert not (tmp_path / "drawn.csv").exists()
    assert [path.name for path in tmp_path.glob("*.wav")] == ["tone.wav"]
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
def test_loud_output_is_clipped_and_said(opened, tmp_path, caplog):
    source = render_helpers.write_tone(tmp_path / "tone.wav", secs=0.2)
    output = tmp_path / "out.wav"
    arguments = ["--run=r", f"--input={source}", f"--output={output}"]
    assert call(*arguments, "--gain_db=40") == 0
    assert np.abs(read(output)).max() <= 1.0
    advice = re.search(r"--gain_db=(-?[\d.]+) leaves them whole", caplog.text)
    caplog.clear()
    assert call(*arguments, f"--gain_db={advice.group(1)}", "--overwrite") == 0
    assert "exceed full scale" not in caplog.text


@pytest.mark.slow
def test_gallery_holds_everything_and_escapes_names(opened, tmp_path):
    source = render_helpers.write_tone(tmp_path / "a <b> & c.wav", secs=0.3)
    tune = render_helpers.write_midi(tmp_path / "tune.mid", [(100, 69, 0.0, 0.2)])
    page = tmp_path / "page.html"
    arguments = [f"--gallery={page}", f"--input={source}", f"--input={tune}"]
    assert call("--run=r", "--run=s", *arguments, "--dry", "--overwrite") == 0
    text = page.read_text("utf-8")
    assert text.count("<audio") == 3 + 2  # MIDI has no sound of its own
    assert "a &lt;b&gt; &amp; c.wav" in text
    assert "<b>" not in text
    assert "without reverb" in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    first = page.read_bytes()
    assert call("--run=r", "--run=s", *arguments, "--dry", "--overwrite") == 0
    assert page.read_bytes() == first


@pytest.mark.long
def test_a_model_that_plays_no_numbers_is_one_sentence(opened, tmp_path, monkeypatch):
    """A file would hold not-a-number as full scale, or as silence."""
    original = renderer.Renderer.synthesize

    def spoiled(self, controls, *, n_frames):
        for part in original(self, controls, n_frames=n_frames):
            noise = part.noise.copy()
            noise[len(noise) // 2] = np.nan
            yield dataclasses.replace(part, noise=noise)

    monkeypatch.setattr(renderer.Renderer, "synthesize", spoiled)
    source = render_helpers.write_tone(tmp_path / "tone.wav")
    with pytest.raises(errors.InputError, match=r"no number at 0\.\d+ s"):
        job.Session(opened, job.RenderRequest()).render_file(
            source, tmp_path / "out.wav"
        )
    assert not list(tmp_path.glob("*out*"))
