import ddsp_compat  # noqa: F401  isort: skip

import ddsp
import numpy as np
import pytest
import tensorflow as tf

from models.measures import levels
from models.measures import measured_controls
from models.measures import warped_spectrum

HARMONIC_TOLERANCE_DB = 0.5  # promised of harmonics 20 dB above the noise
NOISE_TOLERANCE_DB = 1.5  # promised of noise bands 20 dB above the tone's leakage
ABOVE_FLOOR_DB = 20.0
JITTER_CENTS = 6.0  # standard deviation of a tracker's error, frame by frame
N_HARMONICS = 60
N_BANDS = measured_controls.N_NOISE_BANDS
EDGE_SECS = 0.05  # windows there are not centred on their frames


def vibrato(f0_hz, semitones):
    return lambda t: f0_hz * 2 ** (semitones / 12 * np.sin(2 * np.pi * 5.5 * t))


def glide(t):
    return 220.0 * 2 ** (t / t[-1])


TRACKS = {
    "40 Hz": vibrato(41.0, 0.1),
    "vibrato": vibrato(440.0, 0.5),
    "wide vibrato": vibrato(392.0, 1.0),
    "glide": glide,
    "2 kHz": vibrato(1900.0, 0.3),
}
RATES = [(16000, 50), (16000, 250), (16000, 500), (48000, 250)]


def amplitude_curves(t, *, tremolo):
    """A distribution that wanders between two shapes, under tremolo."""
    index = np.arange(1, N_HARMONICS + 1)
    bright, dark = index**-0.8, np.exp(-index / 5.0)
    mix = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t)[:, np.newaxis]
    shares = mix * bright / bright.sum() + (1 - mix) * dark / dark.sum()
    gain = 0.3 * (1 + tremolo * np.sin(2 * np.pi * 5 * t))
    return gain[:, np.newaxis] * shares


def noise_curves(n_frames, frame_rate, level_db):
    """Magnitudes of the noise filter: a slope and a wave, swelling by 6 dB."""
    t = np.arange(n_frames)[:, np.newaxis] / frame_rate
    band = np.arange(N_BANDS) / (N_BANDS - 1)
    swell = 6 * np.sin(2 * np.pi * t)
    wave = 3 * np.sin(6 * band + np.pi * t)
    return 10 ** ((level_db - 15 * band + swell + wave) / 20)


