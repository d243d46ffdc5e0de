"""The index on paper: sums of a clip frame by frame, components, severities."""

import dataclasses
import functools
import math

import numpy as np
import pytest

from evaluation.collapse_index import degradations
from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from models.measures import frame_masks
from models.measures import levels
from tests.helpers import played_controls

# Frames of 50 ms, over one of which movement is smoothed: not at all.
UNSMOOTHED_RATE = 20
# Root Jensen-Shannon divergence of one harmonic from two equal ones, in bits:
# the entropy of (3/4, 1/4) is 0.8113, less half of 0 and 1.
ONE_FROM_TWO = math.sqrt(0.25 * math.log2(4) + 0.75 * math.log2(4 / 3) - 0.5)


played = functools.partial(played_controls.played, frame_rate=UNSMOOTHED_RATE)


def sum_up(ref, est, masks, *, ref_power=None, est_power=None, **kwargs):
    return index_sums.clip_sums(
        ref,
        est,
        masks=masks,
        ref_typical=index_sums.measure_typical([ref], [masks]),
        est_typical=index_sums.measure_typical([est], [masks]),
        ref_power=ref.power if ref_power is None else ref_power,
        est_power=est.power if est_power is None else est_power,
        **kwargs,
    )


def everywhere(n_frames):
    return frame_masks.Masks(np.ones(n_frames, bool), np.ones(n_frames, bool))


# --- sums ---

FIRST, SECOND, EVEN = [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]
# Six frames: one inaudible, one audible without pitch, four of everything.
AUDIBLE = np.array([False, True, True, True, True, True])
PITCHED = np.array([False, False, True, True, True, True])
MASKS = frame_masks.Masks(AUDIBLE, PITCHED)
REF = played(
    [FIRST, FIRST, FIRST, SECOND, FIRST, SECOND],
    amps=[9.0, 2.0, 2.0, 2.0, 2.0, 2.0],  # powers of 40.5 and 2
    noise_power=[7.0, 5.0, 1.0, 0.0, 0.0, 0.0],
)
EST = played(
    [EVEN, FIRST, EVEN, EVEN, EVEN, EVEN],
    amps=[9.0, 2.0, 2.0, 2.0, 2.0, 2.0],  # powers of 40.5, 2, and 1 in the last four
    noise_power=[7.0, 0.0, 1.0, 1.0, 0.0, 0.0],
)


def test_sums_of_a_clip_by_hand():
    """The first frame is in no sum, the second in those of audible frames alone."""
    found = sum_up(REF, EST, MASKS)
    assert (found.n_audible, found.n_pitched) == (5.0, 4.0)
    # Typical of the recording is half and half; the system never leaves its own.
    assert found.ref_movement == pytest.approx(4 * ONE_FROM_TWO)
    assert found.est_movement == pytest.approx(0.0, abs=1e-6)
    # Participating harmonics above one: none, and one in every frame.
    assert (found.ref_spread, found.est_spread) == pytest.approx((0.0, 4.0))
    assert (found.ref_power, found.ref_noise) == pytest.approx((9.0, 1.0))
    assert (found.est_power, found.est_noise) == pytest.approx((6.0, 2.0))
    assert found.floor_movement == 0.0
    assert sum_up(REF, EST, MASKS, floor_movement=0.5).floor_movement == 0.5
    assert index_sums.Sums(*[1.0] * 15).floor_movement == 0.0
    # Numbers as JSON's, not NumPy's.
    typical = index_sums.measure_typical([REF], [MASKS])
    heard = sum_up(REF, EST, MASKS, is_heard=True)
    for one in (found, heard, index_sums.add_sums([]), typical):
        kinds = {type(value) for value in vars(one).values()}
        assert kinds <= {float, np.ndarray}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_heard", [False, True])
def test_a_clip_without_frames_that_count_adds_nothing(is_heard):
    none = frame_masks.Masks(np.zeros(6, bool), np.zeros(6, bool))
    found = sum_up(REF, EST, none, is_heard=is_heard)
    assert dataclasses.astuple(found) == (0.0,) * 16
    assert math.isnan(index_sums.measure_typical([REF], [none]).level_db)


def test_presence_is_amplitude_that_is_heard_and_louder_is_no_more():
    """A quarter of the power is half of the amplitude."""
    ref_power = np.array([1.0, 4.0, 4.0, 4.0, 0.0, 4.0])
    est_power = np.array([1.0, 1.0, 4.0, 400.0, 0.0, 0.0])
    found = sum_up(REF, EST, MASKS, ref_power=ref_power, est_power=est_power)
    assert found.presence == pytest.approx(0.5 + 1.0 + 1.0 + 1.0 + 0.0)


