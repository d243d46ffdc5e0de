"""Fixtures that several test modules share."""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import pathlib
import sys

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SEED = 20200
RECORDINGS = REPOSITORY.parent / "shared" / "recordings"


@pytest.fixture(autouse=True)
def _seeded_tensorflow() -> None:
    """The same initial weights in every run; tests without TensorFlow stay without."""
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        tensorflow.keras.utils.set_random_seed(SEED)


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
