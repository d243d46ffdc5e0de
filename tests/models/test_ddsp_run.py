"""The command line: what the flags become, and what a user sees when it goes wrong."""

import gin
import pytest
import tensorflow as tf

from models import ddsp_run
from models.training import session
from prep import command_line
from prep import errors
from tests.helpers import training_helpers
from tests.helpers import training_toy


@pytest.fixture
def empty_folder(monkeypatch, tmp_path):
    """The current folder for one test, and gin's configuration cleared after it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    gin.clear_config()


def make_request(*words):
    """The request that the words of a command line stand for."""
    return ddsp_run.request_of_flags(command_line.read_flags(ddsp_run.PROGRAM, words))


def call(*words):
    """Runs the program; returns its exit code."""
    return command_line.run_words(ddsp_run.PROGRAM, words)


def test_stage_file_alone_is_enough():
    request = make_request("--gin_file=gin/stage2.gin")
    assert request.save_dir == "runs/stage2"
    assert request.data_dir is None
    assert request.resume == "auto"
    assert request.seed is None


def test_run_with_an_overlay_is_another_run():
    words = ("--gin_file=gin/stage5.gin", "--gin_file=gin/overlays/tiny.gin")
    assert make_request(*words).save_dir == "runs/stage5_tiny"
    assert make_request(*words, "--staged").save_dir == "runs/stage5_tiny_abc"
    overlay_first = make_request(words[1], words[0], "--gin_file=gin/stage2.gin")
    assert overlay_first.save_dir == "runs/stage2_tiny"


def test_flags_reach_the_request():
    request = make_request(
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
    assert request.bindings == ("batch_size=3",)
    assert (request.num_steps, request.seed, request.resume) == (7, 5, "must")
    assert (request.init_from, request.allow_shape_mismatch) == ("c", True)
    assert request.loop_options == {"dump_controls_every": 20, "max_minutes": 1.5}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "say what to train: --gin_file=gin/stage2.gin"),
        (("--gin_file=gin/stage2.gin",), 1, "no dataset at data (it does not exist)"),
        (("--gin_file=nothing.gin",), 1, "nothing.gin"),
        (("--gin_fiel=x",), 2, "there is no flag --gin_fiel; did you mean --gin_file?"),
    ],
    ids=["nothing", "no data", "no file", "mistyped"],
)
def test_mistakes_are_one_line_and_a_failure(
    empty_folder, capsys, arguments, code, message
):
    assert call(*arguments) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ddsp_run: ")
    assert message in line


@pytest.mark.slow
def test_main_trains_into_the_default_place(empty_folder, capsys):
    training_helpers.write_dataset(empty_folder / "data", example_secs=0.2)
    training_toy.write_toy_gin(empty_folder)
    assert call("--gin_file=toy.gin", "--steps=2", "--quiet") == 0
    assert (empty_folder / "runs" / "toy" / "ckpt-2.index").exists()
    said = capsys.readouterr().err
    assert "new run from step 0" in said
    assert "finished at step 2" in said


def test_a_fault_of_ours_is_a_traceback_and_a_code_of_its_own(
    empty_folder, capsys, monkeypatch
):
    def train(*args, **kwargs):
        raise TypeError("a bug")

    monkeypatch.setattr(session, "train", train)
    assert call("--gin_file=gin/stage2.gin") == 70
    assert "Traceback" in capsys.readouterr().err


def test_full_disk_is_said_plainly_when_tensorflow_notices():
    full = tf.errors.ResourceExhaustedError(
        None, None, "{{function_node}} ckpt-3; No space left on device [Op:SaveV2]"
    )
    with pytest.raises(errors.InputError, match="the disk is full; free some space"):
        with session.saying_full_disk():
            raise full
    no_memory = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    with pytest.raises(tf.errors.ResourceExhaustedError):
        with session.saying_full_disk():
            raise no_memory
