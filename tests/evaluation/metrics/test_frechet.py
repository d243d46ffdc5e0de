import json

import numpy as np
import pytest
import scipy.linalg
import soundfile
import tensorflow as tf

from evaluation import run_fad
from evaluation.metrics import frechet
from evaluation.summary import builder
from prep import errors

TOLERANCE = 1e-8  # relative; two float64 ways to the same trace


def test_two_normal_distributions_of_one_feature():
    # Means 0 and 3, variances 1 and 4: 9 + 1 + 4 - 2 * sqrt(4).
    ref = np.array([[-1.0], [0.0], [1.0]])
    assert frechet.frechet_distance(ref, 3.0 + 2.0 * ref) == pytest.approx(10.0)


@pytest.mark.parametrize("n", [200, 5])  # 5: covariances of rank 4 of 12
def test_equals_the_matrix_square_root(rng, n):
    ref = rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12))
    est = 0.3 + rng.normal(size=(n + 7, 12)) @ rng.normal(size=(12, 12))
    c1, c2 = np.cov(ref.T), np.cov(est.T)
    root = scipy.linalg.sqrtm(c1)
    cross = np.trace(scipy.linalg.sqrtm(root @ c2 @ root)).real
    mean = np.sum(np.square(ref.mean(0) - est.mean(0)))
    expected = mean + np.trace(c1) + np.trace(c2) - 2.0 * cross
    tolerance = TOLERANCE if n > 12 else 1e-4  # sqrtm of a singular matrix is worse
    assert frechet.frechet_distance(ref, est) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(
    ("ref", "est", "said"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), "at least 2"),
        (np.zeros((4, 3)), np.full((4, 3), np.nan), "not finite"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "3 features and est 2"),
    ],
)
def test_what_cannot_be_compared_is_said(ref, est, said):
    with pytest.raises(ValueError, match=said):
        frechet.frechet_distance(ref, est)


class Loudness(tf.Module):
    """A toy embedding: mean and level of each half second."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, audio):
        frames = tf.signal.frame(audio, 8000, 8000)
        level = tf.math.log(1e-6 + tf.reduce_mean(frames**2, axis=1))
        return tf.stack([tf.reduce_mean(frames, axis=1), level], axis=1)


@pytest.fixture
def report(tmp_path, rng):
    clips = []
    for number in range(3):
        folder = tmp_path / f"clip-{number}"
        folder.mkdir()
        tone = 0.1 * rng.normal(size=32000)
        for who, gain in (("recording", 1.0), ("near", 0.9), ("far", 0.1)):
            soundfile.write(folder / f"{who}.flac", gain * tone, 16000)
        tracks = [
            {"who": who, "audio": f"{who}.flac"} for who in ("recording", "near", "far")
        ]
        clips.append({"folder": folder.name, "tracks": tracks})
    empty = {name: kind() for name, kind in builder.PARTS.items()}
    document = {**empty, "schema_version": builder.SCHEMA_VERSION, "clips": clips}
    (tmp_path / "summary.json").write_text(json.dumps(document))
    return tmp_path


def test_the_nearer_system_has_the_smaller_distance(report):
    tf.saved_model.save(Loudness(), str(report / "embedding"))
    result = run_fad.measure(report, run_fad.load_embedding(report / "embedding"))
    assert (result["n_clips"], result["n_embeddings"]) == (3, 12)
    assert 0.0 < result["fad"]["near"] < 0.1 < 10.0 < result["fad"]["far"]


def test_a_report_without_audio_is_one_sentence(report):
    document = json.loads((report / "summary.json").read_text())
    (report / "summary.json").write_text(json.dumps(document | {"clips": []}))
    with pytest.raises(errors.InputError, match="--max_embedded_clips=200"):
        run_fad.measure(report, lambda audio: audio)


def test_a_missing_model_or_report_is_one_sentence(tmp_path):
    with pytest.raises(errors.InputError, match="not a SavedModel"):
        run_fad.load_embedding(tmp_path / "nothing")
    with pytest.raises(errors.InputError, match="run ddsp_report first"):
        run_fad.measure(tmp_path, lambda audio: audio)
