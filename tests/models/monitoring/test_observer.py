"""Control statistics, measured harmonics, alarms, dumps: numbers worked out by hand."""

import io
import json

import numpy as np
import pytest
import scipy.spatial.distance
from matplotlib import image

from models.measures import control_arrays
from models.measures import levels
from models.measures import reference
from models.measures import statistics
from models.monitoring import alarms
from models.monitoring import plots
from models.runs import metrics_log
from models.training import progress_line
from models.training import selection

SAMPLE_RATE = 16000
HOP = 64


def _clips(shares, amps, noise=None, f0_hz=None):
    """Controls of one clip a row, at 440 Hz unless f0 is given."""
    shares = np.asarray(shares, np.float64)
    f0_hz = np.full(shares.shape[:2], 440.0) if f0_hz is None else f0_hz
    arrays = {
        "amps": np.asarray(amps)[..., np.newaxis],
        "f0_hz": f0_hz[..., np.newaxis],
    }
    arrays["harmonic_distribution"] = shares
    if noise is not None:
        arrays["noise_magnitudes"] = noise
    return [
        control_arrays.from_model(
            {key: value[row] for key, value in arrays.items()},
            sample_rate=SAMPLE_RATE,
            frame_rate=250,
        )
        for row in range(len(shares))
    ]


def _statistics(shares, amps, noise=None, counted=None, f0_hz=None):
    clips = _clips(shares, amps, noise, f0_hz)
    counted = np.ones(np.shape(amps), bool) if counted is None else counted
    return statistics.statistics(clips, counted)


def test_equal_shares_have_the_entropy_of_their_number():
    f0_hz = np.full([1, 5], 950.0)  # eight harmonics lie below 8 kHz
    found = _statistics(np.full([1, 5, 8], 1 / 8), np.full([1, 5], 0.1), f0_hz=f0_hz)
    assert found["entropy_nats"] == pytest.approx(np.log(8))
    assert found["normalized_entropy"] == pytest.approx(1.0)
    assert found["effective_harmonics"] == pytest.approx(8.0)
    assert found["top1_share"] == pytest.approx(1 / 8)
    assert found["distribution_spread"] == pytest.approx(0.0)
    # Eight sines of amplitude 0.1 / 8, each of power a^2 / 2.
    assert found["gain_median_db"] == pytest.approx(10 * np.log10(0.1**2 / 2 / 8))
    assert found["gain_range_db"] == pytest.approx(0.0)


def test_movement_is_measured_frame_by_frame():
    """Shares swap between two harmonics, the gain alternates by 20 dB."""
    shares = np.tile([[1.0, 0.0], [0.0, 1.0]], [1, 4, 1])
    amps = np.tile([0.1, 1.0], [1, 4])
    found = _statistics(shares, amps)
    assert found["distribution_variation"] == pytest.approx(1.0)
    assert found["distribution_spread"] == pytest.approx(0.5)
    assert found["gain_variation_db"] == pytest.approx(20.0)
    assert found["gain_spread_db"] == pytest.approx(10.0)
    assert found["top1_share"] == pytest.approx(1.0)


def test_clip_diversity_is_between_examples_and_not_within_them():
    """All alternate; the frames of the last example do not count."""
    first = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]  # mean 1/2, 1/2, 0
    other = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]  # mean 0, 1/2, 1/2
    shares = np.array([first, other, first, [[0.0, 0.0, 1.0]] * 2])
    counted = np.array([[True, True]] * 3 + [[False, False]])
    found = _statistics(shares, np.ones([4, 2]), counted=counted)
    mean = [1 / 3, 1 / 2, 1 / 6]
    apart = [
        scipy.spatial.distance.jensenshannon(one, mean, base=2) ** 2
        for one in ([1 / 2, 1 / 2, 0], [0, 1 / 2, 1 / 2], [1 / 2, 1 / 2, 0])
    ]
    assert found["clip_diversity"] == pytest.approx(np.mean(apart), rel=1e-5)
    alike = _statistics(shares[[0, 0]], np.ones([2, 2]))
    assert alike["clip_diversity"] == pytest.approx(0.0)
    assert alike["distribution_spread"] == pytest.approx(0.5)


def test_pitch_alone_is_no_clip_diversity():
    """All harmonics below Nyquist are equal; the higher note has half as many."""
    shares = np.zeros([2, 5, 8])
    shares[0] = 1 / 8
    shares[1, :, :4] = 1 / 4
    f0_hz = np.full([2, 5], 900.0)
    f0_hz[1] = 1800.0
    found = _statistics(shares, np.full([2, 5], 0.1), f0_hz=f0_hz)
    assert found["clip_diversity"] < 0.01
    assert _statistics(shares, np.full([2, 5], 0.1))["clip_diversity"] > 0.05


