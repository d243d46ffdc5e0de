import json
import pathlib
import shutil

import numpy as np
import pytest

from evaluation import evaluate
from evaluation import run_report
from evaluation.scoring import rendering
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from evaluation.summary import exit_code
from prep import command_line
from prep import errors
from tests.helpers import evaluation_helpers
from tests.helpers import training_helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def parse(*words):
    return command_line.read_flags(run_report.PROGRAM, words)


# --- real models, trained for two steps ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs of two rungs on one made-up dataset."""
    place = tmp_path_factory.mktemp("trained")
    data = training_helpers.write_dataset(place / "data", n_eval=5, example_secs=0.5)
    for rung in ("stage1", "stage2"):
        run_dir = place / "runs" / rung
        training_helpers.train_rung(rung, data=data, run_dir=run_dir, n_steps=2)
    return place


@pytest.mark.slow
def test_two_real_runs_are_judged_end_to_end(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        evaluate.pitch_tracker,
        "CrepeTracker",
        lambda capacity: evaluation_helpers.track,
    )
    started = trained / "runs" / "started"
    shutil.copytree(
        trained / "runs" / "stage1", started, ignore=lambda *_: {"best", "checkpoint"}
    )
    for path in started.glob("ckpt-*"):
        path.unlink()
    words = (
        f"--baseline={trained}/runs/stage1",
        f"--runs={trained}/runs/*",
        f"--output={tmp_path}/report",
        "--batch_size=2",
        "--max_embedded_clips=2",
    )
    assert run_report.run(parse(*words)) == 0
    assert "report.html" in capsys.readouterr().out
    folder = tmp_path / "report"
    rows = [json.loads(line) for line in (folder / rows_lib.SCORES_NAME).open()]
    assert len(rows) == 5  # the last batch of one is kept
    assert {row["clip"] for row in rows} == {
        f"tone-{i} @ {i / 2:.2f} s" for i in range(6, 11)
    }
    for row in rows:
        assert list(row["runs"]) == ["stage1", "stage2"]
        assert row["n_pitched"] > 100
        values = row["runs"]["stage2"]["values"]
        assert values["spectral_loss"] > 0 and 0 <= values["collapse_index"] <= 1
    document = json.loads((folder / builder.SUMMARY_NAME).read_text())
    assert document["unit"] == "recording" and document["n_units"] == 5
    for name in ("stage1", "stage2"):
        cost = document["runs"][name]["cost"]
        assert cost["n_parameters"] > 1000 and cost["render_secs"] > 0
        assert cost["training_memory_mb"] > 300  # TensorFlow alone takes more
    (skipped,) = document["skipped_runs"]
    assert skipped["run"] == "started" and "no sound checkpoint" in skipped["reason"]
    differing = [row["binding"] for row in document["config_differences"]]
    assert any("smoothing" in binding.lower() for binding in differing)
    # Two steps teach nothing: both have collapsed, and a script can see it.
    collapsed = run_report.run(parse(*words, "--overwrite", "--fail_if_collapsed"))
    assert collapsed == exit_code.EXIT_COLLAPSED
    again = [json.loads(line) for line in (folder / rows_lib.SCORES_NAME).open()]
    assert again == rows  # the same noise, the same scores


@pytest.mark.slow
def test_one_run_is_judged_beside_its_recordings(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        evaluate.pitch_tracker,
        "CrepeTracker",
        lambda capacity: evaluation_helpers.track,
    )
    words = (f"--candidate={trained}/runs/stage1", f"--output={tmp_path}/report")
    code = run_report.run(parse(*words, "--fail_if_collapsed"))
    assert code == exit_code.EXIT_COLLAPSED  # two steps teach nothing
    assert "stage1" in capsys.readouterr().out
    document = json.loads((tmp_path / "report" / builder.SUMMARY_NAME).read_text())
    assert document["comparisons"] == [] and document["skipped_runs"] == []
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "stage1 against its recordings" in page


@pytest.mark.slow
def test_noise_depends_on_the_seed_and_not_on_the_batch(trained):
    run = rendering.open_run(trained / "runs" / "stage2", checkpoint="last")
    dataset = rendering.open_dataset(trained / "data")

    def render(seed, batch_size):
        found, _ = rendering.render_clips(
            run, dataset, range(5), seed=seed, batch_size=batch_size
        )
        return np.stack([one.audio for one in found])

    first = render(0, 2)
    np.testing.assert_allclose(render(0, 3), first, atol=1e-6)
    assert np.max(np.abs(render(1, 2) - first)) > 1e-6


@pytest.mark.slow
def test_diverged_weights_are_refused(trained, tmp_path):
    run_dir = tmp_path / "diverged"
    shutil.copytree(trained / "runs" / "stage1", run_dir)
    run = rendering.open_run(run_dir, checkpoint="last")
    weight = run.model.trainable_variables[0]
    weight.assign(np.nan * weight)
    with pytest.raises(errors.InputError, match=r"NaN or infinity in 1 of .* step 2"):
        rendering.check_weights(run)
