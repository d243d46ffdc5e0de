"""The streaming step as ONNX, by way of TensorFlow Lite.

tf2onnx 1.17 converts the step's .tflite file on this stack (TensorFlow 2.21, onnx 1.23,
opset 18). It does not convert the SavedModels: its loop conversion finds no scan output
in loops that carry a nest of states, and it knows no inverse real FFT. So the step is
what is offered; it has the same inputs, outputs and state as `step.tflite`.

tf2onnx and onnx are no part of this project's environment; where they are installed,
`models.export.writer` writes the file.
"""

import importlib.util
import pathlib
from typing import Any

import numpy as np

OPSET = 18
NAME = "step.onnx"
_PREFIX = "serving_default_"


def is_available() -> bool:
    """Returns whether tf2onnx is installed."""
    return importlib.util.find_spec("tf2onnx") is not None


def can_run() -> bool:
    """Returns whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def convert(source: pathlib.Path, target: pathlib.Path) -> None:
    """Converts a step.

    Args:
        source: The .tflite file.
        target: The .onnx file to write.
    """
    import tf2onnx.convert  # not installed everywhere

    tf2onnx.convert.from_tflite(str(source), opset=OPSET, output_path=str(target))


class OnnxRunner:
    """Runs a converted step; needs onnxruntime.

    Args:
        path: The .onnx file.
    """

    def __init__(self, path: pathlib.Path):
        import onnxruntime  # not installed everywhere

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        names = [item.name for item in self._session.get_inputs()]
        self._names = {_plain(name): name for name in names}
        # Converted names end in the place of the output in
        # `models.streaming.lite.OUTPUTS`.
        outputs = [item.name for item in self._session.get_outputs()]
        self._outputs = sorted(outputs, key=lambda name: int(name.rpartition(":")[2]))

    def __call__(self, **inputs: Any) -> list[np.ndarray]:
        """Runs a step; see `models.streaming.lite.LiteRunner`.

        Args:
            **inputs: As `models.streaming.lite` says, by name.

        Returns:
            Harmonic audio, noise audio and the next state.
        """
        fed = {self._names[name]: value for name, value in inputs.items()}
        return list(self._session.run(self._outputs, fed))


def _plain(name: str) -> str:
    """serving_default_f0_hz:0 -> f0_hz."""
    return name.removeprefix(_PREFIX).split(":")[0]