def test_clip_diversity_of_one_example_is_not_a_number():
    found = _statistics(np.full([1, 5, 8], 1 / 8), np.full([1, 5], 0.1))
    assert np.isnan(found["clip_diversity"])


def test_noise_share_is_one_of_power():
    """A sine of amplitude 0.1: 0.005. Uniform noise through 0.1: 0.01 / 3."""
    found = _statistics(
        np.ones([1, 3, 1]), np.full([1, 3], 0.1), np.full([1, 3, 9], 0.1)
    )
    assert found["noise_share"] == pytest.approx((0.01 / 3) / (0.005 + 0.01 / 3))


def test_frames_that_do_not_count_are_left_out():
    shares = np.array([[[1.0, 0.0], [0.5, 0.5]]])
    found = _statistics(shares, np.ones([1, 2]), counted=np.array([[True, False]]))
    assert found["top1_share"] == 1.0
    nothing = _statistics(shares, np.ones([1, 2]), counted=np.zeros([1, 2], bool))
    assert all(np.isnan(value) for value in nothing.values())


def _tone(f0_hz, amplitudes, *, noise=0.0, secs=0.5):
    times = np.arange(int(secs * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(
        a * np.sin(2 * np.pi * k * f0_hz * times + k)
        for k, a in enumerate(amplitudes, start=1)
    )
    rng = np.random.default_rng(1)
    return tone + noise * rng.normal(size=len(times))


def test_noise_share_of_a_recording_is_measured():
    """Noise of power 0.005 beside a sine of power 0.005."""
    audio = _tone(440.0, [0.1], noise=np.sqrt(0.005), secs=2.0)
    frames = np.full(len(audio) // HOP, 440.0)
    clips = reference.measure_batch(
        {"audio": audio[np.newaxis], "f0_hz": frames[np.newaxis, :, np.newaxis]},
        sample_rate=SAMPLE_RATE,
        n_harmonics=10,
    )
    found = statistics.statistics(clips, np.ones([1, len(frames)], bool))
    assert found["noise_share"] == pytest.approx(0.5, abs=0.08)


def test_a_frame_without_its_pitch_does_not_drown_the_rest():
    """One frame of forty whose pitch is far off: it alone counts as noise."""
    audio = _tone(440.0, [0.1])
    frames = np.full(len(audio) // HOP, 440.0)
    frames[40::40] = 660.0
    clips = reference.measure_batch(
        {"audio": audio[np.newaxis], "f0_hz": frames[np.newaxis, :, np.newaxis]},
        sample_rate=SAMPLE_RATE,
        n_harmonics=10,
    )
    found = statistics.statistics(clips, np.ones([1, len(frames)], bool))
    assert found["noise_share"] < 0.05


def test_logs_of_older_runs_are_read_under_todays_names(tmp_path):
    rows = [{"step": 0, "held_out/spectral_loss": 5.5, "controls/top1_share": 0.5}]
    rows[0]["controls/harmonic_distribution_entropy"] = 1.2
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text)
    assert metrics_log.read_metrics(tmp_path) == [
        {
            "step": 0,
            "held_out/spectral_distance": 5.5,
            "controls/top1_share": 0.5,
            "controls/entropy_nats": 1.2,
        }
    ]


HEALTHY = {
    "distribution_spread": 0.15,
    "gain_spread_db": 5.0,
    "top1_share": 0.6,
    "noise_share": 0.1,
    "level_db": -20.0,
    "level_slope": 1.0,
}


@pytest.mark.parametrize(
    ("changes", "name", "numbers"),
    [
        ({"distribution_spread": 0.02}, "distribution static", ("0.02", "0.15")),
        ({"gain_spread_db": 0.5}, "gain static", ("0.5 dB", "5 dB")),
        ({"top1_share": 0.85}, "one harmonic", ("85%", "60%")),
        ({"noise_share": 0.6}, "noise takes over", ("60%", "10%")),
        ({"level_db": -45.0}, "silence", ("-45.0", "-20.0")),
        ({"level_slope": 0.4}, "level does not follow", ("0.40 dB", "1 dB")),
    ],
)
def test_each_collapse_is_found_and_told_with_numbers(changes, name, numbers):
    found = alarms.findings(HEALTHY | changes, HEALTHY)
    assert [item.name for item in found] == [name]
    for number in numbers:
        assert number in found[0].text


def test_what_the_recordings_do_too_is_no_collapse():
    """A flute: nearly one harmonic, a held note, hardly any movement."""
    flute = HEALTHY | {
        "top1_share": 0.93,
        "distribution_spread": 0.01,
        "gain_spread_db": 0.5,
    }
    model = flute | {"distribution_spread": 0.0, "gain_spread_db": 0.01}
    assert alarms.findings(model, flute) == []
    assert alarms.findings(HEALTHY, HEALTHY) == []


def test_nan_raises_nothing():
    unknown = dict.fromkeys(HEALTHY, float("nan"))
    assert alarms.findings(unknown, HEALTHY) == []
    assert alarms.findings(HEALTHY, unknown) == []


def test_watch_waits_warns_once_and_withdraws(caplog):
    watch = alarms.AlarmWatch(after_step=100)
    silent = alarms.findings(HEALTHY | {"level_db": -60.0}, HEALTHY)
    assert watch.observe(silent, step=50) == ()
    assert watch.observe(silent, step=100) == ()
    assert watch.observe(silent, step=150) == ("silence",)
    assert watch.observe(silent, step=200) == ("silence",)
    assert caplog.text.count("alarm: silence: the output is at -60.0 dBFS") == 1
    assert watch.observe([], step=250) == ()
    assert "withdrawn" in caplog.text


LEVEL_TOLERANCE_DB = 0.01  # of a slope; what a moving average of 50 ms leaves
ALL_FRAMES = np.ones([2, 500], bool)  # of two clips of 2 s


def _fading(rng, falls_db):
    """Noise that falls by so many dB in each clip, 2 s at 250 frames a second."""
    ramp = np.linspace(0.0, 1.0, 2 * SAMPLE_RATE)
    gains = 10.0 ** (-np.array(falls_db)[:, np.newaxis] * ramp / 20.0)
    return rng.choice([-0.1, 0.1], 2 * SAMPLE_RATE) * gains


@pytest.mark.parametrize("followed", [1.0, 0.5, 0.0])
def test_slope_says_how_much_of_a_fade_is_followed(rng, followed):
    recordings = _fading(rng, [20.0, 10.0])
    audio = 0.3 * _fading(rng, [20.0 * followed, 10.0 * followed])
    found = levels.slope(audio, recordings, counted=ALL_FRAMES, frame_rate=250)
    assert found == pytest.approx(followed, abs=LEVEL_TOLERANCE_DB)


def test_slope_sees_clips_of_different_level(rng):
    """Two steady clips 20 dB apart; a model that plays both alike does not follow."""
    recordings = _fading(rng, [0.0, 0.0]) * [[1.0], [0.1]]
    alike = _fading(rng, [0.0, 0.0])
    assert levels.slope(
        recordings, recordings, counted=ALL_FRAMES, frame_rate=250
    ) == pytest.approx(1.0)
    assert levels.slope(
        alike, recordings, counted=ALL_FRAMES, frame_rate=250
    ) == pytest.approx(0.0, abs=LEVEL_TOLERANCE_DB)


def test_slope_is_unknown_where_nothing_moves_or_counts(rng):
    steady, fading = _fading(rng, [0.0, 1.0]), _fading(rng, [20.0, 20.0])
    options = {"counted": ALL_FRAMES, "frame_rate": 250}
    assert np.isnan(levels.slope(fading, steady, **options))
    assert np.isnan(levels.slope(0 * fading, 0 * fading, **options))
    nothing = options | {"counted": ~ALL_FRAMES}
    assert np.isnan(levels.slope(fading, fading, **nothing))
    assert levels.slope(0 * fading, fading, **options) == pytest.approx(0.0)


def _chosen(measurements, **options):
    """Step of the best among (loss, collapsed), one every 50 steps."""
    progress = selection.Progress()
    for place, (loss, collapsed) in enumerate(measurements):
        selection.note_measurement(
            progress,
            loss=loss,
            step=50 * place,
            min_delta=0.0,
            collapsed=collapsed,
            **options,
        )
    return int(progress.best_step.numpy()), float(progress.best_loss.numpy())


@pytest.mark.parametrize(
    ("measurements", "penalty", "step"),
    [
        ([(8.0, True), (8.4, False)], 0.1, 50),  # a healthy one may be 10 % worse
        ([(8.4, False), (8.0, True)], 0.1, 0),
        ([(8.0, True), (8.9, False)], 0.1, 0),  # and no more
        ([(8.9, False), (8.0, True)], 0.1, 50),
        ([(8.0, True), (7.9, True), (7.95, True)], 0.1, 50),  # all alike: the loss
        ([(8.0, True), (8.4, False)], 0.0, 0),
        ([(8.0, True), (8.4, False), (np.nan, False)], 0.1, 50),
    ],
)
def test_a_collapsed_measurement_counts_for_more(measurements, penalty, step):
    found, loss = _chosen(measurements, collapse_penalty=penalty)
    assert found == step
    assert loss == pytest.approx(measurements[step // 50][0])


def test_wavetable_of_one_harmonic_is_its_sine():
    period = plots.wavetable(0.5, np.array([0.0, 1.0]))
    angle = 2 * np.pi * np.arange(512) / 512
    np.testing.assert_allclose(period, 0.5 * np.sin(2 * angle), atol=1e-12)


def _shown(step, rng, n_frames=50):
    shares = rng.dirichlet(np.ones(6), n_frames)
    amps = rng.uniform(0.01, 0.3, n_frames)
    noise = rng.uniform(0, 0.01, [n_frames, 9])
    return plots.Shown(
        f0_hz=np.full(n_frames, 300.0),
        f0_confidence=rng.uniform(0, 1, n_frames),
        loudness_db=rng.uniform(-60, -20, n_frames),
        amps=amps,
        harmonic_distribution=shares,
        noise_magnitudes=noise,
        raw_amps=amps,
        raw_harmonic_distribution=shares,
        raw_noise_magnitudes=noise,
        step=step,
        name="a clip",
        frame=7,
        sample_rate=SAMPLE_RATE,
        frame_rate=250,
    )


@pytest.mark.slow
def test_pictures_are_drawn(rng, tmp_path):
    shown = _shown(20, rng)
    plots.overview(shown, tmp_path / "overview.png")
    plots.smoothing(shown, tmp_path / "smoothing.png")
    plots.comparison([shown, _shown(40, rng)], tmp_path / "compare.png")
    for path in tmp_path.glob("*.png"):
        pixels = image.imread(io.BytesIO(path.read_bytes()))
        assert pixels.shape[0] >= 600
        assert pixels[..., :3].std() > 0.1  # something is on it
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_total_variation_is_the_mean_step():
    assert plots.total_variation(np.array([0.0, 1.0, 0.0])) == 1.0
    assert plots.total_variation(np.array([[0.0, 0.0], [1.0, 2.0]])) == 3.0


def test_progress_line_reads_as_a_person_reads():
    row = {
        "step": 120,
        "losses/total_loss": 5.25,
        "held_out/spectral_distance": 5.5,
        "held_out/best_loss": 5.4,
        "held_out/best_step": 100,
        "time/step_ms": 310.0,
    }
    text = progress_line.progress_text(row, 2000, 1234.0, ("silence",))
    assert text == (
        "step 120/2000  loss 5.250  held-out 5.500 (best 5.400 at 100)  310 ms/step  "
        "21 min left  ALARM silence"
    )


def test_progress_in_a_file_is_spaced_and_quiet_is_silent():
    stream = io.StringIO()
    line = progress_line.ProgressLine(n_steps=100, stream=stream)
    for step in range(100):
        line.update({"step": step})
    line.update({"step": 100})
    assert stream.getvalue().count("\n") == 2
    silent = io.StringIO()
    progress_line.ProgressLine(n_steps=1, quiet=True, stream=silent).update({"step": 1})
    assert silent.getvalue() == ""


def test_metrics_survive_a_line_cut_short_and_drop_later_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "los')
    assert [row["step"] for row in metrics_log.read_metrics(tmp_path)] == [1, 2]
    log = metrics_log.MetricsLog(tmp_path, first_step=1)
    log.write({"step": 2, "value": float("nan")})
    log.close()
    assert metrics_log.read_metrics(tmp_path) == [
        {"step": 1},
        {"step": 2, "value": None},
    ]


def test_the_last_step_is_read_from_the_end_of_the_log(tmp_path, monkeypatch):
    """The matrix asks each second; reading all of a long log would take its time."""
    row = '{"step": %d, "losses/total_loss": 1.0}\n'
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(row % step for step in range(20_000)))
    assert path.stat().st_size > 10 * metrics_log.TAIL_SIZE
    sizes, whole_rows = [], metrics_log._whole_rows
    monkeypatch.setattr(
        metrics_log,
        "_whole_rows",
        lambda content: (sizes.append(len(content)), whole_rows(content))[1],
    )
    assert metrics_log.last_step(tmp_path) == 19_999
    assert max(sizes) <= metrics_log.TAIL_SIZE
