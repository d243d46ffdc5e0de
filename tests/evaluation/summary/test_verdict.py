import copy
import math

import numpy as np
import pytest

from evaluation.summary import verdict
from evaluation.summary import verdict_pairs

YOUNG = {"steps": [0, 50, 80, 90, 100], "values": [20.0, 6.0, 5.0, 4.9, 4.5]}
DONE = {"steps": [0, 50, 80, 90, 100], "values": [20.0, 5.0, 5.1, 4.95, 4.95]}


def make_system(name, mean, *, width=0.02, baseline=False, **severities):
    """A system of a summary, judged by its index."""
    known = {"frozen": 0.0, "narrow": 0.0, "flat": 0.0, "noisy": None} | severities
    low, high = mean - width, mean + width

    def state(end, other):
        if end >= 0.5:
            return "collapsed"
        return "healthy" if other < 0.5 else "not decided"

    return {
        "name": name,
        "is_baseline": baseline,
        "runs": [name],
        "index": {
            "interval": {"mean": mean, "low": low, "high": high},
            "state": state(low, high),
            "point_state": state(mean, mean),
            "kind": "frozen",
            "severities": known,
            "by_run": {name: mean},
            "n_units": 6,
        },
        "metrics": {"heard_collapse_index": {"mean": mean}},
    }


def make_pair(candidate, **outcomes):
    """A comparison in which everything is undecided but what is given."""
    means = {"spectral_loss": 4.0, "loudness_distance": 1.3, "pitch_error_cents": 2.3}
    return {
        "baseline": "stage5",
        "candidate": candidate,
        "metrics": {
            key: {
                "outcome": outcomes.get(key, "not decided"),
                "reason": "the interval includes zero",
                "difference": {"mean": 0.1},
                "baseline_mean": mean,
                "candidate_mean": mean,
            }
            for key, mean in means.items()
        },
    }


def make_summary(*candidates, curve=DONE, step=100):
    """A summary with a healthy baseline, all runs judged at `step`."""
    systems = [make_system("stage5", 0.2, baseline=True), *candidates]
    return {
        "systems": systems,
        "runs": {
            s["name"]: {
                "step": step,
                "training": {"held_out/spectral_distance": curve},
                "plan_hash": "1",
            }
            for s in systems
        },
        "dataset": {"plan_hash": "1", "data_dir": "data"},
        "comparisons": [make_pair(one["name"]) for one in candidates],
        "unit": "recording",
        "n_units": 6,
        "n_recordings": 6,
        "n_clips": 12,
    }


@pytest.mark.parametrize(
    ("mean", "width", "state", "words"),
    [
        (0.8, 0.1, "collapsed", "has collapsed: its timbre hardly moves."),
        (0.55, 0.1, "probably collapsed", "has probably collapsed: its timbre"),
        (0.45, 0.1, "probably healthy", "has probably not collapsed."),
        (0.2, 0.1, "healthy", "has not collapsed."),
        (0.5, 0.0, "collapsed", "has collapsed: its timbre"),  # from 0.5 on
    ],
)
def test_states_are_said_in_a_sentence(mean, width, state, words):
    one = make_system("stage2", mean, width=width, frozen=mean)
    told = verdict.write(make_summary(one))
    assert told["systems"]["stage2"]["state"] == state
    assert words in told["systems"]["stage2"]["sentence"]
    assert told["headline"] == told["systems"]["stage2"]["sentence"]
    assert told["collapsed"] == (["stage2"] if mean >= 0.5 else [])


def test_every_kind_that_is_lost_is_told_the_worst_first():
    one = make_system("stage2", 0.9, flat=0.9, frozen=0.6, narrow=0.4)
    sentence = verdict.describe_system(one, make_summary(one)["runs"])["sentence"]
    assert sentence.endswith(
        "level hardly follows the playing and its timbre hardly moves."
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("frozen", "its timbre hardly moves"),
        ("narrow", "it plays hardly more than one harmonic"),
        ("flat", "its level hardly follows the playing"),
        ("noisy", "noise has taken over from the tone"),
        ("silent", "it plays far too softly or not at all"),
    ],
)
def test_every_kind_has_words_also_where_none_is_beyond_the_threshold(kind, words):
    for severity in (0.9, 0.4):
        one = make_system("stage2", 0.9, **{kind: severity})
        one["index"]["kind"] = kind
        told = verdict.describe_system(one, make_summary(one)["runs"])["sentence"]
        assert told == f"stage2 has collapsed: {words}."


