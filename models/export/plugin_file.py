"""The file that DDSP-VST loads: a TensorFlow Lite program with a zip behind it.

The plug-in drops a model whose tensors have other names, counts or sizes, and its
runtime is that of TensorFlow 2.9: `check` holds a program to both. The zip, which
readers of flatbuffers pass over, says where the instrument's notes lie.

Source: own; names of tensors and metadata as magenta/ddsp-vst reads them.
"""

from __future__ import annotations

import datetime
import io
import json
import pathlib
import uuid
import warnings
import zipfile

import ddsp
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from models.data import provider
from models.export import ddsp_vst
from models.export import stock_twin
from models.runs import loading
from models.runs import record
from prep import checked_json
from prep import files

SUFFIX = ".tflite"
METADATA = "metadata.json"
INPUTS = {
    "call_f0_scaled:0": 1,
    "call_pw_scaled:0": 1,
    "call_state:0": ddsp_vst.N_STATE,
}
OUTPUT_NAME = "StatefulPartitionedCall:{}"
OUTPUTS = {
    OUTPUT_NAME.format(number): size
    for number, size in enumerate(
        (1, ddsp_vst.N_HARMONICS, ddsp_vst.N_NOISE_BANDS, ddsp_vst.N_STATE)
    )
}
# Highest version of each operation that TensorFlow Lite 2.9 runs in float32, by
# tensorflow/lite/tools/versioning/runtime_version.cc. What is not here is refused.
NEWEST_VERSIONS = {
    **dict.fromkeys(("EXP", "LOG", "NEG", "RESHAPE", "RSQRT", "SELECT_V2"), 1),
    **dict.fromkeys(("EXPAND_DIMS", "LOGICAL_AND", "LOGICAL_OR", "POW", "SQRT"), 1),
    **dict.fromkeys(("SQUARE", "SUM", "FILL", "SHAPE", "ABS"), 1),
    **dict.fromkeys(("DIV", "SELECT", "GREATER", "LESS", "LESS_EQUAL"), 2),
    **dict.fromkeys(("GREATER_EQUAL", "LEAKY_RELU", "RELU", "SQUEEZE"), 2),
    **dict.fromkeys(("SPLIT_V", "SQUARED_DIFFERENCE", "MEAN"), 2),
    **dict.fromkeys(("CONCATENATION", "EQUAL", "LOGISTIC", "PACK", "SOFTMAX"), 3),
    **dict.fromkeys(("TANH", "SLICE", "SUB"), 3),
    **dict.fromkeys(("ADD", "BATCH_MATMUL", "CAST", "GATHER", "MAXIMUM"), 4),
    **dict.fromkeys(("MINIMUM", "PAD", "SPLIT", "TRANSPOSE", "UNPACK"), 4),
    **dict.fromkeys(("MUL", "STRIDED_SLICE"), 5),
    "FULLY_CONNECTED": 9,
}
_BUILTIN_NAMES = {
    number: name
    for name, number in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}


def target_path(place: pathlib.Path, run_name: str) -> pathlib.Path:
    """Returns the file to write: the plug-in shows its name.

    Args:
        place: A .tflite file, or a folder that gets one by the run's name.
        run_name: Of the run.
    """
    return place if place.suffix == SUFFIX else place / f"{run_name}{SUFFIX}"


def write(
    run: loading.Run,
    target: pathlib.Path,
    *,
    data_dir: pathlib.Path | None = None,
    overwrite: bool = False,
) -> str:
    """Writes a run for the plug-in.

    Args:
        run: A restored run.
        target: The .tflite file; it appears when it is whole.
        data_dir: What the run was trained on, if it has moved: it tells the range of
            the notes.
        overwrite: Whether a file there may be replaced.

    Returns:
        A line that says what was written.

    Raises:
        ddsp_vst.PluginError: If the plug-in cannot play it, a file is there, or the
            dataset is not.
        block_controls.StreamError: If the model has no block form.
    """
    if target.exists() and not overwrite:
        raise ddsp_vst.PluginError(
            f"{target} is there already; pass --overwrite to replace it."
        )
    model = stock_twin.twin_of(run.model)
    ddsp_vst.check_model(model)
    heard = ddsp_vst.measure_range(_open_dataset(data_dir or run.data_dir))
    content = convert(ddsp_vst.PluginStep(model, heard))
    whole = with_metadata(content, describe(run, heard))
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(target) as unfinished:
        unfinished.write_bytes(whole)
    low, high = heard.note_midi
    return (
        f"{target}: {len(whole) / 1e6:.1f} MB, notes from MIDI {low:.0f} to "
        f"{high:.0f}, {heard.note_power_db[0]:.0f} to {heard.note_power_db[1]:.0f} dB; "
        "put it into Documents/Magenta/DDSP/Models"
    )


