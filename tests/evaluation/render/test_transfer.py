"""How performances are fitted to a model: by property, and by hand."""

import dataclasses
import json

import numpy as np
import pytest

from evaluation.render import transfer
from prep import errors
from tests.helpers import render_helpers

FRAME_RATE = render_helpers.FRAME_RATE


def test_transpose_and_shift():
    played = transfer.adjust(
        render_helpers.make_line([60.0, 61.0]),
        transfer.Adjustments(transpose=-12.0, loudness_shift=-70.0),
        heard=None,
    )
    np.testing.assert_allclose(render_helpers.to_midi(played), [48.0, 49.0], atol=1e-3)
    assert played.loudness_db.tolist() == [-80.0, -80.0]  # the floor


def test_no_adjustment_changes_nothing():
    played = render_helpers.make_line([60.3])
    assert transfer.adjust(played, transfer.Adjustments(), heard=None) is played


def test_match_moves_by_octaves_and_maps_quantiles(rng):
    source = render_helpers.make_line(
        rng.uniform(38.0, 48.0, 500), loudness=rng.uniform(-58, -38, 500)
    )
    matched = transfer.match(source, render_helpers.HEARD)
    moved = render_helpers.to_midi(matched) - render_helpers.to_midi(source)
    np.testing.assert_allclose(moved, moved[0], atol=1e-3)
    assert round(float(moved[0])) == 24  # 43 -> 67, the octave nearest to 72
    for share in (0.1, 0.5, 0.9):
        expected = np.quantile(render_helpers.HEARD.loudness_db, share)
        got = np.quantile(matched.loudness_db, share)
        assert abs(got - expected) < 1.0
    order = np.argsort(source.loudness_db)
    assert (np.diff(matched.loudness_db[order]) >= -1e-4).all()  # louder stays louder


def test_match_of_a_constant_loudness_is_finite():
    matched = transfer.match(
        render_helpers.make_line([60.0] * 50), render_helpers.HEARD
    )
    assert np.isfinite(matched.loudness_db).all()
    assert -40.0 <= matched.loudness_db[0] <= -10.0


def test_map_curve_is_parallel_outside():
    source, target = np.array([-40.0, -20.0]), np.array([-30.0, -25.0])
    values = np.array([-50.0, -40.0, -30.0, -20.0, -10.0])
    mapped = transfer.map_curve(values, source, target)
    np.testing.assert_allclose(mapped, [-40.0, -30.0, -27.5, -25.0, -15.0])


def test_auto_tune_keeps_vibrato():
    time = np.arange(500) / FRAME_RATE
    vibrato = 0.3 * np.sin(2 * np.pi * 5.0 * time)
    tuned = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(60.3 + vibrato), 1.0)
    )
    middle = tuned[100:400]
    assert abs(middle.mean() - 60.0) < 0.03
    assert np.ptp(middle) > 0.5
    half = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(60.3 + 0 * vibrato), 0.5)
    )
    np.testing.assert_allclose(half, 60.15, atol=1e-3)


def test_suppress_noise_lowers_what_is_no_note():
    played = render_helpers.make_line([60.0] * 100)
    confidence = played.f0_confidence.copy()
    confidence[40:80] = 0.1
    confidence[20:22] = 0.1  # too short to end a note
    quiet = transfer.suppress_noise(played.replace(f0_confidence=confidence), 30.0)
    np.testing.assert_allclose(quiet.loudness_db[50:70], -55.0)
    np.testing.assert_allclose(quiet.loudness_db[10:30], -25.0)
    quieter = transfer.suppress_noise(played.replace(f0_confidence=confidence), 70.0)
    np.testing.assert_array_equal(quieter.loudness_db[50:70], -80.0)  # the floor


def make_tune(*pitches, secs=0.6):
    """Notes one behind the other, with vibrato."""
    size = round(secs * FRAME_RATE)
    time = np.arange(size * len(pitches)) / FRAME_RATE
    vibrato = 0.2 * np.sin(2 * np.pi * 5.5 * time)
    return render_helpers.make_line(np.repeat(np.array(pitches, float), size) + vibrato)


SCALE = np.array([60.0, 62.0, 64.0, 65.0, 67.0, 65.0, 62.0])


