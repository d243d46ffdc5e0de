#!/usr/bin/env python3
r"""Plays a trained model with any recording, MIDI file or drawn curves.

    ddsp_render --run runs/stage2 --input singing.wav --output flute.wav --match
    ddsp_render --run runs/stage2 --input tune.mid --output tune.wav --stems
    ddsp_render --run runs/stage2 --input a.wav --input b.wav --run runs/stage5 \
        --gallery listen.html
    ddsp_render --run runs/stage2 --export exported/

Any sample rate and length in, the model's rate out. Exit code 0 when all went well, 2
when something given cannot be used; one sentence then says what and why.
"""

import functools
import math
import pathlib
import sys
import time

import soundfile
from absl import flags

from evaluation import command_line
from evaluation.render import files
from evaluation.render import gallery
from evaluation.render import job
from evaluation.render import renderer
from evaluation.render import transfer
from evaluation.scoring import rendering
from models.export import writer
from models.streaming import block_controls
from prep.pitch import weights

EXIT_INPUT = command_line.EXIT_USAGE
EXIT_INTERRUPTED = command_line.EXIT_INTERRUPTED
# What a kind of output knows nothing of.
IDLE_FLAGS = {
    "output": (),
    "gallery": ("stems", "dump_controls", "controls_out"),
    "export": (
        *("match", "transpose", "loudness_shift", "mask_unvoiced", "suppress_noise"),
        *("auto_tune", "dry", "stems", "dump_controls", "controls_out", "gain_db"),
        *("tail_secs", "seed", "crepe_capacity"),
    ),
}


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declares the command line.

    Args:
        values: Where; absl's own by default.
    """
    text = functools.partial(flags.DEFINE_string, flag_values=values)
    several = functools.partial(flags.DEFINE_multi_string, flag_values=values)
    real = functools.partial(flags.DEFINE_float, flag_values=values)
    switch = functools.partial(flags.DEFINE_boolean, flag_values=values)
    several("run", None, "Trained run; several for --gallery.", required=True)
    several("input", [], "Recording, .mid or .csv; several for --gallery.")
    text("output", None, "Audio file to write: .wav, .flac, .aiff or .ogg.")
    text("gallery", None, "HTML page to write, of all inputs and runs.")
    text("export", None, "Folder to write the run to, for use outside this project.")
    text("checkpoint", "best", "Checkpoint: best, last or a step.")
    switch("overwrite", False, "Replace outputs that are there.")
    switch("match", False, "Fit pitch (octaves) and loudness to the training data.")
    real("transpose", 0.0, "Semitones.")
    real("loudness_shift", 0.0, "dB.")
    switch("mask_unvoiced", False, "No harmonics where there is no pitch.")
    real("suppress_noise", 0.0, "dB by which passages without notes get quieter.")
    real("auto_tune", 0.0, "0 to 1: how far notes are pulled to semitones.")
    switch("dry", False, "Without the learned reverb.")
    switch("stems", False, "Also write harmonic, noise and reverb as files.")
    switch("dump_controls", False, "Also write the synthesiser's controls as CSV.")
    text("controls_out", None, "CSV to write pitch and loudness to, as adjusted.")
    real("gain_db", 0.0, "dB, of all that is written.")
    real("tail_secs", 0.0, "s for which the reverb rings on after the end.")
    flags.DEFINE_integer("seed", 0, "Which noise.", lower_bound=0, flag_values=values)
    flags.DEFINE_enum(
        "crepe_capacity",
        "",
        ["", *weights.CAPACITIES],
        "Size of the pitch tracker; the dataset's by default.",
        flag_values=values,
    )
    text("data_dir", None, "Dataset of the run, if it has moved.")


def make_request(values: flags.FlagValues) -> job.Request:
    """Flags -> request."""
    path = lambda name: pathlib.Path(name).expanduser() if name else None
    return job.Request(
        adjustments=transfer.Adjustments(
            match=values.match,
            transpose=values.transpose,
            loudness_shift=values.loudness_shift,
            suppress_noise=values.suppress_noise,
            auto_tune=values.auto_tune,
        ),
        options=renderer.Options(
            dry=values.dry,
            mask_unvoiced=values.mask_unvoiced,
            seed=values.seed,
            tail_secs=values.tail_secs,
        ),
        gain_db=values.gain_db,
        stems=values.stems,
        dump_controls=values.dump_controls,
        controls_out=path(values.controls_out),
        crepe_capacity=values.crepe_capacity,
        data_dir=path(values.data_dir),
        overwrite=values.overwrite,
    )


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.

    Raises:
        inference.InputError: If something given cannot be used.
    """
    wanted = [name for name in ("output", "gallery", "export") if values[name].value]
    if len(wanted) != 1:
        raise rendering.InputError(
            "say one of --output=out.wav, --gallery=page.html and --export=folder; "
            f"{' and '.join(wanted) or 'none'} was given."
        )
    _check_flags(values, wanted[0])
    request = make_request(values)
    run_dirs = [pathlib.Path(name).expanduser() for name in values.run]
    sources = [pathlib.Path(name).expanduser() for name in values.input]
    target = pathlib.Path(str(values[wanted[0]].value)).expanduser()
    if wanted != ["gallery"]:
        _check_single(run_dirs, sources, has_input=wanted == ["output"])
    if wanted == ["gallery"]:
        n_clips = gallery.write(
            target, run_dirs, sources, request=request, checkpoint=values.checkpoint
        )
        print(f"{target}: {n_clips} clips")
    elif wanted == ["export"]:
        opened = rendering.open_run(run_dirs[0], checkpoint=values.checkpoint)
        for line in writer.export_run(opened, target, overwrite=values.overwrite):
            print(line)
    else:
        _render(run_dirs[0], sources[0], target, request, values.checkpoint)
    return 0


