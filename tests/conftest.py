"""Fixtures that several test modules share."""

import ddsp_compat  # noqa: F401  isort: skip  (before TensorFlow)

import pathlib

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
RECORDINGS = REPOSITORY.parent / "shared" / "recordings"


@pytest.fixture
def rng() -> np.random.Generator:
    """The one source of randomness of a test; the same numbers in every run."""
    return np.random.default_rng(20200)


@pytest.fixture
def recordings() -> pathlib.Path:
    """The folder of real recordings beside the repository; skips where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no real recordings at {RECORDINGS.name}/ beside the repository")
    return RECORDINGS
