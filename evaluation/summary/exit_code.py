"""The exit code of `--fail_if_collapsed`, of ddsp_report and of ddsp_score."""

from collections.abc import Collection

from evaluation.summary import verdict as verdict_lib
from prep import checked_json

EXIT_COLLAPSED = 1
EXIT_UNJUDGED = 3


def decide(
    document: checked_json.Json, *, excused: Collection[str]
) -> tuple[int, list[str]]:
    """Returns whether a report lets its candidates pass, training by training.

    A candidate is every run that is not excused: one collapsed training of several is
    enough.

    Args:
        document: The content of summary.json.
        excused: Runs that others are compared with.

    Returns:
        0, `EXIT_COLLAPSED`, or `EXIT_UNJUDGED` when a candidate has no index or was
        skipped and none has collapsed; and a sentence for each thing that is wrong.
    """
    verdict = document["verdict"]
    collapsed = [run for run in verdict["collapsed_runs"] if run not in excused]
    unjudged = [run for run in verdict["unjudged_runs"] if run not in excused]
    # Of files alone these are files without a counterpart, and no systems.
    is_of_runs = not verdict_lib.is_of_audio(document)
    skipped = [one["run"] for one in document["skipped_runs"] if is_of_runs]
    # A sentence for each thing that is wrong; collapse decides before the rest.
    told = []
    if collapsed:
        own = {s["name"]: s["runs"] for s in document["systems"]}[document["baseline"]]
        named = [
            f"{run} (of the baseline's system)" if run in own else run
            for run in collapsed
        ]
        told.append(f"collapsed: {', '.join(named)}.")
    if unjudged:
        told.append(
            f"could not be judged: {', '.join(unjudged)}; the page says why under "
            "Every number."
        )
    if skipped:
        told.append(f"skipped and so not judged: {', '.join(skipped)}.")
    if collapsed:
        return EXIT_COLLAPSED, told
    return (EXIT_UNJUDGED if told else 0), told