def _open_dataset(data_dir: pathlib.Path) -> provider.PreparedDataset:
    """Opens what a run was trained on."""
    try:
        return provider.PreparedDataset(data_dir, frame_rate=ddsp_vst.FRAME_RATE)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise ddsp_vst.PluginError(
            f"the range of the instrument's notes comes from its dataset: {error}"
        ) from error


def convert(step: ddsp_vst.PluginStep) -> bytes:
    """Compiles a step for the plug-in; no metadata yet.

    Raises:
        RuntimeError: If the converter gave a program that the plug-in would drop.
    """
    with files.scratch_folder("ddsp-vst") as folder:
        # The signature's key and the tuple make the tensors' names.
        signatures = {"call": step.call.get_concrete_function()}
        tf.saved_model.save(step, str(folder), signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        content = converter.convert()
    if faults := check(content):
        raise RuntimeError(f"DDSP-VST would drop this program: {'; '.join(faults)}.")
    return content


def check(content: bytes) -> list[str]:
    """Compares a program with what the plug-in demands.

    Args:
        content: Of a .tflite file.

    Returns:
        What the plug-in would refuse; empty if it takes the program.
    """
    faults = []
    # The plug-in reads a file as text first, which leaves flatbuffers alone only so.
    if content[0] >= 0x80 or content[1]:
        faults.append("its first bytes are read as text")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a future package name
        interpreter = tf.lite.Interpreter(model_content=content)
    for details, wanted in (
        (interpreter.get_input_details(), INPUTS),
        (interpreter.get_output_details(), OUTPUTS),
    ):
        found = {one["name"]: int(one["shape"].prod()) for one in details}
        if found != wanted or len(details) != len(wanted):
            faults.append(f"its tensors are {found}, not {wanted}")
    for name, version in operations(content):
        if version > NEWEST_VERSIONS.get(name, 0):
            faults.append(f"operation {name} of version {version} is too new")
    return faults


def operations(content: bytes) -> set[tuple[str, int]]:
    """Returns the operations of a program with their versions.

    Args:
        content: Of a .tflite file.
    """
    program = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return {
        # Codes above 127 stand in a field of their own.
        (
            _BUILTIN_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)],
            code.version,
        )
        for code in program.operatorCodes
    }


def describe(run: loading.Run, heard: ddsp_vst.HeardRange) -> checked_json.Json:
    """Makes the metadata that the plug-in reads, and where the model comes from.

    Args:
        run: The run.
        heard: The range of its notes.
    """
    now = datetime.datetime.now(datetime.UTC)
    hertz = [float(ddsp.core.midi_to_hz(pitch)) for pitch in heard.note_midi]
    return {
        "mean_min_pitch_note": heard.note_midi[0],
        "mean_max_pitch_note": heard.note_midi[1],
        "mean_min_pitch_note_hz": hertz[0],
        "mean_max_pitch_note_hz": hertz[1],
        "mean_min_power_note": heard.note_power_db[0],
        "mean_max_power_note": heard.note_power_db[1],
        "num_harmonics": ddsp_vst.N_HARMONICS,
        "num_noise_amps": ddsp_vst.N_NOISE_BANDS,
        "version": f"ddsp-ladder {record.versions()['ddsp-ladder']}",
        # DAWs' projects find a model by it, so no two exports may share one.
        "export_time": f"{now.isoformat(timespec='seconds')} {uuid.uuid4().hex[:8]}",
        "run": run.path.name,
        "step": run.step,
    }


def with_metadata(content: bytes, metadata: checked_json.Json) -> bytes:
    """Appends the zip with the metadata to a program.

    Args:
        content: What `convert` gave.
        metadata: What `describe` gave.
    """
    buffer = io.BytesIO(content)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(METADATA, json.dumps(metadata, indent=1))
    return buffer.getvalue()