def test_a_baseline_alone_is_the_subject_and_files_notes_are_told():
    summary = make_summary()
    summary["runs"]["stage5"]["notes"] = ["Its sound is late by 0.2 s."]
    told = verdict.write(summary)
    assert told["headline"] == "stage5 has not collapsed."
    assert told["systems"]["stage5"]["notes"] == ["Its sound is late by 0.2 s."]
    assert told["comparisons"] == {}


def test_what_is_heard_has_no_trainings():
    """Files of audio: nothing is said of trainings, and pairs are told by candidate."""
    summary = make_summary(make_system("takes", 0.2))
    summary["index_key"] = "heard_collapse_index"
    told = verdict.write(summary)
    assert told["single_training"] == ""
    assert told["comparisons"] == {
        "takes": verdict_pairs.describe_pair(summary["comparisons"][0])
    }


def test_three_kinds_are_listed_as_a_sentence_lists_them():
    one = make_system("stage2", 0.9, flat=0.9, frozen=0.8, silent=0.7)
    sentence = verdict.describe_system(one, make_summary(one)["runs"])["sentence"]
    assert sentence.endswith(
        "follows the playing, its timbre hardly moves and it plays far too softly or "
        "not at all."
    )


def test_a_young_run_has_collapsed_so_far():
    one = make_system("stage2", 0.8, frozen=0.8)
    told = verdict.write(make_summary(one, curve=YOUNG))["systems"]["stage2"]
    assert told["state"] == "collapsed so far"
    assert "collapsed so far, but was still learning: " in told["sentence"]
    assert "lowered its loss by 25%" in told["notes"][0]
    assert verdict.write(make_summary(one))["systems"]["stage2"]["notes"] == []


def test_late_fall_compares_the_halves_of_training():
    curve = {"held_out/spectral_distance": DONE}
    assert verdict.late_fall(curve) == pytest.approx(1 - 4.95 / 5.0)
    assert verdict.late_fall({"held_out/spectral_distance": YOUNG}) == pytest.approx(
        0.25
    )
    assert np.isnan(verdict.late_fall({}))
    at_start = {"steps": [0], "values": [20.0]}
    assert np.isnan(verdict.late_fall({"held_out/spectral_distance": at_start}))


def test_an_early_best_checkpoint_is_doubted_where_it_has_collapsed():
    one = make_system("stage2", 0.8, flat=0.8)
    (note,) = verdict.describe_doubts(one, make_summary(one, step=50)["runs"])
    assert "step 50 of 100" in note and "--checkpoint=last" in note
    assert verdict.describe_doubts(one, make_summary(one, step=80)["runs"]) == []
    healthy = make_system("stage2", 0.2, flat=0.2)
    assert (
        verdict.describe_doubts(healthy, make_summary(healthy, step=50)["runs"]) == []
    )


def make_trainings(mean, **by_run):
    """A system of several trainings."""
    one = make_system("stage1", mean, frozen=mean)
    one["runs"] = [f"stage1-{seed}" for seed in by_run]
    one["index"]["by_run"] = dict(zip(one["runs"], by_run.values(), strict=True))
    return one


def tell(system, **config):
    """The verdict over a system of several trainings, with their configurations."""
    summary = make_summary(system)
    for name in system["runs"]:
        seed = name.split("-")[1]
        text = config.get(seed, f"batch_size = 16\nPreparedDataset.seed = '{seed}'\n")
        facts = {"step": 100, "training": {}, "config": text, "plan_hash": "1"}
        summary["runs"][name] = facts
    return verdict.write(summary)


