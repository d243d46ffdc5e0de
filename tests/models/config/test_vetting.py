"""A run that came from somebody else is opened without running what came with it."""

import pytest

from models.config import gin_config
from models.config import vetting
from models.runs import layout
from models.runs import loading
from tests.helpers import training_toy

pytestmark = pytest.mark.usefixtures("clean_gin")
TOY = "import tests.helpers.training_toy\nget_model.model = @training_toy.ToyModel()\n"


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A module that leaves a file when it is imported."""
    (tmp_path / "strange.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "ran"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("import strange", "it imports strange, which would run code"),
        ("from __gin__ import dynamic_registration", "it imports __gin__"),
        ("include 'other.gin'", "it includes 'other.gin'"),
        (
            "A = @train_util.train()\nB = %A\nget_model.model = %B",
            "refers to ddsp.training.train_util",
        ),
        ("get_model.model = @eval_util.sample()", "refers to ddsp.training.eval_util"),
        ("get_model.model = @models.data.PreparedDataset()", "refers to models.data"),
        ("A = " + "[" * 2000, "cannot be read|nest"),
    ],
)
def test_configurations_that_do_more_than_compute_are_refused(marker, more, message):
    with pytest.raises(layout.RunError, match=message):
        loading.build_model(f"{TOY}{more}\n", lengths={})
    assert not marker.exists()


def test_a_model_that_ends_the_program_is_refused(monkeypatch):
    def leave(*args, **kwargs):
        raise SystemExit(3)

    monkeypatch.setattr(training_toy.ToyModel, "call", leave)
    with pytest.raises(layout.RunError, match="cannot be used: 3"):
        loading.build_model(TOY, lengths={"n_samples": 640, "n_frames": 10})


def test_blocks_that_opening_does_not_call_may_say_what_they_like():
    text = (
        f"{TOY}train.data_provider = @models.data.PreparedDataset()\n"
        "evaluators = [@BasicEvaluator]\nevaluate.evaluator_classes = %evaluators\n"
    )
    model = loading.build_model(text, lengths={"n_samples": 640, "n_frames": 10})
    assert isinstance(model, training_toy.ToyModel)


def test_a_module_of_ones_own_can_be_trusted(marker, monkeypatch):
    monkeypatch.setenv(vetting.TRUST_VARIABLE, "strange,other")
    vetting.check_statements("import strange")
    vetting.check_statements("import third", trusted={"third"})
    with pytest.raises(gin_config.ConfigError, match="it imports third"):
        vetting.check_statements("import third")
