"""The seams between the stages: what one writes, the next reads, from wav to wav."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

from evaluation import evaluate
from evaluation import run_render
from evaluation import run_report
from evaluation.render import job
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from models.data import provider
from prep import command_line
from tests.helpers import prep_helpers
from tests.helpers import training_helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
EXAMPLE_SECS = 0.5


class Tracker(prep_helpers.StubTracker):
    """Zero crossings for every stage; judging and playing make one by capacity."""

    def __init__(self, *unused_capacity, **unused_options):
        pass


def run_program(program, *words: str) -> int:
    """A program of evaluation/ as its command line calls it."""
    return program.run(command_line.read_flags(program.PROGRAM, words))


@pytest.mark.slow
def test_recordings_become_a_dataset_a_run_a_report_and_a_wav(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.pitch_tracker, "CrepeTracker", Tracker)
    monkeypatch.setattr(job.tracker, "CrepeTracker", Tracker)
    data, runs = tmp_path / "data", tmp_path / "runs"

    # prep writes, PreparedDataset reads: every example that was planned, as it sounded.
    prep_helpers.write_tones(tmp_path / "wavs", [2.0, 1.5, 1.0])
    prep_helpers.prepare(
        tmp_path / "wavs", data, example_secs=EXAMPLE_SECS, eval_split_fraction=0.4
    )
    facts = json.loads((data / "dataset_info.json").read_text())
    for split in ("train", "eval"):
        dataset = provider.PreparedDataset(data, split)
        assert dataset.n_examples == facts["splits"][split]["n_examples"] > 0
        batch = dataset.examples([0])
        assert batch["audio"].shape == (1, 8000) and batch["f0_hz"].shape == (1, 125, 1)
        named = prep_helpers.read_examples(data, split)[0]
        np.testing.assert_array_equal(batch["audio"][0], named["audio"])

    # ddsp_run takes a step, ddsp_report judges what it left.
    for rung in ("stage1", "stage2"):
        run_dir = runs / rung
        training_helpers.train_rung(rung, data=data, run_dir=run_dir, n_steps=1)
    report = tmp_path / "report"
    code = run_program(
        run_report,
        f"--baseline={runs}/stage1",
        f"--candidate={runs}/stage2",
        f"--output={report}",
    )
    assert code == 0
    document = json.loads((report / builder.SUMMARY_NAME).read_text())
    assert document["dataset"]["plan_hash"] == facts["plan_hash"]
    rows = rows_lib.read_rows(report / rows_lib.SCORES_NAME)
    assert len(rows) == facts["splits"]["eval"]["n_examples"]
    names = {one["name"] for one in facts["splits"]["eval"]["recordings"]}
    assert {row["clip"].split(" @ ")[0] for row in rows} == names

    # ddsp_render plays the run with a recording.
    source = next((tmp_path / "wavs").iterdir())
    output = tmp_path / "out.wav"
    assert (
        run_program(
            run_render,
            f"--run={runs}/stage2",
            f"--input={source}",
            f"--output={output}",
        )
        == 0
    )
    mix, rate = soundfile.read(output)
    assert rate == facts["sample_rate"]
    assert mix.size == soundfile.info(source).frames and np.any(mix != 0)
