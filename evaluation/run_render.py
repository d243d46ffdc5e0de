#!/usr/bin/env python3
r"""Plays a trained model with any recording, MIDI file or drawn curves.

    ddsp_render --run runs/stage2 --input singing.wav --output flute.wav --match
    ddsp_render --run runs/stage2 --input tune.mid --output tune.wav --stems
    ddsp_render --run runs/stage2 --input a.wav --input b.wav --run runs/stage5 \
        --gallery listen.html
    ddsp_render --run runs/stage2 --live --input singing.wav --output flute.wav
    ddsp_render --run runs/stage2 --export exported/
    ddsp_render --run runs/flute --export plugin/ --for=ddsp_vst
    ddsp_render --run runs/stage2 --instrument flute.html

Any sample rate and length in, the model's rate out. Exit code 0 when all went well, 2
when something given cannot be used; one sentence then says what and why.
"""

import math
import pathlib
import time
from typing import TYPE_CHECKING

from absl import flags

from prep import command_line
from prep import errors

if TYPE_CHECKING:  # seconds of imports, which --help and refusals do without
    from evaluation.render import job

OUTPUTS = ("output", "gallery", "export", "instrument")  # of these one is asked for
# Flags that say how something is rendered.
RENDERING_FLAGS = (
    *("match", "transpose", "loudness_shift", "mask_unvoiced", "suppress_noise"),
    *("auto_tune", "a4", "dry", "stems", "dump_controls", "controls_out", "gain_db"),
    *("tail_secs", "seed", "crepe_capacity"),
)
# Of these, what is not known before the performance is over.
WHOLE_FLAGS = (
    *("match", "mask_unvoiced", "suppress_noise", "auto_tune", "a4", "stems"),
    *("dump_controls", "controls_out", "tail_secs"),
)
MAX_GAIN_DB = 200.0  # float32's own precision is 150 dB
MAX_TAIL_SECS = 600.0  # no room rings so long
# What a kind of output knows nothing of.
IDLE_FLAGS = {
    "output": ("for",),
    "gallery": ("for", "stems", "dump_controls", "controls_out", "live"),
    "export": (*RENDERING_FLAGS, "live"),
    "instrument": ("for", *RENDERING_FLAGS, "live"),
}


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("what is played")
    groups.several("run", "Trained run; several for --gallery.", required=True)
    groups.text("checkpoint", "best", "Checkpoint: best, last or a step.")
    groups.several("input", "Recording, .mid or .csv; several for --gallery.")
    groups.text("data_dir", None, "Dataset of the run, if it has moved.")
    groups.choice(
        "crepe_capacity",
        "",
        ["", "tiny", "full"],
        "Size of the pitch tracker; the dataset's by default, live tiny.",
    )
    groups.group("what is written: one of the first four, and what goes with it")
    groups.text("output", None, "Audio file: .wav, .flac, .aiff or .ogg.")
    groups.text("gallery", None, "HTML page of all inputs and runs.")
    groups.text("export", None, "Folder to write the run to, for other programs.")
    groups.text("instrument", None, "HTML page that plays the run in a browser.")
    groups.choice(
        "for",
        "",
        ["", "ddsp_vst"],
        "Program that --export is meant for; ddsp_vst is Magenta's plug-in.",
    )
    groups.switch("overwrite", "Replace outputs that are there.")
    groups.switch("stems", "Also write harmonic, noise and reverb as files.")
    groups.switch("dump_controls", "Also write the synthesiser's controls as CSV.")
    groups.text("controls_out", None, "CSV of pitch and loudness, as adjusted.")
    groups.group("how it is played")
    groups.switch("live", "In blocks, as a live host hears and plays.")
    groups.switch("match", "Fit pitch (octaves) and loudness to the training data.")
    groups.real("transpose", 0.0, "Semitones.")
    groups.real("loudness_shift", 0.0, "dB.")
    groups.real("auto_tune", 0.0, "0 to 1: how far notes are pulled to semitones.")
    groups.real("a4", 0.0, "Hz of the A to tune to; 0 takes the recording's tuning.")
    groups.switch("mask_unvoiced", "No harmonics where there is no pitch.")
    groups.real(
        "suppress_noise", 0.0, "dB by which passages without notes get quieter."
    )
    groups.switch("dry", "Without the learned reverb.")
    groups.real("tail_secs", 0.0, "s for which the reverb rings on after the end.")
    groups.real("gain_db", 0.0, "dB, of all that is written.")
    groups.whole("seed", 0, "Which noise.")


