"""The command line of every program: flags in groups, --help, messages, exit codes.

A program is a `Program`: what it is called, its flags, a quick check, and its work.
Nothing heavy is imported before the flags have been read and checked, so --help and
refusals take a fraction of a second. In the order of what a person wants to know first:
a mistyped flag is named before a missing one, and both before anything is loaded.

Flags are absl's, in values of the program's own: what libraries define for themselves
(ddsp's runner, Beam) is neither listed nor read.
"""

import dataclasses
import difflib
import importlib
import io
import itertools
import os
import re
import shutil
import signal
import sys
import textwrap
import traceback
import types
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from absl import flags

from prep import errors

EXIT_USAGE = 2
EXIT_BUG = 70  # EX_SOFTWARE of BSD's sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it
NOT_INSTALLED = (
    "the package {} is not installed here. Run `make setup` in the project's folder "
    "and then `. .venv/bin/activate`."
)
MAX_WIDTH = 88  # characters of a line of --help
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TABLE_INDENT = 30  # characters before the text of a flag


class UsageError(errors.InputError):
    """A command line that cannot be read, or that contradicts itself."""


class FlagGroups:
    """Defines flags, and remembers them under the titles that --help shows."""

    def __init__(self, values: flags.FlagValues):
        """Begins without flags.

        Args:
            values: Where the flags are defined.
        """
        self.values = values
        self.titles: dict[str, list[str]] = {}
        self.required: list[str] = []
        self.help: dict[str, str] = {}

    def group(self, title: str) -> None:
        """Starts a group; flags defined from here on belong to it."""
        self.titles[title] = []

    def _add(
        self,
        define: Callable[..., Any],
        name: str,
        *definition: Any,
        is_required: bool = False,
        **more: Any,
    ) -> None:
        """Defines a flag in the newest group; the help is the definition's last."""
        define(name, *definition, flag_values=self.values, **more)
        next(reversed(self.titles.values())).append(name)
        self.help[name] = " ".join(str(definition[-1]).split())
        if is_required:
            self.required.append(name)

    def text(
        self, name: str, default: str | None, help_text: str, *, required: bool = False
    ) -> None:
        """Defines a flag that takes a string."""
        self._add(flags.DEFINE_string, name, default, help_text, is_required=required)

    def several(self, name: str, help_text: str, *, required: bool = False) -> None:
        """Defines a flag that may be given several times; a list of strings."""
        self._add(flags.DEFINE_multi_string, name, [], help_text, is_required=required)

    def listing(self, name: str, default: str, help_text: str) -> None:
        """Defines a flag that takes a list with commas; a list of strings."""
        self._add(flags.DEFINE_list, name, default, help_text)

    def whole(
        self, name: str, default: int | None, help_text: str, *, least: int | None = 0
    ) -> None:
        """Defines a flag that takes a whole number, from `least` on."""
        self._add(flags.DEFINE_integer, name, default, help_text, lower_bound=least)

    def real(self, name: str, default: float | None, help_text: str) -> None:
        """Defines a flag that takes a number."""
        self._add(flags.DEFINE_float, name, default, help_text)

    def switch(self, name: str, help_text: str) -> None:
        """Defines a flag that is off unless it is given."""
        self._add(flags.DEFINE_boolean, name, False, help_text)

    def choice(
        self, name: str, default: str, allowed: Sequence[str], help_text: str
    ) -> None:
        """Defines a flag that takes one of some words."""
        self._add(flags.DEFINE_enum, name, default, list(allowed), help_text)


@dataclasses.dataclass(frozen=True)
class Program:
    """A program of the project, as its command line sees it.

    Attributes:
        name: What it is called.
        summary: What it does, a sentence or two.
        examples: Commands that work.
        define_flags: Defines the flags.
        main: Does the work; returns the exit code.
        exit_codes: What each code means, a sentence.
        check: Refuses, quickly, what cannot work: raises `UsageError`.
        before_loading: Called before those, e.g. to keep libraries quiet.
        loads: Modules that take seconds to import and that `main` needs.
        input_code: Exit code when something given cannot be used.
        when_interrupted: What is true after Ctrl-C.
        takes_others: Whether flags that are not ours are handed on, to `main`'s second
            argument; it then has to refuse those that nobody knows, a mistyped one of
            ours too, and only then asks for a required flag.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    define_flags: Callable[[FlagGroups], None]
    main: Callable[..., int]
    exit_codes: str
    check: Callable[[flags.FlagValues], None] = lambda values: None
    before_loading: Callable[[], None] = lambda: None
    loads: tuple[str, ...] = ()
    input_code: int = EXIT_USAGE
    when_interrupted: str = "nothing was written."
    takes_others: bool = False


def run(program: Program) -> None:
    """Runs a program with the words of the command line, and ends the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that this terminal cannot show is no reason to stop.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run_words(program, sys.argv[1:]))