@pytest.mark.parametrize("a4", [415.0, 427.47, 435.0, 442.0])
def test_auto_tune_leaves_a_tune_in_its_own_tuning(a4):
    offset = 12.0 * np.log2(a4 / 440.0)
    # One note of seven is out of tune, and comes to where the others are.
    played = make_tune(*(SCALE + offset + np.array([0, 0, 0.3, 0, 0, 0, 0])))
    tuned = render_helpers.to_midi(transfer.auto_tune(played, 1.0))
    size = round(0.6 * FRAME_RATE)
    for number, note in enumerate(SCALE):
        middle = tuned[number * size + 30 : (number + 1) * size - 30]
        assert middle.mean() == pytest.approx(note + offset, abs=0.08)


def test_a4_is_the_tuning_where_it_is_given():
    played = make_tune(*(SCALE + 12.0 * np.log2(442.0 / 440.0)))
    # 0.4 semitones below concert pitch, where 415 Hz would be a whole one.
    tuned = render_helpers.to_midi(transfer.auto_tune(played, 1.0, a4=430.0))
    middle = tuned[30 : round(0.6 * FRAME_RATE) - 30]
    grid = middle.mean() - 12.0 * np.log2(430.0 / 440.0)
    assert grid == pytest.approx(round(grid), abs=0.03)


def test_auto_tune_does_not_flip_between_two_semitones():
    time = np.arange(4 * FRAME_RATE) / FRAME_RATE
    # Drifts over the middle between two semitones, with a vibrato of half a semitone.
    pitch = 60.4 + 0.05 * time + 0.25 * np.sin(2 * np.pi * 5.5 * time)
    tuned = render_helpers.to_midi(
        transfer.auto_tune(render_helpers.make_line(pitch), 1.0, a4=440.0)
    )
    assert np.abs(np.diff(tuned)).max() < 0.1  # a flip is a step of 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"auto_tune": 1.01}, "give 0 to 1"),
        ({"auto_tune": -0.01}, "give 0 to 1"),
        ({"suppress_noise": -3.0}, "0 or more"),
        ({"auto_tune": 1.0, "a4": 379.9}, "give 380 to 500"),
        ({"auto_tune": 1.0, "a4": 500.1}, "give 380 to 500"),
        ({"a4": 415.0}, "does nothing without --auto_tune"),
    ],
)
def test_bad_adjustments_are_refused(arguments, text):
    with pytest.raises(errors.InputError, match=text):
        transfer.Adjustments(**arguments)


@pytest.mark.parametrize("a4", [0.0, 380.0, 500.0])
def test_adjustments_reach_to_their_ends(a4):
    adjustments = transfer.Adjustments(auto_tune=1.0, a4=a4)
    assert (adjustments.auto_tune, adjustments.a4) == (1.0, a4)


def test_matching_needs_what_was_heard():
    with pytest.raises(ValueError, match="needs `heard`"):
        transfer.adjust(
            render_helpers.make_line([60.0]),
            transfer.Adjustments(match=True),
            heard=None,
        )


@pytest.mark.parametrize(
    ("adjustments", "text"),
    [
        ({"transpose": 1e6}, "inf Hz, lies above the 8192"),
        ({"transpose": -1e6}, "0 Hz, lies below the 20"),
        ({"loudness_shift": 1e39}, "loudness is no number"),
        ({"suppress_noise": 1e39}, "loudness is no number"),
        ({"transpose": 1e39, "auto_tune": 1.0}, "inf Hz, lies above"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("error")  # a person is told once, in a sentence
def test_what_is_no_number_in_float32_is_not_played(adjustments, text):
    played = make_tune(60.0, 64.0)
    with pytest.raises(errors.InputError, match=text):
        transfer.adjust(played, transfer.Adjustments(**adjustments), heard=None)


def test_one_loudness_that_is_no_number_is_enough():
    played = render_helpers.make_line([60.0] * 2, loudness=np.array([-20.0, np.inf]))
    with pytest.raises(errors.InputError, match="loudness is no number"):
        transfer.check_playable(played)


RISING = list(range(101))
FALLING_ONCE = [0, 2, 1, *range(3, 101)]


def test_statistics_are_read_also_where_quantiles_are_equal(tmp_path):
    pitch, loudness = [60.0] * 50 + [60.5] * 51, [-30.0] * 100 + [-29.5]
    content = {
        "pitch_midi": {"quantiles": pitch},
        "loudness_db": {"quantiles": RISING},
        "loudness_db_voiced": {"quantiles": loudness},
    }
    (tmp_path / "statistics.json").write_text(json.dumps(content))
    heard = transfer.read_heard(tmp_path)
    assert heard.pitch_midi.tolist() == pitch
    assert heard.loudness_db.tolist() == loudness


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        {"pitch_midi": {"quantiles": "x"}, "loudness_db_voiced": {"quantiles": RISING}},
        {"pitch_midi": {"quantiles": RISING}, "loudness_db_voiced": {"quantiles": []}},
        {
            "pitch_midi": {"quantiles": [None] * 101},
            "loudness_db_voiced": {"quantiles": RISING},
        },
        {
            "pitch_midi": {"quantiles": FALLING_ONCE},
            "loudness_db_voiced": {"quantiles": RISING},
        },
        b'{"pitch_midi": {"quantiles": %s}, "loudness_db_voiced": {"quantiles": %s}}'
        % (json.dumps(RISING)[:-4].encode() + b"1e999]", json.dumps(RISING).encode()),
    ],
    ids=["no UTF-8", "deep", "list", "text", "empty", "null", "falling", "infinite"],
)
def test_damaged_statistics_are_one_sentence(tmp_path, content):
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    (tmp_path / "statistics.json").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"statistics\.json.*dataset again"):
        transfer.read_heard(tmp_path)


