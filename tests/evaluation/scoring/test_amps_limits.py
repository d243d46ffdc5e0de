import functools
import pathlib
import types

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from evaluation.metrics import catalogue
from evaluation.metrics import collapse
from evaluation.scoring import rendering as model_rendering
from models.controls import heads
from models.measures import frame_masks
from models.measures import model_outputs

N_FRAMES, N_SAMPLES = 20, 1280


def model_with(head):
    return types.SimpleNamespace(head=head)


def test_the_head_of_a_model_says_its_limits():
    head = heads.SoftmaxDbHead(gain_min_db=-20.0, gain_max_db=0.0)
    found = model_outputs.find_amps_limits(model_with(head))
    np.testing.assert_allclose(found, (0.1, 1.0))
    assert model_outputs.find_amps_limits(model_with(heads.LegacyHead())) is None


def test_ddsp_s_own_models_have_exp_sigmoid_s_limits():
    def stock(**kwargs):
        synth = ddsp.synths.Harmonic(N_SAMPLES, name="harmonic", **kwargs)
        inputs = ["amps", "harmonic_distribution", "f0_hz"]
        group = ddsp.processors.ProcessorGroup(dag=[(synth, inputs)])
        return types.SimpleNamespace(processor_group=group)

    limits = model_outputs.find_amps_limits(stock())
    ends = ddsp.core.exp_sigmoid(tf.constant([-100.0, 100.0])).numpy()
    np.testing.assert_allclose(limits, ends, rtol=1e-4)
    # gin hands out a wrapper of what it is bound to.
    wrapped = functools.wraps(ddsp.core.exp_sigmoid)(lambda x: ddsp.core.exp_sigmoid(x))
    assert model_outputs.find_amps_limits(stock(scale_fn=wrapped)) == limits
    assert model_outputs.find_amps_limits(stock(scale_fn=None)) is None
    assert model_outputs.find_amps_limits(types.SimpleNamespace()) is None


class _Loud(tf.keras.Model):
    """Plays every clip with the amplitude 2."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def call(self, batch, training=False):
        del training
        f0_hz = batch["f0_hz"]
        amps = tf.fill(tf.shape(f0_hz), 2.0)
        return {
            "audio_synth": tf.zeros([f0_hz.shape[0], N_SAMPLES]),
            "controls": {
                "amps": amps,
                "harmonic_distribution": tf.repeat(amps, 3, axis=-1),
                "f0_hz": f0_hz,
            },
        }


@pytest.mark.parametrize(
    ("head", "rate"), [(heads.ExpSigmoidHead(), 1.0), (heads.LegacyHead(), None)]
)
def test_a_rendered_clip_knows_the_limits_of_its_head(head, rate):
    dataset = types.SimpleNamespace(
        examples=lambda chunk: {"f0_hz": np.full((len(chunk), 20, 1), 440, np.float32)},
        info=types.SimpleNamespace(
            n_samples=N_SAMPLES,
            example_secs=0.08,
            sample_rate=16000,
            frame_rate=250,
            data_dir="data",
        ),
    )
    run = types.SimpleNamespace(path=pathlib.Path("runs/loud"), model=_Loud(head))
    (rendering,), _ = model_rendering.render_clips(
        run, dataset, [0], seed=0, batch_size=1
    )
    everywhere = np.ones(N_FRAMES, bool)
    score = collapse.saturation_rate(
        rendering.controls,
        frame_masks.Masks(everywhere, everywhere),
        amps_limits=rendering.amps_limits,
    )
    if rate is None:
        assert np.isnan(score.value)
        assert score.reason == "this head has no such limits"
    else:
        assert score.value == rate


def test_saturation_is_compared_although_recordings_have_none():
    metric = catalogue.BY_KEY["saturation_rate"]
    assert metric.badness(0.25, float("nan")) == 0.25