def test_early_checkpoints_of_several_trainings_are_told_once():
    one = make_trainings(0.8, seed1=0.8, seed2=0.8, seed3=0.8)
    training = {"held_out/spectral_distance": DONE}
    runs = {
        name: {"step": step, "training": training, "config": ""}
        for name, step in zip(one["runs"], (30, 80, 50), strict=True)
    }
    notes = verdict.describe_doubts(one, runs)
    assert sum("--checkpoint=last" in note for note in notes) == 1
    assert "checkpoint of step 30 of 100 and step 50 of 100." in notes[-1]


def test_one_collapsed_training_is_not_hidden_by_the_mean():
    told = tell(make_trainings(0.3, seed1=0.0, seed2=0.9, seed3=0.0))
    sentence = "stage1 has collapsed in 1 of 3 trainings: stage1-seed2."
    assert told["systems"]["stage1"]["state"] == "partly collapsed"
    assert told["systems"]["stage1"]["sentence"] == told["headline"] == sentence
    assert told["collapsed"] == ["stage1"]
    assert told["collapsed_runs"] == ["stage1-seed2"]
    notes = " ".join(told["systems"]["stage1"]["notes"])
    assert "trainings collapsed" not in notes  # the sentence has said it


def test_a_collapsed_mean_says_how_many_trainings_collapsed():
    told = tell(make_trainings(0.6, seed1=0.0, seed2=0.9, seed3=0.9))
    assert told["systems"]["stage1"]["state"] == "collapsed"
    notes = told["systems"]["stage1"]["notes"]
    assert "2 of 3 trainings collapsed: stage1-seed2, stage1-seed3." in notes


def test_a_training_without_an_index_is_named():
    told = tell(make_trainings(float("nan"), seed1=0.1, seed2=float("nan")))
    assert told["unjudged_runs"] == ["stage1-seed2"] and told["collapsed_runs"] == []
    assert told["systems"]["stage1"]["state"] == "unknown"
    notes = told["systems"]["stage1"]["notes"]
    assert notes[0] == "Mean of 2 trainings: stage1-seed1 0.10, stage1-seed2."
    assert "1 of 2 trainings could not be judged: stage1-seed2." in notes
    told = tell(make_trainings(float("nan"), seed1=0.9, seed2=float("nan")))
    assert told["systems"]["stage1"]["state"] == "partly collapsed"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("batch_size = 16\nPreparedDataset.seed = 7\nDATA_DIR = 'elsewhere'", ""),
        ("batch_size = 4", "(batch_size, see Runs): the mean mixes"),
        ("batch_size = 4\nx = 1", "(batch_size, x, see Runs)"),
        ("batch_size = 4\nx = 1\ny = 1", "(3 settings, see Runs)"),
    ],
)
def test_trainings_of_different_configurations_are_told_apart(config, words):
    told = tell(make_trainings(0.2, seed1=0.2, seed2=0.2), seed2=config)
    notes = told["systems"]["stage1"]["notes"]
    found = [note for note in notes if "more than the seed" in note]
    assert (words in found[0]) if words else (found == [])
    assert notes[0] == "Mean of 2 trainings: stage1-seed1 0.20, stage1-seed2 0.20."


def test_a_single_training_of_each_is_a_limit():
    one = make_system("stage2", 0.2)
    assert "trained once" in verdict.write(make_summary(one))["single_training"]
    assert tell(make_trainings(0.2, seed1=0.2, seed2=0.2))["single_training"] == ""


def test_a_covering_reverb_is_said():
    one = make_system("stage2", 0.8, frozen=0.8)
    one["metrics"]["heard_collapse_index"]["mean"] = 0.2
    (note,) = verdict.describe_doubts(one, make_summary(one)["runs"])
    assert "0.20" in note and "reverb" in note
    one["metrics"]["heard_collapse_index"]["mean"] = 0.49
    assert verdict.describe_doubts(one, make_summary(one)["runs"]) == []


