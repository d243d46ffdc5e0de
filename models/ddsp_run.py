r"""Trains, evaluates or samples a model; the project's `ddsp_run`.

    ddsp_run --gin_file=gin/stage2.gin

trains on data/ into runs/stage2 and, run again, goes on where it stopped. ddsp's flags
keep their names and meaning; differences from its runner: --save_dir is derived from
the gin file's name, the dataset's own rates and lengths are used, unknown names in gin
files are errors, and a run that goes on says so.
"""

import os
import pathlib
import sys
from typing import TYPE_CHECKING

from absl import flags
from absl import logging

from prep import command_line

if TYPE_CHECKING:  # seconds of imports, which --help and refusals do without
    from models.training import request

RUNS_DIR = "runs"
RESUME_MODES = ("auto", "must", "never")


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line; ddsp's own flags keep their names and meaning."""
    groups.group("what is trained")
    groups.several("gin_file", "Configuration; later files win; may be repeated.")
    groups.several("gin_param", "A binding, e.g. batch_size=4; may be repeated.")
    groups.several("gin_search_path", "Further folder of gin files.")
    groups.text(
        "data_dir", None, "Prepared dataset; the gin file's, or data/, by default."
    )
    groups.text(
        "save_dir",
        "",
        "Run directory; runs/<names of the gin file and of its overlays>.",
    )
    groups.switch(
        "staged", "Train in three phases, A, B, C, each from the best of those before."
    )
    groups.whole(
        "seed",
        None,
        "Decides weights, order of examples and noise; that of the run which is gone "
        "on with, or 0.",
        least=0,
    )
    groups.group("how long")
    groups.whole("steps", None, "Updates to make; train.num_steps.", least=1)
    groups.real(
        "max_minutes",
        None,
        "Stop after the first step beyond so many minutes of training, counted from "
        "this start; 0 sets no limit.",
    )
    groups.real(
        "early_stop_loss_value", None, "Stop when the training loss is below this."
    )
    groups.group("where it begins")
    groups.choice(
        "resume",
        "auto",
        RESUME_MODES,
        "auto goes on from the newest sound checkpoint if there is one; must insists "
        "on one; never moves an earlier run aside and starts anew.",
    )
    groups.text("restore_dir", "", "Run directory to go on from, as ddsp's runner.")
    groups.text(
        "init_from",
        "",
        "Run directory or checkpoint whose weights a fresh run starts with; optimiser "
        "and step start anew.",
    )
    groups.switch(
        "allow_shape_mismatch",
        "With --init_from: leave weights of another shape at their initial value.",
    )
    groups.group("what is shown and kept")
    groups.whole(
        "dump_controls_every", None, "Steps between dumps of the controls; 0: none."
    )
    groups.whole(
        "render_every", None, "Steps between renderings of the held-out batch; 0: none."
    )
    groups.switch("quiet", "No progress line: warnings and the end.")
    groups.whole(
        "verbosity", None, "Of absl's log: -1 warnings, 0 info, 1 debug.", least=None
    )
    groups.group("as ddsp's runner")
    groups.choice("mode", "train", ["train", "eval", "sample"], "What to do.")
    groups.switch("run_once", "Evaluate or sample once and end.")
    groups.text("tpu", "", "Address of a TPU.")
    groups.text("cluster_config", "", "JSON of a worker among several.")
    groups.switch("allow_memory_growth", "Take GPU memory as it is needed.")


def default_save_dir(gin_files: list[str], *, staged: bool) -> str:
    """Returns runs/<last gin file that is no overlay>_<overlay>_...

    A run with another overlay is another run: it must not go on from the plain one.

    Raises:
        command_line.UsageError: If there is no gin file.
    """
    if not gin_files:
        raise command_line.UsageError(
            "say what to train: --gin_file=gin/stage2.gin, or --save_dir of a run to "
            "go on with."
        )
    paths = [pathlib.PurePath(name) for name in gin_files]
    stages = [path.stem for path in paths if "overlays" not in path.parts]
    overlays = [path.stem for path in paths if "overlays" in path.parts]
    name = "_".join([*stages[-1:], *overlays, *(["abc"] if staged else [])])
    return os.path.join(RUNS_DIR, name)


def check(values: flags.FlagValues) -> None:
    """Refuses a command line that names nothing to train.

    Raises:
        command_line.UsageError: If there is neither a gin file nor a run.
    """
    if not values.save_dir:
        default_save_dir(values.gin_file, staged=values.staged)


def request_of_flags(values: flags.FlagValues) -> "request.TrainingRequest":
    """Returns what the command line asks for."""
    from models.training import request

    names = ("dump_controls_every", "render_every", "early_stop_loss_value")
    options = {name: values[name].value for name in (*names, "max_minutes")}
    save_dir = values.save_dir or default_save_dir(
        values.gin_file, staged=values.staged
    )
    return request.TrainingRequest(
        save_dir=os.path.expanduser(save_dir),
        restore_dir=os.path.expanduser(values.restore_dir),
        init_from=os.path.expanduser(values.init_from),
        allow_shape_mismatch=values.allow_shape_mismatch,
        gin_files=tuple(values.gin_file),
        bindings=tuple(values.gin_param),
        search_paths=tuple(values.gin_search_path),
        data_dir=values.data_dir,
        resume=values.resume,
        seed=values.seed,
        num_steps=values.steps,
        loop_options={
            key: value for key, value in options.items() if value is not None
        },
        tpu=values.tpu,
        cluster_config=values.cluster_config,
        quiet=values.quiet,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"ddsp_run: {text}\n")
    sys.stderr.flush()


def main(values: flags.FlagValues) -> int:
    """Trains, evaluates or samples; returns an exit code."""
    from ddsp.training import ddsp_run as ddsp_runner

    from models.runs import layout
    from models.training import session
    from models.training import staged

    # TensorFlow tells much at INFO.
    verbosity = values.verbosity
    logging.set_verbosity(logging.WARNING if verbosity is None else verbosity)
    if values.allow_memory_growth:
        ddsp_runner.allow_memory_growth()
    wanted = request_of_flags(values)
    if values.mode != "train":
        session.evaluate_or_sample(wanted, mode=values.mode, run_once=values.run_once)
        return 0
    train = staged.train_staged if values.staged else session.train
    result = train(wanted, say=_say)
    was_interrupted = result.reason is layout.Outcome.INTERRUPTED
    return command_line.EXIT_INTERRUPTED if was_interrupted else 0


PROGRAM = command_line.Program(
    name="ddsp_run",
    summary="Trains, evaluates or samples a model; run again, it goes on where it "
    "stopped.",
    examples=(
        "ddsp_run --gin_file=gin/stage2.gin",
        "ddsp_run --gin_file=gin/stage5.gin --data_dir=data --max_minutes=30",
        "ddsp_run --gin_file=gin/stage2.gin --gin_param=batch_size=8 --seed=1 "
        "--save_dir=runs/stage2-seed1",
    ),
    define_flags=define_flags,
    check=check,
    main=main,
    exit_codes="0 the run has ended by itself; 1 something given cannot be used; 2 a "
    "flag is wrong; 70 a fault of ours; 130 interrupted, after saving.",
    loads=("models.training.session", "models.training.staged"),
    input_code=1,
    when_interrupted="the same command goes on from the last checkpoint.",
)


def console() -> None:
    """Entry point of the console script."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