def run_words(program: Program, words: Sequence[str]) -> int:
    """Runs a program.

    Args:
        program: The program.
        words: Its arguments.

    Returns:
        The exit code: `main`'s; 0 after --help; 2 for a command line that cannot be
        read; `input_code` for something given that cannot be used, and 130 when
        interrupted, each with a sentence; 70 with a traceback for a fault of ours.
    """
    handlers = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    try:
        # Quick: flags, and what can be refused without loading anything.
        groups = _define(program)
        if _asks_for_help(words):
            sys.stdout.write(help_text(program, groups))
            return 0
        others = _parse(program, groups, words)
        program.check(groups.values)
        # Slow: some libraries swallow an interrupt while they are imported.
        _on_interrupt(program, end_at_once=True)
        program.before_loading()
        for module in program.loads:
            importlib.import_module(module)
        _on_interrupt(program, end_at_once=False)
        arguments = [others] if program.takes_others else []
        return program.main(groups.values, *arguments)
    except UsageError as error:
        return _say(program, str(error), code=EXIT_USAGE)
    except errors.InputError as error:
        lines = str(error).split("\n") if error.has_lines else [str(error)]
        return _say(program, *lines, code=program.input_code)
    except KeyboardInterrupt:
        return _say(program, _interrupted(program), code=EXIT_INTERRUPTED)
    except BrokenPipeError:
        end_output()
        return 0
    except ModuleNotFoundError as error:
        return _say(program, NOT_INSTALLED.format(error.name), code=program.input_code)
    except OSError as error:  # of the disk: full, read-only, gone
        place = f"{error.filename}: " if error.filename else ""
        what = error.strerror or str(error)
        return _say(program, f"{place}{what}.", code=program.input_code)
    except Exception:  # as broad as Python's own handler, which would end with 1
        traceback.print_exc()
        return EXIT_BUG
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def read_flags(program: Program, words: Sequence[str]) -> flags.FlagValues:
    """Reads and checks a program's flags without running it.

    Raises:
        UsageError: If they cannot be read.
    """
    groups = _define(program)
    _parse(program, groups, words)
    program.check(groups.values)
    return groups.values


def _define(program: Program) -> FlagGroups:
    groups = FlagGroups(flags.FlagValues())
    program.define_flags(groups)
    return groups


def _asks_for_help(words: Sequence[str]) -> bool:
    before_end = words[: words.index("--")] if "--" in words else words
    return any(re.fullmatch(r"-h|--?help(full|short)?", word) for word in before_end)


def _parse(program: Program, groups: FlagGroups, words: Sequence[str]) -> list[str]:
    """Reads the words into the flags.

    Returns:
        Words that are flags of somebody else's, if the program takes such.

    Raises:
        UsageError: If a flag is unknown, has no or a wrong value, if a word is no flag,
            or if a flag is missing; in this order.
    """
    others: list[str] = []
    # A mistyped flag first: absl would stop at the first wrong value. What another's
    # flag may be is not guessed at.
    for word in words if not program.takes_others else ():
        name = word.lstrip("-").partition("=")[0]
        is_known = name in groups.values or name.removeprefix("no") in groups.values
        if word.startswith("--") and not is_known:
            raise UsageError(_unknown(name, groups.values))
    try:
        groups.values.set_gnu_getopt()  # flags may stand behind a stray word, too
        left = groups.values([program.name, *words], known_only=program.takes_others)
    except (flags.Error, ValueError) as error:  # the latter of --noquiet=1
        said = " ".join(str(error).split()).rstrip(".")
        raise UsageError(f"{said}; --help lists the flags.") from error
    for before, word in itertools.pairwise(left):
        # Behind another's flag it may be the value.
        may_be_value = before.startswith("-") and "=" not in before
        if not word.startswith("-") and not may_be_value:
            raise UsageError(_unexpected(word, groups))
        others.append(word)
    for name in groups.required if not others else ():
        if not groups.values[name].value:
            raise missing_flag(groups, name)
    return others


