"""Staged training, A → B → C, in one command: `ddsp_run --staged --gin_file=...`.

A trains with a loudness term that fades in; B goes on at a tenth of the rate with less
of it; C polishes the spectrum alone at a thirtieth. Each begins with the best weights
so far and a fresh optimiser. All are judged by one measure, the held-out spectral loss,
which no weight of a loss enters; so "best of the three" means something.

`<save_dir>/A`, `B`, `C` are complete runs; `<save_dir>` itself becomes a run with the
best weights of all, and `staged.json` says which phase they are from. Run again, it
goes on with the phase that was cut short.

Source: the plan's `--auto-abc` (rates, half-lives and loudness ramps); differs: the
rates follow `learning_rate`, and the three are compared by a measure they share.
"""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import time
from collections.abc import Callable

import tensorflow as tf

from models.config import gin_config
from models.losses import terms  # noqa: F401  registers what the phases bind
from models.runs import checkpoints
from models.runs import layout
from models.runs import record as run_record
from models.training import options as training_options
from models.training import request as run_request
from models.training import resume
from models.training import session
from models.training import stopping
from prep import checked_json
from prep import errors
from prep import files

STAGED_NAME = "staged.json"
HELD_OUT_EVERY = 10  # steps
PATIENCE = 8  # measurements
# Weight of the loudness term, a share of 80 dB, beside spectral terms of about 5. The
# ratio of B to A is the plan's, 0.02 to 0.05; its size there has another unit.
LOUDNESS_A = 5.0
LOUDNESS_B = 2.0
_SHORTEST_MINUTES = 1e-3  # 0 would be no limit
_TRAINER = "models.trainer.LadderTrainer"
_LOUDNESS = "models.losses.LoudnessEnvelope.weight"
_RAMP = "loudness_phase/models.schedules.Ramp"


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        name: A, B or C.
        rate_share: Its learning rate as a share of the configuration's.
        minimum_share: What that falls to.
        half_life: Steps in which it halves, above the minimum.
        loudness: Bindings of the loudness term.
        n_steps: Updates; None takes the configuration's train.num_steps.
    """

    name: str
    rate_share: float
    minimum_share: float
    half_life: int
    loudness: tuple[str, ...]
    n_steps: int | None

    def bindings(self, learning_rate: float) -> tuple[str, ...]:
        """Returns the bindings of this phase."""
        return (
            f"learning_rate = {learning_rate * self.rate_share!r}",
            f"{_TRAINER}.lr_schedule = 'exponential'",
            f"{_TRAINER}.lr_decay_rate = 0.5",
            f"{_TRAINER}.lr_decay_steps = {self.half_life}",
            f"{_TRAINER}.lr_min = {learning_rate * self.minimum_share!r}",
            f"models.loop.LoopOptions.held_out_every = {HELD_OUT_EVERY}",
            f"models.loop.LoopOptions.patience = {PATIENCE}",
            *self.loudness,
        )


PHASES = (
    Phase(
        "A",
        rate_share=1.0,
        minimum_share=1 / 3,
        half_life=2000,
        loudness=(
            f"{_LOUDNESS} = @{_RAMP}()",
            f"{_RAMP}.start = 0.0",
            f"{_RAMP}.end = {LOUDNESS_A}",
            f"{_RAMP}.warmup_steps = 10",
            f"{_RAMP}.ramp_steps = 40",
        ),
        n_steps=None,
    ),
    Phase("B", 1 / 10, 1 / 100, 120, (f"{_LOUDNESS} = {LOUDNESS_B}",), n_steps=300),
    Phase("C", 1 / 30, 1 / 300, 80, (f"{_LOUDNESS} = 0.0",), n_steps=300),
)


def train_staged(
    request: run_request.TrainingRequest,
    *,
    say: Callable[[str], None],
    phases: tuple[Phase, ...] = PHASES,
    clock: Callable[[], float] = time.monotonic,
) -> training_options.TrainingResult:
    """Trains phase after phase; see the module docstring.

    Args:
        request: What to train; its own bindings win over a phase's, its number of
            steps is the first phase's.
        say: Takes lines for a person.
        phases: The phases.
        clock: Seconds, for a limit of time, which all phases share.

    Returns:
        The outcome of the phase whose weights are best, or of one that was interrupted.

    Raises:
        errors.InputError: If the request cannot work, or several workers are asked for.
    """
    if request.cluster_config:
        raise errors.InputError(
            "--staged runs in one process; leave --cluster_config out."
        )
    save_dir = pathlib.Path(request.save_dir)
    run_request.configure(request)
    learning_rate = _base_rate(request, save_dir)
    request = _begin(request, save_dir, phases)
    results: dict[str, training_options.TrainingResult] = {}
    budget = stopping.TimeBudget(60.0 * run_request.max_minutes(), clock=clock)
    for phase in phases:
        source = best_run(save_dir, tuple(results))
        own = dataclasses.replace(
            request,
            save_dir=str(save_dir / phase.name),
            bindings=phase.bindings(learning_rate) + request.bindings,
            num_steps=phase.n_steps or request.num_steps,
            restore_dir="" if results else request.restore_dir,
            init_from=str(source) if source else request.init_from,
            loop_options=_of_what_is_left(request.loop_options, budget),
        )
        results[phase.name] = _train_phase(own, phase, say=say)
        if results[phase.name].reason == layout.Outcome.INTERRUPTED:
            return results[phase.name]
        if results[phase.name].reason == layout.Outcome.TIME_LIMIT or budget.is_over:
            say(f"the time is up in phase {phase.name}; run again to go on")
            break
        tf.keras.backend.clear_session()  # the graphs of a phase that is over
    best = best_run(save_dir, tuple(results))
    if best is None:
        raise errors.InputError(
            f"no phase in {save_dir} improved on its start; see their logs."
        )
    _promote(save_dir, best, results, learning_rate=learning_rate)
    say(f"best phase: {best.name}; its weights are {save_dir}'s own")
    return results[best.name]


def _begin(
    request: run_request.TrainingRequest,
    save_dir: pathlib.Path,
    phases: tuple[Phase, ...],
) -> run_request.TrainingRequest:
    """Does for all phases what `--resume` asks; returns what the phases are asked.

    Raises:
        resume.ResumeError: If there must be a run, and no phase has begun.
    """
    names = [phase.name for phase in phases]
    if request.resume == "never":
        resume.check_writable(save_dir)
        resume.move_aside(save_dir, phases=names)
    elif request.resume == "must" and not request.restore_dir:
        if not any(checkpoints.found_in(save_dir / name) for name in names):
            raise resume.ResumeError(
                f"--resume=must, but no phase in {save_dir} has a checkpoint; "
                "--resume=auto starts anew where there is none."
            )
    seed = resume.seed_of(save_dir / names[0]) if request.seed is None else request.seed
    return dataclasses.replace(request, resume="auto", seed=seed)


def _base_rate(request: run_request.TrainingRequest, save_dir: pathlib.Path) -> float:
    """Returns the learning rate of which phases have shares.

    A staged run's own configuration holds its best phase's, so where nothing else says
    one, the rate that it began with counts.
    """
    is_said = request.gin_files or any(
        gin_config.bound_name(item) == "learning_rate" for item in request.bindings
    )
    if not is_said and request.resume != "never":
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            summary = json.loads((save_dir / STAGED_NAME).read_text("utf-8"))
            return float(summary["learning_rate"])
    return float(gin_config.macro_value("learning_rate"))


def _of_what_is_left(
    options: run_request.LoopValues, budget: stopping.TimeBudget
) -> run_request.LoopValues:
    """A phase's options: of the time for all phases, what is left."""
    if budget.left_secs is None:
        return options
    return options | {"max_minutes": max(budget.left_secs / 60.0, _SHORTEST_MINUTES)}


