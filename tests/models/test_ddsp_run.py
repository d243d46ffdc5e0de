"""The command line: what the flags become, and what a user sees when it goes wrong."""

import errno

import gin
import pytest
import tensorflow as tf
from absl import flags

from models import ddsp_run
from models.training import session
from tests.helpers import training_helpers
from tests.helpers import training_toy


@pytest.fixture
def flag_values(monkeypatch, tmp_path):
    """Parses flags for one test, in an empty folder, and puts the old ones back."""
    monkeypatch.chdir(tmp_path)
    saved = flags.FLAGS.flag_values_dict()

    def parse(*arguments):
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["ddsp_run", *arguments])

    yield parse
    for name, value in saved.items():
        setattr(flags.FLAGS, name, value)
    gin.clear_config()


def test_stage_file_alone_is_enough(flag_values):
    flag_values("--gin_file=gin/stage2.gin")
    request = ddsp_run.request_of_flags()
    assert request.save_dir == "runs/stage2"
    assert request.data_dir is None
    assert request.resume == "auto"
    assert request.seed == 0


def test_run_is_named_after_the_stage_not_its_overlay(flag_values):
    flag_values("--gin_file=gin/stage5.gin", "--gin_file=gin/overlays/tiny.gin")
    assert ddsp_run.request_of_flags().save_dir == "runs/stage5"


def test_flags_reach_the_request(flag_values):
    flag_values(
        "--gin_file=a.gin",
        "--save_dir=b",
        "--gin_param=batch_size=3",
        "--steps=7",
        "--seed=5",
        "--dump_controls_every=20",
        "--max_minutes=1.5",
        "--resume=must",
        "--init_from=c",
        "--allow_shape_mismatch",
    )
    request = ddsp_run.request_of_flags()
    assert request.bindings == ("batch_size=3",)
    assert (request.num_steps, request.seed, request.resume) == (7, 5, "must")
    assert (request.init_from, request.allow_shape_mismatch) == ("c", True)
    assert request.loop_options == {"dump_controls_every": 20, "max_minutes": 1.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to train: --gin_file=gin/stage2.gin"),
        (("--gin_file=gin/stage2.gin",), "no dataset at data (it does not exist)"),
        (("--gin_file=nothing.gin",), "nothing.gin"),
    ],
    ids=["nothing", "no data", "no file"],
)
def test_mistakes_are_one_line_and_a_failure(flag_values, capsys, arguments, message):
    flag_values(*arguments)
    assert ddsp_run.main([]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ddsp_run: error: ")
    assert message in lines[0]


@pytest.mark.slow
def test_main_trains_into_the_default_place(flag_values, tmp_path, capsys):
    training_helpers.write_dataset(tmp_path / "data", example_secs=0.2)
    training_toy.write_toy_gin(tmp_path)
    flag_values("--gin_file=toy.gin", "--steps=2", "--quiet")
    assert ddsp_run.main([]) == 0
    assert (tmp_path / "runs" / "toy" / "ckpt-2.index").exists()
    said = capsys.readouterr().err
    assert "new run from step 0" in said
    assert "finished at step 2" in said


def test_errors_of_many_lines_become_one():
    assert session.sentence(ValueError("one\n  two")) == "one two"
    assert session.sentence(KeyError("a key")) == "a key"


def test_full_disk_is_said_plainly_whoever_notices():
    noticed = OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")
    by_tensorflow = tf.errors.ResourceExhaustedError(
        None, None, "{{function_node}} ckpt-3; No space left on device [Op:SaveV2]"
    )
    for error in (noticed, by_tensorflow):
        assert isinstance(error, session.USER_ERRORS)
        assert session.sentence(error).startswith("the disk is full; free some space")
    no_memory = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    assert "OOM" in session.sentence(no_memory)
