"""Mutants that are no mistakes: tests/equivalent_mutants.toml names them with reasons.

An entry holds the lines before and after the change, so it stays right when lines move,
and matches nothing once they change.
"""

import collections
import dataclasses
import pathlib
import tomllib
from collections.abc import Iterable

from benchmarks.mutation import mutants
from prep import files

PLACE = "tests/equivalent_mutants.toml"
ANYTHING = "*"


@dataclasses.dataclass(frozen=True)
class Equivalent:
    """A change that nobody can notice, or that nobody needs to.

    Attributes:
        module: Dotted name.
        before: The changed lines, without indentation.
        after: What becomes of them; "*" for any change of theirs.
        reason: Why no test fails.
    """

    module: str
    before: str
    after: str
    reason: str

    def matches(self, before: str, after: str) -> bool:
        """Tells whether lines of the module that change, and how, are these."""
        return before == self.before and self.after in (after, ANYTHING)


def read(repository: pathlib.Path) -> list[Equivalent]:
    """Reads the file of a repository; none where there is none."""
    text = files.read_text(repository / PLACE)
    return [
        Equivalent(**entry) for entry in tomllib.loads(text or "").get("mutant", [])
    ]


def without(
    found: Iterable[mutants.Mutant], source: str, known: Iterable[Equivalent]
) -> list[mutants.Mutant]:
    """Leaves out the mutants of a module that are known to be no mistakes.

    Args:
        found: Of one module.
        source: The module's text.
        known: Entries of any module.
    """
    entries = collections.defaultdict(list)
    for entry in known:
        entries[entry.module].append(entry)

    def is_known(mutant: mutants.Mutant) -> bool:
        if mutant.module not in entries:
            return False
        lines = mutant.changed_lines(source)
        return any(entry.matches(*lines) for entry in entries[mutant.module])

    return [mutant for mutant in found if not is_known(mutant)]
