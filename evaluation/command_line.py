"""Reading the command line, and exit codes that a script can tell apart.

absl ends with 1 for a flag that cannot be read and for --help, and Python for an
exception that nobody caught; a program's own code 1 would look the same.
"""

import functools
import sys
import traceback
from collections.abc import Callable
from collections.abc import Sequence
from typing import NoReturn

from absl import app
from absl import flags

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it
EXIT_BUG = 70  # EX_SOFTWARE of BSD's sysexits.h


def run(main: Callable[[], int], *, program: str) -> None:
    """Runs a program and ends the process.

    The code is `main`'s; 0 after --help, 2 for a command line that cannot be read, 70
    with a traceback for an exception that nobody caught.

    Args:
        main: Returns the exit code; flags are read by then.
        program: Its name, for messages.
    """
    try:
        app.run(
            lambda unused_argv: main(),
            flags_parser=functools.partial(parse_flags, program=program),
        )
    except Exception:  # as broad as Python's own handler, which would end with 1
        traceback.print_exc()
        sys.exit(EXIT_BUG)


def parse_flags(argv: Sequence[str], *, program: str) -> list[str]:
    """Reads the command line into absl's flags, or ends the process.

    Args:
        argv: Name of the program and its arguments.
        program: Its name, for messages.

    Returns:
        The name of the program; every other word has to be a flag.
    """
    try:
        left = flags.FLAGS(argv)
    except flags.Error as error:
        said = " ".join(str(error).split())
        _refuse(f"{said.rstrip('.')}; --help lists the flags.", program=program)
    except SystemExit:  # --help, which has been printed
        sys.exit(0)
    if len(left) > 1:
        _refuse(f"unexpected {left[1]!r}: every argument is a --flag.", program=program)
    return left


def _refuse(sentence: str, *, program: str) -> NoReturn:
    """Ends the process with a sentence."""
    sys.stderr.write(f"{program}: {sentence}\n")
    sys.exit(EXIT_USAGE)
