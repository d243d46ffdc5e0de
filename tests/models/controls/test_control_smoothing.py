"""The order of head and smoother, with arithmetic for both."""

import numpy as np
import tensorflow as tf

from models.controls import control_smoothing
from models.controls import smoothing


class Doubling:
    """A head that doubles, and renormalises to a sum of f0."""

    def __init__(self):
        self.steps = []

    def __call__(self, raw, f0_hz, step=None):
        self.steps.append(step)
        return {key: 2.0 * value for key, value in raw.items()}

    def renormalize(self, distribution, f0_hz):
        return f0_hz * distribution / tf.reduce_sum(distribution, -1, keepdims=True)


RAW = {
    "amps": tf.constant([[[1.0], [4.0]]]),
    "harmonic_distribution": tf.constant([[[2.0, 3.0], [4.0, 1.0]]]),
    "noise_magnitudes": tf.constant([[[5.0], [0.0]]]),
}
F0_HZ = tf.constant([[[10.0], [100.0]]])


def run(position, smooth=lambda controls: {k: v - 3.0 for k, v in controls.items()}):
    head = Doubling()
    found = control_smoothing.scale_and_smooth(
        RAW, F0_HZ, head=head, smooth=smooth, position=position, step=7
    )
    assert set(head.steps) == {7}
    return [{key: v.numpy().ravel().tolist() for key, v in c.items()} for c in found]


def test_smoothing_after_the_head_ends_at_zero_and_renormalises():
    smoothed, unsmoothed = run("after")
    assert smoothed == {
        "amps": [0.0, 5.0],  # 2 - 3 and 8 - 3
        "harmonic_distribution": [2.5, 7.5, 100.0, 0.0],  # of 1, 3 and of 5, -1
        "noise_magnitudes": [7.0, 0.0],
    }
    assert unsmoothed["amps"] == [2.0, 8.0]
    assert unsmoothed["harmonic_distribution"] == [4.0, 6.0, 8.0, 2.0]


def test_smoothing_before_the_head_leaves_the_rest_to_it():
    smoothed, unsmoothed = run("before")
    assert smoothed["amps"] == [-4.0, 2.0]
    assert smoothed["harmonic_distribution"] == [-2.0, 0.0, 2.0, -4.0]
    assert unsmoothed["amps"] == [2.0, 8.0]


def test_no_smoothing_gives_the_same_twice():
    for position in control_smoothing.POSITIONS:
        smoothed, unsmoothed = run(position, None)
        assert smoothed == unsmoothed
        assert smoothed["noise_magnitudes"] == [10.0, 0.0]


def test_targets_are_smoothed_and_others_passed_on():
    layer = control_smoothing.ControlSmoothing()
    assert layer.position == "after"
    assert set(layer.smoothers) == {"amps", "noise_magnitudes"}
    smoothed = layer(RAW)
    # One-poles of 0.8 that start at the first frame.
    np.testing.assert_allclose(smoothed["amps"].numpy().ravel(), [1.0, 1.6])
    np.testing.assert_allclose(smoothed["noise_magnitudes"].numpy().ravel(), [5, 4])
    np.testing.assert_array_equal(
        smoothed["harmonic_distribution"], RAW["harmonic_distribution"]
    )
    assert list(RAW) == list(smoothed)
    only = control_smoothing.ControlSmoothing(targets=("harm_dist",))
    assert set(only.smoothers) == {"harmonic_distribution"}


def test_latency_is_that_of_the_slowest():
    kinds = iter([smoothing.OnePole, smoothing.Fir])
    layer = control_smoothing.ControlSmoothing(lambda: next(kinds)())
    assert layer.latency_frames == 2
    assert control_smoothing.ControlSmoothing().latency_frames == 0


def test_changes_may_be_added_up_before_the_head_alone():
    layer = control_smoothing.ControlSmoothing(smoothing.ArResidual, position="before")
    assert layer.position == "before"
