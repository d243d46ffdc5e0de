"""The notebook is its source, and every cell of it runs."""

import pathlib
import sys

import nbformat
import numpy as np
import pytest
import soundfile

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
NOTEBOOK = DOCS / "ddsp_ladder.ipynb"
# What a person sets at the top, small enough for two minutes on two cores.
TRAINING = (
    "--steps=2 --gin_param=batch_size=1 "
    "--gin_param=models.teaching.Lessons.warm_up_steps=2"
)
CELL_SECS = 900  # of one cell on a busy machine


def read_notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def write_recordings(folder, *, n_files=3, secs=4.5, sample_rate=16000):
    """Gliding tones with harmonics, a different one in each file."""
    folder.mkdir()
    now = np.arange(round(secs * sample_rate)) / sample_rate
    for number in range(n_files):
        phase = 2 * np.pi * (220.0 + 60.0 * number + 10.0 * now) * now
        tone = sum(0.5**k * np.sin(k * phase) for k in range(1, 6))
        swell = 0.1 + 0.2 * np.sin(np.pi * now / secs) ** 2
        soundfile.write(folder / f"tone{number}.wav", swell * tone, sample_rate)
    return folder


def test_the_notebook_is_made_of_its_source():
    """After a change: `make notebook`."""
    jupytext = pytest.importorskip("jupytext")
    source = jupytext.read(NOTEBOOK.with_suffix(".py"))
    parts = lambda book: [(cell.cell_type, cell.source) for cell in book.cells]
    assert parts(read_notebook()) == parts(source)


def test_the_notebook_is_stored_without_outputs():
    book = read_notebook()
    nbformat.validate(book)
    assert len(book.cells) > 10
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    """But for the installation, which needs a network."""
    nbclient = pytest.importorskip("nbclient")
    folder = tmp_path / "ladder"
    monkeypatch.setenv("LADDER_FOLDER", str(folder))
    monkeypatch.setenv("LADDER_PYTHON", sys.executable)
    monkeypatch.setenv("LADDER_CREPE", "tiny")
    monkeypatch.setenv("LADDER_TRAINING", TRAINING)
    recordings = write_recordings(tmp_path / "recordings")
    monkeypatch.setenv("LADDER_RECORDINGS", str(recordings))
    monkeypatch.setenv("LADDER_SINGING", str(recordings / "tone0.wav"))
    book = read_notebook()
    client = nbclient.NotebookClient(
        book, timeout=CELL_SECS, resources={"metadata": {"path": str(DOCS)}}
    )
    client.execute()  # raises with the cell's traceback
    # What it promises: pages and players inline, files to take away.
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    shown = "".join(out.data.get("text/html", "") for out in outputs if "data" in out)
    assert shown.count("<iframe") == 2
    assert shown.count("<audio") == 2  # before and after
    for name in ("played.wav", "instrument.html", "instrument.tflite"):
        assert (folder / name).stat().st_size > 10_000, name
        assert name in shown
    said = "".join(out.get("text", "") for out in outputs)
    assert "3 of 3 recordings" in said
    assert "step" in said
