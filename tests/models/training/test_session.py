"""Whole runs of the toy model: what they write, how they resume, what they refuse."""

import dataclasses
import errno
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from models.data import record_index
from models.monitoring import alarms
from models.runs import checkpoints
from models.runs import layout
from models.runs import loading
from models.runs import metrics_log
from models.runs import record as run_record
from models.training import request as run_request
from models.training import resume
from models.training import session
from models.training import staged
from models.training import stepper
from models.training import trainer as trainer_lib
from prep import errors
from tests.helpers import training_helpers
from tests.helpers import training_toy

pytestmark = (
    pytest.mark.slow
)  # each trains from the start; about 5 s on a quiet machine

HELPERS = pathlib.Path(training_helpers.__file__).parent
ROOT = HELPERS.parents[1]
# Sums over workers run in another order than sums over a batch.
WORKER_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset and the toy's gin file."""
    folder = tmp_path_factory.mktemp("training")
    training_helpers.write_dataset(folder / "data", example_secs=0.2)
    training_toy.write_toy_gin(folder)
    return folder


def _request(place, save_dir, *bindings, **kwargs):
    return run_request.TrainingRequest(
        save_dir=str(save_dir),
        gin_files=(str(place / "toy.gin"),),
        data_dir=str(place / "data"),
        bindings=bindings,
        quiet=True,
        **kwargs,
    )


@pytest.fixture(scope="module")
def finished(place):
    """An uninterrupted run of 8 steps, with its outcome and what it said."""
    said = []
    request = _request(
        place,
        place / "whole",
        loop_options={"dump_controls_every": 4, "render_every": 8},
    )
    outcome = session.train(request, say=said.append)
    return place / "whole", outcome, said


def _tensors(path, *, prefixes=("model/", "optimizer/", "progress/")):
    reader = tf.train.load_checkpoint(str(path))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(prefixes)
    }


def _assert_same(ours, theirs, **kwargs):
    first, second = _tensors(ours, **kwargs), _tensors(theirs, **kwargs)
    assert first.keys() == second.keys()
    assert len(first) > 3
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_run_directory_holds_what_a_run_is(finished):
    run_dir, outcome, said = finished
    assert outcome.reason == "finished"
    assert outcome.step == 8
    assert [item.step for item in checkpoints.found_in(run_dir)] == [8, 4]
    assert checkpoints.found_in(run_dir / "best")[0].step == outcome.best_step
    assert said[0] == "new run from step 0"
    assert "finished at step 8" in said[-1]
    record = run_record.read_run(run_dir)
    assert record["outcome"] == "finished"
    assert (
        record["dataset"]["plan_hash"]
        == training_helpers.make_plan(example_secs=0.2).hash
    )
    assert record["versions"]["ddsp"] == "3.7.0"
    assert record["starts"][0]["first_step"] == 0
    assert (run_dir / "operative_config-0.gin").read_text() == record["config"]


def test_metrics_hold_losses_controls_rate_and_times(finished):
    run_dir, outcome, _ = finished
    rows = metrics_log.read_metrics(run_dir)
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
    last = rows[-1]
    for key in (
        "losses/audio_loss",
        "losses/total_loss",
        "held_out/spectral_distance",
        "controls/entropy_nats",
        "controls/top1_share",
        "controls/noise_share",
        "grad_norm",
        "time/data_ms",
        "time/forward_backward_ms",
        "time/optimizer_ms",
        "memory/peak_mb",
    ):
        assert np.isfinite(last[key]), key
    assert last["held_out/best_loss"] == pytest.approx(outcome.best_loss)
    assert rows[0]["reference/top1_share"] > 0.2
    assert rows[-1]["losses/total_loss"] < rows[1]["losses/total_loss"]
    assert list((run_dir / "summaries" / "train").iterdir())


