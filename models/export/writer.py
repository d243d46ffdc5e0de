"""A trained run as files that work without this project.

    decoder/         SavedModel: pitch and loudness -> controls of the synthesiser
    synth/           SavedModel: pitch and loudness -> audio, dry or with the reverb
    step.tflite      one frame, with its state, for TensorFlow Lite
    reverb_ir.wav    what the learned reverb adds to a click
    model_card.json  what goes in, what comes out, how well it agrees with the original
    load_example.py  plays them; needs only tensorflow, or TensorFlow Lite's runtime
    step.onnx        the step once more, where tf2onnx is installed

Both SavedModels take any batch and any length: inside, blocks of frames go through a
loop with a carried state, so a long input takes no more memory than its own size.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import soundfile
import tensorflow as tf

from models.export import graph
from models.export import onnx
from models.export import parity as export_parity
from models.runs import loading
from models.runs import record
from models.streaming import block_model
from models.streaming import lite
from prep import checked_json
from prep import errors
from prep import files

DECODER, SYNTH, STEP = "decoder", "synth", "step.tflite"
REVERB, CARD, EXAMPLE = "reverb_ir.wav", "model_card.json", "load_example.py"
FILES = (DECODER, SYNTH, STEP, REVERB, CARD, EXAMPLE)
OPTIONAL_FILES = (onnx.NAME, "example.wav")  # the latter is what the example writes
SCHEMA_VERSION = 1
LEVELS = {  # what a model is told of how loud it is
    "loudness_db": "A-weighted power of Hann windows of 512 samples at 16 kHz, "
    "centred on the frame, in dB; floor -80, full scale near +20 "
    "(ddsp.spectral_ops.compute_loudness). Another loudness measure plays wrongly.",
    "power_db": "RMS of 1024 samples at 16 kHz, centred on the frame, unweighted, in "
    "dB; floor -80, 0 at an RMS of 1 (ddsp.spectral_ops.compute_power).",
}


class ExportError(errors.InputError, ValueError):
    """A run that cannot be exported as asked; the message says why."""


def export_run(
    run: loading.Run, folder: pathlib.Path, *, overwrite: bool = False
) -> Iterator[str]:
    """Writes a run for use elsewhere; the folder appears when it is complete.

    Args:
        run: A restored run.
        folder: Where to.
        overwrite: Whether an earlier export there may be replaced.

    Yields:
        Lines that say what was written and how well it agrees with the model.

    Raises:
        ExportError: If the folder holds anything else, or may not be replaced.
        models.streaming.block_controls.StreamError: If the model cannot be streamed.
    """
    _recover(folder)
    check_folder(folder, overwrite=overwrite)
    block = block_model.BlockModel(run.model)
    response = block_model.impulse_response(run.model)

    # Everything is written beside the folder and moved into place at the end.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.scratch_folder(folder.name, folder.parent) as unfinished:
        step = lite.FlatStep(block)
        content = lite.convert(step)
        (unfinished / STEP).write_bytes(content)
        if onnx.is_available():
            onnx.convert(unfinished / STEP, unfinished / onnx.NAME)

        # The sequence form, as two SavedModels, and the reverb as a recording.
        exported = graph.Exported(block, response)
        tf.saved_model.save(exported, unfinished / DECODER, signatures=exported.decode)
        tf.saved_model.save(exported, unfinished / SYNTH, signatures=exported.play)
        soundfile.write(
            unfinished / REVERB, response, block.sample_rate, subtype="FLOAT"
        )

        # The card states how far the files just written are from the model.
        parity = export_parity.measure(run.model, unfinished)
        card = describe(run, block, step=step, response=response, parity=parity)
        (unfinished / CARD).write_text(json.dumps(card, indent=2) + "\n", "utf-8")
        example = pathlib.Path(__file__).with_name("example.py")
        shutil.copyfile(example, unfinished / EXAMPLE)
        replaced = _replaced(folder)
        if folder.exists():
            folder.rename(replaced)
        unfinished.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    for name in sorted(os.listdir(folder)):
        yield str(folder / name)
    if not onnx.is_available():
        yield f"no {onnx.NAME}: tf2onnx is not installed here"
    for name, difference in parity.items():
        yield f"largest difference from the model, {name}: {difference:.1e}"


def _replaced(folder: pathlib.Path) -> pathlib.Path:
    """Where an export waits while another takes its place."""
    return folder.with_name(f".{folder.name}.replaced")


def _recover(folder: pathlib.Path) -> None:
    """Brings back an export whose replacement was killed between two renames."""
    replaced = _replaced(folder)
    if replaced.is_dir() and not folder.exists():
        replaced.rename(folder)
    elif replaced.is_dir():
        shutil.rmtree(replaced, ignore_errors=True)


def check_folder(folder: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses to replace anything but an export, and that only when asked.

    Raises:
        ExportError: Naming what is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportError(f"{folder} is a file; name a folder to export to.")
    others = sorted(set(os.listdir(folder)) - {*FILES, *OPTIONAL_FILES})
    if others:
        raise ExportError(
            f"{folder} holds {others[0]}, which is no part of an export; name another "
            "folder."
        )
    if os.listdir(folder) and not overwrite:
        raise ExportError(
            f"{folder} already holds an export; pass --overwrite to replace it."
        )


def describe(
    run: loading.Run,
    block: block_model.BlockModel,
    *,
    step: lite.FlatStep,
    response: np.ndarray,
    parity: dict[str, float],
) -> checked_json.Json:
    """Makes the model card: rates, sizes, inputs, outputs, parity.

    Args:
        run: The run.
        block: Its model in blocks.
        step: Its step.
        response: Of the reverb.
        parity: Largest differences by what was compared.
    """
    settings = block.synth.settings
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {"name": run.path.name, "step": run.step, "checkpoint": run.checkpoint},
        "dataset": run.info.get("dataset"),
        "versions": record.versions(),
        "n_parameters": int(
            sum(np.prod(v.shape) for v in run.model.trainable_variables)
        ),
        "sample_rate": block.sample_rate,
        "frame_rate": block.frame_rate,
        "hop_size": block.hop_size,
        "n_harmonics": settings.n_harmonics,
        "n_noise_bands": settings.n_noise_bands,
        "latency_frames": block.latency_frames,
        "latency_secs": block.latency_frames / block.frame_rate,
        "reverb_taps": len(response),
        "inputs": _describe_inputs(block),
        "decoder": {"outputs": {key: "[batch, n_frames, n]" for key in graph.CONTROLS}},
        "synth": {
            "outputs": {
                "audio": "[batch, n_frames * hop_size], everything",
                "harmonic": "same shape, dry",
                "noise_audio": "same shape, dry",
                "reverb": "same shape, what the reverb adds, times reverb_gain",
            }
        },
        "step": {
            "n_state": step.n_state,
            "initial_state": "zeros",
            "outputs": "harmonic and noise_audio [hop_size], dry, latency_frames "
            "behind the inputs: drop the first latency_frames steps; state, for the "
            "next step. For the reverb convolve their sum with reverb_ir.wav and add "
            "the result.",
        },
        "parity": parity,
    }


def _describe_inputs(block: block_model.BlockModel) -> dict[str, str]:
    """Describes each input: its unit, its range, how it was measured."""
    level_key = block.controls.feature_keys[1]
    return {
        "f0_hz": "pitch in Hz, above 0 in every frame, silence included; frame i "
        f"stands at second i / {block.frame_rate}. Trained on CREPE's pitch.",
        level_key: LEVELS[level_key],
        "f0_confidence": "0 to 1, CREPE's; 1 in notes, near 0 in rests.",
        "noise": f"white, uniform in [-1, 1], {block.hop_size} samples a frame.",
        "reverb_gain": "0 is dry, 1 is as trained.",
    }