def _check_flags(values: flags.FlagValues, wanted: str) -> None:
    """Refuses flags that would do nothing, and numbers that are none."""
    idle = [name for name in IDLE_FLAGS[wanted] if values[name].present]
    if idle:
        raise rendering.InputError(
            f"--{idle[0]} says nothing to --{wanted}; leave it out, or ask for "
            "--output."
        )
    for name in ("transpose", "loudness_shift", "suppress_noise", "gain_db"):
        number = values[name].value
        if number is None or not math.isfinite(number):
            raise rendering.InputError(f"--{name}={number} is no number.")
    if not 0.0 <= values.tail_secs < math.inf:
        raise rendering.InputError(f"--tail_secs={values.tail_secs}: give 0 or more.")
    if values.dry and values.tail_secs:
        raise rendering.InputError(
            "--dry leaves no reverb that --tail_secs could hear."
        )


def _check_single(
    run_dirs: list[pathlib.Path], sources: list[pathlib.Path], *, has_input: bool
) -> None:
    """Refuses several runs or inputs where one is meant."""
    n_wanted = 1 if has_input else 0
    if len(run_dirs) != 1 or len(sources) != n_wanted:
        raise rendering.InputError(
            f"one --run and {n_wanted} --input are needed here, {len(run_dirs)} and "
            f"{len(sources)} were given; only --gallery takes several."
        )


def _render(
    run_dir: pathlib.Path,
    source: pathlib.Path,
    output: pathlib.Path,
    request: job.Request,
    checkpoint: str,
) -> None:
    """Renders one file and says so."""
    # Before minutes of measuring, not after.
    if not source.is_file():
        what = "is a folder; name a file in it" if source.is_dir() else "is not there"
        raise rendering.InputError(f"the input {source} {what}.")
    files.check_outputs(
        request.paths(output), source=source, overwrite=request.overwrite
    )
    session = job.Session(rendering.open_run(run_dir, checkpoint=checkpoint), request)
    begin = time.perf_counter()
    outcome = session.render_file(source, output)
    secs = time.perf_counter() - begin
    print(
        f"{output}: {outcome.secs:.1f} s from step {session.run.step} of {run_dir}, "
        f"peak {outcome.peak:.2f}, {outcome.voiced_share:.0%} of what is audible is "
        f"pitched, {outcome.secs / secs:.1f} times real time"
    )


def main_with(values: flags.FlagValues) -> int:
    """Does what the flags say; what cannot be used becomes one line and a code."""
    try:
        return run(values)
    except (
        rendering.InputError,
        block_controls.StreamError,
        writer.ExportError,
    ) as error:
        print(f"ddsp_render: {error}", file=sys.stderr)
    except soundfile.LibsndfileError as error:
        print(
            f"ddsp_render: writing failed, is the disk full? ({error})", file=sys.stderr
        )
    except KeyboardInterrupt:
        print("ddsp_render: interrupted; nothing was written.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        name = error.filename or "the disk"
        print(f"ddsp_render: {name}: {error.strerror}.", file=sys.stderr)
    return EXIT_INPUT


def main() -> int:
    """Runs the program; returns an exit code."""
    return main_with(flags.FLAGS)


def console() -> None:
    """Entry point of the console script."""
    define_flags()
    command_line.run(main, program="ddsp_render")


if __name__ == "__main__":
    console()
