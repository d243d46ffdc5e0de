#!/usr/bin/env python3
"""Recordings in, a DDSP dataset out: ddsp_prep, or prep/run_beam.py.

    prep/run_beam.py --input my_recordings/

finds the recordings (wav, flac, ogg, mp3, m4a and what else libsndfile or FFmpeg
reads), measures pitch with CREPE and loudness, cuts examples, keeps some recordings for
evaluation and leaves `data/`: TFRecords, dataset_info.json, dataset.gin,
statistics.json, rejected.jsonl and dataset.html. The same command again goes on where
it was stopped.

Exit codes: 0 the dataset is complete; 1 something about the recordings, the disk or the
workers stopped it, what is finished is kept; 2 a flag is wrong; 130 interrupted.
"""

import dataclasses
import functools
import logging as stdlib_logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

try:
    from absl import flags
    from absl import logging

    from prep import command_line
    from prep import errors
    from prep import settings as settings_lib
except ModuleNotFoundError as missing:  # before there is anybody to say it nicely
    sys.exit(
        f"ddsp_prep: the package {missing.name} is not installed here. Run "
        "`make setup` in the project's folder and then `. .venv/bin/activate`."
    )

EXIT_DATA = 1
INPUT_HELP = "name a folder, a file or a glob of recordings; may be repeated."


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines all flags; the defaults are those of `prep.settings.Settings`."""
    defaults = settings_lib.Settings()
    setting = lambda define, name, text, **more: define(
        name, getattr(defaults, name), text, **more
    )
    groups.group("recordings and dataset")
    groups.several("input", INPUT_HELP, required=True)
    groups.several(
        "eval_input", "The same, for evaluation only; all of --input then trains."
    )
    groups.text("output", "data", "Folder of the dataset.")
    groups.switch("overwrite", "Replace another dataset in --output.")
    groups.switch("dry_run", "Show the plan and stop; writes nothing.")
    groups.switch("quiet", "Show errors only.")
    groups.real("max_rejected", 0.1, "Share of unusable recordings, at most.")
    groups.text("cache_dir", None, "Folder of features for reuse; default in --output.")
    groups.group("rates and examples")
    whole = functools.partial(setting, groups.whole)
    real = functools.partial(setting, groups.real)
    whole("sample_rate", "Of the examples, samples/s, 16000 or more.")
    whole("frame_rate", "Of the controls, frames/s; divides sample_rate and 16000.")
    whole("min_input_rate", "Recordings sampled below this are refused, samples/s.")
    real("example_secs", "Length of an example, s.")
    real("hop_secs", "Between the starts of training examples, s.")
    real("eval_split_fraction", "Share of the seconds kept for evaluation; 0: none.")
    short = "Recordings shorter than an example: in rows, filled up, or refused."
    groups.choice("short", defaults.short, settings_lib.SHORT, short)
    groups.switch("trim_silence", "Leave out silence at both ends.")
    groups.listing(
        "transpose_cents", "0", "Copies for training, such as -50,0,50; cents."
    )
    whole("n_shards", "Files of the training split; 0: about 64 MB each.")
    groups.group("features")
    choices = {
        "framing": (settings_lib.FRAMINGS, "Where a frame stands (docs/prep.md)."),
        "normalize": (settings_lib.NORMALIZATIONS, "Scale recordings to one peak."),
        "crepe_capacity": (("full", "tiny"), "Size of the pitch network."),
        "crepe_precision": (
            settings_lib.PRECISIONS,
            "Of its products; bfloat16 is for processors with AMX or AVX512-BF16.",
        ),
        "f0_decoder": (("viterbi", "argmax"), "Pitch from the network's activations."),
        "pitch_range": (
            settings_lib.PITCH_RANGES,
            "auto: what lies outside CREPE's 32.7 to 1975.5 Hz is tracked an octave "
            "lower or higher; crepe: as ddsp does.",
        ),
    }
    for name, (allowed, text) in choices.items():
        groups.choice(name, getattr(defaults, name), allowed, text)
    real("min_loudness_db", "What never gets louder is silence, dB A-weighted.")
    real("voiced_confidence", "Frames are voiced from this confidence on ...")
    real("voiced_loudness_db", "... and from this loudness on, dB A-weighted.")
    groups.group("machines")
    groups.whole("workers", 1, "Processes on this machine.", least=None)
    groups.text("dask", "", "Address of a Dask scheduler, tcp://host:port.")
    groups.text(
        "runner",
        "FnApiRunner",
        "Beam's runner; DirectRunner means this. Beam's own flags may follow.",
    )


def read_settings(values: flags.FlagValues) -> settings_lib.Settings:
    """Returns the flags as `Settings`.

    Raises:
        command_line.UsageError: If a value is not allowed.
    """
    given: dict[str, Any] = {
        field.name: values[field.name].value
        for field in dataclasses.fields(settings_lib.Settings)
    }
    cents = values.transpose_cents
    try:
        given["transpose_cents"] = tuple(float(value) for value in cents)
    except ValueError as error:
        raise command_line.UsageError(
            f"transpose_cents={','.join(cents)!r} is not a list of numbers such as "
            "-50,0,50."
        ) from error
    try:
        return settings_lib.Settings(**given)
    except (ValueError, settings_lib.PrepError) as error:
        raise command_line.UsageError(str(error)) from error


def check(values: flags.FlagValues) -> None:
    """Refuses settings that are not allowed.

    Raises:
        command_line.UsageError: Naming the flag.
    """
    read_settings(values)
    if not 0 <= values.max_rejected <= 1:
        raise command_line.UsageError(
            f"--max_rejected={values.max_rejected} is outside 0 to 1."
        )


def main(values: flags.FlagValues, beam_args: Sequence[str]) -> int:
    """Prepares a dataset; returns the exit code.

    Args:
        values: Parsed flags.
        beam_args: Flags that are not ours: Beam's, or mistyped.
    """
    from prep import preparation
    from prep import tensorflow_setup
    from prep.beam import runners
    from prep.beam import steps

    settings = read_settings(values)
    try:
        # Beam knows its flags; the rest are named before anything else is asked for.
        options = runners.make_options(
            runner=values.runner,
            workers=values.workers,
            dask=values.dask,
            beam_args=list(beam_args),
            own_flags=list(values),
        )
    except (ValueError, settings_lib.PrepError) as error:
        raise command_line.UsageError(str(error)) from error
    if not values.input:
        raise command_line.UsageError(f"--input is missing: {INPUT_HELP}")
    request = preparation.PreparationRequest(
        inputs=values.input,
        eval_inputs=values.eval_input,
        output=values.output,
        cache_dir=values.cache_dir,
        settings=settings,
        tracker_id=settings.tracker_id,
        make_tracker=functools.partial(
            steps.load_crepe,
            settings.crepe_capacity,
            settings.f0_decoder,
            settings.crepe_precision,
        ),
        options=options,
        max_rejected=values.max_rejected,
        overwrite=values.overwrite,
        dry_run=values.dry_run,
        quiet=values.quiet,
    )
    if settings.crepe_precision == "bfloat16" and tensorflow_setup.lacks_bfloat16():
        why = tensorflow_setup.BFLOAT16_IS_SLOWER
        sys.stderr.write(f"ddsp_prep: --crepe_precision=bfloat16: {why}\n")
    preparation.prepare(request, _be_quiet if values.quiet else _say)
    return 0


def _calm_libraries() -> None:
    """Keeps lines that nobody can act on away from the progress bar."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity(logging.ERROR)
    for name in ("apache_beam", "distributed", "root"):
        stdlib_logging.getLogger(name).setLevel(stdlib_logging.ERROR)


def _say(lines: str) -> None:
    shown = "\n".join(map(errors.printable, lines.split("\n")))
    try:
        sys.stdout.write(shown + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the dataset is made all the same
        command_line.end_output()


def _be_quiet(lines: str) -> None:
    del lines


PROGRAM = command_line.Program(
    name="ddsp_prep",
    summary="Makes a DDSP dataset of recordings: pitch by CREPE, loudness, examples.",
    examples=(
        "ddsp_prep --input my_recordings/",
        "ddsp_prep --input a.wav --input 'more/*.flac' --output data48 "
        "--sample_rate=48000",
        "ddsp_prep --input my_recordings/ --dry_run",
    ),
    define_flags=define_flags,
    check=check,
    main=main,
    exit_codes="0 the dataset is complete; 1 something about the recordings, the disk "
    "or the workers stopped it, what is finished is kept; 2 a flag is wrong; 70 a "
    "fault of ours; 130 interrupted.",
    before_loading=_calm_libraries,
    loads=("prep.preparation",),
    input_code=EXIT_DATA,
    when_interrupted="the same command goes on from here.",
    takes_others=True,
)


def console() -> None:
    """The console script `ddsp_prep`."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
