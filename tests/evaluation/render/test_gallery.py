"""The page of players: what a clip says, how much of it is heard, what is refused."""

import base64
import io
import re
import types

import numpy as np
import pytest
import soundfile

from evaluation.render import files
from evaluation.render import gallery
from evaluation.render import job
from evaluation.render import performance
from evaluation.render import renderer
from evaluation.render import transfer
from evaluation.report import media
from prep import errors
from tests.helpers import render_helpers

RATE = 8000
PLAYED_SECS = 2.0  # every performance


class StubSession:
    """A run that plays a constant in blocks of 0.3 s."""

    def __init__(self, run, request):
        self.run, self.request = run, request
        self.renderer = types.SimpleNamespace(
            sample_rate=RATE, synthesize=self._synthesize
        )
        self.n_blocks = 0

    def read(self, source):
        """2 s, of which 1.5 s are audible and 0.5 s have a pitch."""
        n_frames = round(PLAYED_SECS * 100)
        loudness = np.full(n_frames, -20.0)
        loudness[150:] = -80.0
        confidence = np.zeros(n_frames)
        confidence[:50] = 0.9
        return (
            performance.Performance(
                100, np.full(n_frames, 440.0), confidence, loudness
            ),
            source.name,
        )

    def controls(self, played, table):
        return [table, played.n_frames]

    def _synthesize(self, controls, *, n_frames):
        assert controls[1] == n_frames
        for _ in range(7):
            self.n_blocks += 1
            parts = [np.full(2400, level, np.float32) for level in (0.25, 0.125, 0.125)]
            yield renderer.Stems(*parts)


@pytest.fixture
def make_clip(tmp_path, monkeypatch):
    """Makes the clip of a file by stub sessions."""
    monkeypatch.setattr(gallery, "MAX_SECS", 1.0)

    def make(source, *sessions):
        named = {f"run{i}": session for i, session in enumerate(sessions)}
        return gallery._make_clip(3, source, named, folder=tmp_path)

    return make


def heard(address):
    """Samples and rate of a data address."""
    encoded = address.partition("base64,")[2]
    return soundfile.read(io.BytesIO(base64.b64decode(encoded)))


def test_a_clip_shows_its_beginning_and_says_so(make_clip, tmp_path):
    source = render_helpers.write_tone(
        tmp_path / "tone.wav", sample_rate=RATE, secs=1.5
    )
    soft = StubSession(None, job.RenderRequest(gain_db=-20.0))
    clip = make_clip(source, StubSession(None, job.RenderRequest()), soft)
    assert (clip.number, clip.name, clip.secs) == (3, "tone.wav", 1.0)
    assert clip.note == "33% of what is audible has a pitch; the first 1 of 2 s"
    assert [(t.who, t.slot) for t in clip.tracks] == [
        *(("input", 0), ("run0", 1), ("run1", 2))
    ]
    for track, level in zip(clip.tracks[1:], (0.5, 0.05), strict=True):
        samples, rate = heard(track.audio)
        assert (rate, samples.size) == (RATE, RATE)
        np.testing.assert_allclose(samples, level, atol=1e-4)
    assert soft.n_blocks == 4  # 1.2 s: what comes later is not rendered
    samples, rate = heard(clip.tracks[0].audio)
    assert (rate, samples.size) == (RATE, RATE)


def test_what_is_no_number_is_refused_and_not_made_silence(make_clip, tmp_path):
    session = StubSession(None, job.RenderRequest())
    damaged = np.full(2400, 0.5, np.float32)
    damaged[800] = np.nan
    nothing = np.zeros(2400, np.float32)
    whole = renderer.Stems(nothing, nothing, nothing)
    session.renderer.synthesize = lambda controls, *, n_frames: [
        whole,
        renderer.Stems(damaged, nothing, nothing),
    ]
    with pytest.raises(errors.InputError, match=r"no number at 0\.40 s"):
        make_clip(tmp_path / "tune.mid", session)


