import re

import numpy as np
import pytest

from prep.recordings import pitch_range
from tests.helpers import prep_helpers

TOLERANCE = 0.015  # of the pitch: half a lag of the 32 in the period of 2 kHz


@pytest.mark.parametrize("rate", [16000, 44100, 192000])
@pytest.mark.parametrize("f0_hz", [55.0, 220.0, 880.0, 1760.0])
@pytest.mark.parametrize("secs", [0.3, 1.0])
def test_pitch_of_a_tone_with_harmonics(f0_hz, rate, secs):
    audio = sum(
        prep_helpers.tone(secs, f0_hz=k * f0_hz, rate=rate, level=0.2 / k)
        for k in (1, 2, 3)
    )
    assert pitch_range.median_hz(pitch_range.measure(audio, rate)) == pytest.approx(
        f0_hz, rel=TOLERANCE
    )


def test_noise_silence_and_next_to_nothing_have_no_pitch(rng):
    noise = rng.standard_normal(16000)
    for audio in (noise, np.zeros(16000), noise[:10], noise[:0]):
        pitch_hz = pitch_range.measure(audio, 16000)
        assert pitch_range.median_hz(pitch_hz) is None
        assert pitch_range.shares(pitch_hz) == pitch_range.Shares(below=0.0, above=0.0)


def test_blocks_make_no_difference():
    audio = np.concatenate(
        [prep_helpers.tone(2.0, f0_hz=440.0), prep_helpers.tone(2.0, f0_hz=3000.0)]
    )
    whole, parts = pitch_range.measure(audio, 16000), pitch_range.Watch(16000)
    for start in range(0, len(audio), 7001):
        parts.add(audio[start : start + 7001])
    np.testing.assert_array_equal(parts.audible_hz(), whole)
    assert 0.4 < pitch_range.shares(whole).above < 0.6


def windows(**counts):
    """Pitches of so many windows: `hz3000=6` is six of 3000 Hz; `none` have none."""
    return np.concatenate(
        [
            np.full(n, float(name[2:] if name != "none" else 0))
            for name, n in counts.items()
        ]
    )


CHOICES = {
    "within": (windows(hz440=100), 0),
    "no window": (np.zeros(0), 0),
    "no pitch": (windows(none=100), 0),
    "a twentieth above": (windows(hz440=95, hz3000=5), 0),
    "more above": (windows(hz440=94, hz3000=6), -1),
    "more above, of what is audible": (windows(none=94, hz3000=6), -1),
    "a twentieth below": (windows(hz440=95, hz25=5), 0),
    "more below": (windows(hz440=94, hz25=6), 1),
    "both": (windows(hz25=6, hz440=88, hz3000=6), 0),
    "above, and a twentieth too low then": (windows(hz40=5, hz3000=95), -1),
    "above, and more too low then": (windows(hz40=6, hz3000=94), 0),
    "below, and a twentieth too high then": (windows(hz25=95, hz1200=5), 1),
    "below, and more too high then": (windows(hz25=94, hz1200=6), 0),
    "above an octave lower too": (windows(hz4186=100), 0),
    "partly above an octave lower too": (windows(hz4186=50, hz3000=50), -1),
    "below an octave higher too": (windows(hz15=100), 0),
    "a quarter tone above": (windows(hz2032=100), 0),
    "half a tone above": (windows(hz2034=100), -1),
    "a quarter tone below": (np.full(9, 31.8), 0),
    "half a tone below": (np.full(9, 31.7), 1),
}


@pytest.mark.parametrize(("pitch_hz", "octaves"), CHOICES.values(), ids=CHOICES)
def test_more_than_a_twentieth_out_of_range_is_played_an_octave_off(pitch_hz, octaves):
    assert pitch_range.choose_octaves(pitch_hz, hop_size=64) == octaves


def test_half_of_an_odd_hop_is_no_sample():
    for pitch_hz, octaves in ((25.0, 0), (3000.0, -1)):
        found = pitch_range.choose_octaves(np.array([pitch_hz]), hop_size=125)
        assert found == octaves


WRONG = "its pitch is wrong there, by octaves or more"
NOTED = {
    "within": (windows(hz440=9), 0, []),
    "border": (windows(hz440=95, hz3000=5), 0, []),
    "lower": (
        windows(hz440=3, hz3000=1),
        -1,
        [
            "25% above, 1975.5 Hz: tracked an octave lower, which reaches from 65 to "
            "3951 Hz"
        ],
    ),
    "higher": (
        windows(hz440=3, hz25=1),
        1,
        [
            "25% below, 32.7 Hz: tracked an octave higher, which reaches from 16 to "
            "988 Hz"
        ],
    ),
    "asked for CREPE's": (windows(hz3000=1), 0, [f"100% above, 1975.5 Hz: {WRONG}"]),
    "both": (
        windows(hz25=1, hz3000=1),
        0,
        [f"50% below, 32.7 Hz: {WRONG}", f"50% above, 1975.5 Hz: {WRONG}"],
    ),
    "still": (
        windows(hz4186=1, hz3000=3),
        -1,
        [
            "100% above, 1975.5 Hz: tracked an octave lower, which reaches from 65 to "
            f"3951 Hz; 25% lies above that too: {WRONG}"
        ],
    ),
}


@pytest.mark.parametrize(("pitch_hz", "octaves", "notes"), NOTED.values(), ids=NOTED)
def test_notes_say_what_was_done(pitch_hz, octaves, notes):
    """In full: "25% of what is audible lies above CREPE's range, which ends at"."""
    in_full = [
        re.sub(
            "% (above|below),",
            r"% of what is audible lies \1 CREPE's range, which "
            "ends at",
            note,
        )
        for note in notes
    ]
    assert list(pitch_range.describe(pitch_hz, octaves=octaves)) == in_full