def play(track, *, sample_rate, frame_rate, level_db, rng, tremolo=0.3, secs=2.0):
    """Audio with known controls: sines, and noise through ddsp's own filter."""
    t = np.arange(round(secs * sample_rate)) / sample_rate
    hop_size = sample_rate // frame_rate
    f0_hz, amplitudes = track(t), amplitude_curves(t, tremolo=tremolo)
    phase = np.concatenate([[0.0], np.cumsum(f0_hz[:-1])]) / sample_rate
    noise = noise_curves(t.size // hop_size, frame_rate, level_db)
    uniform = rng.uniform(-1, 1, [1, t.size]).astype(np.float32)
    filtered = ddsp.core.frequency_filter(
        uniform, tf.constant(noise[np.newaxis], tf.float32), 0
    )
    audio = filtered[0].numpy().astype(np.float64)
    for k in range(1, N_HARMONICS + 1):
        sounding = amplitudes[:, k - 1] * (k * f0_hz < sample_rate / 2)
        audio += sounding * np.sin(2 * np.pi * (k * phase + rng.uniform()))
    inner = slice(round(EDGE_SECS * frame_rate), -round(EDGE_SECS * frame_rate))
    return audio, f0_hz[::hop_size], amplitudes[::hop_size][inner], noise, inner


def measure(audio, f0_frames, *, sample_rate, frame_rate, rng, **kwargs):
    cents = JITTER_CENTS * rng.standard_normal(f0_frames.size)
    return measured_controls.measure(
        audio,
        f0_frames * 2 ** (cents / 1200),
        sample_rate=sample_rate,
        frame_rate=frame_rate,
        n_harmonics=N_HARMONICS,
        **kwargs,
    )


def in_db(values):
    return 20 * np.log10(np.maximum(values, 1e-9))


@pytest.mark.parametrize(("sample_rate", "frame_rate"), RATES)
@pytest.mark.parametrize("track", TRACKS)
def test_harmonics_above_the_noise_are_within_half_a_db(
    track, sample_rate, frame_rate, rng
):
    rates = {"sample_rate": sample_rate, "frame_rate": frame_rate}
    # A window of 100 ms, four periods of 40 Hz, cannot follow a deep tremolo of 5 Hz.
    tremolo = 0.1 if track == "40 Hz" else 0.3
    audio, f0_frames, true, noise, inner = play(
        TRACKS[track], level_db=-60, rng=rng, tremolo=tremolo, **rates
    )
    found = measure(audio, f0_frames, rng=rng, **rates).amplitudes[inner]
    frequency = f0_frames[inner, np.newaxis] * np.arange(1, N_HARMONICS + 1)
    loudest_noise = noise.max() ** 2 * levels.UNIFORM_NOISE_POWER / (sample_rate / 2)
    floor = loudest_noise * 1.5 / warped_spectrum.MIN_WINDOW_SECS  # power in a window
    clear = true**2 / 2 > floor * 10 ** (ABOVE_FLOOR_DB / 10)
    clear &= frequency < sample_rate / 2
    assert clear.sum() > 200
    errors = np.abs(in_db(found[clear]) - in_db(true[clear]))
    assert np.percentile(errors, 95) < HARMONIC_TOLERANCE_DB
    assert not found[frequency >= 1.01 * sample_rate / 2].any()  # f0 is corrected


@pytest.mark.parametrize(("sample_rate", "frame_rate"), RATES)
@pytest.mark.parametrize("track", TRACKS)
def test_noise_bands_above_the_tones_leakage_are_within_tolerance(
    track, sample_rate, frame_rate, rng
):
    rates = {"sample_rate": sample_rate, "frame_rate": frame_rate}
    # Harmonics of 0.3 in all: every band lies 20 dB and more above -50 dB of them.
    audio, f0_frames, _, true, inner = play(
        TRACKS[track], level_db=-18, rng=rng, secs=3.0, **rates
    )
    found = measure(audio, f0_frames, rng=rng, **rates).noise_magnitudes
    # ddsp's filter i rules from frame i to i + 1: a frame lies between two filters.
    true_db = 0.5 * (in_db(true) + in_db(np.roll(true, 1, axis=0)))
    errors = np.abs(in_db(found[inner]) - true_db[inner])
    # Between harmonics of 40 Hz, only half-way points are free; up to 1 kHz they are
    # few in a band and near the strongest harmonics.
    bands = slice(8, None) if track == "40 Hz" else slice(1, None)
    assert np.percentile(errors[:, bands], 95) < NOISE_TOLERANCE_DB
    assert np.median(errors[:, bands]) < NOISE_TOLERANCE_DB / 3


def test_frames_without_pitch_are_noise_altogether(rng):
    audio, f0_frames, *_ = play(
        vibrato(440.0, 0.5), sample_rate=16000, frame_rate=250, level_db=-20, rng=rng
    )
    hop_size, gone = 64, np.r_[200:300]
    audio[200 * hop_size : 300 * hop_size] = 0.1 * rng.standard_normal(100 * hop_size)
    f0_frames = f0_frames.copy()
    f0_frames[gone] = np.nan
    found = measure(audio, f0_frames, sample_rate=16000, frame_rate=250, rng=rng)
    assert not found.amplitudes[gone].any()
    assert abs(10 * np.log10(found.noise_power[220:280].mean() / 0.01)) < 1.0
    assert np.all(found.amps[320:] > 0.1)
    np.testing.assert_allclose(found.power[220:280].mean(), 0.01, rtol=0.1)


def test_twice_the_amplitude_is_6_db_more(rng):
    audio, f0_frames, *_ = play(
        glide, sample_rate=16000, frame_rate=250, level_db=-40, rng=rng
    )
    once, twice = (
        measured_controls.measure(
            gain * audio, f0_frames, sample_rate=16000, frame_rate=250, n_harmonics=10
        )
        for gain in (1, 2)
    )
    np.testing.assert_allclose(twice.amplitudes, 2 * once.amplitudes, rtol=1e-3)
    np.testing.assert_allclose(
        twice.noise_magnitudes, 2 * once.noise_magnitudes, rtol=1e-3
    )


def test_a_biased_track_is_corrected_by_the_harmonics(rng):
    audio, f0_frames, true, _, inner = play(
        vibrato(440.0, 0.5), sample_rate=16000, frame_rate=250, level_db=-60, rng=rng
    )
    rates = {"sample_rate": 16000, "frame_rate": 250, "rng": rng}
    found = measure(audio, f0_frames * 2 ** (25 / 1200), **rates)
    cents = 1200 * np.log2(found.f0_hz[inner] / f0_frames[inner])
    assert np.percentile(np.abs(cents), 95) < 2.0
    plain = measure(audio, f0_frames * 2 ** (25 / 1200), refine_f0=False, **rates)
    first = slice(0, 10)
    good, bad = (
        np.abs(in_db(item.amplitudes[inner, first]) - in_db(true[:, first]))
        for item in (found, plain)
    )
    assert np.percentile(good, 95) < HARMONIC_TOLERANCE_DB < np.percentile(bad, 95)


def confident(measured):
    return np.ones(measured.f0_hz.size)


@pytest.mark.parametrize(
    ("factor", "is_believed"),
    [(1.0, True), (0.5, False), (1 / 3, False), (2.0, False), (3.0, False)],
    ids=["right", "octave below", "twelfth below", "octave above", "twelfth above"],
)
def test_octave_errors_are_not_taught(factor, is_believed, rng):
    audio, f0_frames, *_ = play(
        vibrato(300.0, 0.2), sample_rate=16000, frame_rate=250, level_db=-50, rng=rng
    )
    rates = {"sample_rate": 16000, "frame_rate": 250, "rng": rng}
    measured = measure(audio, factor * f0_frames, **rates)
    weights = measured_controls.teaching_weights(
        measured, confident(measured), loudest_power=measured.power.max()
    )
    mean = weights.harmonics.mean()
    assert mean > 0.95 if is_believed else mean < 0.5


def test_soft_and_unsure_frames_teach_nothing(rng):
    audio, f0_frames, *_ = play(
        vibrato(300.0, 0.2), sample_rate=16000, frame_rate=250, level_db=-50, rng=rng
    )
    audio[16000:] *= 1e-4  # -80 dB
    rates = {"sample_rate": 16000, "frame_rate": 250, "rng": rng}
    measured = measure(audio, f0_frames, **rates)
    confidence = confident(measured)
    confidence[:100] = 0.2
    weights = measured_controls.teaching_weights(
        measured, confidence, loudest_power=measured.power.max()
    )
    assert not weights.harmonics[:100].any()
    assert weights.noise[:100].all()
    assert weights.harmonics[110:240].mean() > 0.9
    assert not weights.harmonics[270:].any()
    assert not weights.noise[270:].any()


@pytest.mark.parametrize("n_samples", [64, 256, 1000])
def test_clips_shorter_than_a_window_are_measured(n_samples):
    t = np.arange(n_samples) / 16000
    n_frames = -(-n_samples // 64)
    measured = measured_controls.measure(
        0.2 * np.sin(2 * np.pi * 500 * t),
        np.full(n_frames, 500.0),
        sample_rate=16000,
        frame_rate=250,
        n_harmonics=4,
    )
    assert measured.amplitudes.shape == (n_frames, 4)
    assert np.all(np.isfinite(measured.noise_magnitudes))
    if n_samples > 64:
        np.testing.assert_allclose(measured.amps, 0.2, rtol=0.1)


def test_silence_has_no_controls():
    measured = measured_controls.measure(
        np.zeros(16000),
        np.full(250, 300.0),
        sample_rate=16000,
        frame_rate=250,
        n_harmonics=10,
    )
    assert measured.amps.max() < 1e-6
    assert measured.noise_power.max() < 1e-12


@pytest.mark.parametrize(
    ("n_frames", "frame_rate", "match"),
    [(250, 300, "does not divide"), (300, 250, "do not fit"), (0, 250, "do not fit")],
)
def test_mismatched_lengths_are_refused(n_frames, frame_rate, match):
    with pytest.raises(ValueError, match=match):
        measured_controls.measure(
            np.zeros(16000),
            np.full(n_frames, 200.0),
            sample_rate=16000,
            frame_rate=frame_rate,
            n_harmonics=5,
        )


def test_a_tone_is_read_between_its_samples():
    """Interpolation loses nothing up to nine tenths of Nyquist."""
    t = np.arange(2000)
    tone = lambda at: np.sin(0.9 * np.pi * at + 0.3) * np.hanning(2000)[1000]
    found = warped_spectrum.Signal(tone(t)).read(np.arange(900.0, 1100.0, 0.37))
    error = np.abs(found - tone(np.arange(900.0, 1100.0, 0.37))).max()
    assert error < 0.02  # 0.9 % of the cubic, and the ends of the clip


def test_silence_after_sound_teaches_nothing_and_stays_finite(rng):
    """As between the notes of a pack: digital zeros after loud samples."""
    notes = rng.uniform(-0.9, 0.9, size=16000)
    notes[5000:9000] = 0.0
    f0_hz = np.full(250, 440.0)
    measured = measured_controls.measure(
        notes, f0_hz, sample_rate=16000, frame_rate=250, n_harmonics=20
    )
    assert measured.power.min() >= 0.0
    weights = measured_controls.teaching_weights(
        measured, np.ones(250), loudest_power=float(measured.power.max())
    )
    for values in (measured.noise_magnitudes, weights.harmonics, weights.noise):
        assert np.all(np.isfinite(values))
    assert weights.noise[100:120].max() == 0.0  # frames at the middle of the silence
