#!/usr/bin/env python3
r"""Judges any system by its audio, and writes one page about it.

    ddsp_score --reference=refs/ --estimate=outs/
    ddsp_score --reference='all/*_gt.wav' --estimate='all/*_gru.wav' \
        --estimate='all/*_cnn.wav'

No run and no dataset are needed: recordings, and what a system made of them, as files
of any format, rate and length. Writes what ddsp_report writes: scores.jsonl (a row a
clip), summary.json, report.md and report.html, one file that works offline.

Exit code 0 when all went well; with --fail_if_collapsed 1 when a system beside the
baseline has collapsed (or the only one), 3 when one could not be judged; 2 when flags
cannot be read or something given cannot be used; 70 for an error of the program itself,
130 when interrupted. Without a finished report nothing is replaced.
"""

import pathlib

from absl import flags

from evaluation.report import programs
from prep import checked_json
from prep import command_line
from prep import errors


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("what is judged")
    groups.text(
        "reference",
        "",
        "Recordings: a folder, a file, or a pattern in which * stands for what a "
        "recording is called.",
    )
    groups.several(
        "estimate",
        "What a system made of them, in the same way, files paired by name; several "
        "times for several systems. NAME=FILES names the system.",
    )
    groups.text(
        "pairs",
        "",
        "Instead of both: a csv file with a column reference and one for each system.",
    )
    groups.text(
        "baseline", "", "System that others are compared with; by default the first."
    )
    groups.group("what is left")
    programs.define_output_flags(
        groups,
        folder="score",
        gate="Exit with 1 when a system has collapsed, 3 when one could not be judged.",
    )
    groups.group("how it is measured")
    groups.whole(
        "sample_rate",
        0,
        "Rate at which all files are judged, Hz: 8000, 16000, 24000, 32000 or 48000; "
        "by default the highest of these that no file lies below.",
    )
    groups.choice(
        "crepe_capacity", "full", ["tiny", "full"], "Size of the pitch tracker."
    )
    programs.define_mask_flags(groups)


def check(values: flags.FlagValues) -> None:
    """Refuses flags that say too little or too much.

    Raises:
        UsageError: If recordings and estimates are not given in one way, or a number
            lies beyond its range.
    """
    programs.check_masks(values)
    if values.pairs and (values.reference or values.estimate):
        raise command_line.UsageError(
            "--pairs names recordings and estimates; leave out --reference and "
            "--estimate."
        )
    if not values.pairs and not (values.reference and values.estimate):
        lacking = "--estimate" if values.reference else "--reference"
        raise command_line.UsageError(
            f"{lacking} is missing: recordings with --reference, what a system made of "
            "them with --estimate, or both with --pairs."
        )
    if values.sample_rate:
        from evaluation.pairs import reading  # seconds, which --help does without

        if values.sample_rate not in reading.RATES:
            raise command_line.UsageError(
                f"--sample_rate={values.sample_rate}: "
                f"{', '.join(map(str, reading.RATES))} are possible."
            )


def run(values: flags.FlagValues) -> int:
    """Does what the flags say.

    Args:
        values: Parsed flags.

    Returns:
        The exit code.
    """
    from evaluation import evaluate_pairs
    from evaluation.pairs import pairing

    # Refuse before anything is computed.
    if values.pairs:
        paired = pairing.read_table(pathlib.Path(values.pairs).expanduser())
    else:
        paired = pairing.match(values.reference, values.estimate)
    options = evaluate_pairs.Options(
        baseline=values.baseline,
        sample_rate=values.sample_rate,
        n_media=values.max_embedded_clips,
        crepe_capacity=values.crepe_capacity,
        masks=programs.read_masks(values),
    )

    def judge(folder: pathlib.Path) -> checked_json.Json:
        command_line.complain(PROGRAM.name, *_describe_unpaired(paired.unpaired))
        return evaluate_pairs.evaluate(paired, output=folder, options=options)

    document = programs.make_report(values, judge)
    for line in _result_lines(document):
        print(errors.printable(line))
    print(f"Report: {programs.page_of(values)}")
    return programs.pass_gate(
        values,
        document,
        program=PROGRAM.name,
        excused=[
            run
            for system in document["systems"]
            if system["is_baseline"] and document["comparisons"]
            for run in system["runs"]
        ],
    )


def _describe_unpaired(unpaired: dict[str, str]) -> list[str]:
    """Says which files are not judged: the first, and how many more."""
    if not unpaired:
        return []
    name, reason = next(iter(unpaired.items()))
    more = (
        f"; {len(unpaired) - 1} more files, see the page" if len(unpaired) > 1 else ""
    )
    return [f"not judged: {name}: {reason}{more}."]


def _result_lines(document: checked_json.Json) -> list[str]:
    """A line a system: its sentence, its index, and how its files lay."""
    lines = []
    for system in document["systems"]:
        told = document["verdict"]["systems"][system["name"]]
        interval = system["index"]["interval"]
        value, low, high = (interval[key] for key in ("mean", "low", "high"))
        text = "" if value is None else f" Collapse index as heard {value:.2f}"
        text += "" if low is None or value is None else f" [{low:.2f}, {high:.2f}]"
        lines.append(
            " ".join([f"{told['sentence']}{text and text + '.'}", *told["notes"]])
        )
    return lines


PROGRAM = command_line.Program(
    name="ddsp_score",
    summary="Judges any system by its audio against recordings, without runs or "
    "datasets, and writes one page about it.",
    examples=(
        "ddsp_score --reference=refs/ --estimate=outs/",
        "ddsp_score --reference='all/*_gt.wav' --estimate='all/*_gru.wav' "
        "--estimate=cnn='all/*_2.wav'",
        "ddsp_score --pairs=pairs.csv --output=comparison",
    ),
    define_flags=define_flags,
    check=check,
    main=run,
    exit_codes="0 the report is written; with --fail_if_collapsed 1 a system has "
    "collapsed, 3 one could not be judged; 2 something given cannot be used; 70 a "
    "fault of ours; 130 interrupted.",
    loads=("evaluation.evaluate_pairs", "evaluation.report.page"),
)


def console() -> None:
    """Entry point of the console script."""
    command_line.run(PROGRAM)


if __name__ == "__main__":
    console()
