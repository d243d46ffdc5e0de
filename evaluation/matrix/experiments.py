"""The plan's experiment matrix: which trainings there are, and the command of each."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Mapping
from collections.abc import Sequence

RUNGS = ("stage0", "stage1", "stage2", "stage3", "stage4", "transformer", "stage5")
LADDER_EXPERIMENTS = ("overfit", "fixed", "fixed32", "shuffled", "transformer")
TEACHER_EXPERIMENTS = ("recipe", "parts", "taught_rungs", "lasting")
EXPERIMENTS = (*LADDER_EXPERIMENTS, *TEACHER_EXPERIMENTS)
PRESETS = ("smoke", "minimum", "full", "teacher")
TRANSFORMER_RUNS = ("a_mlp_fir", "b_mlp", "c_transformer", "d_transformer_onepole")
# Runs that are compared make equally many steps; shorter ones than gin/base.gin's
# patience allows cannot stop early anyhow.
EARLIEST_STOP = 2000  # steps
# Of a step, in steps of a small MLP; the GRU's as benchmarks.bench_ladder measured it.
# They only weigh the runs against each other where the time left is told.
COSTS = {"stage5": 8.0}
BATCHES = (16, 32)  # clips, of the plan's fixed batches
RECIPE = "recommended"
# What the recipe is compared with; "untaught" has neither its lessons nor its anchor.
PARTS = ("no_warm_up", "no_anchor", "no_data_start", "untaught")
TAUGHT_STEPS = 400  # of the recipe
# Spectral steps in the time of the recipe's measuring, warm-up and own steps, as a
# multiple of these: 15 + 42 + 400 * 0.28 s on two idle cores (docs/results.md).
EQUAL_TIME = 1.5
LASTING_STEPS = 3000
NO_EARLY_STOP = ("--gin_param=models.loop.LoopOptions.patience=0",)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One kind of training, done with several rungs and seeds.

    Attributes:
        name: Folder below runs/.
        title: In words.
        rungs: Gin files without folder and ending, by the name of the run.
        n_steps: Updates.
        overlays: Gin files put on top of each rung's.
        rung_overlays: Gin files put on top of these, by the name of the rung.
        flags: More flags of `ddsp_run`.
        n_seeds: Trainings of each.
        judged: Whether a scorecard over the eval split is written.
        step_cost: Of a step, relative to the other experiments'.
        min_clips: Training clips that it needs.
        lengths: Of single rungs, as multiples of `n_steps`.
    """

    name: str
    title: str
    rungs: dict[str, str]
    n_steps: int
    overlays: tuple[str, ...] = ()
    rung_overlays: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    flags: tuple[str, ...] = ()
    n_seeds: int = 1
    judged: bool = False
    step_cost: float = 1.0
    min_clips: int = 1
    lengths: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def steps_of(self, rung: str) -> int:
        """Returns the number of updates of one of its rungs."""
        return max(2, round(self.n_steps * self.lengths.get(rung, 1.0)))

    def why_skipped(self, n_train: int) -> str:
        """Why it cannot be done with so many training clips; empty if it can."""
        if n_train >= self.min_clips:
            return ""
        return (
            f"it needs {self.min_clips} training clips and the dataset has {n_train}; "
            "prepare more recordings"
        )

    def cost(self, rung: str) -> float:
        """Of a step of one of its rungs, in steps of a small MLP on four clips."""
        return self.step_cost * COSTS.get(rung, 1.0)


def stage_files(rungs: Sequence[str]) -> dict[str, str]:
    """Gin file of each rung.

    Raises:
        ValueError: If there is no such rung.
    """
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise ValueError(f"rungs {unknown} are unknown; there are {', '.join(RUNGS)}.")
    return {rung: f"gin/{rung}.gin" for rung in rungs}


