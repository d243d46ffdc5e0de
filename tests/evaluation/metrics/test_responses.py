import math

import numpy as np
import pytest

from evaluation.metrics import responses

SECS = np.linspace(0, 2, 500)
DULLER = np.linspace(1.0, 0.9, 500)  # octaves; a curve that moves all the time


def vibrato(cents):
    return 440 * 2 ** (cents / 1200 * np.sin(2 * np.pi * 5.5 * SECS))


@pytest.mark.parametrize(
    ("f0_hz", "varies"),
    [
        (440 + 0.01 * np.arange(500), False),  # drifts by 20 cents in all
        (vibrato(30), False),
        (vibrato(100), True),
        (np.where(SECS < 1, 440.0, 440.0 * 2 ** (2 / 12)), True),
        (440 * 2 ** (SECS / 12), True),  # glides over two semitones, std 58 cents
        (440 * 2 ** (SECS / 24), False),  # over one
    ],
    ids=["drift", "vibrato", "wide vibrato", "two notes", "glide", "short glide"],
)
def test_pitch_is_followed_where_it_varies_by_half_a_semitone(f0_hz, varies):
    score = responses.follow_pitch(DULLER, f0_hz)
    assert math.isnan(score.value) != varies
    if not varies:
        assert score.reason == "the pitch to follow varies by less than 50 cents"


def test_low_and_high_notes_need_the_same_interval():
    for octave in (1 / 8, 1, 8):
        assert responses.follow_pitch(DULLER, octave * vibrato(30)).reason
        assert not responses.follow_pitch(DULLER, octave * vibrato(100)).reason


def test_loudness_is_followed_where_it_varies_by_a_db():
    ramp = np.linspace(-0.5, 0.5, 500) * math.sqrt(12)  # standard deviation 1
    steady = responses.follow_loudness(DULLER, -20 + 0.95 * ramp)
    assert steady.reason == "the loudness to follow varies by less than 1 dB"
    assert responses.follow_loudness(DULLER, -20 + 1.05 * ramp).value == -1.0


def test_rounding_of_a_constant_is_no_response(rng):
    level = np.float32(-20.0) + rng.normal(size=500).astype(np.float32) * 1e-6
    assert responses.follow_loudness(level, -40 + 10 * SECS).value == 0.0
    assert responses.follow_loudness(np.ones(500), np.ones(500)).reason