def test_a_clip_that_is_heard_whole_says_nothing(make_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_SECS", PLAYED_SECS)
    clip = make_clip(tmp_path / "tune.mid", StubSession(None, job.RenderRequest()))
    assert clip.secs == PLAYED_SECS
    assert clip.note == "33% of what is audible has a pitch"
    assert [track.who for track in clip.tracks] == ["run0"]


@pytest.mark.parametrize(
    ("peak", "note"),
    [
        (0.999 * files.QUIET_PEAK, "silent"),
        (files.QUIET_PEAK, ""),
        (1.0, ""),
        (-2.0, "clipped by 6.0 dB"),
    ],
)
def test_a_track_that_is_silent_or_clipped_says_so(tmp_path, peak, note):
    samples = np.zeros(2000)
    samples[1000] = peak
    track = gallery._make_track("run", samples, RATE, slot=2, folder=tmp_path)
    assert track.note == note
    assert track.audio.startswith("data:audio/flac;base64,")
    assert track.spectrogram.startswith("data:image/png;base64,")


def test_the_picture_reaches_from_the_loudest_down(tmp_path, monkeypatch):
    drawn = {}
    original = media.write_picture
    monkeypatch.setattr(
        media,
        "write_picture",
        lambda values, path, **options: (
            drawn.update(options),
            original(values, path, **options),
        ),
    )
    samples = np.sin(np.arange(4000)) / 2
    gallery._make_track("run", samples, RATE, slot=1, folder=tmp_path)
    loudest = float(media.spectrogram(samples, sample_rate=RATE).max())
    assert drawn == {"brightest": loudest, "range_db": media.PICTURE_RANGE_DB}


def test_what_is_done_to_inputs_is_said_a_line_each():
    assert gallery.describe(job.RenderRequest()) == []
    everything = job.RenderRequest(
        adjustments=transfer.Adjustments(
            match=True,
            transpose=-12.0,
            loudness_shift=3.5,
            suppress_noise=20.0,
            auto_tune=0.5,
        ),
        options=renderer.RenderOptions(dry=True, mask_unvoiced=True),
    )
    assert gallery.describe(everything) == [
        "pitch and loudness matched to the training data",
        "-12 semitones",
        "+3.5 dB of loudness",
        "passages without notes 20 dB quieter",
        "auto-tune 0.5",
        "no harmonics without pitch",
        "without reverb",
    ]


def test_runs_are_named_shortly_where_that_tells_them_apart(tmp_path):
    one, two = tmp_path / "a" / "run", tmp_path / "b" / "run"
    assert gallery._unique_names([one, tmp_path / "other"]) == ["run", "other"]
    assert gallery._unique_names([one, two]) == [str(one), str(two)]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a page of two inputs and two runs."""
    monkeypatch.setattr(job, "Session", StubSession)
    opened = []
    monkeypatch.setattr(
        gallery.rendering,
        "open_run",
        lambda path, *, checkpoint: opened.append((path.name, checkpoint)),
    )
    source = render_helpers.write_tone(
        tmp_path / "a <b>.wav", sample_rate=RATE, secs=0.5
    )
    tune = render_helpers.write_midi(tmp_path / "tune.mid", [(100, 69, 0.0, 0.2)])
    runs = [tmp_path / name for name in ("r", "s")]
    for run in runs:
        run.mkdir()
    (runs[0] / "instrument.html").write_text("played")

    def call(*, overwrite=False, sources=(source, tune), checkpoint="best"):
        n_clips = gallery.write(
            tmp_path / "page.html",
            runs,
            sources,
            request=job.RenderRequest(overwrite=overwrite),
            checkpoint=checkpoint,
        )
        return n_clips, opened

    return call


def test_a_page_holds_everything(write, tmp_path):
    assert write(checkpoint="last") == (2, [("r", "last"), ("s", "last")])
    page = tmp_path / "page.html"
    text = page.read_text("utf-8")
    assert text.count("<audio") == 3 + 2  # MIDI has no sound of its own
    assert "a &lt;b&gt;.wav" in text and "<b>" not in text
    assert not re.search(r'(src|href)="(?!data:|#|r/instrument)', text)
    assert text.count('(<a href="r/instrument.html">play it</a>)') == 1
    # The same again: only when asked, and the same bytes.
    with pytest.raises(errors.InputError, match="--overwrite"):
        write()
    write(overwrite=True)
    assert page.read_text("utf-8") == text


def test_a_page_that_no_browser_opens_with_ease_is_not_written(
    write, tmp_path, monkeypatch
):
    write()
    page = tmp_path / "page.html"
    size = len(page.read_text("utf-8"))
    monkeypatch.setattr(gallery, "MAX_PAGE_BYTES", size)
    write(overwrite=True)
    page.write_text("earlier")
    monkeypatch.setattr(gallery, "MAX_PAGE_BYTES", size - 1)
    with pytest.raises(errors.InputError, match="more than the 0 MB"):
        write(overwrite=True)
    assert page.read_text("utf-8") == "earlier"


def test_the_first_absent_input_is_named(write, tmp_path):
    absent = [tmp_path / "no.wav", tmp_path / "none.wav"]
    with pytest.raises(errors.InputError, match=r"no input at .*no\.wav"):
        write(sources=absent)


def test_what_is_no_audio_is_refused_by_name(tmp_path):
    source = tmp_path / "notes.wav"
    source.write_bytes(b"RIFF no more")
    with pytest.raises(errors.InputError, match=r"notes\.wav: "):
        gallery._read_start(source)


@pytest.mark.parametrize("name", ["tune.mid", "tune.MIDI", "played.csv"])
def test_drawn_performances_have_no_recording_to_show(tmp_path, name):
    assert gallery._read_start(tmp_path / name) is None