def _train_phase(
    request: run_request.TrainingRequest, phase: Phase, *, say: Callable[[str], None]
) -> training_options.TrainingResult:
    """Trains a phase, unless an earlier start has done so."""
    done = run_record.read_record(request.save_dir)
    if done.is_done:
        say(f"phase {phase.name} is done already")
        return training_options.TrainingResult.from_record(done)
    return session.train(request, say=lambda line: say(f"phase {phase.name}: {line}"))


def best_run(save_dir: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
    """The phase whose best checkpoint measures best, among those that kept one."""
    measure_of = {}
    for name in names:
        if checkpoints.found_in(save_dir / name / layout.BEST_DIR):
            record = run_record.read_record(save_dir / name)
            measure_of[save_dir / name] = record.best_measure
    return min(measure_of, key=lambda path: measure_of[path], default=None)


def _promote(
    save_dir: pathlib.Path,
    best: pathlib.Path,
    results: dict[str, training_options.TrainingResult],
    *,
    learning_rate: float,
) -> None:
    """Makes the whole a run with the best phase's weights and configuration."""
    record = run_record.read_run(best)
    summary: checked_json.Json = {
        "best_phase": best.name,
        "learning_rate": learning_rate,
        "measure": "held-out spectral loss, the same for all phases, with the penalty "
        "for collapse",
        "phases": {name: dataclasses.asdict(item) for name, item in results.items()},
    }
    shutil.rmtree(save_dir / layout.BEST_DIR, ignore_errors=True)
    shutil.copytree(best / layout.BEST_DIR, save_dir / layout.BEST_DIR)
    files.write_text(save_dir / "operative_config-0.gin", record["config"])
    run_record.write_run(save_dir, record | {"staged": summary})
    files.write_text(save_dir / STAGED_NAME, json.dumps(summary, indent=2) + "\n")