def level_sums(found):
    return (found.x, found.y, found.xx, found.xy)


@pytest.mark.parametrize("is_heard", [False, True])
def test_levels_are_of_the_controls_or_of_what_is_heard(is_heard):
    """0, -10 and -20 dB beside -5 dB throughout; what is inaudible is 90 dB."""
    in_db = lambda *level: 10 ** (np.array(level) / 10)
    ref_power, est_power = in_db(90.0, 0.0, -10.0, -20.0), in_db(90.0, *[-5.0] * 3)
    heard = frame_masks.Masks(np.arange(4) > 0, np.zeros(4, bool))
    tone = lambda power: played([FIRST] * 4, amps=np.sqrt(2 * power))
    other = tone(in_db(*[-33.0] * 4))
    if is_heard:
        found = sum_up(
            other,
            other,
            heard,
            ref_power=ref_power,
            est_power=est_power,
            is_heard=True,
        )
    else:
        found = sum_up(
            tone(ref_power),
            tone(est_power),
            heard,
            ref_power=other.power,
            est_power=other.power,
        )
    assert level_sums(found) == pytest.approx((-30.0, -15.0, 500.0, 150.0))


def test_levels_60_db_below_the_recording_s_loudest_count_as_that():
    in_db = lambda *level: 10 ** (np.array(level) / 10)
    tone = lambda *level: played([FIRST] * 3, amps=np.sqrt(2 * in_db(*level)))
    found = sum_up(tone(-10.0, -60.0, -80.0), tone(-80.0, -90.0, -20.0), everywhere(3))
    # The floor is -70 dB, of both sides.
    assert (found.x, found.y) == pytest.approx((-140.0, -160.0))
    assert found.xy == pytest.approx(700.0 + 4200.0 + 1400.0)


