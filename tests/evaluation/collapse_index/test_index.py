import dataclasses
import math

import numpy as np
import pytest

from evaluation.collapse_index import degradations
from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from evaluation.scoring import across_clips
from evaluation.scoring import heard_sums
from evaluation.summary import score_table
from models.measures import control_arrays
from models.measures import frame_masks
from models.measures import levels
from tests.helpers import evaluation_helpers as helpers

STEPS = np.linspace(0, 1, 11)
MIDIS = (55, 60, 67, 74)  # not among the recordings that thresholds come from


def true_clips(rng):
    played = [helpers.note_controls(helpers.instrument(m, rng=rng)) for m in MIDIS]
    masks = [
        frame_masks.make_masks(levels.power_db(one.power) + 20, np.ones(one.n_frames))
        for one in played
    ]
    return played, masks


def judge(ref, est, masks):
    ref_typical = index_sums.measure_typical(ref, masks)
    est_typical = index_sums.measure_typical(est, masks)
    sums = [
        index_sums.clip_sums(
            r,
            e,
            masks=m,
            ref_typical=ref_typical,
            est_typical=est_typical,
            ref_power=r.power,
            est_power=e.power,
        )
        for r, e, m in zip(ref, est, masks, strict=True)
    ]
    return index.judge(index_sums.add_sums(sums))


def degrade(ref, masks, kind, amount):
    typical = index_sums.measure_typical(ref, masks)
    function, _ = degradations.KINDS[kind]
    return [function(one, amount, typical=typical) for one in ref]


@pytest.mark.parametrize("kind", degradations.KINDS)
@pytest.mark.long
def test_index_rises_with_every_degradation(kind, rng):
    ref, masks = true_clips(rng)
    verdicts = [judge(ref, degrade(ref, masks, kind, d), masks) for d in STEPS]
    indices = np.array([verdict.index for verdict in verdicts])
    assert indices[0] == pytest.approx(0.0, abs=1e-9)
    assert np.all(np.diff(indices) > 0)
    assert indices[-1] > 0.9  # as docs/metrics.md says of recordings
    assert indices[-1] >= index.THRESHOLD > indices[1]
    component = degradations.KINDS[kind][1]
    assert verdicts[-1].severities[component] == pytest.approx(indices[-1], abs=0.06)


@pytest.mark.parametrize("kind", degradations.KINDS)
def test_degradations_leave_their_input_alone_and_start_at_it(kind, rng):
    ref, masks = true_clips(rng)
    before = ref[0].amps.copy()
    unchanged = degrade(ref, masks, kind, 0.0)[0]
    np.testing.assert_allclose(unchanged.power, ref[0].power, rtol=1e-6)
    np.testing.assert_allclose(
        unchanged.harmonic_distribution, ref[0].harmonic_distribution, atol=1e-9
    )
    degrade(ref, masks, kind, 0.7)
    np.testing.assert_array_equal(ref[0].amps, before)


def test_a_livelier_system_is_not_collapsed(rng):
    ref, masks = true_clips(rng)
    dull = degrade(ref, masks, "frozen distribution", 0.6)
    assert judge(dull, ref, masks).index < 0.1


def test_a_steady_recording_does_not_determine_movement():
    n_frames = 200
    steady = control_arrays.ControlArrays(
        f0_hz=np.full(n_frames, 220.0),
        amps=np.full(n_frames, 0.2),
        harmonic_distribution=np.tile([0.6, 0.3, 0.1], (n_frames, 1)),
        noise_power=np.full(n_frames, 1e-5),
        sample_rate=16000,
        frame_rate=250,
    )
    masks = frame_masks.Masks(np.ones(n_frames, bool), np.ones(n_frames, bool))
    verdict = judge([steady], [steady], [masks])
    assert math.isnan(verdict.components["frozen"])
    assert math.isnan(verdict.components["flat"])
    assert verdict.index == 0.0


def test_nothing_audible_gives_no_index():
    clip = control_arrays.ControlArrays(
        f0_hz=np.full(20, np.nan),
        amps=np.zeros(20),
        harmonic_distribution=np.zeros((20, 3)),
        noise_power=np.zeros(20),
        sample_rate=16000,
        frame_rate=250,
    )
    masks = frame_masks.Masks(np.zeros(20, bool), np.zeros(20, bool))
    verdict = judge([clip], [clip], [masks])
    assert math.isnan(verdict.index) and verdict.kind == ""


