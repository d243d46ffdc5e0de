"""Programs run to their end in processes of their own."""

import os
import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PYTHON = sys.executable


def run(
    *words: object,
    code: int | None = 0,
    cwd: pathlib.Path | None = REPOSITORY,
    timeout: float = 600,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program; fails with what it said where it ends with another exit code.

    Args:
        words: The program and its arguments.
        code: Exit code that is expected; None takes any.
        cwd: Where it runs.
        timeout: Seconds after which it hangs.
        environment: Variables beside those of this process.
    """
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env=os.environ | (environment or {}),
        check=False,
    )
    assert code in (None, done.returncode), (done.stdout + done.stderr)[-4000:]
    return done
