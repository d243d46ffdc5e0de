"""Fréchet audio distance: how far two sets of sounds lie apart in a network's ears.

Embeddings of each set are taken for a normal distribution, and the distance is

    |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))

The embedding is not ours: VGGish by convention, or any other network of audio. A
distance has a meaning only beside another one of the same embedding and the same
number of clips, because few clips make it larger.

Source: Kilgour et al., "Fréchet Audio Distance", Interspeech 2019. The trace of the
root comes from singular values here, so that no root of a product is needed that
rounding has made indefinite (own).
"""

import numpy as np

MIN_EMBEDDINGS = 2  # of a set; one has no covariance


def frechet_distance(ref: np.ndarray, est: np.ndarray) -> float:
    """Distance of two sets of embeddings.

    Args:
        ref: Of the recordings. Shape [n, n_features].
        est: Of a system. Shape [m, n_features].

    Returns:
        Squared distance, 0 or more; not bounded above.

    Raises:
        ValueError: If a set has fewer than two embeddings, holds what is not finite, or
            the sets differ in features.
    """
    ref, est = np.asarray(ref, np.float64), np.asarray(est, np.float64)
    for name, values in (("ref", ref), ("est", est)):
        if values.ndim != 2 or len(values) < MIN_EMBEDDINGS:
            raise ValueError(
                f"{name} has shape {values.shape}; [n, n_features] with at least "
                f"{MIN_EMBEDDINGS} embeddings is needed: give more or longer clips."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds embeddings that are not finite.")
    if ref.shape[1] != est.shape[1]:
        raise ValueError(
            f"ref has {ref.shape[1]} features and est {est.shape[1]}: two embeddings "
            "cannot be compared."
        )
    between = ref.mean(axis=0) - est.mean(axis=0)
    ref_factor, est_factor = _factor(ref), _factor(est)
    # With C1 = A^T A and C2 = B^T B, the eigenvalues of C1 C2 are the squared singular
    # values of A B^T.
    cross = np.linalg.svd(ref_factor @ est_factor.T, compute_uv=False).sum()
    within = np.sum(np.square(ref_factor)) + np.sum(np.square(est_factor))
    return float(max(0.0, between @ between + within - 2.0 * cross))


def _factor(values: np.ndarray) -> np.ndarray:
    """A with A^T A = the covariance; [n, n_features]."""
    return (values - values.mean(axis=0)) / np.sqrt(len(values) - 1)