def test_statistics_that_are_gone_are_named(tmp_path):
    with pytest.raises(errors.InputError, match="--data_dir"):
        transfer.read_heard(tmp_path)
    (tmp_path / "statistics.json").write_text('{"pitch_midi": null}')
    with pytest.raises(errors.InputError, match="prepare the dataset again"):
        transfer.read_heard(tmp_path)


# Quantiles of 1 and 99 %: 60.24 and 83.76; -59.75 and -10.75 dB.
RANGES = transfer.Heard(np.linspace(60, 84, 101), np.linspace(-60.25, -10.25, 101))


@pytest.mark.parametrize(
    ("pitches", "loudness", "text"),
    [
        (
            [30.0] * 50,
            -25.0,
            "100 % of the notes lie outside the pitch that the model ",
        ),
        ([30.0] * 50, -25.0, "has heard, C4 to C6: --match moves"),
        ([60.2] * 51 + [60.3] * 49, -25.0, "51 % of the notes lie outside the pitch"),
        ([60.2] * 50 + [60.3] * 50, -25.0, ""),
        ([83.8] * 51 + [83.7] * 49, -25.0, "51 % of the notes lie outside the pitch"),
        ([83.8] * 50 + [83.7] * 50, -25.0, ""),
        (
            [70.0],
            -59.76,
            "outside the loudness that the model has heard, -60 dB to -11",
        ),
        ([70.0], -59.75, ""),
        ([70.0], -10.75, ""),
        (
            [70.0],
            -10.74,
            "outside the loudness that the model has heard, -60 dB to -11",
        ),
    ],
)
def test_most_frames_outside_are_warned_of(pitches, loudness, text, caplog):
    """98 % of the training data lie between the first and the last quantile but one."""
    transfer.warn_if_unheard(
        render_helpers.make_line(pitches, loudness=loudness), RANGES
    )
    assert text in caplog.text
    assert bool(text) == bool(caplog.text)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("n_voiced", "n_warnings"), [(0, 0), (1, 2)])
def test_unvoiced_frames_lie_neither_inside_nor_outside(n_voiced, n_warnings, caplog):
    """The voiced one is too low and too loud, the nine others are not."""
    played = render_helpers.make_line(
        np.where(np.arange(10) < n_voiced, 30.0, 70.0),
        loudness=np.where(np.arange(10) < n_voiced, -5.0, -25.0),
    )
    confidence = np.where(np.arange(10) < n_voiced, 0.9, 0.1)
    transfer.warn_if_unheard(played.replace(f0_confidence=confidence), RANGES)
    assert len(caplog.records) == n_warnings


# ---- worked by hand


@pytest.mark.parametrize(
    ("midi", "octaves"),
    [
        # The training data's middle is 72; above and below it, about half octaves.
        (72.0 - 2.4 * 12, 2),
        (72.0 - 2.6 * 12, 3),
        (72.0 - 0.49 * 12, 0),
        (72.0 - 0.51 * 12, 1),
        (72.0 + 0.6 * 12, -1),
        (72.0 + 1.4 * 12, -1),
    ],
)
def test_match_moves_by_the_nearest_number_of_octaves(midi, octaves):
    played = render_helpers.make_line([midi] * 20)
    moved = render_helpers.to_midi(transfer.match(played, render_helpers.HEARD))
    np.testing.assert_allclose(moved, midi + 12 * octaves, atol=1e-3)


