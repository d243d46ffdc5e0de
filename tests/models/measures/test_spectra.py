"""The array form of the multi-scale distance against the form that training uses."""

import numpy as np
import pytest

from models.losses import spectral
from models.measures import spectra
from models.monitoring import held_out

TOLERANCE = 1e-4  # relative: two orders of float32 transforms


@pytest.fixture
def pair(rng):
    return 0.1 * rng.normal(size=(2, 2, 4000)).astype(np.float32)


@pytest.mark.long
def test_arrays_and_tensors_give_the_same_terms(pair):
    ref, est = pair[:, 0]
    terms = spectral.spectral_terms(
        est[np.newaxis], ref[np.newaxis], fft_sizes=spectra.FFT_SIZES
    )
    for size in spectra.FFT_SIZES:
        mag, logmag = spectra.mean_differences(ref, est, fft_size=size)
        np.testing.assert_allclose(terms[f"mag_{size}"], mag, rtol=TOLERANCE)
        np.testing.assert_allclose(terms[f"logmag_{size}"], logmag, rtol=TOLERANCE)


def test_held_out_distance_has_its_floor_below_the_logarithm(pair):
    ref, est = pair
    expected = np.zeros(2)
    for size in spectra.FFT_SIZES:
        for row in range(2):
            one, other = (spectra.magnitudes(x[row], fft_size=size) for x in pair)
            logs = [np.log(x + held_out.LOG_FLOOR) for x in (one, other)]
            expected[row] += (
                np.abs(one - other).mean() + np.abs(logs[0] - logs[1]).mean()
            )
    found = held_out.spectral_distance(est, references=held_out.spectrograms(ref))
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
