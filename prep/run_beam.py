#!/usr/bin/env python3
"""Recordings in, a DDSP dataset out: ddsp_prep, or prep/run_beam.py.

    prep/run_beam.py --input my_recordings/

finds the recordings (wav, flac, ogg, mp3, aiff and whatever else libsndfile reads),
measures pitch with CREPE and loudness, cuts examples, keeps some recordings for
evaluation and leaves `data/`: TFRecords, dataset_info.json, dataset.gin,
statistics.json, rejected.jsonl and dataset.html. The same command again goes on where
it was stopped.

Exit codes: 0 the dataset is complete; 1 something about the recordings, the disk or the
workers stopped it, what is finished is kept; 2 a flag is wrong; 130 interrupted.
"""

import dataclasses
import functools
import logging as stdlib_logging
import os
import signal
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

NOT_INSTALLED = (
    "ddsp_prep: the package {} is not installed here. Run `make setup` in the "
    "project's folder and then `. .venv/bin/activate`."
)
try:
    import prep  # noqa: F401  isort: skip  (before TensorFlow)
    from absl import app
    from absl import flags
    from absl import logging
except ModuleNotFoundError as missing:
    sys.exit(NOT_INSTALLED.format(missing.name))

FLAGS = flags.FLAGS
EXIT_DATA, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
_INTERRUPTED = "interrupted; the same command goes on from here."


def define_flags() -> None:
    """Defines all flags; the defaults are those of `prep.settings.Settings`."""
    flags.DEFINE_multi_string(
        "input", None, "Folder, file or glob of recordings; may be repeated."
    )
    flags.DEFINE_multi_string(
        "eval_input", [], "The same, for evaluation only; all of --input then trains."
    )
    flags.DEFINE_string("output", "data", "Folder of the dataset.")
    flags.DEFINE_string(
        "cache_dir", None, "Folder of features for reuse; default in --output."
    )
    flags.DEFINE_float("max_rejected", 0.1, "Share of unusable recordings, at most.")
    flags.DEFINE_bool("overwrite", False, "Replace another dataset in --output.")
    flags.DEFINE_bool("dry_run", False, "Show the plan and stop; writes nothing.")
    flags.DEFINE_bool("quiet", False, "Show errors only.")
    flags.DEFINE_string("runner", "FnApiRunner", "Of Beam; DirectRunner means this.")
    flags.DEFINE_integer("workers", 1, "Processes on this machine.")
    flags.DEFINE_string("dask", "", "Address of a Dask scheduler, tcp://host:port.")
    _define_settings()


def _define_settings() -> None:
    from prep import settings as settings_lib

    defaults = settings_lib.Settings()
    whole = {
        "sample_rate": "Of the examples, samples/s, 16000 or more.",
        "frame_rate": "Of the controls, frames/s; divides sample_rate and 16000.",
        "min_input_rate": "Recordings sampled below this are refused, samples/s.",
        "n_shards": "Files of the training split; 0: about 64 MB each.",
    }
    real = {
        "example_secs": "Length of an example, s.",
        "hop_secs": "Between the starts of training examples, s.",
        "min_loudness_db": "What never gets louder is silence, dB A-weighted.",
        "voiced_confidence": "Frames are voiced from this confidence on ...",
        "voiced_loudness_db": "... and from this loudness on, dB A-weighted.",
        "eval_split_fraction": "Share of the seconds kept for evaluation; 0: none.",
    }
    choices = {
        "framing": (settings_lib.FRAMINGS, "Where a frame stands (docs/prep.md)."),
        "normalize": (settings_lib.NORMALIZATIONS, "Scale recordings to one peak."),
        "crepe_capacity": (("full", "tiny"), "Size of the pitch network."),
        "f0_decoder": (("viterbi", "argmax"), "Pitch from the network's activations."),
    }
    for name, text in whole.items():
        flags.DEFINE_integer(name, getattr(defaults, name), text)
    for name, text in real.items():
        flags.DEFINE_float(name, getattr(defaults, name), text)
    for name, (allowed, text) in choices.items():
        flags.DEFINE_enum(name, getattr(defaults, name), list(allowed), text)
    flags.DEFINE_bool("trim_silence", False, "Leave out silence at both ends.")
    flags.DEFINE_list(
        "transpose_cents", ["0"], "Copies for training, such as -50,0,50; cents."
    )