def test_severity_puts_the_midpoint_at_one_half():
    for name, middle in index.MIDPOINTS.items():
        assert index.severity(name, middle) == pytest.approx(0.5)
        assert index.severity(name, 0.0) == 0.0
        assert index.severity(name, 1.0) == 1.0
    assert math.isnan(index.severity("frozen", math.nan))
    assert index.COMPONENTS == tuple(index.MIDPOINTS)


def test_index_of_a_set_follows_from_added_sums(rng):
    ref, masks = true_clips(rng)
    est = degrade(ref, masks, "noise takeover", 0.5)
    assert judge(ref, est, masks).index == pytest.approx(
        judge(ref * 2, est * 2, masks * 2).index
    )


# Half of what lies beyond the threshold: noise around the harmonics is measured as a
# little of them, so that even the whole of a control lost is heard as less.
LEAST_HEARD = 0.75


@pytest.mark.parametrize("kind", ["flat gain", "one harmonic", "frozen distribution"])
@pytest.mark.long
def test_the_heard_index_tells_a_copy_from_a_collapse(kind, rng):
    refs, trackers = helpers.references([55, 67], rng=rng)
    copies = helpers.copies(refs, trackers)
    spoilt = helpers.system(refs, trackers, change=helpers.degraded(kind, 1.0), rng=rng)
    for system in (copies, spoilt):
        across_clips.compare_across_clips(heard_sums.Recordings(refs), system)
    for copy, bad in zip(copies, spoilt, strict=True):
        heard = copy.scores["heard_collapse_index"].value
        assert heard == pytest.approx(0.0, abs=1e-6)
        assert bad.scores["heard_collapse_index"].value > LEAST_HEARD


def test_movement_that_noise_makes_is_taken_off(rng):
    ref, masks = true_clips(rng)
    frozen = degrade(ref, masks, "frozen distribution", 1.0)
    sums = index_sums.add_sums(
        [
            index_sums.clip_sums(
                r,
                e,
                masks=m,
                ref_typical=index_sums.measure_typical(ref, masks),
                est_typical=index_sums.measure_typical(ref, masks),
                ref_power=r.power,
                est_power=e.power,
                floor_movement=10.0,
            )
            for r, e, m in zip(ref, frozen, masks, strict=True)
        ]
    )
    assert sums.floor_movement == 10.0 * len(ref)
    moved, floor = 0.25, sums.floor_movement
    share = floor + moved * (sums.ref_movement - floor)
    found = index.components(dataclasses.replace(sums, est_movement=share))
    assert found["frozen"] == pytest.approx(1.0 - moved)


def test_the_heard_spread_falls_with_what_one_harmonic_takes(rng):
    ref, masks = true_clips(rng)
    spoilt = degrade(ref, masks, "one harmonic", 0.4)
    sums = [
        index_sums.clip_sums(
            r,
            e,
            masks=m,
            ref_typical=index_sums.measure_typical(ref, masks),
            est_typical=index_sums.measure_typical(spoilt, masks),
            ref_power=r.power,
            est_power=e.power,
            is_heard=True,
        )
        for r, e, m in zip(ref, spoilt, masks, strict=True)
    ]
    found = index.components(index_sums.add_sums(sums), scale=index.HEARD)
    assert found["narrow"] == pytest.approx(0.4, abs=0.1)
    assert index.HEARD.midpoints.keys() == index.CONTROLS.midpoints.keys()


def test_sums_of_reports_from_before_the_floor_are_read():
    sums = {
        field.name: 1.0
        for field in dataclasses.fields(index_sums.Sums)
        if field.name != "floor_movement"
    }
    row = {
        "recording_id": "a",
        "recording": {"values": {}},
        "runs": {"run": {"values": {}, "reasons": {}, "sums": sums}},
    }
    table = score_table.ScoreTable([row, row])
    assert table.has_sums("collapse_index")
    assert not table.has_sums("heard_collapse_index")
    assert table.unit_sums("run").floor_movement.tolist() == [0.0]