def test_dumps_hold_arrays_tables_and_pictures(finished):
    run_dir, _, _ = finished
    folder = run_dir / "controls" / "step-000004"
    with np.load(folder / "controls.npz") as arrays:
        assert arrays["harmonic_distribution"].shape == (2, 50, 4)
        share = arrays["harmonic_distribution"][1, 30].max()
    frames = np.genfromtxt(folder / "frames.csv", delimiter=",", names=True)
    row = frames[(frames["example"] == 1) & (frames["frame"] == 30)]
    assert row["top1_share"][0] == pytest.approx(share, rel=1e-5)
    wavetable = np.genfromtxt(folder / "wavetable.csv", delimiter=",", names=True)
    assert len(wavetable) == 512
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["step"] == 4
    assert settings["plan_hash"] == training_helpers.make_plan(example_secs=0.2).hash
    assert len(settings["spectral_distance"]) == 2
    for name in (
        "step-000004/overview.png",
        "step-000008/smoothing.png",
        "compare.png",
    ):
        assert (run_dir / "controls" / name).read_bytes()[:4] == b"\x89PNG"
    assert len(list((run_dir / "renders" / "step-000008").glob("*.wav"))) == 2
    assert len(list((run_dir / "renders" / "recordings").glob("*.wav"))) == 2


def test_load_run_restores_model_and_facts(finished):
    run_dir, outcome, _ = finished
    run = loading.load_run(run_dir)
    assert run.step == outcome.best_step
    assert run.data_dir.name == "data"
    assert isinstance(run.model, training_toy.ToyModel)
    assert run.model.steps_told == [run.step]
    stored = _tensors(run.checkpoint, prefixes=("model/out/kernel",))
    kernel = next(iter(stored.values()))
    np.testing.assert_array_equal(run.model.out.kernel.numpy(), kernel)
    assert loading.load_run(run_dir, checkpoint="last").step == 8
    assert loading.load_run(run_dir, checkpoint="4").step == 4
    with pytest.raises(
        FileNotFoundError, match=r"has no checkpoint of step 5.*\[4, 8\]"
    ):
        loading.load_run(run_dir, checkpoint="5")
    with pytest.raises(FileNotFoundError, match="no run at"):
        loading.load_run(run_dir / "controls")


def test_same_seed_same_run_and_other_seed_another(place, finished):
    run_dir, _, _ = finished
    session.train(_request(place, place / "again", num_steps=4))
    _assert_same(run_dir / "ckpt-4", place / "again" / "ckpt-4")
    session.train(_request(place, place / "other", num_steps=4, seed=1))
    ours = _tensors(run_dir / "ckpt-4", prefixes=("model/out/kernel",))
    theirs = _tensors(place / "other" / "ckpt-4", prefixes=("model/out/kernel",))
    assert not np.allclose(*ours.values(), *theirs.values())


