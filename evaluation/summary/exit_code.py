"""The exit code of `ddsp_report --fail_if_collapsed`."""

from prep import checked_json

EXIT_COLLAPSED = 1
EXIT_UNJUDGED = 3


def decide(document: checked_json.Json, *, baseline_run: str) -> tuple[int, list[str]]:
    """Returns whether a report lets its candidates pass, training by training.

    A candidate is every run but the baseline run itself: another training of the
    baseline's system is one too, and one collapsed training of several is enough.

    Args:
        document: The content of summary.json.
        baseline_run: Name of the run that was given as the baseline.

    Returns:
        0, `EXIT_COLLAPSED`, or `EXIT_UNJUDGED` when a candidate has no index or was
        skipped and none has collapsed; and a sentence for each thing that is wrong.
    """
    verdict = document["verdict"]
    collapsed = [run for run in verdict["collapsed_runs"] if run != baseline_run]
    unjudged = [run for run in verdict["unjudged_runs"] if run != baseline_run]
    skipped = [one["run"] for one in document["skipped_runs"]]
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