def read_settings():
    """The flags as `Settings`.

    Raises:
        ValueError: If a value is not allowed.
    """
    from prep import settings as settings_lib

    values: dict[str, Any] = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(settings_lib.Settings)
    }
    try:
        cents = tuple(float(value) for value in FLAGS.transpose_cents)
    except ValueError as error:
        raise ValueError(
            f"transpose_cents={','.join(FLAGS.transpose_cents)!r} is not a list of "
            "numbers such as -50,0,50."
        ) from error
    values["transpose_cents"] = cents
    return settings_lib.Settings(**values)


def main(argv: Sequence[str]) -> int:
    """Parses, prepares, reports; returns the exit code."""
    _calm_libraries()
    from prep import preparation
    from prep import settings as settings_lib
    from prep.beam import runners
    from prep.beam import steps

    try:
        settings = read_settings()
        if not FLAGS.input:
            raise ValueError("--input is missing: name a folder, a file or a glob.")
        if not 0 <= FLAGS.max_rejected <= 1:
            raise ValueError(f"--max_rejected={FLAGS.max_rejected} is outside 0 to 1.")
        options = runners.make_options(
            runner=FLAGS.runner,
            workers=FLAGS.workers,
            dask=FLAGS.dask,
            beam_args=argv[1:],
        )
    except (ValueError, settings_lib.PrepError) as error:
        return _fail(str(error), EXIT_USAGE)
    request = preparation.Request(
        inputs=FLAGS.input,
        eval_inputs=FLAGS.eval_input,
        output=FLAGS.output,
        cache_dir=FLAGS.cache_dir,
        settings=settings,
        tracker_id=f"crepe-{settings.crepe_capacity}-{settings.f0_decoder}",
        make_tracker=functools.partial(
            steps.load_crepe, settings.crepe_capacity, settings.f0_decoder
        ),
        options=options,
        max_rejected=FLAGS.max_rejected,
        overwrite=FLAGS.overwrite,
        dry_run=FLAGS.dry_run,
        quiet=FLAGS.quiet,
    )
    _end_on_interrupt(at_once=False)
    try:
        preparation.prepare(request, _be_quiet if FLAGS.quiet else _say)
    except settings_lib.PrepError as error:
        return _fail(str(error), EXIT_DATA)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, EXIT_INTERRUPTED)
    return 0


def _calm_libraries() -> None:
    """Keeps lines that nobody can act on away from the progress bar."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity(logging.ERROR)
    for name in ("apache_beam", "distributed", "root"):
        stdlib_logging.getLogger(name).setLevel(stdlib_logging.ERROR)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _be_quiet(line: str) -> None:
    del line


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"ddsp_prep: {message}\n")
    return code


def _end_on_interrupt(*, at_once: bool) -> None:
    """Says what Ctrl-C does, unless it is ignored as in a job in the background.

    While libraries are imported it ends the process at once: some of them swallow the
    exception, others answer with pages.
    """

    def end(number: int, frame: types.FrameType | None) -> None:
        del number, frame
        os._exit(_fail(_INTERRUPTED, EXIT_INTERRUPTED))

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, end if at_once else signal.default_int_handler)


def console() -> None:
    """The console script `ddsp_prep`."""
    _end_on_interrupt(at_once=True)
    try:
        define_flags()
        app.run(main, flags_parser=_parse_flags)
    except ModuleNotFoundError as missing:
        sys.exit(NOT_INSTALLED.format(missing.name))


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Our flags; what is not ours is left for Beam, which is asked in `main`."""
    try:
        return FLAGS(argv, known_only=True)
    except flags.Error as error:
        sys.exit(_fail(str(error), EXIT_USAGE))


if __name__ == "__main__":
    console()