def _run_script(script, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, str(HELPERS / script), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _output_of(process, *, timeout=240):
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return output.decode(errors="replace")


def test_killed_runs_go_on_as_if_nothing_had_happened(place, finished):
    """SIGKILL between saves (after update 6) and inside the save of step 8."""
    whole, _, _ = finished
    killed = {
        name: _run_script(
            "training_killed.py", place / "toy.gin", place / "data", place / name, *how
        )
        for name, how in {"cut": ("step", 6), "torn": ("save", 2)}.items()
    }
    outputs = {name: _output_of(process) for name, process in killed.items()}
    for name, process in killed.items():
        assert process.returncode == -signal.SIGKILL, outputs[name][-2000:]
        save_dir = place / name
        assert run_record.read_run(save_dir)["outcome"] == "running"
        said = []
        session.train(_request(place, save_dir, resume="must"), say=said.append)
        assert "restored step 4 from" in said[0]
        assert not any("another configuration" in line for line in said)
        _assert_same(whole / "ckpt-8", save_dir / "ckpt-8")
        assert not list(save_dir.glob(".writing-*"))
        assert len(run_record.read_run(save_dir)["starts"]) == 2
        steps = [row["step"] for row in metrics_log.read_metrics(save_dir)]
        assert steps == [0, 2, 4, 6, 8]
        ours, theirs = (
            metrics_log.read_metrics(run)[-1]["held_out/spectral_distance"]
            for run in (save_dir, whole)
        )
        assert ours == theirs


def test_failing_run_ends_and_says_so(place):
    """The input pipeline must not hold up the end of the program."""
    process = _run_script(
        "training_killed.py",
        *(place / "toy.gin", place / "data", place / "failed", "raise", 2),
    )
    output = _output_of(process)
    assert process.returncode == 1, output[-2000:]
    assert "failing as asked" in output
    assert run_record.read_run(place / "failed")["outcome"] == "failed"


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def test_workers_and_devices_give_the_weights_of_one_process(place, finished):
    """Two processes on loopback; two logical devices in one; noise included."""
    whole, _, _ = finished
    ports = _free_ports(2)
    arguments = (place / "toy.gin", place / "data")
    processes = [
        _run_script(
            "training_workers.py", *arguments, place / "workers", "worker", i, *ports
        )
        for i in range(2)
    ]
    processes.append(
        _run_script("training_workers.py", *arguments, place / "mirrored", "mirrored")
    )
    outputs = [_output_of(process) for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    alone = _tensors(whole / "ckpt-8", prefixes=("model/",))
    for name in ("workers", "mirrored"):
        joint = _tensors(place / name / "ckpt-8", prefixes=("model/",))
        assert joint.keys() == alone.keys()
        for key, value in alone.items():
            np.testing.assert_allclose(value, joint[key], atol=WORKER_TOLERANCE)
    rows = metrics_log.read_metrics(place / "workers")
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]


def test_a_run_that_goes_on_otherwise_than_it_began_says_in_what(place, tmp_path):
    run_dir = tmp_path / "run"
    session.train(_request(place, run_dir, num_steps=2))
    said = []
    request = _request(place, run_dir, "learning_rate = 1e-5", num_steps=3)
    session.train(request, say=said.append)
    (line,) = [line for line in said if "another configuration" in line]
    assert "this run had: learning_rate (" in line


def test_damaged_checkpoint_is_skipped_with_a_warning(
    place, finished, tmp_path, caplog
):
    whole, _, _ = finished
    for path in [*whole.glob("ckpt-*"), *whole.glob("operative*")]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    torn = tmp_path / "ckpt-8.data-00000-of-00001"
    torn.write_bytes(torn.read_bytes()[:-40] + bytes(40))
    found = resume.find_start(tmp_path, restore_dir=None, mode="auto")
    assert found.step == 4
    assert "Skipping checkpoint" in caplog.text
    assert "ckpt-8" in caplog.text
    (tmp_path / "ckpt-4.index").write_bytes(b"")
    with pytest.raises(resume.ResumeError, match=r"every checkpoint .* is damaged"):
        resume.find_start(tmp_path, restore_dir=None, mode="auto")


def test_resume_modes(place, finished, tmp_path):
    whole, _, _ = finished
    with pytest.raises(resume.ResumeError, match="must, but there is no checkpoint"):
        resume.find_start(tmp_path, restore_dir=None, mode="must")
    assert resume.find_start(tmp_path, restore_dir=None, mode="auto") is None
    elsewhere = resume.find_start(tmp_path, restore_dir=whole, mode="auto")
    assert elsewhere.step == 8
    (tmp_path / "ckpt-3.index").write_text("an earlier run")
    assert resume.find_start(tmp_path, restore_dir=None, mode="never") is None
    assert (tmp_path / "ckpt-3.index").exists()
    (tmp_path / "warm_up").mkdir()
    resume.move_aside(tmp_path)
    (aside,) = tmp_path.glob("previous-*")
    assert (aside / "ckpt-3.index").exists()
    assert (aside / "warm_up").exists()
    assert list(tmp_path.iterdir()) == [aside]


def test_other_architecture_is_refused(place, finished):
    whole, _, _ = finished
    with pytest.raises(
        errors.InputError, match="another architecture: it lacks weights"
    ):
        session.train(
            _request(place, whole, "training_toy.ToyModel.n_hidden = 5", num_steps=9)
        )


def test_weights_of_another_run_start_a_fresh_one(place, finished):
    whole, outcome, _ = finished
    said = []
    session.train(
        _request(place, place / "tuned", init_from=str(whole), num_steps=1),
        say=said.append,
    )
    assert f"weights of step {outcome.best_step}" in said[0]
    assert re.search(r"[1-9]\d* variables restored$", said[0])
    rows = metrics_log.read_metrics(place / "tuned")
    assert rows[0]["step"] == 0
    assert rows[0]["held_out/spectral_distance"] == pytest.approx(outcome.best_loss)


def test_weights_of_another_shape_start_nothing(place, finished):
    whole, _, _ = finished
    wider = "training_toy.ToyModel.n_hidden = 5"
    with pytest.raises(
        errors.InputError, match=r"of another shape.*--allow_shape_mismatch"
    ):
        session.train(
            _request(place, place / "wider", wider, init_from=str(whole), num_steps=1)
        )


def test_weights_of_another_shape_are_left_out_when_asked(place, finished):
    whole, _, _ = finished
    wider = "training_toy.ToyModel.n_hidden = 5"
    said = []
    session.train(
        _request(
            place,
            place / "wide",
            wider,
            init_from=str(whole),
            allow_shape_mismatch=True,
            num_steps=1,
        ),
        say=said.append,
    )
    assert re.search(r"[1-9]\d* variables restored, .*of another shape", said[0])


def test_poisoned_example_is_skipped_and_counted(place, caplog):
    outcome = session.train(
        _request(place, place / "poison", "training_toy.ToyModel.poison_index = 2")
    )
    assert outcome.step == 8
    assert outcome.skipped > 0
    assert "tone-" in caplog.text
    assert metrics_log.read_metrics(place / "poison")[-1]["skipped_steps"] > 0


def test_training_that_falls_apart_stops_with_a_checkpoint(place):
    bindings = (
        "training_toy.ToyModel.poison_index = 0",
        "models.data.PreparedDataset.max_examples = 2",
        "models.loop.LoopOptions.max_skipped_in_row = 3",
    )
    with pytest.raises(stepper.NonFiniteError, match=r"3 in a row.* tone-0@0s"):
        session.train(_request(place, place / "apart", *bindings))
    assert checkpoints.newest_sound(place / "apart").step == 0
    record = run_record.read_run(place / "apart")
    assert record["outcome"] == "not finite"
    assert "tone-0@0s" in record["error"]


def test_early_stop_after_patience(place):
    outcome = session.train(
        _request(
            place,
            place / "patient",
            "models.loop.LoopOptions.held_out_every = 1",
            "models.loop.LoopOptions.patience = 2",
            "models.loop.LoopOptions.min_delta = 1000.0",
        )
    )
    assert outcome.reason == "early stop"
    assert outcome.step == 2
    assert outcome.best_step == 0
    best = checkpoints.found_in(place / "patient" / "best")
    assert [item.step for item in best] == [0]


def _collapse_at(monkeypatch, places):
    """Makes the alarms see a silent model at the measurements of these numbers."""
    count = iter(range(100))
    real = alarms.findings

    def findings(model, reference):
        silent = {"level_db": -100.0} if next(count) in places else {}
        sound = dict.fromkeys(reference, float("nan"))
        return real(sound | silent, reference)

    monkeypatch.setattr(alarms, "findings", findings)


@pytest.mark.parametrize("alarms_on", [True, False])
def test_a_healthy_checkpoint_is_kept_over_a_slightly_better_collapsed_one(
    place, tmp_path, monkeypatch, alarms_on
):
    """The toy's loss still falls after step 2; from there on it has collapsed."""
    _collapse_at(monkeypatch, range(2, 100))
    said = []
    outcome = session.train(
        _request(
            place,
            tmp_path / "run",
            "models.loop.LoopOptions.held_out_every = 2",
            f"models.loop.LoopOptions.alarms = {alarms_on}",
            "models.loop.LoopOptions.collapse_penalty = 1.0",
        ),
        say=said.append,
    )
    assert (outcome.best_step == 2) == alarms_on
    assert outcome.best_collapsed is False
    assert outcome.best_measure == outcome.best_loss
    (kept,) = checkpoints.found_in(tmp_path / "run" / "best")
    assert kept.step == outcome.best_step
    assert "collapsed" not in said[-1]


def test_a_run_that_collapsed_says_so_at_its_end(place, tmp_path, monkeypatch):
    _collapse_at(monkeypatch, range(100))
    said = []
    outcome = session.train(_request(place, tmp_path / "run"), say=said.append)
    assert outcome.best_collapsed
    assert outcome.best_measure == pytest.approx(1.1 * outcome.best_loss)
    assert "where it has collapsed (see the alarms)" in said[-1]
    assert run_record.read_run(tmp_path / "run")["best_collapsed"] is True


def test_loss_value_stops_as_in_ddsp(place):
    outcome = session.train(
        _request(place, place / "low", loop_options={"early_stop_loss_value": 100.0})
    )
    assert (outcome.reason, outcome.step) == ("loss reached", 1)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (("batch_size = 64",), "larger than the 'train' split"),
        (("models.loop.LoopOptions.log_every = 0",), "log_every=0; at least 1"),
        (("models.trainer.LadderTrainer.clip_mode = 'all'",), "clip_mode='all'"),
    ],
)
def test_wrong_settings_are_refused(place, tmp_path, bindings, message):
    with pytest.raises(errors.InputError, match=message):
        session.train(_request(place, tmp_path / "run", *bindings))


