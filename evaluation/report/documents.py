"""The files that a report's pages are made of: scores, summary, media of some clips."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.report import media
from evaluation.scoring import clips
from evaluation.scoring import dataset_clips
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
    document["clips"] = write_media(
        references,
        scored,
        rows=rows,
        folder=output / media.MEDIA_NAME,
        n_media=n_media,
    )
    builder.write_summary(document, output / builder.SUMMARY_NAME)
    return document


def write_media(
    references: list[clips.Reference],
    scored: Mapping[str, list[clips.Scored]],
    *,
    rows: Sequence[checked_json.Json],
    folder: pathlib.Path,
    n_media: int,
) -> list[checked_json.Json]:
    """Writes audio and pictures of chosen clips.

    Args:
        references: The clips.
        scored: Every run's renderings.
        rows: Of scores.jsonl.
        folder: Where the files go.
        n_media: How many clips.

    Returns:
        The clips in the order in which the report shows them.
    """
    shown = []
    # The baseline stands first; clips are chosen by the scores of the last run.
    last = list(scored)[-1]
    for number, (place, role) in enumerate(
        choose_clips(rows, run=last, n_wanted=n_media), start=1
    ):
        name = f"clip-{number:03d}"
        tracks = media.write_clip(
            references[place],
            {run: ones[place] for run, ones in scored.items()},
            folder / name,
        )
        shown.append(
            {
                "row": place,
                "clip": references[place].clip.name,
                "role": role,
                "folder": f"{folder.name}/{name}",
                "tracks": tracks,
            }
        )
    return shown


def choose_clips(
    rows: Sequence[checked_json.Json], *, run: str, n_wanted: int
) -> list[tuple[int, str]]:
    """Picks the clips to show: the typical one first, then the extremes, then others.

    Args:
        rows: Of scores.jsonl.
        run: Whose spectral loss says what is typical.
        n_wanted: How many.

    Returns:
        Row and role, "typical", "worst", "best" or "".
    """
    losses = {
        place: row["runs"][run]["values"].get("spectral_loss")
        for place, row in enumerate(rows)
    }
    known = sorted((v, place) for place, v in losses.items() if v is not None)
    chosen: dict[int, str] = {}
    if known:
        chosen[known[(len(known) - 1) // 2][1]] = "typical"
        chosen.setdefault(known[-1][1], "worst")
        chosen.setdefault(known[0][1], "best")
    order = dataset_clips.spread(n_wanted, [row["recording_id"] for row in rows])
    for place in order:
        chosen.setdefault(place, "")
    return list(chosen.items())[:n_wanted]
