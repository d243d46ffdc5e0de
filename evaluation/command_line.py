"""Exit codes of a program whose code 1 has a meaning of its own.

absl ends with 1 for a flag that cannot be read and for --help, and Python for an
exception that nobody caught; a script could not tell these from an answer.
"""

import functools
import sys
import traceback
from collections.abc import Callable
from collections.abc import Sequence

from absl import app
from absl import flags

EXIT_USAGE = 2
EXIT_BUG = 70  # EX_SOFTWARE of BSD's sysexits.h


def run(main: Callable[[list[str]], int], *, program: str) -> None:
    """Runs a program and ends the process.

    The code is `main`'s; 0 after --help, 2 for flags that cannot be read, 70 with a
    traceback for an exception that nobody caught.

    Args:
        main: Takes the arguments that are no flags; returns the exit code.
        program: Its name, for messages.
    """
    try:
        app.run(main, flags_parser=functools.partial(parse_flags, program=program))
    except Exception:  # as broad as Python's own handler, which would end with 1
        traceback.print_exc()
        sys.exit(EXIT_BUG)


def parse_flags(argv: Sequence[str], *, program: str) -> list[str]:
    """Reads the command line into absl's flags, or ends the process.

    Args:
        argv: Name of the program and its arguments.
        program: Its name, for messages.

    Returns:
        What is no flag, the name first.
    """
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        said = " ".join(str(error).split())
        sys.stderr.write(f"{program}: {said} --help lists the flags.\n")
        sys.exit(EXIT_USAGE)
    except SystemExit:  # --help, which has been printed
        sys.exit(0)