def test_unwritable_save_dir_is_refused(place, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(resume.ResumeError, match="cannot write to save_dir"):
        session.train(_request(place, tmp_path / "file" / "run"))


def test_empty_eval_split_is_refused_and_train_can_stand_in(place, tmp_path):
    training_helpers.write_dataset(tmp_path / "data", n_eval=0, example_secs=0.2)
    training_toy.write_toy_gin(tmp_path)
    with pytest.raises(
        errors.InputError, match=r"eval split .* empty.*held_out_split='train'"
    ):
        session.train(_request(tmp_path, tmp_path / "run"))
    outcome = session.train(
        _request(
            tmp_path,
            tmp_path / "run",
            "models.loop.LoopOptions.held_out_split = 'train'",
            num_steps=1,
        )
    )
    assert np.isfinite(outcome.best_loss)


def test_time_limit_ends_a_run_that_can_go_on(place, finished):
    """Any step takes longer than the limit, so each start makes one step."""
    whole, _, _ = finished
    limit = {"max_minutes": 1e-9}
    run_dir = place / "limited"
    outcome = session.train(_request(place, run_dir, loop_options=limit))
    assert (outcome.reason, outcome.step) == ("time limit", 1)
    assert outcome.best_step in (0, 1)
    assert run_record.read_run(run_dir)["outcome"] == "time limit"
    assert checkpoints.newest_sound(run_dir).step == 1
    assert np.isfinite(
        metrics_log.read_metrics(run_dir)[-1]["held_out/spectral_distance"]
    )
    outcome = session.train(_request(place, run_dir, loop_options=limit))
    assert (outcome.reason, outcome.step) == ("time limit", 2)
    session.train(_request(place, run_dir, "models.loop.LoopOptions.max_minutes = 0"))
    _assert_same(
        whole / "ckpt-8", run_dir / "ckpt-8", prefixes=("model/", "optimizer/")
    )


def test_time_limit_is_shared_by_the_phases(place):
    said = []
    outcome = staged.train_staged(
        _request(place, place / "short", loop_options={"max_minutes": 1e-9}),
        say=said.append,
    )
    assert outcome.reason == "time limit"
    assert not (place / "short" / "B").exists()
    assert "the time is up in phase A; run again to go on" in said


@pytest.mark.parametrize("n_steps", [0, -5])
def test_runs_without_steps_are_refused(place, n_steps):
    with pytest.raises(errors.InputError, match=r"num_steps=.*at least 1"):
        session.train(_request(place, place / "none", num_steps=n_steps))


def test_number_that_is_none_is_named(place):
    with pytest.raises(
        errors.InputError, match=r"batch_size is 'many', where a number is needed"
    ):
        session.train(_request(place, place / "none", "batch_size = 'many'"))


def test_workers_take_no_time_limit(place):
    request = _request(
        place,
        place / "clocks",
        loop_options={"max_minutes": 1.0},
        cluster_config="{}",
    )
    with pytest.raises(
        errors.InputError, match="max_minutes cannot be kept by several"
    ):
        session.train(request)


def test_staged_training_starts_anew_and_insists_as_a_whole(place, tmp_path):
    request = _request(place, tmp_path, resume="must")
    with pytest.raises(resume.ResumeError, match=r"no phase in .* has a checkpoint"):
        staged.train_staged(request, say=lambda line: None)
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "ckpt-3.index").touch()
    (tmp_path / "staged.json").touch()
    anew = dataclasses.replace(request, resume="never")
    assert staged._begin(anew, tmp_path, staged.PHASES).resume == "auto"
    (aside,) = tmp_path.iterdir()
    assert {path.name for path in aside.iterdir()} == {"A", "staged.json"}