def test_the_heard_spread_is_the_share_of_all_but_the_strongest():
    clip = played([[0.7, 0.2, 0.1], [0.1, 0.4, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    found = sum_up(clip, clip, everywhere(4), is_heard=True)
    assert found.est_spread == pytest.approx(0.3 + 0.5 + 0.0 + 0.0)
    # As controls: 1 / 0.54 and 1 / 0.42 participating harmonics, above one.
    found = sum_up(clip, clip, everywhere(4))
    assert found.est_spread == pytest.approx(1 / 0.54 - 1 + 1 / 0.42 - 1)


def test_movement_is_smoothed_over_50_ms_of_what_counts():
    """At 58 frames a second 2.9, so three; at the edges and beside gaps, two."""
    shares = [FIRST, SECOND, FIRST, SECOND, FIRST, SECOND]
    typical = index_sums.Typical(np.array(EVEN), 0.0)

    def from_even(first):
        """Root divergence in bits of (first, 1 - first) from (0.5, 0.5)."""
        entropy = lambda p: -p * math.log2(p) - (1 - p) * math.log2(1 - p)
        middle = entropy(0.5 * (first + 0.5))
        return math.sqrt(middle - 0.5 * (entropy(first) + 1.0))

    clip = played(shares, frame_rate=58)
    found = index_sums.movement(clip, everywhere(6), typical=typical)
    assert found == pytest.approx(4 * from_even(2 / 3), abs=1e-7)
    # Without the third frame, four of the five are means of one of each.
    pitched = np.arange(6) != 2
    masks = frame_masks.Masks(np.ones(6, bool), pitched)
    found = index_sums.movement(clip, masks, typical=typical)
    assert found == pytest.approx(from_even(1 / 3), abs=1e-7)


def test_what_movement_is_smoothed_over_is_rounded():
    """2.4 frames of 48 a second are two: only the first is not a mean of both."""
    clip = played([FIRST, SECOND] * 3, frame_rate=48)
    typical = index_sums.Typical(np.array(EVEN), 0.0)
    found = index_sums.movement(clip, everywhere(6), typical=typical)
    assert found == pytest.approx(ONE_FROM_TWO, abs=1e-6)
    # The one before and the frame itself; of three also the next.
    sums_of = lambda width: index_sums._moving_sum(np.eye(4)[1], width=width).tolist()
    assert (sums_of(2), sums_of(3)) == ([0, 1, 1, 0], [1, 1, 1, 0])


def test_typical_is_the_mean_of_what_counts_over_all_clips():
    """Four frames of the first clip, one of the second; levels of six."""
    one = played([FIRST, FIRST, FIRST, FIRST, SECOND], amps=math.sqrt(2.0))
    other = played([SECOND, FIRST], amps=math.sqrt(0.02))
    masks = [
        frame_masks.Masks(np.ones(5, bool), np.arange(5) < 4),
        frame_masks.Masks(np.arange(2) < 1, np.arange(2) < 1),
    ]
    found = index_sums.measure_typical([one, other], masks)
    np.testing.assert_allclose(found.distribution, [0.8, 0.2])
    assert found.level_db == pytest.approx(-20.0 / 6)


def test_a_harmonic_s_typical_share_is_over_frames_in_which_it_fits():
    """The second harmonic of 5 kHz lies above Nyquist in one frame of two."""
    clip = dataclasses.replace(played([EVEN, FIRST]), f0_hz=np.array([500.0, 5000.0]))
    found = index_sums.measure_typical([clip], [everywhere(2)])
    np.testing.assert_allclose(found.distribution, [0.75, 0.5])


def test_sums_are_added_field_by_field():
    names = [field.name for field in dataclasses.fields(index_sums.Sums)]
    one = index_sums.Sums(*map(float, range(1, len(names) + 1)))
    found = index_sums.add_sums([one, one, one])
    assert dataclasses.astuple(found) == tuple(3.0 * (i + 1) for i in range(len(names)))


# --- components ---

N = 20.0
NOTHING_LOST = index_sums.Sums(
    n_pitched=N,
    n_audible=N,
    ref_movement=8.0,
    est_movement=8.0,
    ref_spread=20.0,
    est_spread=20.0,
    ref_power=10.0,
    ref_noise=2.0,  # a breathy recording: a fifth of it is noise
    est_power=5.0,
    est_noise=1.0,
    presence=N,
    # Levels of 4 and -4 dB in turn.
    x=0.0,
    y=0.0,
    xx=16.0 * N,
    xy=16.0 * N,
)


def components(*, scale=index.CONTROLS, **changes):
    sums = dataclasses.replace(NOTHING_LOST, **changes)
    return {k: float(v) for k, v in index.components(sums, scale=scale).items()}


def test_a_copy_has_lost_nothing():
    assert components() == pytest.approx(dict.fromkeys(index.COMPONENTS, 0.0))


@pytest.mark.parametrize(
    ("component", "changes", "value"),
    [
        ("frozen", {"est_movement": 2.0}, 0.75),
        # What noise and a room move is taken off both: 1 - (4 - 2) / (8 - 2).
        ("frozen", {"est_movement": 4.0, "floor_movement": 2.0}, 2 / 3),
        ("frozen", {"est_movement": 1.0, "floor_movement": 2.0}, 1.0),
        ("frozen", {"est_movement": 9.0}, 0.0),  # livelier is no collapse
        ("narrow", {"est_spread": 5.0}, 0.75),
        ("narrow", {"est_spread": 25.0}, 0.0),
        ("flat", {"xy": 4.0 * N}, 0.75),
        # The slope is about the means: levels of 14 and 6 dB, of 9 and 11 dB.
        ("flat", {"x": 10.0 * N, "y": 10.0 * N, "xx": 116.0 * N, "xy": 96.0 * N}, 1.0),
        ("flat", {"xy": -16.0 * N}, 1.0),
        # (0.6 - 0.2) / (1 - 0.2): half of the tone that there was.
        ("noisy", {"est_noise": 3.0}, 0.5),
        ("noisy", {"est_noise": 5.0}, 1.0),
        ("noisy", {"est_noise": 0.5}, 0.0),  # less breath is no noise
        ("silent", {"presence": 5.0}, 0.75),
    ],
)
def test_components_by_hand(component, changes, value):
    expected = dict.fromkeys(index.COMPONENTS, 0.0) | {component: value}
    assert components(**changes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("component", "at", "below"),
    [
        # 0.02 of movement a frame, the floor taken off before.
        ("frozen", {"ref_movement": 0.02 * N}, {"ref_movement": 0.0199 * N}),
        (
            "frozen",
            {"ref_movement": 4.0 + 0.0201 * N, "floor_movement": 4.0},
            {"ref_movement": 4.0 + 0.0199 * N, "floor_movement": 4.0},
        ),
        ("narrow", {"ref_spread": 0.2 * N}, {"ref_spread": 0.199 * N}),
        # A dB of standard deviation, of audible frames.
        ("flat", {"xx": N}, {"xx": 0.99 * N}),
        # A recording of 95 % noise, a system of 80 dB less than it.
        ("noisy", {"ref_noise": 9.5}, {"ref_noise": 9.51}),
        ("noisy", {"est_power": 1e-7, "est_noise": 0.0}, {"est_power": 9.9e-8}),
        # Ten frames, pitched or audible.
        ("frozen", {"n_pitched": 10.0}, {"n_pitched": 9.0}),
        ("narrow", {"n_pitched": 10.0}, {"n_pitched": 9.0}),
        ("noisy", {"n_pitched": 10.0}, {"n_pitched": 9.0}),
        ("flat", {"n_audible": 10.0}, {"n_audible": 9.0}),
        ("silent", {"n_audible": 10.0}, {"n_audible": 9.0}),
    ],
)
def test_a_component_is_determined_from_here_on(component, at, below):
    assert math.isfinite(components(**at)[component])
    assert math.isnan(components(**below)[component])
    # The other kind of frames may be missing altogether.
    of_pitch = component in ("frozen", "narrow", "noisy")
    others = {"n_audible" if of_pitch else "n_pitched": 0.0}
    assert math.isfinite(components(**(at | others))[component])


def test_spread_as_heard_is_determined_from_a_twentieth_on():
    for spread, is_known in ((0.05 * N, True), (0.0499 * N, False)):
        found = components(scale=index.HEARD, ref_spread=spread)
        assert math.isfinite(found["narrow"]) == is_known


# --- severities ---


@pytest.mark.parametrize("scale", [index.CONTROLS, index.HEARD], ids=["own", "heard"])
@pytest.mark.parametrize("component", index.COMPONENTS)
def test_severity_is_linear_on_both_sides_of_the_midpoint(component, scale):
    middle = scale.midpoints[component]
    severity = lambda value: float(index.severity(component, value, scale=scale))
    assert severity(0.5 * middle) == pytest.approx(0.25)
    assert severity(middle) == pytest.approx(0.5)
    assert severity(0.5 * (middle + 1.0)) == pytest.approx(0.75)


def test_the_index_is_the_worst_severity_on_its_own_scale():
    """0.55 of the movement and 0.6 of the harmonics are lost."""
    sums = dataclasses.replace(NOTHING_LOST, est_movement=3.6, est_spread=8.0)
    verdict = index.judge(sums)
    assert verdict.severities["frozen"] == pytest.approx(0.5)
    assert (verdict.index, verdict.kind) == (pytest.approx(0.6), "narrow")
    assert float(index.indices(sums)) == pytest.approx(0.6)
    # As heard the midpoint of "narrow" is 0.45.
    heard = index.judge(sums, scale=index.HEARD)
    assert heard.index == pytest.approx(0.5 + 0.5 * (0.6 - 0.45) / 0.55)
    assert float(index.indices(sums, scale=index.HEARD)) == pytest.approx(heard.index)


def test_components_that_are_not_determined_do_not_count():
    sums = dataclasses.replace(NOTHING_LOST, n_pitched=0.0, presence=0.6 * N)
    verdict = index.judge(sums)
    assert (verdict.index, verdict.kind) == (pytest.approx(0.4), "silent")
    assert float(index.indices(sums)) == pytest.approx(0.4)


@pytest.mark.parametrize(("presence", "collapsed"), [(0.5, True), (0.5001, False)])
def test_from_half_on_it_has_collapsed(presence, collapsed):
    sums = dataclasses.replace(NOTHING_LOST, presence=presence * N)
    assert (index.judge(sums).index >= index.THRESHOLD) == collapsed


def test_many_sets_are_judged_as_one_by_one():
    rows = [
        NOTHING_LOST,
        dataclasses.replace(NOTHING_LOST, est_movement=1.0),
        dataclasses.replace(NOTHING_LOST, n_pitched=0.0, n_audible=0.0),
    ]
    names = [field.name for field in dataclasses.fields(index_sums.Sums)]
    columns = {name: np.array([getattr(r, name) for r in rows]) for name in names}
    found = index.indices(index_sums.Sums(**columns))
    expected = [index.judge(row).index for row in rows]
    np.testing.assert_allclose(found, expected)
    assert math.isnan(expected[2])


# --- what is lost is read as that ---


@pytest.mark.parametrize("amount", [0.2, 0.5, 0.7])
@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("flat gain", "flat"),
        ("noise takeover", "noisy"),
        ("fading to silence", "silent"),
    ],
)
def test_flat_noisy_and_silent_are_linear_in_what_is_lost(kind, component, amount):
    """A fifth of the recording's power is noise, its level goes up and down."""
    level_db = -30.0 + 10.0 * np.sin(np.arange(60))
    power = 10 ** (level_db / 10)
    clip = played(
        [[0.6, 0.4]] * 60,
        amps=np.sqrt(1.6 * power / (0.36 + 0.16)),
        noise_power=0.2 * power,
    )
    np.testing.assert_allclose(levels.power_db(clip.power), level_db)
    masks = everywhere(60)
    change, moved = degradations.KINDS[kind]
    assert moved == component
    typical = index_sums.measure_typical([clip], [masks])
    found = index.components(sum_up(clip, change(clip, amount, typical=typical), masks))
    assert float(found[component]) == pytest.approx(amount)


@pytest.mark.parametrize(
    ("amount", "n_silent"), [(0.4, 10), (0.46, 12), (0.5, 12), (1.0, 25)]
)
def test_gaps_are_stretches_of_a_quarter_second(amount, n_silent):
    """At 102 frames a second, 25 frames each; 11.5 and 12.5 are rounded to even."""
    clip = played([FIRST] * 50, noise_power=1.0, frame_rate=102)
    found = degradations.gaps(clip, amount, typical=index_sums.Typical(None, 0.0))
    silent = np.arange(50) % 25 < n_silent
    np.testing.assert_array_equal(found.amps, np.where(silent, 0.0, 1.0))
    np.testing.assert_array_equal(found.noise_power == 0.0, silent)


@pytest.mark.parametrize("kind", ["frozen distribution", "one harmonic"])
def test_a_changed_timbre_keeps_its_power(kind):
    """Halfway to (0.5, 0.5), and to the first harmonic, which is the strongest."""
    clip = played([[0.9, 0.1], [0.3, 0.7]], amps=0.2, noise_power=0.3)
    typical = index_sums.measure_typical([clip], [everywhere(2)])
    np.testing.assert_allclose(typical.distribution, [0.6, 0.4])
    change, _ = degradations.KINDS[kind]
    found = change(clip, 0.5, typical=typical)
    target = [0.6, 0.4] if kind == "frozen distribution" else [1.0, 0.0]
    expected = 0.5 * clip.harmonic_distribution + 0.5 * np.array(target)
    np.testing.assert_allclose(found.harmonic_distribution, expected)
    np.testing.assert_allclose(found.power, clip.power)
    np.testing.assert_array_equal(found.noise_power, clip.noise_power)


def test_gaps_of_few_frames_a_second_are_whole_frames():
    clip = played([FIRST] * 4, frame_rate=3)
    gaps = lambda amount: degradations.gaps(clip, amount, typical=None).amps.tolist()
    assert (gaps(0.4), gaps(0.6)) == ([1.0] * 4, [0.0] * 4)


def test_a_flat_gain_is_half_way_in_db_and_silence_stays_silent():
    """-10 and -50 dB to a mean of -20; what is not heard is not turned up to it."""
    clip = played([FIRST] * 3, amps=np.sqrt([0.2, 2e-5, 0.0]))
    typical = index_sums.Typical(None, -20.0)
    with np.errstate(all="raise"):
        found = degradations.flat_gain(clip, 0.5, typical=typical)
    np.testing.assert_allclose(levels.power_db(found.power)[:2], [-15.0, -35.0])
    assert found.power[2] == 0.0


@pytest.mark.parametrize("change", [degradations.frozen, degradations.one_harmonic])
def test_a_frame_without_harmonics_keeps_its_amplitude(change):
    clip = played([[0.9, 0.1], [0.0, 0.0], [0.3, 0.7]], amps=0.01)
    typical = index_sums.Typical(np.array([0.0, 0.0]), 0.0)
    with np.errstate(all="raise"):
        still = degradations.frozen(clip, 1.0, typical=typical)
        found = change(clip, 0.0, typical=typical)
    np.testing.assert_array_equal(still.amps, clip.amps)  # nothing is left to scale
    np.testing.assert_allclose(found.amps, clip.amps)
    np.testing.assert_allclose(found.power, clip.power)


def test_every_degradation_moves_the_component_that_it_is_made_for():
    assert {name: moved for name, (_, moved) in degradations.KINDS.items()} == {
        **{"frozen distribution": "frozen", "one harmonic": "narrow"},
        **{"flat gain": "flat", "noise takeover": "noisy"},
        **{"fading to silence": "silent", "gaps of silence": "silent"},
    }
