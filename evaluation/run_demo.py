"""The whole way in one command: recordings in, a report and an instrument out.

    python -m evaluation.run_demo                     # plays its own instrument
    python -m evaluation.run_demo --input=my_wavs/    # with recordings of your own

Runs the project's programs one after the other, as a person would, and shows each
command before it starts. What a step finished is kept: a second run, or a run after an
interruption, goes on from there. Exit code 0 when the report is written, otherwise the
code of the program that failed.
"""

import dataclasses
import glob
import json
import pathlib
import shlex
import subprocess
import sys
import time

from absl import flags

from prep import command_line

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BASELINE = "stage5"  # the paper's GRU
CANDIDATE = "recommended"
# Gin files and length of each. On two fast cores three minutes of the one and four of
# the other; on slow ones the clock ends them: the whole demo stays below twelve.
TRAINING = {
    CANDIDATE: ((), ("--max_minutes=3.5",)),
    BASELINE: (
        ("overlays/demo", "overlays/demo_gru"),
        ("--steps=550", "--max_minutes=5"),
    ),
}
# The report's intervals need five recordings that training has not seen: from some
# seventeen on this share leaves them.
EVAL_SPLIT_FRACTION = 0.3
# Of long recordings, judged in the time that is left: a minute for eight on two cores.
MAX_CLIPS = 24
HEADLINES = (
    ("spectral_loss", "spectral loss", ""),
    ("loudness_distance", "loudness distance", " dB"),
    ("collapse_index", "collapse index (0 healthy, 1 collapsed)", ""),
)


@dataclasses.dataclass(frozen=True)
class Step:
    """One program of the demo.

    Attributes:
        title: What it does, for the person who watches.
        command: Module and flags, after the interpreter.
    """

    title: str
    command: tuple[str, ...]


def plan_steps(folder: pathlib.Path, recordings: pathlib.Path | None) -> list[Step]:
    """The demo's programs in order.

    Args:
        folder: Where everything is written.
        recordings: A person's own recordings, or None to render some.

    Returns:
        Steps that leave `data/`, `runs/`, `report/` and an instrument in the folder.
    """
    steps = []
    # Without recordings of a person's own, a sampled flute plays.
    if recordings is None:
        recordings = folder / "recordings"
        if not any(recordings.glob("*.wav")):
            steps.append(
                Step(
                    "render two minutes of a sampled flute",
                    ("prep.demo", f"--output={recordings}"),
                )
            )
    data = folder / "data"
    runs = folder / "runs"
    steps.append(
        Step(
            "measure pitch and loudness, write the dataset",
            (
                "prep.run_beam",
                f"--input={recordings}",
                f"--output={data}",
                f"--eval_split_fraction={EVAL_SPLIT_FRACTION}",
            ),
        )
    )
    for stage, (overlays, length) in TRAINING.items():
        steps.append(
            Step(
                f"train {stage}",
                (
                    "models.ddsp_run",
                    *(
                        f"--gin_file={REPOSITORY / 'gin' / f'{name}.gin'}"
                        for name in (stage, *overlays)
                    ),
                    f"--data_dir={data}",
                    f"--save_dir={runs / stage}",
                    *length,
                ),
            )
        )
    # Before the report, which links to it.
    steps.append(
        Step(
            f"make an instrument of {CANDIDATE}",
            (
                "evaluation.run_render",
                f"--run={runs / CANDIDATE}",
                f"--instrument={instrument_path(folder, recordings)}",
                "--overwrite",
            ),
        )
    )
    steps.append(
        Step(
            "judge both against the recordings",
            (
                "evaluation.run_report",
                f"--baseline={runs / BASELINE}",
                f"--candidate={runs / CANDIDATE}",
                f"--output={folder / 'report'}",
                f"--max_clips={MAX_CLIPS}",
                "--overwrite",
            ),
        )
    )
    return steps


def instrument_path(folder: pathlib.Path, recordings: pathlib.Path) -> pathlib.Path:
    """The page that plays the demo's model, named after what it learned from.

    Args:
        folder: Where the demo writes.
        recordings: What it learned from; in the demo's own folder they are a flute.
    """
    own = recordings.parent == folder
    return folder / ("flute.html" if own else f"{folder.name}.html")


def run_steps(steps: list[Step]) -> int:
    """Runs the steps until one fails.

    Args:
        steps: In order.

    Returns:
        0, or the exit code of the step that failed.
    """
    begin = time.monotonic()
    for number, step in enumerate(steps, start=1):
        command = [sys.executable, "-m", *step.command]
        print(f"\n[{number}/{len(steps)}] {step.title}", flush=True)
        print(f"  python -m {shlex.join(step.command)}", flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            print(
                f"\nStep {number} ({step.title}) ended with exit code {code}; what it "
                "says is above. The steps before it are kept: run the same command "
                "again when the cause is mended.",
                file=sys.stderr,
            )
            return code if code > 0 else 1
    print(
        f"\nAll {len(steps)} steps took {(time.monotonic() - begin) / 60:.1f} minutes."
    )
    return 0


def main(values: flags.FlagValues) -> int:
    """Runs the demo and returns an exit code."""
    recordings = pathlib.Path(values.input).expanduser() if values.input else None
    folder = pathlib.Path(values.output)
    if recordings is not None:
        # A glob has the name of the folder that it looks in.
        place = recordings.resolve()
        while glob.has_magic(place.name) and not place.exists():
            place = place.parent
        folder = folder / (place.stem or "recordings")
    code = run_steps(plan_steps(folder, recordings))
    if code == 0:
        print_result(folder / "report")
        page = instrument_path(folder, recordings or folder / "recordings")
        print(
            f"Next: hear {CANDIDATE} in place of any recording with ddsp_render "
            f"--run={folder / 'runs' / CANDIDATE} --input=any.wav --output=out.wav, or "
            "open its page and play it with keys, a MIDI keyboard or a microphone."
        )
        print(f"play it: {page}")
    return code


def print_result(report: pathlib.Path) -> None:
    """Says where the report is, and three numbers from it.

    Args:
        report: Folder with summary.json and report.html.
    """
    summary = json.loads((report / "summary.json").read_text())
    means = {
        system["name"]: {
            key: metric["mean"] for key, metric in system["metrics"].items()
        }
        for system in summary["systems"]
    }
    for key, title, unit in HEADLINES:
        baseline, candidate = (
            "missing" if (value := means[name][key]) is None else f"{value:.2f}{unit}"
            for name in (BASELINE, CANDIDATE)
        )
        print(f"{title}: {CANDIDATE} {candidate}, {BASELINE} {baseline}")
    print(f"Report: {report / 'report.html'}")


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("flags")
    groups.text(
        "input", None, "Recordings: a folder, a file or a glob; plays its own without."
    )
    groups.text("output", "demo", "Folder for everything that is written.")


PROGRAM = command_line.Program(
    name="run_demo",
    summary="Goes the whole way: recordings in, a report of two trained models out.",
    examples=(
        "python -m evaluation.run_demo",
        "python -m evaluation.run_demo --input=my_wavs/",
    ),
    define_flags=define_flags,
    main=main,
    exit_codes="0 the report is written; otherwise that of the step that failed.",
    when_interrupted="the same command goes on from here.",
)

if __name__ == "__main__":
    command_line.run(PROGRAM)
