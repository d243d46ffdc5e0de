#!/usr/bin/env python3
r"""Fréchet audio distance of the systems of a report, with an embedding of yours.

    ddsp_report --baseline runs/stage5 --candidate runs/stage2 --max_embedded_clips=200
    python -m evaluation.run_fad --report=report --embedding=vggish/

`--embedding` is a SavedModel on this machine that maps mono audio at 16 kHz, float32
[n_samples], to embeddings [n, n_features], as VGGish does. None is part of this project
and nothing is downloaded. The clips are those that the report wrote. A table is printed
and `fad.json` written beside the report. Exit code 2 when something cannot be used.
"""

import json
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from evaluation.metrics import frechet
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from prep import checked_json
from prep import command_line
from prep import errors
from prep import files
from prep.recordings import decode as audio_lib

EMBEDDING_RATE = 16000  # Hz
RESULT_NAME = "fad.json"
Embedding = Callable[[np.ndarray], np.ndarray]


def load_embedding(path: pathlib.Path) -> Embedding:
    """The embedding of a SavedModel.

    Args:
        path: Its folder.

    Returns:
        Audio at 16 kHz, float32 [n_samples], to [n, n_features].

    Raises:
        errors.InputError: If it cannot be loaded or called.
    """
    try:
        model = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise errors.InputError(
            f"{path} is not a SavedModel that can be loaded "
            f"({str(error).splitlines()[0]})."
        ) from error
    if not callable(model):
        raise errors.InputError(
            f"the SavedModel in {path} cannot be called; one is needed that maps audio "
            "[n_samples] to embeddings [n, n_features]."
        )

    def embed(audio: np.ndarray) -> np.ndarray:
        values = np.asarray(model(tf.constant(audio, tf.float32)))
        return values.reshape(-1, values.shape[-1])

    return embed


def measure(report: pathlib.Path, embed: Embedding) -> checked_json.Json:
    """Distance of every system from the recordings.

    Args:
        report: Folder that `ddsp_report` wrote.
        embed: The embedding.

    Returns:
        `fad` by system, `n_clips`, `n_embeddings` of the recordings.

    Raises:
        errors.InputError: If there is no report, or no or too little audio in it.
    """
    if not (report / builder.SUMMARY_NAME).exists():
        raise errors.InputError(
            f"{report} holds no summary.json; run ddsp_report first."
        )
    # Embeddings of all clips, by who made them.
    clips = builder.read_summary(report / builder.SUMMARY_NAME)["clips"]
    if not clips:
        raise errors.InputError(
            f"{report} holds no audio; run ddsp_report with --max_embedded_clips=200."
        )
    found: dict[str, list[np.ndarray]] = {}
    for clip in clips:
        for track in clip["tracks"]:
            path = report / clip["folder"] / track["audio"]
            audio = audio_lib.load_audio(path, EMBEDDING_RATE)
            found.setdefault(track["who"], []).append(embed(audio))
    # Distance of each system's set from the recordings'.
    sets = {who: np.concatenate(parts) for who, parts in found.items()}
    try:
        distances = {
            who: frechet.frechet_distance(sets[rows_lib.RECORDING], values)
            for who, values in sets.items()
            if who != rows_lib.RECORDING
        }
    except ValueError as error:
        raise errors.InputError(f"{report}: {error}") from error
    return {
        "fad": distances,
        "n_clips": len(clips),
        "n_embeddings": len(sets[rows_lib.RECORDING]),
    }


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("flags")
    groups.text("report", "report", "Folder that ddsp_report wrote.")
    groups.text(
        "embedding", None, "Folder of a SavedModel: audio to embeddings.", required=True
    )


def main(values: flags.FlagValues) -> int:
    """Measures, prints a table and writes fad.json."""
    report = pathlib.Path(values.report).expanduser()
    embedding = pathlib.Path(values.embedding).expanduser()
    result = measure(report, load_embedding(embedding))
    result["embedding"] = embedding.name
    files.write_text(report / RESULT_NAME, json.dumps(result, indent=1) + "\n")
    print(f"{result['n_clips']} clips, {result['n_embeddings']} embeddings each")
    for who, distance in sorted(result["fad"].items(), key=lambda item: item[1]):
        print(f"{who}: {distance:.4g}")
    return 0


PROGRAM = command_line.Program(
    name="run_fad",
    summary="Measures the Fréchet audio distance of a report's systems with an "
    "embedding of yours.",
    examples=("python -m evaluation.run_fad --report=report --embedding=vggish/",),
    define_flags=define_flags,
    main=main,
    exit_codes="0 fad.json is written; 2 something given cannot be used; 70 a fault "
    "of ours.",
)

if __name__ == "__main__":
    command_line.run(PROGRAM)
