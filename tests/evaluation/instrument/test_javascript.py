"""The instrument's JavaScript in node: unit tests, and what listens beside prep."""

import numpy as np
import pytest

from evaluation.instrument import scripts
from prep import features
from prep.pitch import tracker
from prep.recordings import decode
from tests.helpers import instrument_helpers as helpers

SUITES = sorted(path.name for path in helpers.JAVASCRIPT.glob("*.test.mjs"))
N_SECS = 5  # of a recording that are compared
SURE = 0.8  # of CREPE's confidence
CENTS, SHARE = 20.0, 0.95  # the promise
# prep's float32 sums against double precision here.
LOUDNESS_TOLERANCE_DB = 1e-3


def hear(folder, audio_16k):
    """f0_hz, loudness_db and confidence as the page hears them, [n_frames, 3]."""
    later = np.zeros(1024, np.float32)  # what the last frames wait for
    np.concatenate([audio_16k, later]).astype("<f4").tofile(folder / "heard.f32")
    helpers.run_node(
        str(helpers.JAVASCRIPT / "hear.mjs"),
        str(folder / "heard.f32"),
        "16000",
        str(folder / "frames.f32"),
    )
    frames = np.fromfile(folder / "frames.f32", "<f4").reshape(-1, 3)
    return frames[: len(audio_16k) // 64]


@pytest.mark.parametrize("suite", [s for s in SUITES if s != "instrument.test.mjs"])
@pytest.mark.long
def test_javascript_units(suite):
    helpers.run_node("--test", str(helpers.JAVASCRIPT / suite))


@pytest.mark.slow
def test_javascript_instrument_plays_an_hour_without_growth():
    suite = helpers.JAVASCRIPT / "instrument.test.mjs"
    helpers.run_node("--expose-gc", "--test", str(suite))


@pytest.mark.parametrize("entry", ["worklet", "ui"])
def test_joined_scripts_parse(entry, tmp_path):
    script = tmp_path / "joined.js"
    script.write_text(scripts.bundle(entry), encoding="utf-8")
    helpers.run_node("--check", str(script))


def test_joined_scripts_hold_every_module_once():
    text = scripts.bundle("ui", last="$ui.openPage();")
    assert text.count("const $keyboard = ") == 1
    assert text.index("const $keyboard = ") < text.index("const $pad = ")
    assert "import {" not in text
    assert text.rstrip().endswith("$ui.openPage();\n})();")


def test_scripts_that_would_end_their_element_are_refused(tmp_path, monkeypatch):
    (tmp_path / "bad.mjs").write_text('const text = "</script>";\n', encoding="utf-8")
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"bad\.mjs cannot be joined"):
        scripts.bundle("bad")


def test_loudness_is_the_preparations_own(tmp_path, rng):
    swell = np.sin(np.linspace(0.0, 3.0, 16000)) ** 2
    audio = (swell * rng.normal(size=16000)).astype(np.float32)
    audio[4000:6000] = 0.0
    expected = features.loudness_db(audio)
    found = hear(tmp_path, audio)[:, 1]
    np.testing.assert_allclose(found, expected, atol=LOUDNESS_TOLERANCE_DB)


@pytest.mark.slow
@pytest.mark.crepe
@pytest.mark.parametrize(
    "name",
    [
        "librosa/sorohanro_solo-trumpet-06.wav",
        "philharmonia_clarinet/clarinet_A4_phrase_mezzo-forte_nonlegato.mp3",
    ],
    ids=["trumpet", "clarinet"],
)
def test_pitch_agrees_with_crepe(name, recordings, tmp_path):
    audio = decode.load_audio(recordings / name, 16000)[: N_SECS * 16000]
    audio = audio[: len(audio) // 64 * 64]
    expected = features.compute_features(audio, tracker=tracker.CrepeTracker("full"))
    found = hear(tmp_path, audio)
    sure = expected["f0_confidence"] > SURE
    cents = 1200.0 * np.log2(found[sure, 0] / expected["f0_hz"][sure])
    assert np.count_nonzero(sure) > 500
    assert np.mean(np.abs(cents) <= CENTS) >= SHARE
    np.testing.assert_allclose(
        found[:, 1], expected["loudness_db"], atol=LOUDNESS_TOLERANCE_DB
    )
