"""One frame at a time: the numbers of the network that takes batches."""

import numpy as np
import pytest

from prep.pitch import network
from prep.pitch import single_frame

pytestmark = pytest.mark.crepe
TOLERANCE = 1e-5  # of an activation; as `test_network` holds the batches
FRAMES = {
    "tone": np.sin(2 * np.pi * 440.0 / 16000 * np.arange(1024)),
    "noise": np.random.default_rng(0).standard_normal(1024),
    "faint on an offset": 0.1 + 1e-3 * np.sin(0.3 * np.arange(1024)),
    "silence": np.zeros(1024),
    "offset": np.full(1024, 0.25),
    "click": np.eye(1, 1024, 700)[0],
}


@pytest.fixture(scope="module")
def networks():
    return single_frame.SingleFrameNetwork("tiny"), network.CrepeNetwork("tiny")


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.long
def test_activations_equal_those_of_a_batch(networks, name):
    frame = FRAMES[name].astype(np.float32)
    single, batches = networks
    expected = batches.activations(frame, 64, n_frames=1, center=False)[0]
    np.testing.assert_allclose(single.activations(frame), expected, atol=TOLERANCE)


@pytest.mark.slow
def test_full_too():
    frame = FRAMES["tone"].astype(np.float32)
    single = single_frame.SingleFrameNetwork("full")
    expected = network.CrepeNetwork("full").activations(
        frame, 64, n_frames=1, center=False
    )
    np.testing.assert_allclose(single.activations(frame), expected[0], atol=TOLERANCE)


def test_a_frame_of_another_length_is_refused(networks):
    with pytest.raises(ValueError, match=r"frame has shape \(512,\); \[1024\]"):
        networks[0].activations(np.zeros(512, np.float32))