def test_staged_training_keeps_the_best_of_three(place):
    short = tuple(dataclasses.replace(phase, n_steps=4) for phase in staged.PHASES)
    said = []
    request = _request(
        place, place / "abc", "models.loop.LoopOptions.held_out_every = 2"
    )
    outcome = staged.train_staged(request, say=said.append, phases=short)
    rows = {
        name: metrics_log.read_metrics(place / "abc" / name) for name in ("A", "B", "C")
    }
    best_of_a = run_record.read_run(place / "abc" / "A")["best_loss"]
    assert rows["B"][0]["held_out/spectral_distance"] == pytest.approx(best_of_a)
    assert rows["A"][1]["learning_rate"] > 5 * rows["B"][1]["learning_rate"]
    assert rows["B"][1]["learning_rate"] > 2 * rows["C"][1]["learning_rate"]
    summary = json.loads((place / "abc" / "staged.json").read_text())
    measures = {name: item["best_measure"] for name, item in summary["phases"].items()}
    assert summary["best_phase"] == min(measures, key=measures.get)
    run = loading.load_run(place / "abc")
    assert run.step == outcome.best_step
    assert run.info["best_measure"] == min(measures.values())
    assert summary["learning_rate"] == 0.05
    said.clear()
    staged.train_staged(request, say=said.append, phases=short)
    assert said[:3] == [f"phase {name} is done already" for name in "ABC"]
    # Without gin files the rate is that which the phases had shares of, not a share.
    (place / "abc" / "staged.json").write_text('{"learning_rate": 0.4}')
    alone = dataclasses.replace(request, gin_files=(), bindings=())
    assert staged._base_rate(alone, place / "abc") == 0.4