def test_the_headline_over_several_keeps_the_doubt():
    healthy, sure, unsure = (
        make_system("stage1", 0.2),
        make_system("stage2", 0.9),
        make_system("stage3", 0.52, width=0.1),
    )
    told = verdict.write(make_summary(healthy, sure, unsure))["headline"]
    assert told == "2 of 3 candidates have collapsed: stage2, stage3 (probably)."
    told = verdict.write(make_summary(healthy, unsure, curve=YOUNG))["headline"]
    assert told.endswith("1 of 2 candidates has collapsed: stage3 (probably so far).")
    told = verdict.write(make_summary(healthy, healthy))["headline"]
    assert told == "None of 2 candidates has collapsed."


def test_the_headline_counts_nobody_as_healthy_who_was_not_judged():
    healthy, lost = make_system("stage1", 0.2), make_system("stage2", 0.9)
    silent, mute = make_system("x", math.nan), make_system("y", math.nan)
    for candidates, headline in (
        ([silent, mute], "None of 2 candidates could be judged."),
        ([silent], "x could not be judged."),
        ([healthy, mute], "None of 2 candidates has collapsed; y could not be judged."),
        (
            [lost, silent, mute],
            "1 of 3 candidates has collapsed: stage2; x, y could not be judged.",
        ),
    ):
        assert verdict.write(make_summary(*candidates))["headline"] == headline


def test_what_nobody_hears_is_not_told_as_better():
    pair = make_pair("stage2")
    found = pair["metrics"]["pitch_error_cents"]

    def told(cents, difference):
        found["candidate_mean"], found["difference"]["mean"] = cents, difference
        lines = verdict_pairs.describe_pair(pair)
        return next(line for line in lines if "tune" in line)

    assert told(2.0, -0.3) == "As well in tune: off by 2.0 against 2.3 cents."
    assert told(30.0, 27.7).startswith("Less in tune: off by 30.0 against 2.3 cents")


@pytest.mark.parametrize(
    ("difference", "outcome", "sentences"),
    [
        (
            -1.5,
            "better",
            [
                "Closer to the recording than the baseline: spectral loss 2.50 "
                "against 4.00.",
                "Loudness nearer the recording's: off by 2.5 against 4.0 dB.",
                "Better in tune: off by 20.0 against 30.0 cents.",
            ],
        ),
        (
            1.5,
            "worse",
            [
                "Further from the recording than the baseline: spectral loss 2.50 "
                "against 4.00.",
                "Loudness further from the recording's: off by 2.5 against 4.0 dB.",
                "Less in tune: off by 20.0 against 30.0 cents.",
            ],
        ),
        (
            1.5,
            "not decided",
            [
                "Further from the recording than the baseline: spectral loss 2.50 "
                "against 4.00; not decided, the seeds disagree.",
                "Loudness further from the recording's: off by 2.5 against 4.0 dB; "
                "not decided, the seeds disagree.",
                "Less in tune: off by 20.0 against 30.0 cents; not decided, the seeds "
                "disagree.",
            ],
        ),
        (0.0, "not decided", []),
        (None, "not decided", []),
    ],
)
def test_pairs_are_told_by_the_sign_of_the_difference(difference, outcome, sentences):
    """The sign of the difference decides which sentence it is."""
    keys = ("spectral_loss", "loudness_distance", "pitch_error_cents")
    pair = make_pair("stage2", **dict.fromkeys(keys, outcome))
    means = {keys[0]: (4.0, 2.5), keys[1]: (4.0, 2.5), keys[2]: (30.0, 20.0)}
    for key, both in means.items():
        pair["metrics"][key]["difference"]["mean"] = difference
        pair["metrics"][key]["reason"] = "the seeds disagree"
        pair["metrics"][key]["baseline_mean"] = both[0]
        pair["metrics"][key]["candidate_mean"] = both[1]
    assert verdict_pairs.describe_pair(pair) == sentences


