import math

import numpy as np
import pytest

from models.measures import control_arrays
from models.measures import reference
from tests.helpers import evaluation_helpers as helpers

TOLERANCE_DB = 0.5  # what the scorecard promises for harmonics above the noise
ABOVE_NOISE_DB = 20.0  # harmonics that far above the noise of a window count
NOISE = 1e-3  # rms of the noise in the notes
JITTER_CENTS = 6.0  # standard deviation of a tracker's error, frame by frame


def vibrato(f0_hz, *, semitones=0.5, rate=5.5):
    t = helpers.times()
    return f0_hz * 2 ** (semitones / 12 * np.sin(2 * np.pi * rate * t))


TRACKS = {
    "steady": lambda: np.full(helpers.times().size, 220.0),
    "vibrato": lambda: vibrato(440.0),
    "wide vibrato": lambda: vibrato(392.0, semitones=1.0, rate=6.5),
    "glide": lambda: 220.0 * 2 ** (helpers.times() / helpers.N_SECS),
    "low": lambda: vibrato(82.0, semitones=0.2),
    "high": lambda: vibrato(1200.0, semitones=0.3),
}


def moving_amplitudes():
    """A distribution that wanders between two shapes, under tremolo."""
    t = helpers.times()
    index = np.arange(1, helpers.N_HARMONICS + 1)
    bright, dark = index**-0.8, np.exp(-index / 5.0)
    mix = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t)[:, np.newaxis]
    shares = mix * bright / bright.sum() + (1 - mix) * dark / dark.sum()
    gain = 0.3 * (1 + 0.3 * np.sin(2 * np.pi * 5 * t))
    return gain[:, np.newaxis] * shares


def measure(note, f0_frames, **kwargs):
    return reference.measure_controls(
        note.audio,
        f0_frames,
        sample_rate=helpers.SAMPLE_RATE,
        frame_rate=helpers.FRAME_RATE,
        n_harmonics=60,
        **kwargs,
    )


def level_errors(note, measured):
    """Errors in dB of the harmonics that stand clear of the noise, off the edges."""
    inner = slice(10, -10)
    true = note.amplitude_frames[inner]
    found = measured.amps[:, np.newaxis] * measured.harmonic_distribution
    found = found[inner, : helpers.N_HARMONICS]
    # A Hann window of 24 ms passes noise of this amplitude at one frequency.
    noise = NOISE * math.sqrt(4 * 1.5 / (0.024 * helpers.SAMPLE_RATE))
    clear = true > noise * 10 ** (ABOVE_NOISE_DB / 20)
    assert clear.sum() > 1000
    return 20 * np.log10(np.maximum(found[clear], 1e-9) / true[clear])


@pytest.mark.parametrize("track", TRACKS)
def test_harmonics_above_the_noise_are_within_half_a_db(track, rng):
    note = helpers.play(TRACKS[track](), moving_amplitudes(), rng=rng, noise=NOISE)
    cents = JITTER_CENTS * rng.standard_normal(note.f0_frames.size)
    measured = measure(note, note.f0_frames * 2 ** (cents / 1200))
    errors = np.abs(level_errors(note, measured))
    # One frame of noise may reach 20 dB SNR's 3-sigma error; 95 % must hold the line.
    assert np.percentile(errors, 95) < TOLERANCE_DB
    assert np.median(errors) < TOLERANCE_DB / 3


@pytest.mark.parametrize("rms", [0.003, 0.03])
def test_noise_between_the_harmonics_is_measured(rms, rng):
    note = helpers.play(vibrato(330.0), moving_amplitudes(), rng=rng, noise=rms)
    power = np.median(measure(note, note.f0_frames).noise_power)
    assert abs(10 * np.log10(power / rms**2)) < 1.0


def test_noise_is_not_taken_for_harmonics(rng):
    f0_hz = np.full(helpers.times().size, 200.0)
    silent = np.zeros((f0_hz.size, 1))
    measured = measure(
        helpers.play(f0_hz, silent, rng=rng, noise=0.05), f0_hz[:: helpers.HOP_SIZE]
    )
    # The noise's own power at the harmonics is taken off; half of it stays by chance.
    share = measured.noise_power.sum() / measured.power.sum()
    assert share > 0.85


def test_distribution_sums_to_one_and_stops_at_nyquist(rng):
    note = helpers.instrument(84, rng=rng)
    measured = measure(note, note.f0_frames)
    np.testing.assert_allclose(measured.harmonic_distribution.sum(axis=1), 1.0)
    assert not np.any(measured.harmonic_distribution[:, 8:])  # 1047 Hz: seven fit


def test_frames_without_pitch_are_empty(rng):
    note = helpers.instrument(69, rng=rng)
    f0_hz = note.f0_frames.copy()
    f0_hz[100:200] = np.nan
    f0_hz[300:310] = 0.0
    measured = measure(note, f0_hz)
    gone = np.r_[100:200, 300:310]
    assert np.all(np.isnan(measured.f0_hz[gone]))
    assert not np.any(measured.amps[gone])
    assert np.all(measured.amps[220:280] > 0)


def test_nothing_pitched_is_all_noise(rng):
    audio = 0.1 * rng.standard_normal(16000)
    measured = reference.measure_controls(
        audio, np.zeros(250), sample_rate=16000, frame_rate=250, n_harmonics=10
    )
    assert not np.any(measured.harmonic_power)
    assert abs(10 * np.log10(np.mean(measured.noise_power) / 0.01)) < 0.5


def test_a_clip_shorter_than_a_window_is_measured(rng):
    t = np.arange(256) / 16000
    audio = 0.2 * np.sin(2 * np.pi * 500 * t)
    measured = reference.measure_controls(
        audio, np.full(4, 500.0), sample_rate=16000, frame_rate=250, n_harmonics=4
    )
    np.testing.assert_allclose(measured.amps, 0.2, rtol=0.06)


@pytest.mark.parametrize(
    ("f0_frames", "frame_rate", "match"),
    [(250, 300, "does not divide"), (300, 250, "do not fit"), (0, 250, "do not fit")],
)
def test_mismatched_lengths_are_refused(f0_frames, frame_rate, match):
    with pytest.raises(ValueError, match=match):
        reference.measure_controls(
            np.zeros(16000),
            np.full(f0_frames, 200.0),
            sample_rate=16000,
            frame_rate=frame_rate,
            n_harmonics=5,
        )


def test_real_notes_have_their_own_timbre(recordings):
    soundfile = pytest.importorskip("soundfile")
    audio, rate = soundfile.read(recordings / "mtg_sms" / "oboe-A4.wav")
    audio = audio if audio.ndim == 1 else audio.mean(axis=1)
    n_frames = audio.size // (rate // 100)
    measured = reference.measure_controls(
        audio,
        np.full(n_frames, 440.0),
        sample_rate=rate,
        frame_rate=100,
        n_harmonics=20,
    )
    steady = slice(n_frames // 4, n_frames // 2)
    typical = np.median(measured.harmonic_distribution[steady], axis=0)
    assert np.argmax(typical) > 0  # an oboe's strongest harmonic is not the first
    assert isinstance(measured, control_arrays.ControlArrays)
