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

from absl import app
from absl import flags
from absl import logging
from ddsp.training import ddsp_run  # defines ddsp's flags

from models.config import gin_config
from models.training import request
from models.training import resume
from models.training import session
from models.training import staged

FLAGS = flags.FLAGS
FLAGS.set_default("save_dir", "")
RUNS_DIR = "runs"

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Prepared dataset; what the gin file says, or data/, by default."
)
_RESUME = flags.DEFINE_enum(
    "resume",
    "auto",
    resume.MODES,
    "auto goes on from the newest sound checkpoint if there is one; must insists on "
    "one; never moves an earlier run aside and starts anew.",
)
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    "",
    "Run directory or checkpoint whose weights a fresh run starts with (optimiser and "
    "step start anew).",
)
_ALLOW_SHAPE_MISMATCH = flags.DEFINE_boolean(
    "allow_shape_mismatch",
    False,
    "With --init_from: leave weights of another shape at their initial value instead "
    "of refusing.",
)
_STEPS = flags.DEFINE_integer("steps", None, "Updates to make; train.num_steps.")
_MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "Stop after the first step beyond so many minutes of training, counted from this "
    "start; 0 sets no limit.",
)
_SEED = flags.DEFINE_integer(
    "seed",
    0,
    "Decides weights, order of examples and noise; the same seed, the same run.",
)
_DUMP = flags.DEFINE_integer(
    "dump_controls_every", None, "Steps between dumps of the controls; 0 writes none."
)
_RENDER = flags.DEFINE_integer(
    "render_every", None, "Steps between renderings of the held-out batch; 0 none."
)
_STAGED = flags.DEFINE_boolean(
    "staged",
    False,
    "Train in three phases, A, B, C, each from the best of those before; see "
    "models/training/staged.py.",
)
_QUIET = flags.DEFINE_boolean("quiet", False, "No progress line: warnings and the end.")


def default_save_dir(gin_files: list[str]) -> str:
    """runs/<name of the last gin file that is no overlay>, as a run's own directory."""
    stages = [
        name for name in gin_files if "overlays" not in pathlib.PurePath(name).parts
    ]
    if not (stages or gin_files):
        raise gin_config.ConfigError(
            "say what to train: --gin_file=gin/stage2.gin, or --save_dir of a run to "
            "go on with."
        )
    stem = pathlib.PurePath((stages or gin_files)[-1]).stem
    return os.path.join(RUNS_DIR, f"{stem}_abc" if _STAGED.value else stem)


def request_of_flags() -> request.Request:
    """What the command line asks for."""
    options = {
        "dump_controls_every": _DUMP.value,
        "render_every": _RENDER.value,
        "early_stop_loss_value": FLAGS.early_stop_loss_value,
        "max_minutes": _MAX_MINUTES.value,
    }
    save_dir = FLAGS.save_dir or default_save_dir(FLAGS.gin_file)
    return request.Request(
        save_dir=os.path.expanduser(save_dir),
        restore_dir=os.path.expanduser(FLAGS.restore_dir),
        init_from=os.path.expanduser(_INIT_FROM.value),
        allow_shape_mismatch=_ALLOW_SHAPE_MISMATCH.value,
        gin_files=tuple(FLAGS.gin_file),
        bindings=tuple(FLAGS.gin_param),
        search_paths=tuple(FLAGS.gin_search_path),
        data_dir=_DATA_DIR.value,
        resume=_RESUME.value,
        seed=_SEED.value,
        num_steps=_STEPS.value,
        loop_options={
            key: value for key, value in options.items() if value is not None
        },
        tpu=FLAGS.tpu,
        cluster_config=FLAGS.cluster_config,
        quiet=_QUIET.value,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"ddsp_run: {text}\n")
    sys.stderr.flush()


def main(unused_argv: list[str]) -> int:
    """Runs what the flags say; returns an exit code."""
    del unused_argv
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # TensorFlow tells much at INFO
    if FLAGS.allow_memory_growth:
        ddsp_run.allow_memory_growth()
    try:
        if FLAGS.mode == "train":
            train = staged.train_staged if _STAGED.value else session.train
            outcome = train(request_of_flags(), say=_say)
            return 0 if outcome.reason != "interrupted" else 130
        session.evaluate_or_sample(
            request_of_flags(), mode=FLAGS.mode, run_once=FLAGS.run_once
        )
        return 0
    except session.USER_ERRORS as error:
        _say(f"error: {session.sentence(error)}")
        return 1


def console() -> None:
    """Entry point of the console script."""
    app.run(main)


if __name__ == "__main__":
    console()
