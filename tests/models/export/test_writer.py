"""Exported files agree with the model and play without the project."""

import json
import wave

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from models.export import parity
from models.export import writer
from models.streaming import block_model
from tests.helpers import programs
from tests.helpers import render_helpers

TOLERANCE = 1e-4  # full scale is 1


def make_run(folder, model):
    info = {"dataset": {"plan_hash": "x"}}
    return render_helpers.make_run(folder, model, info=info)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export of a small stage 2."""
    folder = tmp_path_factory.mktemp("export") / "out"
    run = make_run(folder.parent, render_helpers.build_model("stage2"))
    return folder, list(writer.export_run(run, folder)), run


@pytest.mark.slow
def test_every_part_agrees_with_the_model(exported):
    folder, lines, run = exported
    card = json.loads((folder / writer.CARD).read_text("utf-8"))
    assert sorted(path.name for path in folder.iterdir()) == sorted(writer.FILES)
    assert card["parity"]["decoder amps"] < TOLERANCE
    loudest = max(1.0, float(np.abs(card_reference(run)["reverb"]).max()))
    for name, difference in card["parity"].items():
        assert difference < TOLERANCE * loudest, name
    kinds = {name.split()[0] for name in card["parity"]}
    assert kinds == {"decoder", "synth", "step"}
    assert any("largest difference" in line for line in lines)
    assert card["latency_frames"] == 1
    assert card["sample_rate"] == 16000


def card_reference(run):
    features = parity.make_features(40, 1)
    noise = np.zeros([1, 40 * 64], np.float32)
    return parity.reference(run.model, features, noise)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "n_frames"), [(1, 1), (3, 100), (1, 257)])
def test_saved_model_takes_any_batch_and_length(exported, batch_size, n_frames):
    folder, _, run = exported
    loaded = tf.saved_model.load(str(folder / writer.SYNTH))
    features = parity.make_features(n_frames, batch_size)
    noise = np.random.default_rng(0).uniform(-1, 1, [batch_size, 64 * n_frames])
    noise = noise.astype(np.float32)
    played = loaded.signatures["serving_default"](
        **{key: tf.constant(value) for key, value in features.items()},
        noise=tf.constant(noise),
        reverb_gain=tf.constant(0.0),
    )
    expected = parity.reference(run.model, features, noise)
    dry = expected["harmonic"] + expected["noise_audio"]
    assert played["audio"].shape == (batch_size, 64 * n_frames)
    np.testing.assert_allclose(played["audio"], dry, atol=TOLERANCE)


@pytest.mark.slow
def test_impulse_response_is_the_reverbs(exported):
    folder, _, run = exported
    response, rate = soundfile.read(folder / writer.REVERB, dtype="float32")
    assert rate == 16000
    np.testing.assert_array_equal(response, block_model.impulse_response(run.model))
    assert response[0] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--lite"]], ids=["whole", "frames"])
def test_the_example_needs_nothing_of_the_project(exported, tmp_path, arguments):
    folder, _, _ = exported
    text = (folder / writer.EXAMPLE).read_text("utf-8")
    imported = [line for line in text.splitlines() if "import" in line.split()]
    assert not [line for line in imported if "models" in line or "prep" in line]
    example = folder / writer.EXAMPLE
    done = programs.run(programs.PYTHON, example, *arguments, cwd=tmp_path)
    assert "4.00 s" in done.stdout
    with wave.open(str(folder / "example.wav")) as file:
        assert file.getframerate() == 16000
    writer.check_folder(folder, overwrite=True)


def test_exports_replace_nothing_unasked(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(writer.ExportError, match=r"holds mine.txt"):
        writer.check_folder(tmp_path, overwrite=True)
    with pytest.raises(writer.ExportError, match="is a file"):
        writer.check_folder(tmp_path / "mine.txt", overwrite=True)
    (tmp_path / "mine.txt").rename(tmp_path / writer.CARD)
    with pytest.raises(writer.ExportError, match="--overwrite"):
        writer.check_folder(tmp_path, overwrite=False)
    writer.check_folder(tmp_path, overwrite=True)
    writer.check_folder(tmp_path / "new", overwrite=False)


def test_an_export_that_was_being_replaced_is_brought_back(tmp_path):
    """As after a kill between two renames, and after one before the last deletion."""
    folder, replaced = tmp_path / "e", tmp_path / ".e.replaced"
    replaced.mkdir()
    (replaced / writer.CARD).write_text("old")
    writer._recover(folder)
    assert (folder / writer.CARD).read_text() == "old" and not replaced.exists()
    replaced.mkdir()
    writer._recover(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]