def plan(
    preset: str,
    *,
    rungs: Sequence[str],
    scale: float,
    n_seeds: int | None = None,
    overlays: Sequence[str] = (),
    rung_overlays: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Experiment]:
    """The experiments of a preset.

    Args:
        preset: "smoke", "minimum", "full" or "teacher".
        rungs: Which rungs take part.
        scale: Multiplies the numbers of steps.
        n_seeds: Seeds of the judged experiments; the preset's own by default.
        overlays: Gin files put on top of every run's.
        rung_overlays: Gin files put on top of those for single rungs, by name.

    Raises:
        ValueError: If the preset or a rung is unknown or the scale not positive.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}; there are {', '.join(PRESETS)}.")
    if scale <= 0:
        raise ValueError(f"scale={scale} must be above 0.")
    files = stage_files(rungs)
    own = dict(rung_overlays or {})
    known = (*RUNGS, *TRANSFORMER_RUNS, RECIPE, *PARTS)
    unknown = sorted(set(own) - set(known))
    if unknown:
        raise ValueError(f"rung_overlays for {unknown}: there are {', '.join(known)}.")
    if preset == "teacher":
        return _teacher(
            files, scale=scale, n_seeds=n_seeds or 3, overlays=overlays, own=own
        )
    smoke = preset == "smoke"
    seeds = n_seeds or {"smoke": 1, "minimum": 1, "full": 3}[preset]
    on_top = (("gin/overlays/tiny.gin",) if smoke else ()) + tuple(overlays)
    lengths = {"smoke": (20, 10, 20, 10), "minimum": (300, 100, 1000, 600)}
    lengths["full"] = (500, 200, 10000, 4000)
    overfit, fixed, shuffled, matrix = (
        max(2, round(steps * scale)) for steps in lengths[preset]
    )
    every = max(1, min(20, overfit // 5))
    return [
        Experiment(
            name="overfit",
            title="One clip, fixed: can it fit at all?",
            rungs=files,
            n_steps=overfit,
            overlays=(*on_top, "gin/overlays/overfit.gin"),
            rung_overlays=own,
            flags=(
                "--gin_param=models.data.PreparedDataset.max_examples=1",
                f"--dump_controls_every={every}",
            ),
            step_cost=0.4,  # one clip, and pictures
        ),
        *(
            _fixed_batch(
                batch, n_steps=fixed, overlays=on_top, rung_overlays=own, files=files
            )
            for batch in ((2,) if smoke else BATCHES)
        ),
        Experiment(
            name="shuffled",
            title="All clips, shuffled, with renderings",
            rungs=files,
            n_steps=shuffled,
            overlays=on_top,
            rung_overlays=own,
            flags=(f"--render_every={max(1, shuffled // 4)}",),
            n_seeds=seeds,
            judged=True,
        ),
        Experiment(
            name="transformer",
            title="Runs A to D: does the transformer take the GRU's place?",
            rungs={
                name: f"gin/experiments/{name}.gin"
                for name in (TRANSFORMER_RUNS[:2] if smoke else TRANSFORMER_RUNS)
            },
            n_steps=matrix,
            overlays=on_top,
            rung_overlays=own,
            n_seeds=seeds,
            judged=True,
        ),
    ]


def _teacher(
    files: dict[str, str],
    *,
    scale: float,
    n_seeds: int,
    overlays: Sequence[str],
    own: Mapping[str, tuple[str, ...]],
) -> list[Experiment]:
    """Trainings with and without a teacher (docs/training.md, "The teacher").

    Args:
        files: Gin file of each rung.
        scale: Multiplies the numbers of steps.
        n_seeds: Trainings of each.
        overlays: Gin files put on top of every run's.
        own: Gin files put on top of these, by the name of the run.
    """
    recipe = {RECIPE: f"gin/{RECIPE}.gin"}
    without = {part: f"gin/experiments/{part}.gin" for part in PARTS}
    short = max(2, round(TAUGHT_STEPS * scale))
    # Every rung twice; the untaught one is given the time of the other's lessons.
    twins = {
        f"{rung}_{kind}": files[rung]
        for rung in files
        for kind in ("taught", "untaught")
    }
    demo = "gin/overlays/demo.gin"
    twin_overlays = {
        name: (
            demo,
            *(("gin/overlays/demo_gru.gin",) if name.startswith("stage5") else ()),
            *(("gin/overlays/teacher.gin",) if name.endswith("_taught") else ()),
            *own.get(name.rpartition("_")[0], ()),
        )
        for name in twins
    }
    untaught = {name: EQUAL_TIME for name in twins if name.endswith("_untaught")}
    judged = functools.partial(
        Experiment, overlays=tuple(overlays), n_seeds=n_seeds, judged=True
    )
    return [
        judged(
            name="recipe",
            title="The recommended recipe as it is",
            rungs=recipe,
            n_steps=short,
            rung_overlays=own,
        ),
        judged(
            name="parts",
            title="The recipe without each of its parts, in equal time without all",
            rungs=recipe | without,
            n_steps=short,
            rung_overlays=own,
            lengths={"untaught": EQUAL_TIME},
        ),
        judged(
            name="taught_rungs",
            title="Every rung with and without a teacher, in equal time",
            rungs=twins,
            n_steps=short,
            rung_overlays=twin_overlays,
            lengths=untaught,
        ),
        judged(
            name="lasting",
            title="Does it last? With and without a teacher, for longer",
            rungs=recipe | {"untaught": without["untaught"]},
            n_steps=max(2, round(LASTING_STEPS * scale)),
            rung_overlays=own,
        ),
    ]


def _fixed_batch(
    batch: int,
    *,
    files: dict[str, str],
    n_steps: int,
    overlays: tuple[str, ...],
    rung_overlays: Mapping[str, tuple[str, ...]],
) -> Experiment:
    """Steps on one batch that stays the same; the largest has its size in its name."""
    return Experiment(
        name=f"fixed{batch}" if batch == BATCHES[-1] else "fixed",
        title=f"A fixed batch of {batch} clips, timed",
        rungs=files,
        n_steps=n_steps,
        overlays=overlays,
        rung_overlays=rung_overlays,
        flags=(
            f"--gin_param=models.data.PreparedDataset.max_examples={batch}",
            f"--gin_param=batch_size={batch}",
            "--gin_param=models.trainer.LadderTrainer.accumulate_steps=1",
        ),
        step_cost=batch / 4,
        min_clips=batch,
    )


def command(
    experiment: Experiment,
    rung: str,
    *,
    seed: int,
    run_dir: pathlib.Path,
    data_dir: str,
) -> list[str]:
    """The command that trains one run.

    Args:
        experiment: The experiment.
        rung: One of its rungs.
        seed: The run's seed.
        run_dir: Where it goes.
        data_dir: The dataset.
    """
    files = (
        experiment.rungs[rung],
        *experiment.overlays,
        *experiment.rung_overlays.get(rung, ()),
    )
    n_steps = experiment.steps_of(rung)
    return [
        sys.executable,
        "-m",
        "models.ddsp_run",
        *(f"--gin_file={name}" for name in files),
        f"--data_dir={data_dir}",
        f"--save_dir={run_dir}",
        f"--seed={seed}",
        f"--steps={n_steps}",
        "--quiet",
        *(NO_EARLY_STOP if n_steps > EARLIEST_STOP else ()),
        *experiment.flags,
    ]


def run_names(experiment: Experiment) -> list[tuple[str, int, str]]:
    """Rung, seed and directory name of each run.

    The first seed is not named, so that asking for more seeds repeats no run.
    """
    return [
        (rung, seed, f"{rung}-seed{seed}" if seed else rung)
        for rung in experiment.rungs
        for seed in range(experiment.n_seeds)
    ]
