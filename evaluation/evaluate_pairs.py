"""Pairs of files -> scores.jsonl, summary.json and the media that the report shows.

What `evaluate` does for runs, for any system that leaves audio: judged is what is heard
alone, by the index of controls that are measured from it.
"""

import dataclasses
import os
import pathlib
import statistics
from collections.abc import Mapping
from collections.abc import Sequence

from evaluation.collapse_index import index
from evaluation.metrics import catalogue
from evaluation.pairs import alignment
from evaluation.pairs import pairing
from evaluation.pairs import reading
from evaluation.report import documents
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import pitch_tracking
from evaluation.scoring import rows as rows_lib
from evaluation.summary import run_facts
from models.measures import frame_masks
from prep import checked_json
from prep import errors
from prep import progress
from prep.pitch import tracker as pitch_tracker

Alignments = dict[str, dict[str, alignment.Alignment]]  # by system and pair
TOLD_GAIN_DB = 1.0  # median difference of level from which a card says it
TOLD_MISSING = 0.02  # share of the recordings' length that is missing, likewise
# What a run's trainings would say; a file says none of it.
NO_COST = {
    "n_parameters": None,
    "render_secs": None,
    "batch_size": None,
    "peak_memory_mb": None,
    "step_ms": None,
    "forward_backward_ms": None,
    "training_memory_mb": None,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """How files are judged.

    Attributes:
        baseline: System that the others are compared with; empty for the first.
        sample_rate: Hz at which all files are judged; 0 for the highest they allow.
        n_media: Clips that the page shows.
        crepe_capacity: Size of the pitch tracker.
        masks: What counts as pitched and audible.
    """

    baseline: str = ""
    sample_rate: int = 0
    n_media: int = 8
    crepe_capacity: str = "full"
    masks: frame_masks.MaskSettings = dataclasses.field(
        default_factory=frame_masks.MaskSettings
    )


def evaluate(
    paired: pairing.Pairing,
    *,
    output: pathlib.Path,
    options: Options,
    tracker: clips.PitchTracker | None = None,
) -> checked_json.Json:
    """Judges files and writes everything but the page.

    Args:
        paired: The files.
        output: Folder of the report; made if needed.
        options: How.
        tracker: Pitch tracker; CREPE by default.

    Returns:
        The content of summary.json.

    Raises:
        InputError: If a file cannot be judged, or no system is the baseline's.
    """
    baseline = options.baseline or next(iter(paired.sources))
    systems = sorted({rows_lib.system_name(name) for name in paired.sources})
    if rows_lib.system_name(baseline) not in systems:
        raise errors.InputError(
            f"--baseline={baseline!r} is none of the systems {', '.join(systems)}."
        )
    sample_rate = options.sample_rate or reading.choose_rate(paired.pairs)
    references, scored, alignments = _score_pairs(
        paired, sample_rate=sample_rate, options=options, tracker=tracker
    )
    return documents.write(
        references,
        scored,
        output=output,
        row_facts={
            name: {"path": source, "step": None, "seed": None, "config_hash": None}
            for name, source in paired.sources.items()
        },
        runs=_describe_systems(paired, alignments, references),
        baseline=baseline,
        settings=_describe_settings(options),
        dataset=_describe_files(paired, references, sample_rate=sample_rate),
        skipped_runs=[
            {"run": name, "reason": reason} for name, reason in paired.unpaired.items()
        ],
        n_media=options.n_media,
    )


def _score_pairs(
    paired: pairing.Pairing,
    *,
    sample_rate: int,
    options: Options,
    tracker: clips.PitchTracker | None,
) -> tuple[list[clips.Reference], dict[str, list[clips.Scored]], Alignments]:
    """Reads, measures and scores every pair, with a bar."""
    tracker = tracker or pitch_tracking.SparseTracker(
        pitch_tracker.CrepeTracker(options.crepe_capacity)
    )
    references: list[clips.Reference] = []
    scored: dict[str, list[clips.Scored]] = {name: [] for name in paired.sources}
    alignments: Alignments = {name: {} for name in paired.sources}
    with progress.bar(len(paired.pairs), unit="pairs", label="judging") as bar:
        for pair in paired.pairs:
            found, aligned = reading.read_pair(pair, sample_rate=sample_rate)
            for name, one in aligned.items():
                alignments[name][pair.name] = one
            for part in found:
                ref = clips.measure_reference(
                    part.clip, tracker=tracker, settings=options.masks
                )
                references.append(ref)
                for name, audio in part.renderings.items():
                    scored[name].append(
                        clips.score_rendering(
                            ref,
                            clips.Rendering(audio),
                            tracker=tracker,
                            settings=options.masks,
                        )
                    )
            bar.update()
    across_clips.add_reference_diversity(references)
    return references, scored, alignments


def _describe_systems(
    paired: pairing.Pairing,
    alignments: Alignments,
    references: Sequence[clips.Reference],
) -> dict[str, checked_json.Json]:
    """What is known of each system: where its files are, and how they lay."""
    secs = sum(ref.clip.audio.size / ref.clip.sample_rate for ref in references)
    unknown = ("step", "seed", "versions", "commit", "machine", "gin_files")
    return {
        name: {
            "path": source,
            **dict.fromkeys((*unknown, "config_hash", "plan_hash")),
            "data_dir": "",
            "config": "",
            "cost": dict(NO_COST),
            "training": {},
            "alignment": [
                {"pair": pair, **dataclasses.asdict(one)}
                for pair, one in alignments[name].items()
            ],
            "notes": describe_alignment(alignments[name], secs=secs),
        }
        for name, source in paired.sources.items()
    }


def describe_alignment(
    aligned: Mapping[str, alignment.Alignment], *, secs: float
) -> list[str]:
    """Says in sentences how a system's files lay beside the recordings.

    Args:
        aligned: By pair.
        secs: Length of all recordings.
    """
    notes = []
    # Delays: how many, how long, and what was done.
    removed = [one.delay_secs for one in aligned.values() if one.is_removed]
    if removed:
        notes.append(
            f"{_count(len(removed), len(aligned))} not on time: "
            f"{_span([1000 * delay for delay in removed])} ms late, removed."
        )
    late = [
        one.delay_secs
        for one in aligned.values()
        if abs(one.delay_secs) > alignment.MAX_DELAY_SECS
    ]
    if late:
        notes.append(
            f"{_count(len(late), len(aligned))} off by "
            f"{_span([1000 * delay for delay in late])} ms, more than the "
            f"{1000 * alignment.MAX_DELAY_SECS:.0f} ms that are removed; left as it is."
        )
    # Level and length.
    gains = [one.gain_db for one in aligned.values() if one.gain_db == one.gain_db]
    if gains and abs(statistics.median(gains)) >= TOLD_GAIN_DB:
        middle = statistics.median(gains)
        what = "louder" if middle > 0 else "softer"
        notes.append(
            f"{abs(middle):.1f} dB {what} than the recordings (median); left as it is."
        )
    missing = sum(one.missing_secs for one in aligned.values())
    if missing > TOLD_MISSING * secs:
        notes.append(
            f"Its files end early: {missing:.1f} s of the recordings are missing and "
            "count as silence."
        )
    return notes


def _count(n_files: int, n_all: int) -> str:
    if n_files == n_all:
        return "Its files are" if n_all > 1 else "Its file is"
    return f"{n_files} of its {n_all} files {'are' if n_files > 1 else 'is'}"


def _span(values: Sequence[float]) -> str:
    """Smallest to largest, as one number where they are the same."""
    texts = [
        f"{value:.0f}" if abs(value) >= 1 else f"{value:.2f}"
        for value in (min(values), max(values))
    ]
    return " to ".join(dict.fromkeys(texts))


def _describe_settings(options: Options) -> checked_json.Json:
    """Describes the settings of the measurement."""
    return {
        "checkpoint": "",
        "seed": 0,
        "max_clips": 0,
        **run_facts.measuring_settings(
            crepe_capacity=options.crepe_capacity, masks=options.masks
        ),
        "headline": list(catalogue.headline([catalogue.HEARD_INDEX.key])),
        "index_midpoints": dict(index.HEARD.midpoints),
        "max_delay_secs": alignment.MAX_DELAY_SECS,
    }


def _describe_files(
    paired: pairing.Pairing, references: Sequence[clips.Reference], *, sample_rate: int
) -> checked_json.Json:
    """Describes the recordings, in the fields that a dataset has."""
    return {
        "data_dir": os.path.abspath(os.path.expanduser(paired.reference_source)),
        "split": "all",
        "plan_hash": "",
        "sample_rate": sample_rate,
        "frame_rate": reading.FRAME_RATE,
        "example_secs": reading.CLIP_SECS,
        "n_examples": len(references),
    }
