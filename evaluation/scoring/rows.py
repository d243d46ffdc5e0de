"""Rows of scores.jsonl, one a clip: made of scored clips, written and read here.

A *system* is one configuration; its *runs* are trainings of it with different seeds.
Runs are named by their directory, systems by the same name without a seed at its end
(`stage2-seed1`, `stage2_seed2` and `stage2` are runs of `stage2`).
"""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from evaluation.metrics import metric as metric_lib
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import heard_sums
from prep import checked_json
from prep import errors

SCORES_NAME = "scores.jsonl"
# Where a row keeps what an index is made of, by the index.
SUMS = {"collapse_index": "sums", "heard_collapse_index": "heard_sums"}
RECORDING = "recording"  # stands for the recording among tracks and colours
_SEED_SUFFIX = re.compile(r"[-_.]?seed[-_]?\d+$")


def system_name(run_name: str) -> str:
    """The system that a run trains: its name without the seed."""
    return _SEED_SUFFIX.sub("", run_name) or run_name


def is_recording(run_name: str) -> bool:
    """Returns whether a run's system has the name that stands for the recording."""
    return system_name(run_name) == RECORDING


def write_rows(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Writes scores.jsonl, one clip a line."""
    lines = [json.dumps(row, allow_nan=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_rows(path: pathlib.Path) -> list[checked_json.Json]:
    """Reads scores.jsonl.

    Raises:
        InputError: If it is missing or damaged.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line]
    except (OSError, ValueError, RecursionError) as error:
        raise errors.InputError(f"{path} cannot be read: {error}.") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not _is_whole(row):
            raise errors.InputError(
                f"{path} is damaged in row {number}; write the report anew."
            )
    return rows


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Returns whether a row holds the scores of a recording and of runs."""
    runs = row.get("runs")
    if not isinstance(runs, dict) or not isinstance(row.get("clip"), str):
        return False
    return all(
        isinstance(one, dict)
        and isinstance(one.get("values"), dict)
        and isinstance(one.get("reasons"), dict)
        for one in (row.get(RECORDING), *runs.values())
    )


def make_rows(
    references: list[clips.Reference],
    scored: Mapping[str, list[clips.Scored]],
    *,
    runs: Mapping[str, checked_json.Json],
) -> list[checked_json.Json]:
    """Rows of scores.jsonl, one a clip.

    Args:
        references: The clips.
        scored: Every run's renderings of them.
        runs: Facts of each run that stand in every row.
    """
    # Sums of the index need all clips of a run at once.
    recordings = heard_sums.Recordings(references)
    sums = {
        name: across_clips.compare_across_clips(recordings, ones)
        for name, ones in scored.items()
    }
    rows = []
    # A row holds the recording's scores and beside them those of each run.
    for place, ref in enumerate(references):
        rows.append(
            {
                "clip": ref.clip.name,
                "recording_id": ref.clip.recording_id,
                "start_secs": _finite(ref.clip.start_secs),
                "n_frames": int(ref.masks.audible.size),
                "n_audible": int(ref.masks.audible.sum()),
                "n_pitched": int(ref.masks.pitched.sum()),
                "recording": metric_lib.to_json(ref.scores),
                "runs": {
                    name: {
                        **runs[name],
                        **metric_lib.to_json(ones[place].scores),
                        **_sums_to_json(sums[name][place]),
                    }
                    for name, ones in scored.items()
                },
            }
        )
    return rows


def _sums_to_json(sums: across_clips.ClipSums) -> checked_json.Json:
    """The sums that there are, under the names that `SUMS` gives them."""
    parts = {"collapse_index": sums.controls, "heard_collapse_index": sums.heard}
    return {SUMS[key]: dataclasses.asdict(part) for key, part in parts.items() if part}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