def make_request(values: flags.FlagValues) -> "job.RenderRequest":
    """Makes the request that the flags stand for."""
    from evaluation.render import job
    from evaluation.render import renderer
    from evaluation.render import transfer

    path = lambda name: pathlib.Path(name).expanduser() if name else None
    return job.RenderRequest(
        adjustments=transfer.Adjustments(
            match=values.match,
            transpose=values.transpose,
            loudness_shift=values.loudness_shift,
            suppress_noise=values.suppress_noise,
            auto_tune=values.auto_tune,
            a4=values.a4,
        ),
        options=renderer.RenderOptions(
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


def check(values: flags.FlagValues) -> None:
    """Refuses flags that contradict each other, or that would do nothing.

    Raises:
        command_line.UsageError: Naming the flag.
    """
    wanted = [name for name in OUTPUTS if values[name].value]
    if len(wanted) != 1:
        raise command_line.UsageError(
            "say one of --output=out.wav, --gallery=page.html, --export=folder and "
            "--instrument=page.html; "
            f"{' and '.join(wanted) or 'none'} was given."
        )
    _check_flags(values, wanted[0])
    if late := [name for name in WHOLE_FLAGS if values.live and values[name].present]:
        raise command_line.UsageError(
            f"--{late[0]} needs the whole performance, of which --live knows the past "
            "alone; leave one of them out."
        )
    if wanted != ["gallery"]:
        _check_single(values, has_input=wanted == ["output"])


def run(values: flags.FlagValues) -> int:
    """Does what the flags say, which have been checked.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.

    Raises:
        errors.InputError: If something given cannot be used.
    """
    from evaluation.instrument import page as instrument_page
    from evaluation.render import gallery
    from evaluation.scoring import rendering
    from models.export import plugin_file
    from models.export import writer

    (wanted,) = (name for name in OUTPUTS if values[name].value)
    # Paths as people write them.
    request = make_request(values)
    run_dirs = [pathlib.Path(name).expanduser() for name in values.run]
    sources = [pathlib.Path(name).expanduser() for name in values.input]
    target = pathlib.Path(str(values[wanted].value)).expanduser()
    if wanted == "gallery":
        n_clips = gallery.write(
            target, run_dirs, sources, request=request, checkpoint=values.checkpoint
        )
        print(f"{target}: {n_clips} clips")
    elif wanted == "export" and values["for"].value:
        opened = rendering.open_run(run_dirs[0], checkpoint=values.checkpoint)
        target = plugin_file.target_path(target, run_dirs[0].name)
        line = plugin_file.write(
            opened, target, data_dir=request.data_dir, overwrite=values.overwrite
        )
        print(line)
    elif wanted == "export":
        opened = rendering.open_run(run_dirs[0], checkpoint=values.checkpoint)
        for line in writer.export_run(opened, target, overwrite=values.overwrite):
            print(line)
    elif wanted == "instrument":
        opened = rendering.open_run(run_dirs[0], checkpoint=values.checkpoint)
        written = instrument_page.write(
            target, opened, data_dir=request.data_dir, overwrite=values.overwrite
        )
        print(written)
    elif values.live:
        _play_live(run_dirs[0], sources[0], target, request, values.checkpoint)
    else:
        _render(run_dirs[0], sources[0], target, request, values.checkpoint)
    return 0


def _check_flags(values: flags.FlagValues, wanted: str) -> None:
    """Refuses flags that would do nothing, and numbers that are none."""
    idle = [name for name in IDLE_FLAGS[wanted] if values[name].present]
    if idle:
        raise command_line.UsageError(
            f"--{idle[0]} says nothing to --{wanted}; leave it out, or ask for "
            "--output."
        )
    # "nan" and "inf" pass for numbers on a command line.
    for name in ("transpose", "loudness_shift", "suppress_noise", "gain_db"):
        number = values[name].value
        if number is None or not math.isfinite(number):
            raise command_line.UsageError(f"--{name}={number} is no number.")
    # Ranges, and flags that contradict each other.
    if abs(values.gain_db) > MAX_GAIN_DB:
        raise command_line.UsageError(
            f"--gain_db={values.gain_db:g}: give {-MAX_GAIN_DB:g} to {MAX_GAIN_DB:g}."
        )
    if not 0.0 <= values.tail_secs <= MAX_TAIL_SECS:
        raise command_line.UsageError(
            f"--tail_secs={values.tail_secs:g}: give 0 or more, up to "
            f"{MAX_TAIL_SECS:g}."
        )
    if values.dry and values.tail_secs:
        raise command_line.UsageError(
            "--dry leaves no reverb that --tail_secs could hear."
        )


def _check_single(values: flags.FlagValues, *, has_input: bool) -> None:
    """Refuses several runs or inputs where one is meant, and an input that is none."""
    n_wanted = 1 if has_input else 0
    if len(values.run) != 1 or len(values.input) != n_wanted:
        raise command_line.UsageError(
            f"one --run and {n_wanted} --input are needed here, {len(values.run)} and "
            f"{len(values.input)} were given; only --gallery takes several."
        )
    for name in values.input:
        source = pathlib.Path(name).expanduser()
        if not source.is_file():
            what = (
                "is a folder; name a file in it" if source.is_dir() else "is not there"
            )
            raise command_line.UsageError(f"the input {source} {what}.")


def _render(
    run_dir: pathlib.Path,
    source: pathlib.Path,
    output: pathlib.Path,
    request: "job.RenderRequest",
    checkpoint: str,
) -> None:
    """Renders one file and says so."""
    import soundfile

    from evaluation.render import files
    from evaluation.render import job
    from evaluation.scoring import rendering

    # Before minutes of measuring, not after.
    files.check_outputs(
        request.paths(output), source=source, overwrite=request.overwrite
    )
    session = job.Session(rendering.open_run(run_dir, checkpoint=checkpoint), request)
    begin = time.perf_counter()
    try:
        outcome = session.render_file(source, output)
    except soundfile.LibsndfileError as error:
        raise errors.InputError(
            f"writing failed, is the disk full? ({error})"
        ) from error
    secs = time.perf_counter() - begin
    print(
        f"{output}: {outcome.secs:.1f} s from step {session.run.step} of {run_dir}, "
        f"peak {outcome.peak:.2f}, {outcome.voiced_share:.0%} of what is audible is "
        f"pitched, {outcome.secs / secs:.1f} times real time"
    )


def _play_live(
    run_dir: pathlib.Path,
    source: pathlib.Path,
    output: pathlib.Path,
    request: "job.RenderRequest",
    checkpoint: str,
) -> None:
    """Plays one file as a live host would, and says how late and how fast."""
    import soundfile

    from evaluation.live import instrument
    from evaluation.live import job as live_job
    from evaluation.scoring import rendering

    moved = request.adjustments
    wanted = live_job.LiveRequest(
        shift=instrument.Shift(moved.transpose, moved.loudness_shift),
        capacity=request.crepe_capacity,
        dry=request.options.dry,
        seed=request.options.seed,
        gain_db=request.gain_db,
        overwrite=request.overwrite,
    )
    run = rendering.open_run(run_dir, checkpoint=checkpoint)
    try:
        print(live_job.play_file(run, source, output, request=wanted))
    except soundfile.LibsndfileError as error:
        raise errors.InputError(
            f"writing failed, is the disk full? ({error})"
        ) from error


PROGRAM = command_line.Program(
    name="ddsp_render",
    summary="Plays a trained model with any recording, MIDI file or drawn curves, "
    "exports it, or makes an instrument of it for a browser.",
    examples=(
        "ddsp_render --run runs/stage2 --input singing.wav --output flute.wav --match",
        "ddsp_render --run runs/stage2 --input tune.mid --output tune.wav --stems",
        "ddsp_render --run runs/a --run runs/b --input a.wav --gallery listen.html",
        "ddsp_render --run runs/stage2 --live --input singing.wav --output flute.wav",
        "ddsp_render --run runs/stage2 --export exported/",
        "ddsp_render --run runs/flute --export plugin/ --for=ddsp_vst",
        "ddsp_render --run runs/stage2 --instrument flute.html",
    ),
    define_flags=define_flags,
    check=check,
    main=run,
    exit_codes="0 all is written; 2 something given cannot be used; 70 a fault of "
    "ours; 130 interrupted.",
    loads=(
        "evaluation.live.job",
        "evaluation.render.gallery",
        "evaluation.instrument.page",
        "models.export.plugin_file",
        "models.export.writer",
    ),
)


def console() -> None:
    """Entry point of the console script."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
