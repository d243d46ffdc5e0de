"""Tensors from a file that `torch.save` wrote, without torch and without trust.

Such a file is a zip with a pickle in it, and a pickle may call anything. The reader
here knows three names, `collections.OrderedDict`, torch's storage types and
`torch._utils._rebuild_tensor_v2`, puts harmless functions of its own in the place of
the last two, and refuses every other name before anything is called. Sizes are checked
against the zip's directory before memory is taken.

Source: own; the format is read off the files.
"""

import collections
import io
import math
import pathlib
import pickle
import pickletools
import zipfile
import zlib
from typing import Any

import numpy as np

_MAX_PICKLE_BYTES = 1 << 20  # the published ones have 5 kB
_MAX_STORAGE_BYTES = 1 << 28  # the largest published one has 34 MB
_MEMO_OPERATIONS = ("PUT", "BINPUT", "LONG_BINPUT")
_STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
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
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(
            f"{path} is not a readable file of tensors ({error}); "
            "reinstall the package that it belongs to."
        ) from error
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
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
    _check_memo(archive.read(pickles[0]))
    folder = pickles[0].removesuffix("data.pkl")
    unpickler = _TensorUnpickler(archive, folder=folder)
    tensors = unpickler.load()
    if not isinstance(tensors, collections.OrderedDict):
        raise pickle.UnpicklingError(f"expected a dict, found {type(tensors).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, np.ndarray):
            raise pickle.UnpicklingError(f"{name!r} is not a tensor")
    return dict(tensors)


def _check_memo(content: bytes) -> None:
    """Refuses places in the memo, for which memory is taken, beyond the file's size."""
    for operation, place, _ in pickletools.genops(content):
        if operation.name not in _MEMO_OPERATIONS or not isinstance(place, int):
            continue
        if place > len(content):
            raise pickle.UnpicklingError(f"it asks for {place} places of memory")


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