def test_a_score_that_is_not_known_leaves_out_its_own_sentence_only():
    pair = make_pair("stage2")
    pair["metrics"]["loudness_distance"]["baseline_mean"] = None
    pair["metrics"]["spectral_loss"]["candidate_mean"] = 4.5
    lines = verdict_pairs.describe_pair(pair)
    assert [line.split()[0] for line in lines] == ["Further", "As"]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("better", "It sounds closer to the recording than stage5."),
        ("worse", "It sounds further from the recording than stage5."),
        ("not decided", "is not decided"),
    ],
)
def test_a_lone_candidate_is_compared_in_a_sentence(outcome, words):
    summary = make_summary(make_system("stage2", 0.2))
    summary["comparisons"] = [make_pair("stage2", spectral_loss=outcome)]
    assert words in verdict.write(summary)["compared"]
    summary["comparisons"] *= 2
    assert verdict.write(summary)["compared"] == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ""),
        ({"n_units": 2, "n_recordings": 2, "n_clips": 2}, "2 clips of 2 recordings to"),
        ({"n_units": 1, "n_recordings": 1, "n_clips": 1}, "1 clip of 1 recording to"),
        ({"unit": "clip", "n_recordings": 3}, "Only 3 recordings to judge by: inter"),
        (
            {"unit": "clip", "n_recordings": 1},
            "Only 1 recording to judge by: intervals",
        ),
    ],
)
def test_few_recordings_are_a_caution(facts, words):
    summary = copy.deepcopy(make_summary(make_system("stage2", 0.2))) | facts
    caution = verdict.write(summary)["caution"]
    assert words in caution if words else caution == ""


def curve_of(steps, values):
    return {"held_out/spectral_distance": {"steps": steps, "values": values}}


@pytest.mark.parametrize(
    ("steps", "values", "fall"),
    [
        # The half's own step belongs to the first half; the best of each counts.
        ([10, 50, 100], [8.0, 4.0, 3.0], 0.25),
        ([10, 51, 100], [8.0, 4.0, 3.0], 1 - 3 / 8),
        ([10, 50, 60, 100], [8.0, 4.0, 2.0, 3.0], 0.5),
        # Nothing better came: no fall, and no rise.
        ([10, 50, 100], [8.0, 4.0, 6.0], 0.0),
        # Nothing was measured, or there is no curve to speak of.
        ([10, 50], [None, None], math.nan),
        ([], [], math.nan),
        # What was not measured is left out, also where it would be the last step.
        ([10, 40, 80, 200], [8.0, 4.0, 2.0, None], 0.5),
        ([10, 40, 80, 200], [None, 4.0, 2.0, 0.5], 0.75),
    ],
)
def test_late_fall_by_hand(steps, values, fall):
    found = verdict.late_fall(curve_of(steps, values))
    assert found == pytest.approx(fall, nan_ok=True)


@pytest.mark.parametrize(
    ("border", "late", "is_young"),
    [
        (0.02, 97.9, True),
        (0.02, 98.1, False),
        # A quarter is a whole number of float's parts: exactly at the border.
        (0.25, 75.0, True),
        (0.25, 75.01, False),
    ],
)
def test_two_percent_in_the_second_half_is_still_learning(
    border, late, is_young, monkeypatch
):
    if border != verdict.STILL_LEARNING:
        monkeypatch.setattr(verdict, "STILL_LEARNING", border)
    one = make_system("stage2", 0.8, frozen=0.8)
    curve = {"steps": [0, 50, 100], "values": [200.0, 100.0, late]}
    told = verdict.write(make_summary(one, curve=curve))["systems"]["stage2"]
    assert told["state"] == ("collapsed so far" if is_young else "collapsed")
    assert any("Still learning" in note for note in told["notes"]) == is_young


def test_the_youngest_of_several_trainings_counts():
    one = make_trainings(0.8, seed1=0.8, seed2=0.8)
    runs = {
        name: {"step": 100, "config": "", "training": curve_of(c["steps"], c["values"])}
        for name, c in zip(one["runs"], (DONE, YOUNG), strict=True)
    }
    assert verdict.describe_system(one, runs)["state"] == "collapsed so far"


