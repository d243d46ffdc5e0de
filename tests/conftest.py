"""Fixtures that several test modules share."""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import gc
import importlib
import pathlib
import sys
import zlib
from unittest import mock

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SEED = 20200
RECORDINGS = REPOSITORY.parent / "shared" / "recordings"
GC_THRESHOLD = 20_000  # new objects before Python looks for garbage; its own is 700

# What is imported stays to the end. A tenth of the tests' time went into looking for
# garbage in it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on garbage is looked for, in what the tests make."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()


@pytest.fixture(autouse=True)
def _seeded_tensorflow(request: pytest.FixtureRequest) -> None:
    """The same initial weights in every run; tests without TensorFlow stay without.

    Seeding throws away TensorFlow's kernels, so that random ones begin anew; making
    those of a compiled function again costs a second. They are kept by hiding them from
    it, and a seed of its own gives each test random kernels of its own.
    """
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        context = importlib.import_module("tensorflow.python.eager.context")
        with mock.patch.object(context.context(), "_context_handle", None):
            tensorflow.keras.utils.set_random_seed(SEED)  # Keras's, numpy's, Python's
            tensorflow.random.set_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def clean_gin():
    """Leaves no configuration behind."""
    yield
    importlib.import_module("gin").clear_config()


@pytest.fixture
def rng() -> np.random.Generator:
    """The one source of randomness of a test; the same numbers in every run."""
    return np.random.default_rng(SEED)


@pytest.fixture
def recordings() -> pathlib.Path:
    """The folder of real recordings beside the repository; skips where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no real recordings at {RECORDINGS.name}/ beside the repository")
    return RECORDINGS
