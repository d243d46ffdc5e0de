"""What the matrix plans."""

import pathlib

import pytest

from evaluation import run_matrix
from evaluation.matrix import experiments
from prep import errors
from tests.helpers import matrix_helpers as helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def test_presets_hold_the_plan_s_experiments():
    minimum = {
        one.name: one
        for one in experiments.plan("minimum", rungs=experiments.RUNGS, scale=1)
    }
    assert tuple(minimum) == experiments.LADDER_EXPERIMENTS
    assert 100 <= minimum["overfit"].n_steps <= 500
    assert "--dump_controls_every=20" in minimum["overfit"].flags
    for name, batch in (("fixed", 16), ("fixed32", 32)):
        assert f"--gin_param=batch_size={batch}" in minimum[name].flags
        assert any(f"max_examples={batch}" in flag for flag in minimum[name].flags)
    assert any("render_every" in flag for flag in minimum["shuffled"].flags)
    assert list(minimum["transformer"].rungs) == list(experiments.TRANSFORMER_RUNS)
    full = {
        one.name: one
        for one in experiments.plan("full", rungs=experiments.RUNGS, scale=1)
    }
    assert full["shuffled"].n_seeds == 3
    names = [name for _, _, name in experiments.run_names(full["shuffled"])]
    assert "stage1-seed2" in names and len(names) == 3 * len(experiments.RUNGS)


def test_smoke_has_one_small_fixed_batch():
    smoke = experiments.plan("smoke", rungs=["stage1"], scale=1)
    assert [one.name for one in smoke] == [
        "overfit",
        "fixed",
        "shuffled",
        "transformer",
    ]
    assert "--gin_param=batch_size=2" in smoke[1].flags


def test_a_batch_of_more_clips_than_there_are_is_skipped():
    planned = experiments.plan("minimum", rungs=["stage1"], scale=1)
    skipped = {one.name for one in planned if one.why_skipped(31)}
    assert skipped == {"fixed32"}
    assert not any(one.why_skipped(32) for one in planned)
    (why,) = {one.why_skipped(23) for one in planned} - {""}
    assert "32 training clips and the dataset has 23" in why


def test_more_seeds_keep_the_names_of_fewer():
    def names(n_seeds):
        planned = experiments.plan(
            "minimum", rungs=["stage1"], scale=1, n_seeds=n_seeds
        )
        shuffled = next(one for one in planned if one.name == "shuffled")
        return [name for _, _, name in experiments.run_names(shuffled)]

    assert names(1) == ["stage1"]
    assert names(3) == ["stage1", "stage1-seed1", "stage1-seed2"]


def test_teacher_s_experiments_give_the_untaught_equal_time(tmp_path):
    planned = {
        one.name: one
        for one in experiments.plan("teacher", rungs=["stage3", "stage5"], scale=0.5)
    }
    assert tuple(planned) == experiments.TEACHER_EXPERIMENTS
    parts = planned["parts"]
    assert parts.steps_of("no_anchor") == 200 and parts.n_seeds == 3
    assert parts.steps_of("untaught") == 200 * experiments.EQUAL_TIME

    def words(name, rung):
        return experiments.command(
            planned[name], rung, seed=1, run_dir=tmp_path, data_dir="data"
        )

    taught = words("taught_rungs", "stage5_taught")
    files = [word.partition("=")[2] for word in taught if "--gin_file" in word]
    assert files == [
        "gin/stage5.gin",
        "gin/overlays/demo.gin",
        "gin/overlays/demo_gru.gin",
        "gin/overlays/teacher.gin",
    ]
    untaught = words("taught_rungs", "stage3_untaught")
    assert not any("overlays/teacher" in word for word in untaught)
    assert f"--steps={round(200 * experiments.EQUAL_TIME)}" in untaught
    assert "--steps=200" in words("parts", "no_anchor")


def test_a_run_that_is_long_enough_to_stop_early_must_not(tmp_path):
    """Taught rungs make 2000 steps, which cannot; untaught ones half as many more."""
    planned = experiments.plan("teacher", rungs=["stage1"], scale=5)
    twins = next(one for one in planned if one.name == "taught_rungs")
    patient = {
        rung: set(experiments.NO_EARLY_STOP)
        <= set(
            experiments.command(twins, rung, seed=0, run_dir=tmp_path, data_dir="data")
        )
        for rung in twins.rungs
    }
    assert patient == {"stage1_taught": False, "stage1_untaught": True}


@pytest.mark.parametrize("preset", experiments.PRESETS)
def test_every_gin_file_of_the_plan_exists(preset):
    files = {
        name
        for one in experiments.plan(preset, rungs=experiments.RUNGS, scale=1)
        for name in (
            *one.rungs.values(),
            *one.overlays,
            *(file for files in one.rung_overlays.values() for file in files),
        )
    }
    assert files
    assert [name for name in sorted(files) if not (REPOSITORY / name).is_file()] == []


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"preset": "tiny", "rungs": ["stage1"], "scale": 1}, "smoke, minimum"),
        ({"preset": "smoke", "rungs": ["stage9"], "scale": 1}, "stage9"),
        ({"preset": "smoke", "rungs": ["stage1"], "scale": 0}, "above 0"),
        (
            {
                "preset": "smoke",
                "rungs": ["stage1"],
                "scale": 1,
                "rung_overlays": {"stage9": ("x.gin",)},
            },
            r"\['stage9'\]: there are stage0",
        ),
    ],
)
def test_impossible_plans_are_refused(kwargs, match):
    preset = kwargs.pop("preset")
    with pytest.raises(ValueError, match=match):
        experiments.plan(preset, **kwargs)


def test_a_rung_s_own_overlay_comes_last_and_reaches_no_other():
    planned = experiments.plan(
        "minimum",
        rungs=["stage1", "stage5"],
        scale=1,
        overlays=["all.gin"],
        rung_overlays={"stage5": ("gru.gin", "more.gin"), "b_mlp": ("b.gin",)},
    )
    for one in planned:
        for rung in one.rungs:
            words = experiments.command(
                one, rung, seed=0, run_dir=pathlib.Path("r"), data_dir="d"
            )
            files = [w.split("=")[1] for w in words if w.startswith("--gin_file=")]
            own = {"stage5": ["gru.gin", "more.gin"], "b_mlp": ["b.gin"]}.get(rung, [])
            assert files == [one.rungs[rung], *one.overlays, *own]


def test_rung_overlays_are_read_from_words():
    found = run_matrix.read_rung_overlays(["stage5:a.gin", "stage1:b.gin", "stage5:c"])
    assert found == {"stage5": ("a.gin", "c"), "stage1": ("b.gin",)}


@pytest.mark.parametrize("word", ["stage5", "stage5:", ":a.gin", ""])
def test_words_that_name_no_rung_or_file_are_refused(word):
    with pytest.raises(errors.InputError, match="RUNG:FILE"):
        run_matrix.read_rung_overlays([word])


def test_a_gru_s_step_weighs_more():
    costs = {
        rung: helpers.experiment(**{rung: "x.gin"}).cost(rung)
        for rung in ("stage1", "stage5")
    }
    assert costs["stage5"] > 5 * costs["stage1"] > 0
