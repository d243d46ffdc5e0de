"""The files of a report that the pages are made of: scores, summary, media."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.report import media
from evaluation.report import shown_clips
from evaluation.scoring import clips
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from prep import checked_json


def write(
    references: list[clips.Reference],
    scored: Mapping[str, list[clips.Scored]],
    *,
    output: pathlib.Path,
    row_facts: Mapping[str, checked_json.Json],
    runs: Mapping[str, checked_json.Json],
    baseline: str,
    settings: checked_json.Json,
    dataset: checked_json.Json,
    skipped_runs: Sequence[checked_json.Json],
    n_media: int,
) -> checked_json.Json:
    """Writes scores.jsonl, summary.json and the media of the clips that pages show.

    Args:
        references: The clips.
        scored: Every run's renderings of them.
        output: Folder of the report; made if needed.
        row_facts: Facts of each run that stand in every row.
        runs: What is known of each run.
        baseline: Run or system that the others are compared with.
        settings: How it was measured.
        dataset: What the clips come from.
        skipped_runs: What was not judged, and why.
        n_media: How many clips are shown.

    Returns:
        The content of summary.json.
    """
    rows = rows_lib.make_rows(references, scored, runs=row_facts)
    output.mkdir(parents=True, exist_ok=True)
    rows_lib.write_rows(rows, output / rows_lib.SCORES_NAME)
    document = builder.build(
        rows,
        runs=runs,
        baseline=rows_lib.system_name(baseline),
        settings=settings,
        dataset=dataset,
        skipped_runs=skipped_runs,
    )
    document["clips"] = shown_clips.write_media(
        references,
        scored,
        rows=rows,
        folder=output / media.MEDIA_NAME,
        n_media=n_media,
    )
    builder.write_summary(document, output / builder.SUMMARY_NAME)
    return document
