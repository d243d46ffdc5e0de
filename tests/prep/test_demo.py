"""Tests of prep.demo: what the rendered instrument sounds like."""

import hashlib
import itertools
import pathlib
import resource

import numpy as np
import pytest
import soundfile

from prep import demo


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    folder = tmp_path_factory.mktemp("demo") / "recordings"
    return demo.render_demo(folder, instrument="trumpet", minutes=0.15, seed=3)


def test_improvise_never_overlaps_and_stays_in_range(rng):
    notes = demo.improvise(rng, lowest=60, secs=30.0)
    assert len(notes) > 10
    for note, following in itertools.pairwise(notes):
        assert note.start_secs < note.end_secs <= following.start_secs
    assert all(60 <= note.pitch <= 60 + demo.RANGE_SEMITONES for note in notes)
    assert notes[-1].end_secs < 30.0


def test_apply_dynamics_makes_soft_darker_and_quieter(rng):
    noise = rng.standard_normal(demo.SYNTH_RATE)
    loud = demo.apply_dynamics(noise, np.ones_like(noise))
    soft = demo.apply_dynamics(noise, np.zeros_like(noise))
    np.testing.assert_allclose(loud, noise)  # the loudest moment is the sample itself

    def high_share(audio: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(audio)) ** 2
        return float(power[len(power) // 4 :].sum() / power.sum())

    assert high_share(soft) < 0.05 * high_share(loud)
    assert np.std(soft) < 10 ** (-demo.DYNAMIC_RANGE_DB / 20) * np.std(loud)


def test_render_demo_is_16k_mono_with_headroom_and_floor(rendered):
    assert len(rendered) == 2
    peaks = []
    for path in rendered:
        audio, sample_rate = soundfile.read(path)
        assert (sample_rate, audio.shape) == (16000, (96000,))
        peaks.append(np.abs(audio).max())
        floor_db = 20 * np.log10(np.std(audio[:1600]))  # before the first note
        assert floor_db == pytest.approx(demo.NOISE_FLOOR_DBFS, abs=0.5)
    assert 20 * np.log10(max(peaks)) == pytest.approx(demo.PEAK_DBFS, abs=0.05)


def test_render_demo_repeats_with_a_seed_and_differs_without(rendered, tmp_path):
    def digests(paths: list[pathlib.Path]) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    kwargs = dict(instrument="trumpet", minutes=0.15)
    again = demo.render_demo(tmp_path / "again", seed=3, **kwargs)
    other = demo.render_demo(tmp_path / "other", seed=4, **kwargs)
    assert digests(again) == digests(rendered)
    assert set(digests(other)).isdisjoint(digests(rendered))


def test_demo_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path):
    """A half-written recording would be taken for one."""
    output = tmp_path / "demo" / "recordings"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            demo.render_demo(output, minutes=0.15)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(output.parent.iterdir()) == []


def test_render_demo_refuses_a_folder_with_recordings(rendered):
    before = {path: path.stat().st_mtime_ns for path in rendered}
    with pytest.raises(FileExistsError, match="another --output"):
        demo.render_demo(rendered[0].parent, instrument="trumpet", minutes=0.15, seed=3)
    assert {path: path.stat().st_mtime_ns for path in rendered} == before