@pytest.mark.parametrize(("heard", "is_told"), [(0.39, True), (0.4, False)])
def test_a_cover_is_said_a_tenth_below_the_threshold(heard, is_told):
    one = make_system("stage2", 0.8, frozen=0.8)
    one["metrics"]["heard_collapse_index"]["mean"] = heard
    notes = verdict.describe_doubts(one, make_summary(one)["runs"])
    assert any("As heard" in note for note in notes) == is_told
    # What has not collapsed needs no cover.
    sound = make_system("stage2", 0.45)
    sound["metrics"]["heard_collapse_index"]["mean"] = heard
    assert verdict.describe_doubts(sound, make_summary(sound)["runs"]) == []


@pytest.mark.parametrize(("severity", "is_told"), [(0.5, True), (0.499, False)])
def test_a_kind_is_told_from_the_threshold_on(severity, is_told):
    one = make_system("stage2", 0.9, flat=0.9, narrow=severity)
    sentence = verdict.describe_system(one, make_summary(one)["runs"])["sentence"]
    assert ("harmonic" in sentence) == is_told


@pytest.mark.parametrize(("index", "collapsed"), [(0.5, True), (0.4999, False)])
def test_a_training_has_collapsed_from_the_threshold_on(index, collapsed):
    one = make_trainings(0.3, seed1=0.0, seed2=index)
    assert verdict.collapsed_runs(one) == (["stage1-seed2"] if collapsed else [])
    assert verdict.has_collapsed(one) == collapsed


@pytest.mark.parametrize(
    ("key", "own", "words"),
    [
        # 1 dB and 5 cents are heard; any difference of the spectral loss is told.
        ("loudness_distance", 2.25, "Loudness as near"),
        ("loudness_distance", 2.5, "Loudness further"),
        ("pitch_error_cents", 7.25, "As well in tune"),
        ("pitch_error_cents", 7.5, "Less in tune"),
        ("spectral_loss", 4.001, "Further from the recording"),
    ],
)
def test_differences_are_told_from_where_they_are_heard(key, own, words):
    pair = make_pair("stage2")
    pair["metrics"]["loudness_distance"]["baseline_mean"] = 1.5
    pair["metrics"]["pitch_error_cents"]["baseline_mean"] = 2.5
    pair["metrics"][key]["candidate_mean"] = own
    lines = verdict_pairs.describe_pair(pair)
    assert any(line.startswith(words) for line in lines)


@pytest.mark.parametrize(("n_units", "words"), [(4, "too few"), (5, "")])
def test_five_recordings_are_no_caution(n_units, words):
    summary = make_summary(make_system("stage2", 0.2))
    told = verdict.write(summary | {"n_units": n_units, "n_recordings": n_units})
    assert words in told["caution"] if words else told["caution"] == ""


def test_every_collapse_has_its_words_and_what_it_lacks():
    kinds = ["frozen", "narrow", "flat", "noisy", "silent"]
    assert list(verdict.KINDS) == list(verdict.LACKS) == kinds


def test_a_dataset_of_no_training_is_a_caution():
    summary = make_summary(make_system("stage2", 0.2), make_system("stage1", 0.2))
    runs = summary["runs"]
    runs["stage5"]["plan_hash"] = "data"  # no hash, but the folder
    assert verdict.write(summary)["caution"] == ""
    runs["stage2"]["plan_hash"] = "2"
    caution = "stage2 was not trained on this dataset: whether it heard these"
    assert verdict.write(summary)["caution"].startswith(caution)
    runs["stage1"]["plan_hash"] = "elsewhere"
    told = verdict.write(summary | {"n_units": 4})["caution"]
    assert "nothing is decided. stage2, stage1 were not trained on this dataset" in told


def test_recordings_that_say_nothing_are_a_caution():
    summary = make_summary(make_system("stage2", 0.2))
    summary["systems"][1]["index"]["n_units"] = 4
    caution = verdict.write(summary)["caution"]
    assert caution.startswith("Only 4 of 6 recordings sound long enough")