def missing_flag(groups: FlagGroups, name: str) -> UsageError:
    """Returns the error that a required flag was not given."""
    return UsageError(f"--{name} is missing: {_sentence(groups.help[name])}")


def _nearest(name: str, values: flags.FlagValues) -> str | None:
    """The flag that a mistyped name may mean."""
    close = difflib.get_close_matches(name, list(values), n=1, cutoff=0.7)
    return close[0] if close else None


def _unknown(name: str, values: flags.FlagValues) -> str:
    nearest = _nearest(name, values)
    hint = f"; did you mean --{nearest}?" if nearest else "."
    return f"there is no flag --{name}{hint} --help lists the flags."


def _unexpected(word: str, groups: FlagGroups) -> str:
    hint = ""
    for name in groups.required:
        if isinstance(groups.values[name], flags.MultiFlag):
            hint = f"; quote a glob, or repeat --{name}"
    return f"unexpected {word!r}: every argument is a --flag{hint}. --help lists them."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].lower()}{text[1:].rstrip('.')}."


def help_text(program: Program, groups: FlagGroups) -> str:
    """Returns what --help prints: summary, examples, flags in groups, exit codes."""
    width = min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns)
    fill = lambda text, **more: textwrap.fill(
        " ".join(text.split()), width, break_on_hyphens=False, **more
    )
    parts = [fill(f"{program.name}: {_sentence(program.summary)}")]
    parts.append("\n".join(["examples:", *(f"  {line}" for line in program.examples)]))
    for title, names in groups.titles.items():
        lines = [f"{title}:"]
        for name in names:
            flag = groups.values[name]
            head = f"  {_shown_flag(flag)}"
            if name in groups.required:
                head += " (required)"
            text = _shown_help(groups.help[name], flag)
            # A name that is too long for the column gets a line of its own.
            if len(head) > _TABLE_INDENT - 2:
                lines.append(head)
                head = ""
            lines.append(
                fill(
                    text,
                    initial_indent=head.ljust(_TABLE_INDENT),
                    subsequent_indent=" " * _TABLE_INDENT,
                )
            )
        parts.append("\n".join(lines))
    parts.append(fill(f"exit code: {program.exit_codes}"))
    return "\n\n".join(parts) + "\n"


def _shown_flag(flag: flags.Flag) -> str:
    """The flag with what it takes, e.g. --output=TEXT."""
    kind = flag.flag_type()
    if kind == "bool":
        return f"--{flag.name}"
    enumeration = getattr(flag.parser, "enum_values", None)
    if enumeration:
        return f"--{flag.name}=" + "|".join(word for word in enumeration if word)
    words = {"int": "N", "float": "X", "comma separated list of strings": "A,B,..."}
    return f"--{flag.name}={words.get(kind, 'TEXT')}"


def _shown_help(text: str, flag: flags.Flag) -> str:
    """The help with the default, where that says something."""
    default = flag.default
    if isinstance(default, list):
        default = ",".join(map(str, default))
    if flag.flag_type() == "bool" or default in (None, ""):
        return text
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{text} [{shown}]"


def _on_interrupt(program: Program, *, end_at_once: bool) -> None:
    """Says what Ctrl-C and SIGTERM do, unless ignored as in a job in the background.

    Args:
        program: The program.
        end_at_once: End the process without raising `KeyboardInterrupt`, which some
            libraries swallow while they are imported and others answer with pages.
    """

    def end(number: int, frame: types.FrameType | None) -> None:
        del number, frame
        os._exit(_say(program, _interrupted(program), code=EXIT_INTERRUPTED))

    def interrupt(number: int, frame: types.FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end if end_at_once else interrupt)


def _interrupted(program: Program) -> str:
    return f"interrupted; {program.when_interrupted}"


def end_output() -> None:
    """Sends what is still written to nowhere, when nobody reads on: `... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(program: str, *sentences: str) -> None:
    """Says something on the standard error, each sentence with the program's name."""
    for sentence in sentences:
        sys.stderr.write(f"{program}: {errors.printable(sentence)}\n")


def _say(program: Program, *lines: str, code: int) -> int:
    """Writes a message to the standard error, and returns the exit code."""
    text = "\n".join(map(errors.printable, lines))
    sys.stderr.write(f"{program.name}: {text}\n")
    sys.stderr.flush()
    return code
