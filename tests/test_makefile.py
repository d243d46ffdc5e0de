"""Names that a person gives to make are names, never commands."""

import importlib.metadata
import pathlib

import pytest
from packaging import requirements

from tests.helpers import programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "name",
    ["my wavs/", "`touch done`", "$(shell touch done)", "$(touch done)", "a'b\"c"],
)
def test_input_of_the_demo_is_a_name_whatever_is_in_it(tmp_path, name):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    python.chmod(0o755)
    # The environment passes for ready, and Python only shows what it is given.
    shown = programs.run(
        *("make", "-s", "-f", REPOSITORY / "Makefile", "demo"),
        *(f"INPUT={name}", f"VENV={tmp_path}", "-o", f"{tmp_path}/.ready"),
        cwd=tmp_path,
    )
    assert shown.stdout.splitlines() == [
        "[-m]",
        "[evaluation.run_demo]",
        f"[--input={name}]",
    ]
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("gpu", ["", "1"])
def test_gpu_adds_tensorflows_own_libraries_to_the_setup(tmp_path, gpu):
    shown = programs.run(
        *("make", "-n", "-f", REPOSITORY / "Makefile", "setup"),
        *(f"VENV={tmp_path}", "-o", f"{tmp_path}/.ready", f"GPU={gpu}"),
        cwd=tmp_path,
    )
    assert ("--no-deps" in shown.stdout) == bool(gpu)
    assert ("requirements-gpu.txt" in shown.stdout) == bool(gpu)


def test_gpu_libraries_are_those_that_tensorflow_asks_for():
    pinned = {}
    for line in (REPOSITORY / "requirements-gpu.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        pinned[name] = version
    declared = map(requirements.Requirement, importlib.metadata.requires("tensorflow"))
    wanted = {
        one.name: one.specifier
        for one in declared
        if one.marker
        and one.marker.evaluate({"extra": "and-cuda"})
        and one.name.startswith("nvidia-")
    }
    assert set(pinned) == set(wanted)
    assert all(wanted[name].contains(version) for name, version in pinned.items())
