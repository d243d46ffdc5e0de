"""Products in bfloat16, and CREPE with them against CREPE in float32."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from prep import products as products_lib
from prep import tensorflow_setup
from prep.pitch import network as crepe_network
from prep.pitch import tracker
from tests.helpers import tones

ROUNDED = products_lib.Products("bfloat16", native=False)
NATIVE = products_lib.Products("bfloat16", native=True)
# What is asked for where the confidence is above 0.5, and of the confidence.
BATCH_FRAMES = 16
LAST_BIT = 2.0**-7  # of bfloat16, relative
MAX_CENTS, MAX_CONFIDENCE_ERROR = 1.0, 0.01
CAPACITIES = ["tiny", pytest.param("full", marks=pytest.mark.slow)]


def multiply(products: products_lib.Products, left, right) -> np.ndarray:
    product = products.rounded(tf.constant(left)) @ products.constant(right)
    product = products.float32(product)
    assert product.dtype == tf.float32
    return product.numpy()


def test_float32_is_the_plain_product(rng):
    left, right = rng.normal(size=(2, 5, 5)).astype(np.float32)
    products = products_lib.Products()
    expected = tf.matmul(left, right)
    np.testing.assert_array_equal(multiply(products, left, right), expected)


def test_factors_and_results_keep_eight_bits_and_sums_more():
    # 257 is halfway between 256 and 258 and goes to the even 256; so does 259 to 260.
    left = np.array([[257.0, 1.0, 1.0]], np.float32)
    right = np.array([[3.0], [259.0], [0.25]], np.float32)
    # 768 + 260 + 0.25 lies just above the middle of 1024 and 1032: 1028 would go down.
    assert multiply(ROUNDED, left, right) == [[1032.0]]


def test_products_of_tensorflow_are_the_same_to_a_unit_of_the_last_bit(rng):
    left, right = rng.normal(size=(2, 9, 1)).astype(np.float32)
    found, expected = (multiply(one, left, right.T) for one in (NATIVE, ROUNDED))
    # TensorFlow cuts off where the processor has no products that round.
    np.testing.assert_allclose(found, expected, rtol=LAST_BIT)


@pytest.mark.parametrize("lacks", [True, False])
def test_precision_chooses_what_the_processor_has(lacks, monkeypatch):
    monkeypatch.setattr(tensorflow_setup, "lacks_bfloat16", lambda: lacks)
    assert products_lib.products_of("bfloat16").native is not lacks
    assert products_lib.products_of("float32").precision == "float32"


@functools.cache
def activations_of(capacity: str, products: products_lib.Products):
    network = crepe_network.CrepeNetwork(
        capacity, batch_frames=BATCH_FRAMES, products=products
    )
    return network.activations


def compare(audio, capacity, products=ROUNDED) -> tuple[np.ndarray, np.ndarray]:
    """Cents where float32 is confident, and differences of the confidence."""
    exact, rounded = (
        tracker.decode_viterbi(activations_of(capacity, one)(audio))
        for one in (products_lib.Products(), products)
    )
    sure = exact[1] > tracker.MIN_CONFIDENCE
    assert sure.mean() > 0.5
    cents = 1200 * np.abs(np.log2(rounded[0] / exact[0]))[sure]
    return cents, np.abs(rounded[1] - exact[1])


@pytest.mark.slow
@pytest.mark.crepe
@pytest.mark.parametrize("capacity", CAPACITIES)
def test_synthetic_pitch_is_that_of_float32(capacity, rng):
    cents, confidence = compare(tones.gliding(rng), capacity)
    assert 0 < cents.max() < MAX_CENTS
    assert 0 < confidence.max() < MAX_CONFIDENCE_ERROR


@pytest.mark.crepe
@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize(
    "name",
    ["vsco2_flute/flute_C4.wav", "alesgenova_violin/violin-D4.wav"],
    ids=["flute", "violin"],
)
def test_real_pitch_is_that_of_float32(capacity, name, recordings):
    audio = tones.recorded(recordings / name)[8000:16000]
    cents, confidence = compare(audio, capacity)
    assert cents.max() < MAX_CENTS
    assert confidence.max() < MAX_CONFIDENCE_ERROR


@pytest.mark.slow
@pytest.mark.crepe
def test_products_of_tensorflow_give_the_same_pitch(rng):
    cents, confidence = compare(tones.gliding(rng, 8000), "tiny", NATIVE)
    assert np.median(cents) < MAX_CENTS
    assert np.median(confidence) < MAX_CONFIDENCE_ERROR