@pytest.fixture
def short_run(place, tmp_path):
    """A run of one step that tests may spoil, and its request for one more."""
    session.train(_request(place, tmp_path / "run", num_steps=1))
    return tmp_path / "run"


def test_starting_anew_moves_nothing_before_the_request_is_known_to_work(
    place, short_run
):
    with pytest.raises(errors.InputError, match="batch_size=1000"):
        session.train(_request(place, short_run, "batch_size = 1000", resume="never"))
    assert checkpoints.found_in(short_run)[0].step == 1
    said = []
    session.train(
        _request(
            place, short_run, num_steps=1, resume="never", init_from=str(short_run)
        ),
        say=said.append,
    )
    assert said[0].startswith("weights of step ")
    assert len(list(short_run.glob("previous-*"))) == 1


def test_a_run_goes_on_with_its_own_seed_unless_told_otherwise(place, tmp_path):
    run_dir = tmp_path / "run"
    session.train(_request(place, run_dir, num_steps=1, seed=7))
    said = []
    session.train(_request(place, run_dir, num_steps=2), say=said.append)
    assert run_record.read_run(run_dir)["seed"] == 7
    assert not any("another configuration" in line for line in said)
    session.train(_request(place, run_dir, num_steps=3, seed=8), say=said.append)
    assert any("this run had: seed (" in line for line in said)


def test_a_save_survives_later_checkpoints_that_are_damaged(tmp_path):
    for step in (10, 20, 30):
        (tmp_path / f"ckpt-{step}.index").write_bytes(b"damaged")
    store = checkpoints.CheckpointStore(
        tmp_path, keep=2, trackables={"model": tf.Module()}
    )
    store.save(5)
    assert [found.step for found in checkpoints.found_in(tmp_path)] == [5]


