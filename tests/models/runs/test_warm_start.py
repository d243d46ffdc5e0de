import numpy as np
import pytest
import tensorflow as tf

from models.runs import warm_start
from tests.helpers import ladder_helpers

pytestmark = pytest.mark.slow
MLP_VARIABLES = {
    "decoder/dense_out/bias",
    "decoder/dense_out/kernel",
    "decoder/trunk/layer_with_weights-0/bias",
    "decoder/trunk/layer_with_weights-0/kernel",
    "processor_group/reverb/ir",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A trained-looking stage1 checkpoint and its kernel of the output layer."""
    rng = np.random.default_rng(1)
    model = build("gin/stage1.gin", rng)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    path = tmp_path_factory.mktemp("stage1") / "ckpt"
    saved_path = tf.train.Checkpoint(model=model).write(str(path))
    return saved_path, model.decoder.dense_out.kernel.numpy()


def build(name, rng, *bindings):
    model = ladder_helpers.build_model(name, ladder_helpers.TINY, bindings=bindings)
    model(ladder_helpers.make_batch(rng), training=False)
    return model


def test_paths_are_those_that_tensorflow_writes(saved):
    path, _ = saved
    names = {name for name, _ in tf.train.list_variables(path)}
    expected = {f"model/{name}{warm_start.SUFFIX}" for name in {*MLP_VARIABLES, "step"}}
    assert {name for name in names if name.startswith("model/")} == expected


def test_an_mlp_loads_into_a_model_that_gained_a_smoother(rng, saved):
    path, kernel = saved
    bindings = (
        "models.smoothing.OnePole.learned = True",
        "INPUT_KEYS = ('ld_scaled', 'f0_scaled', 'voicing')",
    )
    model = build("gin/stage2.gin", rng, *bindings)
    report = warm_start.restore_matching(model, path)
    assert set(report.matched) == MLP_VARIABLES
    assert report.initial == (
        "smoothing/smoothers/amps/alpha_logit",
        "smoothing/smoothers/noise_magnitudes/alpha_logit",
    )
    assert not report.ignored and not report.mismatched
    np.testing.assert_array_equal(model.decoder.dense_out.kernel, kernel)


def test_an_mlp_loads_into_a_model_that_gained_a_transformer(rng, saved):
    path, _ = saved
    model = build("gin/transformer.gin", rng)
    before = model.decoder.dense_out.kernel.numpy()
    with pytest.raises(ValueError, match="allow_shape_mismatch=True"):
        warm_start.restore_matching(model, path)
    np.testing.assert_array_equal(model.decoder.dense_out.kernel, before)
    report = warm_start.restore_matching(model, path, allow_shape_mismatch=True)
    assert set(report.matched) == {
        "decoder/dense_out/bias",
        "processor_group/reverb/ir",
    }
    assert report.mismatched == (("decoder/dense_out/kernel", (16, 22), (8, 22)),)
    assert len(report.ignored) == 2
    assert all("trunk" in name for name in report.ignored)
    assert any("blocks" in name for name in report.initial)
    np.testing.assert_array_equal(model.decoder.dense_out.kernel, before)
    assert "1 of another shape" in report.text()
    assert "[16, 22] saved, [8, 22] here" in report.text()


def test_a_checkpoint_of_something_else_is_refused(rng, tmp_path):
    path = tf.train.Checkpoint(model=tf.Module()).write(str(tmp_path / "ckpt"))
    with pytest.raises(ValueError, match="nothing that this model has"):
        warm_start.restore_matching(build("gin/stage1.gin", rng), path)


def test_a_missing_checkpoint_is_named(rng, tmp_path):
    with pytest.raises(FileNotFoundError, match="ckpt-"):
        warm_start.compare(build("gin/stage1.gin", rng), str(tmp_path))
