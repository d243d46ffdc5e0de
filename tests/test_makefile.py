"""Names that a person gives to make are names, never commands."""

import pathlib
import subprocess

import pytest

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
    shown = subprocess.run(
        [
            *("make", "-s", "-f", str(REPOSITORY / "Makefile"), "demo"),
            *(f"INPUT={name}", f"VENV={tmp_path}", "-o", f"{tmp_path}/.ready"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == [
        "[-m]",
        "[evaluation.run_demo]",
        f"[--input={name}]",
    ]
    assert not (tmp_path / "done").exists()
