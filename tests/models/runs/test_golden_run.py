"""Opens a run that was saved before the modules moved into rooms.

tests/golden/make_golden.py made it.
"""

import importlib
import shutil

import numpy as np
import pytest

from models.runs import loading
from models.runs import metrics_log
from models.runs import record as run_record
from models.training import request as run_request
from models.training import session
from tests import conftest
from tests.helpers import training_helpers

GOLDEN = conftest.REPOSITORY / "tests" / "golden"
LAST_STEP = 1500
# Equal to the bit where it was made; another processor adds up products of float32 in
# another order, and the heads raise that to a power of about two.
RTOL, ATOL = 1e-4, 1e-7


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """Features that were put in and the controls that came out."""
    with np.load(GOLDEN / "controls.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def run() -> loading.Run:
    return loading.load_run(GOLDEN / "run")


def test_its_configuration_still_names_modules_that_are_gone():
    saved = (GOLDEN / "run" / "operative_config-0.gin").read_text(encoding="utf-8")
    assert "import models.effects as" in saved
    with pytest.raises(ImportError):
        importlib.import_module("models.effects")


@pytest.mark.parametrize("kind", ["controls", "raw_controls"])
@pytest.mark.parametrize("name", ["amps", "harmonic_distribution", "noise_magnitudes"])
def test_a_run_saved_before_the_move_gives_the_same_controls(run, golden, kind, name):
    features = {
        key.removeprefix("features/"): values
        for key, values in golden.items()
        if key.startswith("features/")
    }
    outputs = run.model.decode(features)
    expected = golden[f"{kind}/{name}"]
    np.testing.assert_allclose(outputs[kind][name], expected, rtol=RTOL, atol=ATOL)


def test_its_record_and_its_log_are_read(run):
    assert run.step == LAST_STEP
    assert run.info["outcome"] == "finished"
    rows = metrics_log.read_metrics(GOLDEN / "run")
    assert rows[-1]["step"] == LAST_STEP
    assert rows[-1]["held_out/best_loss"] == pytest.approx(run.info["best_loss"])


@pytest.mark.slow
def test_training_goes_on_from_it_by_its_saved_configuration_alone(tmp_path):
    shutil.copytree(GOLDEN / "run", tmp_path / "run")
    training_helpers.write_dataset(tmp_path / "data", example_secs=0.5)
    (known,) = run_record.read_record(tmp_path / "run").plan_hashes
    training_helpers.set_plan_hash(tmp_path / "data", known)
    request = run_request.TrainingRequest(
        save_dir=str(tmp_path / "run"),
        data_dir=str(tmp_path / "data"),
        num_steps=LAST_STEP + 2,
        quiet=True,
    )
    said: list[str] = []
    outcome = session.train(request, say=said.append)
    assert said[0].startswith(f"restored step {LAST_STEP}")
    assert outcome.step == LAST_STEP + 2