def test_a_save_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    store = checkpoints.CheckpointStore(
        tmp_path, keep=2, trackables={"model": tf.Module()}
    )

    def fill_disk(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "_sync", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        store.save(5)
    assert list(tmp_path.iterdir()) == []


def test_the_schedules_clock_stands_for_no_weight(tmp_path):
    """A scalar that the checkpoint lacks is missed, though it holds a scalar."""
    saved = tf.keras.Model()
    saved.step = tf.Variable(3, trainable=False)
    path = tf.train.Checkpoint(model=saved).write(str(tmp_path / "ckpt"))
    model = tf.keras.Model()
    model.step = tf.Variable(0, trainable=False)
    model.alpha_logit = tf.Variable(0.5)
    with pytest.raises(layout.RunError, match=r"lacks weights of shapes \[\[\]\]"):
        checkpoints.check_architecture(path, model)


def test_a_run_does_not_go_on_with_another_dataset(place, short_run, tmp_path):
    training_helpers.write_dataset(tmp_path / "data", example_secs=0.2)
    training_helpers.set_plan_hash(tmp_path / "data", "ffff0000")
    training_toy.write_toy_gin(tmp_path)
    (known,) = run_record.read_record(short_run).plan_hashes
    with pytest.raises(resume.ResumeError, match=rf"{known}.* ffff0000.*--init_from="):
        session.train(_request(tmp_path, short_run, num_steps=2))
    assert run_record.read_record(short_run).plan_hashes == (known,)
    session.train(_request(tmp_path, short_run, num_steps=1, resume="never"))
    assert run_record.read_record(short_run).plan_hashes == ("ffff0000",)


def test_two_trainings_do_not_write_into_one_folder(place, tmp_path):
    (tmp_path / "run").mkdir()
    with layout.only_one(tmp_path / "run"):
        with pytest.raises(layout.RunError, match=f"process {os.getpid()}"):
            with layout.only_one(tmp_path / "run", wait_secs=0.0):
                pass
    with layout.only_one(tmp_path / "run", wait_secs=0.0):
        pass


def test_a_child_is_asked_to_end_when_its_parent_is_killed(tmp_path):
    """The parent starts a child that notes SIGTERM, as the matrix starts trainings."""
    child = (
        "import signal, time, pathlib\n"
        f"place = pathlib.Path({str(tmp_path)!r})\n"
        "def end(*_): (place / 'asked').touch(); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end); (place / 'ready').touch(); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys\nfrom prep import processes\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], "
        "preexec_fn=processes.end_with_parent())"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT)
    _wait_for_file(tmp_path / "ready")
    process.kill()
    process.wait()
    _wait_for_file(tmp_path / "asked")


def _wait_for_file(path, *, polls=1200):
    for _ in range(polls):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"no {path.name} after {polls / 10:g} s")


def test_a_dataset_written_over_under_a_training_ends_it(place, tmp_path):
    training_helpers.write_dataset(tmp_path / "data", example_secs=0.2)
    training_toy.write_toy_gin(tmp_path)
    request = _request(tmp_path, tmp_path / "run")
    original = trainer_lib.LadderTrainer.set_model_step

    def touching(self, step):
        if step == 3:
            next((tmp_path / "data").glob("train.tfrecord-*")).touch()
        original(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_lib.LadderTrainer, "set_model_step", touching)
        with pytest.raises(record_index.DatasetChangedError, match="was changed"):
            session.train(request)
    assert run_record.read_record(tmp_path / "run").outcome == "failed"
    assert checkpoints.found_in(tmp_path / "run")[0].step == 4


def test_going_on_cuts_the_logs_and_renews_the_pointer(place, short_run):
    """As after a kill: rows and events of later steps, a pointer of before."""
    log = metrics_log.MetricsLog(short_run, first_step=1)
    log.write({"step": 5, "losses/total_loss": 1.0})
    log.close()
    (short_run / "checkpoint").write_text('model_checkpoint_path: "ckpt-0"\n')
    session.train(_request(place, short_run, num_steps=2))
    assert [row["step"] for row in metrics_log.read_metrics(short_run)] == [0, 1, 2]
    steps = {
        event_pb2.Event.FromString(record.numpy()).step
        for path in (short_run / "summaries" / "train").iterdir()
        for record in tf.data.TFRecordDataset(str(path))
    }
    assert steps == {0, 1, 2}
    assert tf.train.latest_checkpoint(str(short_run)).endswith("ckpt-2")
    store = checkpoints.CheckpointStore(short_run, keep=3, trackables={})
    (short_run / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    store.clean()
    assert tf.train.latest_checkpoint(str(short_run)).endswith("ckpt-2")


def test_a_run_killed_before_its_first_save_has_one_row_of_step_0(place, tmp_path):
    log = metrics_log.MetricsLog(tmp_path, first_step=-1)
    log.write({"step": 0})
    log.close()
    session.train(_request(place, tmp_path, num_steps=1))
    assert [row["step"] for row in metrics_log.read_metrics(tmp_path)] == [0, 1]


def test_starting_anew_twice_in_a_second_keeps_both_runs(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "ckpt-3.index").write_text(text)
        resume.move_aside(tmp_path)
    kept = [path.read_text() for path in tmp_path.glob("previous-*/ckpt-3.index")]
    assert sorted(kept) == ["one", "two"]
