"""What a recording gives: frames counted by hand, at 100 frames a second.

Examples have 100 frames and begin every 50; the envelope has a value every 2 frames.
"""

import dataclasses

import numpy as np
import pytest

from prep import settings as settings_lib
from prep.plan import cutting
from prep.plan import plan as plan_lib
from prep.plan import recording_cuts
from prep.recordings import recording as recordings_lib
from tests.helpers import plans

SETTINGS = settings_lib.Settings(
    sample_rate=48000, frame_rate=100, example_secs=1.0, hop_secs=0.5
)
SILENT_DB, LOUD_DB = -50.1, -50.0  # beside `min_loudness_db`


def probe(n_frames, *, loud=slice(None), **changed):
    """A recording of some frames and most of another one."""
    envelope = np.full(n_frames // 2 + 1, SILENT_DB)
    envelope[loud] = LOUD_DB
    recording = plans.recording("a", n_in=160 * n_frames + 159, **changed)
    return recordings_lib.Probe(recording, envelope)


def material(n_frames, *, loud=slice(None), **changed):
    settings = dataclasses.replace(SETTINGS, **changed)
    return recording_cuts.find_material(probe(n_frames, loud=loud), settings)


def lost(found):
    return [
        (begin, end, reason.split()[0]) for begin, end, reason in found.leftovers.lost()
    ]


def test_whole_recording_is_cut_and_nothing_used_yet():
    found = material(200)
    assert found.parts == (cutting.Part("train", 0, 200),)
    assert not found.is_short
    assert lost(found) == [(0, 200, "the")]


def test_trimming_leaves_out_what_is_silent_at_both_ends():
    loud = slice(20, 81)  # and a value more on each side
    found = material(200, loud=loud, trim_silence=True)
    assert found.parts == (cutting.Part("train", 38, 164),)
    assert lost(found) == [(0, 38, "silence"), (38, 164, "the"), (164, 200, "silence")]
    assert material(200, loud=loud).parts[0].end == 200


@pytest.mark.parametrize("short", ["pack", "pad"])
def test_recording_shorter_than_an_example_is_kept_from_a_tenth_of_a_second_on(short):
    assert not material(100, short=short).is_short
    found = material(99, short=short)
    assert found.is_short
    assert lost(found) == [(0, 99, "silent:")]  # unless an example holds it
    assert material(10, short=short).is_short
    trimmed = material(200, loud=[90], trim_silence=True, short=short)
    assert "too short: 0.06 s" in trimmed.reason
    refused = material(9, short=short)
    assert "0.09 s, and 0.1 s are needed to hold a note" in refused.reason


def test_too_short_says_how_short_and_what_would_take_it():
    refused = material(99, short="reject")
    assert "too short: 0.99 s, and an example takes --example_secs=1;" in refused.reason
    assert refused.part == "all"
    assert refused.numbers == {"seconds": 1.0, "usable_seconds": 0.99}
    # Of 2 s a tenth sounds.
    options = dict(trim_silence=True, short="reject")
    refused = material(200, loud=slice(20, 23), **options)
    assert "0.10 s without the silence at its ends, and an ex" in refused.reason
    refused = material(200, loud=slice(0, 3), **options)
    assert "0.08 s without" in refused.reason
    assert "0.1 s are needed; --notrim_silence takes it as it is" in refused.reason
    noted = recording_cuts.find_material(
        probe(9, notes=("cut off?", "clipped")), SETTINGS
    )
    assert noted.reason.endswith("to hold a note; cut off?; clipped")


def test_examples_are_those_that_are_loud_somewhere():
    # The first 50 frames sound, and frame 250 to 251.
    loud = np.r_[0:25, 125]
    found = material(300, loud=loud)
    source, cuts = recording_cuts.cut_source(found, 7, cents=0.0, settings=SETTINGS)
    assert cuts == {"train": [0, 200]}
    # 151 to 199 are in no example that is kept, nor is 100 to 150.
    assert lost(found) == [(100, 200, "silent:")]
    assert source == plan_lib.Source(
        recording=7,
        cents=0.0,
        n_samples=3 * (160 * 300 + 159),
        n_samples_16k=160 * 300 + 159,
        n_frames=301,
        segments=(0,),
    )


def test_segments_are_those_of_the_examples():
    found = material(18100, loud=[0, 6010 // 2])
    source, cuts = recording_cuts.cut_source(found, 0, cents=0.0, settings=SETTINGS)
    # Examples that hold frame 6010, the first from 5950 on, reach over a minute.
    assert cuts == {"train": [0, 5950, 6000]}
    assert source.segments == (0, 1)
    last = recording_cuts.cut_source(
        material(18100, loud=[9049]), 0, cents=0.0, settings=SETTINGS
    )
    assert last[0].segments == (3,) and last[1] == {"train": [18000]}


def test_copy_an_octave_up_has_half_the_frames_and_leaves_the_account_alone():
    # 125 frames, of which each has a value of the envelope.
    for n_loud, starts in ((25, [0]), (26, [0, 25])):
        found = material(250, loud=slice(0, n_loud))
        source, cuts = recording_cuts.cut_source(
            found, 0, cents=1200.0, settings=SETTINGS
        )
        assert cuts == {"train": starts}
    assert source.n_samples_16k == (160 * 250 + 159) // 2
    assert source.n_samples == 3 * (160 * 250 + 159) // 2
    assert source.n_frames == 126
    assert lost(found) == [(0, 250, "the")]


def test_only_what_trains_is_transposed():
    found = recording_cuts.split_in_time(material(1000), SETTINGS)
    assert found.parts == (
        cutting.Part("train", 0, 800),
        cutting.Part("eval", 900, 1000),
    )
    assert lost(found)[1] == (800, 900, "kept")
    _, cuts = recording_cuts.cut_source(found, 0, cents=0.0, settings=SETTINGS)
    assert cuts["eval"] == [900]
    assert cuts["train"] == list(range(0, 701, 50))
    assert lost(found) == [(800, 900, "kept")]
    _, cuts = recording_cuts.cut_source(found, 0, cents=50.0, settings=SETTINGS)
    assert set(cuts) == {"train"}


def test_examples_for_evaluation_do_not_overlap():
    found = recording_cuts.for_evaluation(material(300))
    assert found.parts == (cutting.Part("eval", 0, 300),)
    _, cuts = recording_cuts.cut_source(found, 0, cents=0.0, settings=SETTINGS)
    assert cuts == {"eval": [0, 100, 200]}


def test_excerpt_is_the_part_that_sounds():
    found = material(99, loud=slice(6, 35), trim_silence=True)
    assert (found.parts[0].begin, found.parts[0].end) == (10, 72)
    source = recording_cuts.excerpt_source(found, 3, cents=0.0, settings=SETTINGS)
    assert source == plan_lib.Source(
        recording=3,
        cents=0.0,
        n_samples=62 * 480,
        n_samples_16k=62 * 160,
        n_frames=62,
        segments=(0,),
        excerpt=(10, 72),
    )
    higher = recording_cuts.excerpt_source(found, 3, cents=1200.0, settings=SETTINGS)
    assert higher.excerpt == (5, 36) and higher.n_frames == 31
    # 10 and 72 frames over 2 ** (1 / 4): from 8.4 to 60.5, whole frames inside.
    third = recording_cuts.excerpt_source(found, 3, cents=300.0, settings=SETTINGS)
    assert third.excerpt == (9, 60)


def test_use_of_a_span_counts_from_where_the_part_begins():
    found = material(99, loud=slice(6, 35), trim_silence=True)
    found.use(plan_lib.Span(source=0, first=4, n_frames=6, at=17))
    assert found.leftovers.n_used == 6
    assert lost(found)[1:3] == [(10, 14, "silent:"), (20, 72, "silent:")]


@pytest.mark.parametrize(
    ("cents", "first", "last"),
    [
        (0.0, 7, 9),  # frames 14 to 19 of the recording
        (1200.0, 9, 14),  # frames 9 to 14 of a copy, in which the part begins at 5
    ],
)
def test_loudness_of_a_span_is_that_of_its_own_frames(cents, first, last):
    span = plan_lib.Span(source=0, first=4, n_frames=6, at=17)
    for place in range(30):
        found = material(99, loud=slice(6, 35), trim_silence=True)
        found.probe.envelope[:] = SILENT_DB
        found.probe.envelope[place] = LOUD_DB
        loudest = recording_cuts.loudest_in_span(
            found, span, cents=cents, frame_rate=100
        )
        assert (loudest == LOUD_DB) == (first <= place <= last), place


def test_lost_parts_are_told_in_seconds():
    found = material(200, loud=slice(20, 81), trim_silence=True)
    parts = list(recording_cuts.lost_parts(found, 100))
    assert [(r.part, r.numbers) for r in parts] == [
        ("0.000-0.380 s", {"seconds": 0.38}),
        ("0.380-1.640 s", {"seconds": 1.26}),
        ("1.640-2.000 s", {"seconds": 0.36}),
    ]
    assert {(r.name, r.path) for r in parts} == {("a.wav", "/in/a.wav")}