def test_match_is_decided_by_the_median_of_voiced_frames():
    """Eleven frames of 60, nine of 30; unvoiced ones do not count, however many."""
    pitches = np.repeat([60.0, 30.0, 30.0], [11, 9, 40])
    played = render_helpers.make_line(pitches, loudness=np.linspace(-40, -20, 60))
    confidence = np.where(np.arange(60) < 20, 0.9, 0.1)
    matched = transfer.match(
        played.replace(f0_confidence=confidence), render_helpers.HEARD
    )
    np.testing.assert_allclose(
        render_helpers.to_midi(matched), pitches + 12.0, atol=1e-3
    )
    # The loudness of the voiced frames alone is laid on what was heard.
    middle = np.median(matched.loudness_db[:20])
    assert middle == pytest.approx(np.median(render_helpers.HEARD.loudness_db), abs=0.5)


def test_nothing_is_matched_where_nothing_has_a_pitch():
    played = render_helpers.make_line([60.0] * 5, confidence=0.1)
    assert transfer.match(played, render_helpers.HEARD) is played


def test_matched_rests_do_not_fall_below_the_floor():
    """A constant -20 dB comes to what was heard at 5 %, rests move in parallel."""
    loudness = np.repeat([-20.0, -61.0, -62.0], [20, 1, 1])
    played = render_helpers.make_line([72.0] * 22, loudness=loudness)
    matched = transfer.match(played, render_helpers.HEARD)
    assert matched.loudness_db[[0, 20, 21]].tolist() == [-38.5, -79.5, -80.0]


def test_match_lays_quantiles_on_quantiles_between_5_and_95_percent():
    """Squares of 0 to 1 are laid on an even rise, and go on in parallel outside."""
    shares = np.linspace(0.0, 1.0, 101)
    played = render_helpers.make_line([72.0] * 101, loudness=-60.0 + 40.0 * shares**2)
    assert played.voiced.all()
    matched = transfer.match(played, render_helpers.HEARD).loudness_db
    at = lambda share: matched[round(100 * share)]
    for share in (0.05, 0.1, 0.25, 0.5, 0.95):
        assert at(share) == pytest.approx(-40.0 + 30.0 * share, abs=1e-3)
    assert at(1.0) == pytest.approx(at(0.95) + 3.9, abs=1e-3)  # 40 (1 - 0.95²)
    assert at(0.0) == pytest.approx(at(0.05) - 0.1, abs=1e-3)  # 40 · 0.05²


def test_a_semitone_is_a_twelfth_of_an_octave():
    played = transfer.transpose(render_helpers.make_line([60.0]), 7.0)
    np.testing.assert_allclose(render_helpers.to_midi(played), [67.0], atol=1e-3)


def test_adjustments_come_in_their_order():
    """Matched to an octave up, then a fifth down: 60 -> 72 -> 65, never 53 -> 77."""
    played = render_helpers.make_line([60.0] * 20)
    done = transfer.adjust(
        played,
        transfer.Adjustments(match=True, transpose=-7.0, loudness_shift=-3.0),
        heard=render_helpers.HEARD,
    )
    np.testing.assert_allclose(render_helpers.to_midi(done), 65.0, atol=1e-3)
    matched = transfer.match(played, render_helpers.HEARD)
    np.testing.assert_allclose(done.loudness_db, matched.loudness_db - 3.0, atol=1e-4)


@pytest.mark.parametrize(("hz", "is_played"), [(8192.0, True), (8193.0, False)])
def test_pitches_are_played_up_to_the_synthesiser_s_end(hz, is_played):
    played = render_helpers.make_line([60.0] * 2).replace(f0_hz=np.array([440.0, hz]))
    if is_played:
        transfer.check_playable(played)
    else:
        with pytest.raises(errors.InputError, match="lies above the 8192"):
            transfer.check_playable(played)


@pytest.mark.parametrize(("hz", "is_played"), [(20.0, True), (19.9, False)])
def test_one_pitch_from_20_hz_on_is_enough(hz, is_played):
    played = render_helpers.make_line([60.0] * 2).replace(f0_hz=np.array([1.0, hz]))
    if is_played:
        transfer.check_playable(played)
    else:
        with pytest.raises(errors.InputError, match="lies below the 20"):
            transfer.check_playable(played)


