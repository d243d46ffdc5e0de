"""Configurations: what wins, what is refused, and that a saved one reads back."""

import dataclasses

import gin
import pytest

from models.config import gin_config
from models.training import request
from tests.helpers import training_helpers
from tests.helpers import training_toy

pytestmark = pytest.mark.usefixtures("clean_gin")


@pytest.fixture
def dataset_dir(tmp_path):
    return training_helpers.write_dataset(tmp_path / "data")


def _request(tmp_path, dataset_dir, *bindings, gin_file=None, **kwargs):
    gin_file = gin_file or training_toy.write_toy_gin(tmp_path)
    return request.TrainingRequest(
        save_dir=str(tmp_path / "run"),
        gin_files=(str(gin_file),),
        bindings=bindings,
        data_dir=str(dataset_dir),
        **kwargs,
    )


def test_rates_come_from_the_dataset(tmp_path):
    directory = training_helpers.write_dataset(
        tmp_path / "data", sample_rate=32000, n_train=1, n_eval=1
    )
    own = tmp_path / "own.gin"
    own.write_text("include 'gin/stage1.gin'\n")
    request.configure(_request(tmp_path, directory, gin_file=own))
    assert gin_config.macro_value("SAMPLE_RATE") == 32000
    assert gin_config.parameter("models.synths.FastHarmonic", "n_samples") == 16000


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("training_toy.ToyModl.noise = 1", "nearest name is 'training_toy.ToyModel'"),
        ("training_toy.ToyModel.nose = 1", "did you mean noise"),
        ("get_model.model = @training_toy.ToyMdel()", "'training_toy.ToyModel'"),
        ("train.num_stps = 1", "did you mean num_steps"),
        ("models.data.PreparedDataset.max_exampls = 1", "did you mean max_examples"),
        ("btch_size = 1", "did you mean batch_size"),
        ("train.num_steps = %N_STEPS", "%N_STEPS is used but never set"),
        ("SAMPLE_RATE = 44100", "SAMPLE_RATE=44100 contradicts the dataset"),
        (
            "TFRecordProvider.sample_rate = 44100",
            "TFRecordProvider.sample_rate = 44100",
        ),
        ("train.num_steps = %gin.REQUIRED", "train.num_steps set to"),
        ("train.num_steps = = 3", "--gin_param=train.num_steps = = 3: "),
        ("training_toy.ToyModel.noise = 'loud'", "noise is 'loud', where a number"),
        ("learning_rate = 'fast'", "learning_rate is 'fast', where a number"),
        (
            "models.loop.LoopOptions.log_every = 1.5",
            "LoopOptions.log_every is 1.5, where a whole number",
        ),
        (
            "models.loop.LoopOptions.held_out_split = 3",
            "held_out_split is 3, where text",
        ),
        ("models.loop.LoopOptions.alarms = 'no'", "alarms is 'no', where True or"),
    ],
)
def test_wrong_bindings_are_one_clear_sentence(tmp_path, dataset_dir, binding, message):
    with pytest.raises(gin_config.ConfigError) as caught:
        request.configure(_request(tmp_path, dataset_dir, binding))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_gin_file_is_named(tmp_path, dataset_dir):
    with pytest.raises(gin_config.ConfigError, match=r"stage9\.gin"):
        request.configure(_request(tmp_path, dataset_dir, gin_file="gin/stage9.gin"))


def test_own_file_with_another_rate_is_refused(tmp_path, dataset_dir):
    own = tmp_path / "own.gin"
    own.write_text("include 'gin/stage1.gin'\nSAMPLE_RATE = 44100\n")
    with pytest.raises(gin_config.ConfigError, match=r"own\.gin says SAMPLE_RATE"):
        request.configure(_request(tmp_path, dataset_dir, gin_file=own))


def test_command_line_wins_over_files(tmp_path, dataset_dir):
    request.configure(_request(tmp_path, dataset_dir, "batch_size = 5", num_steps=77))
    assert gin_config.parameter("train", "batch_size") == 5
    assert gin_config.parameter("train", "num_steps") == 77


def test_ddsps_own_gin_file_reads_the_prepared_records(tmp_path):
    directory = training_helpers.write_dataset(
        tmp_path / "data", example_secs=4.0, n_train=1, n_eval=1
    )
    request.configure(
        _request(tmp_path, directory, gin_file="papers/iclr2020/solo_instrument.gin")
    )
    pattern = gin_config.parameter("TFRecordProvider", "file_pattern")
    assert pattern == str(directory / "train.tfrecord-*-of-00002")


def test_saved_configuration_reads_back_to_the_same(tmp_path, dataset_dir):
    request.configure(_request(tmp_path, dataset_dir, "learning_rate = 0.125"))
    gin.get_configurable("get_model")()
    text = gin_config.config_text()
    gin.clear_config()
    with gin.unlock_config():
        gin.parse_config(text)
    assert gin_config.parameter("Trainer", "learning_rate") == 0.125
    assert isinstance(gin.get_configurable("get_model")(), training_toy.ToyModel)


def test_every_parameter_name_in_shipped_files_exists(tmp_path, dataset_dir):
    """`check_parameters` must accept what the shipped files say."""
    del dataset_dir
    directory = training_helpers.write_dataset(
        tmp_path / "four", example_secs=4.0, n_train=1, n_eval=1
    )
    stages = sorted(gin_config.SHIPPED.glob("*.gin"))
    assert len(stages) >= 5
    for path in stages:
        request.configure(_request(tmp_path, directory, gin_file=path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("include '{path}'", "includes itself"),
        ("A = %A\nbatch_size = %A", "A stands for itself"),
        ("A = %B\nB = %A\nbatch_size = %A", "stands for itself"),
        ("batch_size = " + "[" * 2000 + "]" * 2000, "nests brackets too deeply"),
        ("\ufeffbatch_size = 2", "Unexpected token"),
    ],
    ids=["include", "macro", "two macros", "brackets", "byte order mark"],
)
def test_files_that_never_end_are_refused_in_a_sentence(
    tmp_path, dataset_dir, content, message
):
    path = tmp_path / "own.gin"
    path.write_text(content.replace("{path}", str(path)), encoding="utf-8")
    asked = _request(tmp_path, dataset_dir)
    files = (*asked.gin_files, str(path))
    with pytest.raises(gin_config.ConfigError, match=message):
        request.configure(dataclasses.replace(asked, gin_files=files))
