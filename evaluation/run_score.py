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
import sys

from absl import flags

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
    groups.text("output", "score", "Folder of the report.")
    groups.switch("overwrite", "Replace a report that is already there.")
    groups.whole(
        "max_embedded_clips", 8, "Clips in the page; fewer when it would be large."
    )
    groups.switch(
        "fail_if_collapsed",
        "Exit with 1 when a system has collapsed, 3 when one could not be judged.",
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
    groups.real(
        "min_confidence", None, "Frames are pitched from this confidence on; 0 to 1."
    )
    groups.real(
        "audible_range_db", None, "dB below a clip's loudest frame that are audible."
    )


def check(values: flags.FlagValues) -> None:
    """Refuses flags that say too little or too much.

    Raises:
        UsageError: If recordings and estimates are not given in one way.
    """
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
    allowed = (0, 8000, 16000, 24000, 32000, 48000)  # as evaluation.pairs.reading's
    if values.sample_rate not in allowed:
        raise command_line.UsageError(
            f"--sample_rate={values.sample_rate}: "
            f"{', '.join(map(str, allowed[1:]))} are possible."
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
    from evaluation.report import page
    from evaluation.report import placement
    from evaluation.summary import exit_code
    from models.measures import frame_masks

    # Refuse before anything is computed.
    if values.pairs:
        paired = pairing.read_table(pathlib.Path(values.pairs).expanduser())
    else:
        paired = pairing.match(values.reference, values.estimate)
    masks = {
        "min_confidence": values.min_confidence,
        "range_db": values.audible_range_db,
    }
    options = evaluate_pairs.Options(
        baseline=values.baseline,
        sample_rate=values.sample_rate,
        n_media=values.max_embedded_clips,
        crepe_capacity=values.crepe_capacity,
        masks=frame_masks.MaskSettings(
            **{name: value for name, value in masks.items() if value is not None}
        ),
    )
    output = pathlib.Path(values.output).expanduser()
    # A report takes the old one's place when it is whole.
    with placement.claim(output, overwrite=values.overwrite) as unfinished:
        _complain(*_describe_unpaired(paired.unpaired))
        document = evaluate_pairs.evaluate(paired, output=unfinished, options=options)
        page.write(unfinished)
        placement.replace(unfinished, output)
    for line in _result_lines(document):
        print(errors.printable(line))
    print(f"Report: {output / page.PAGE_NAME}")
    if not values.fail_if_collapsed:
        return 0
    code, told = exit_code.decide(document, baseline_run=next(iter(document["runs"])))
    _complain(*told)
    return code


def _describe_unpaired(unpaired: dict[str, str]) -> list[str]:
    """Says which files are not judged: the first, and how many more."""
    if not unpaired:
        return []
    name, reason = next(iter(unpaired.items()))
    more = (
        f"; {len(unpaired) - 1} more files, see the page" if len(unpaired) > 1 else ""
    )
    return [f"not judged: {name}: {reason}{more}."]


def _result_lines(document: dict) -> list[str]:
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


def _complain(*sentences: str) -> None:
    """Says something on the standard error, each sentence with the program's name."""
    for sentence in sentences:
        print(f"ddsp_score: {errors.printable(sentence)}", file=sys.stderr)


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