@pytest.mark.parametrize(
    ("n_gap", "n_blip", "is_note"),
    # At 250 frames a second 50 ms are 12 frames.
    [(11, 0, "one"), (13, 0, "two"), (0, 11, "none"), (0, 13, "blip")],
)
def test_gaps_and_blips_of_50_ms_make_no_notes(n_gap, n_blip, is_note):
    sounding = np.ones(100, bool) if n_gap else np.zeros(100, bool)
    sounding[40 : 40 + n_gap] = False
    sounding[40 : 40 + n_blip] = True
    played = render_helpers.make_line([60.0] * 100)
    played = played.replace(f0_confidence=np.where(sounding, 0.9, 0.1))
    found = transfer.find_notes(played)
    whole = {"one": np.ones(100, bool), "none": np.zeros(100, bool)}
    np.testing.assert_array_equal(found, whole.get(is_note, sounding))


@pytest.mark.parametrize(
    ("frame_rate", "n_fading"),
    # 20 ms to either side: 5, 2, 1.6 and half a frame; at least one.
    [(250, 5), (100, 2), (80, 2), (50, 1), (25, 1)],
)
def test_passages_fade_into_one_another_over_20_ms(frame_rate, n_fading):
    """At 250 frames/s 11 around the edge: 5 sound around its quiet side's first."""
    played = dataclasses.replace(
        render_helpers.make_line([60.0] * 200),
        frame_rate=frame_rate,
        f0_confidence=np.where(np.arange(200) < 100, 0.9, 0.1),
    )
    weight = transfer.note_weight(played)
    size = 2 * n_fading + 1
    np.testing.assert_allclose(
        weight[100 - n_fading - 1 : 100 + n_fading + 1],
        np.arange(size, -1, -1) / size,
        atol=1e-6,
    )


def test_a_performance_goes_on_at_its_ends_when_it_fades():
    """From its fourth frame on it sounds: 3 of the 11 frames around its first."""
    played = render_helpers.make_line([60.0] * 50)
    played = played.replace(f0_confidence=np.where(np.arange(50) < 3, 0.1, 0.9))
    assert transfer.note_weight(played)[0] == pytest.approx(3 / 11)
    backwards = played.replace(f0_confidence=played.f0_confidence[::-1])
    assert transfer.note_weight(backwards)[-1] == pytest.approx(3 / 11)


def rise(at):
    """A pitch that is 0.2 semitones too high from a frame on, and tuned to 60."""
    pitches = np.where(np.arange(200) < at, 60.0, 60.2)
    played = transfer.auto_tune(render_helpers.make_line(pitches), 1.0, a4=440.0)
    return pitches - render_helpers.to_midi(played)


def test_a_note_s_pitch_is_that_of_200_ms():
    """51 frames around each, and the correction fades over 11."""
    corrections = rise(100)
    assert corrections[69] == pytest.approx(0.0, abs=1e-5)  # 25 + 5 frames before
    # Of the 51 frames around 74, 73, ... none is too high; around 75 one, 76 two.
    assert corrections[74] == pytest.approx(0.2 * 15 / 51 / 11, abs=1e-5)
    assert corrections[90] == pytest.approx(0.2 * 16 / 51, abs=1e-5)
    assert corrections[110] == pytest.approx(0.2 * 36 / 51, abs=1e-5)
    assert corrections[130] == pytest.approx(0.2, abs=1e-5)


def test_the_first_note_goes_on_before_the_first_frame():
    """16 to 21 of 51 frames around frames 0 to 5 are too high, 16 before them."""
    expected = 0.2 * (5 * 16 + 16 + 17 + 18 + 19 + 20 + 21) / 51 / 11
    assert rise(10)[0] == pytest.approx(expected, abs=1e-5)


def test_tuning_is_the_last_adjustment_and_may_leave_what_is_played():
    """8100 Hz are note 119.43; tuned to A = 460 Hz it is 120.23 - 1 = 119, 8279 Hz."""
    played = render_helpers.make_line([60.0] * 60)
    high = played.replace(f0_hz=np.full(60, 8100.0))
    tune = lambda a4: transfer.adjust(
        high, transfer.Adjustments(auto_tune=1.0, a4=a4), heard=None
    )
    assert tune(440.0).f0_hz == pytest.approx(7902.13, abs=0.01)  # note 119
    with pytest.raises(errors.InputError, match="8261 Hz, lies above the 8192"):
        tune(460.0)
