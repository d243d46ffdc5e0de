"""Frames: where they are cut, their mean and deviation, the offset they share."""

import numpy as np
import pytest

from prep.pitch import frames

FRAME = frames.FRAME_SIZE


def cut(audio, **changed):
    options = dict(batch_frames=2, hop_size=64, n_frames=None, center=False)
    chunks = changed.pop("chunks", [audio])
    return list(frames.cut_spans(chunks, **{**options, **changed}))


@pytest.mark.parametrize(
    ("n_samples", "options", "wanted"),
    [
        (FRAME + 4 * 64, {}, [2, 2, 1]),
        (FRAME + 4 * 64 - 1, {}, [2, 2]),  # only what lies wholly inside
        (FRAME, {}, [1]),
        (FRAME, {"batch_frames": 5}, [1]),
        (256, {"center": True}, [2, 2, 1]),  # at 0, 64, ..., 256
        (255, {"center": True}, [2, 2]),
        (0, {"center": True}, [1]),
        (FRAME, {"n_frames": 0}, []),
        (FRAME, {"n_frames": 5}, [2, 2, 1]),  # and zeros
        (9 * FRAME, {"n_frames": 3}, [2, 1]),
        (9 * FRAME, {"n_frames": 4}, [2, 2]),
    ],
)
@pytest.mark.parametrize("n_chunks", [1, 7])
def test_spans_hold_the_frames_that_are_wanted(n_samples, options, wanted, n_chunks):
    audio = np.arange(1, n_samples + 1, dtype=np.float32)
    spans = cut(audio, chunks=np.array_split(audio, n_chunks), **options)
    assert [n for _, n in spans] == wanted
    n_batch = options.get("batch_frames", 2)
    margin = FRAME // 2 if options.get("center") else 0
    padded = np.concatenate([np.zeros(margin), audio, np.zeros(20 * FRAME)])
    for i, (span, _) in enumerate(spans):
        first = i * n_batch * 64
        size = FRAME + (n_batch - 1) * 64
        assert span.dtype == np.float32
        np.testing.assert_array_equal(span, padded[first : first + size])


def test_faults_of_the_audio_are_named():
    audio = np.zeros(5000, np.float32)
    audio[4321] = np.nan
    with pytest.raises(ValueError, match="the first at sample 4321;"):
        cut(audio, chunks=np.array_split(audio, 3))
    with pytest.raises(ValueError, match=r"shape \(2, 5000\); one row"):
        cut(np.zeros((2, 5000)))
    with pytest.raises(ValueError, match="has 1023 samples at 16 kHz; without"):
        cut(np.zeros(1023))


@pytest.mark.parametrize("hop_size", [64, 128, 50, 1024])
def test_mean_and_deviation_are_those_of_each_frame(hop_size, rng):
    n_frames = 5
    span = (0.3 + rng.standard_normal(hop_size * (n_frames - 1) + FRAME)).astype("f4")
    mean, deviation, constant = frames.measure_frames(span, hop_size)
    for i in range(n_frames):
        frame = span[i * hop_size : i * hop_size + FRAME].astype(np.float64)
        np.testing.assert_allclose(mean[i], frame.mean(), rtol=1e-6)
        np.testing.assert_allclose(deviation[i], frame.std(), rtol=1e-6)
    assert len(mean) == len(deviation) == len(constant) == n_frames
    assert not constant.any()


def test_constant_frames_have_a_deviation_of_one_and_faint_ones_a_least():
    span = np.full(FRAME + 64, 0.5, np.float32)
    span[-1] = 0.25
    mean, deviation, constant = frames.measure_frames(span, 64)
    assert list(constant) == [True, False]
    assert deviation[0] == 1.0 and mean[0] == 0.5
    np.testing.assert_allclose(deviation[1], span[64:].std(), rtol=1e-4)
    faint = np.tile(np.float32([1e-9, -1e-9]), FRAME // 2)
    _, deviation, constant = frames.measure_frames(faint, 64)
    assert list(deviation) == [1e-8] and not constant.any()  # as crepe divides


@pytest.mark.parametrize(
    ("mean", "constant", "offset", "far"),
    [
        # Of a deviation of 2, up to 64 is near.
        ([0, 0, 64, 65, 0], [], 0.0, [3]),
        ([0, 64, 65], [], 64.0, []),
        ([0, 100, 100], [], 100.0, [0]),
        ([0, -100, -100], [], -100.0, [0]),
        ([0, 100], [], 50.0, []),
        ([1, 500, 500, 500], [1, 2, 3], 0.0, []),  # constant ones are not computed
        ([100, 100, 7], [2], 100.0, []),
    ],
)
def test_offset_is_none_or_the_common_mean(mean, constant, offset, far):
    flags = np.isin(np.arange(len(mean)), constant)
    found, direct = frames.choose_offset(
        np.array(mean, float), deviation=np.full(len(mean), 2.0), constant=flags
    )
    assert found == offset
    assert list(np.flatnonzero(direct)) == far
