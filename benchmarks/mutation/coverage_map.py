"""The map of which test executes which line, kept between runs.

It is made file by file with coverage.py, and a test file is measured anew when it, the
tests' helpers or a module that it executes have changed. Lines that run while a module
is imported belong to no test, and TensorFlow executes what AutoGraph rewrote unseen:
for such lines the tests of the function around them count, or of the module.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping

from benchmarks.mutation import mutants
from benchmarks.mutation import worker
from prep import files

SHARED = ("tests/conftest.py", "tests/helpers/*.py", "setup.cfg")  # by all tests


@dataclasses.dataclass(frozen=True)
class FileCoverage:
    """What a test file executes.

    Attributes:
        digests: Of everything that it was measured with, by path.
        secs: Of each test, by its name.
        failed: Tests that fail without any mutant; they tell nothing.
        lines: Of each module's file and line, its tests as places in `secs`.
    """

    digests: dict[str, str]
    secs: dict[str, float]
    failed: list[str]
    lines: dict[str, dict[str, list[int]]]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Tests for a mutant.

    Attributes:
        secs: What each takes without a mutant, by its name; those that execute the line
            first within each file.
        files: Their files in the order in which they run.
    """

    secs: dict[str, float]
    files: list[str]


class CoverageMap:
    """Test files and what they execute.

    Args:
        repository: Root of the files.
        place: The file that keeps the map.
    """

    def __init__(self, repository: pathlib.Path, place: pathlib.Path):
        self._repository = repository
        self._place = place
        self._digests: dict[str, str] = {}
        self.files: dict[str, FileCoverage] = {}
        text = files.read_text(place)
        for name, values in json.loads(text or "{}").items():
            self.files[name] = FileCoverage(**values)

    def stale(self, test_files: Iterable[str]) -> list[str]:
        """Returns the test files that must be measured, and forgets those not named."""
        names = list(test_files)
        self.files = {n: f for n, f in self.files.items() if n in names}
        return [
            name
            for name in names
            if name not in self.files
            or any(
                self._digest(path) != digest
                for path, digest in self.files[name].digests.items()
            )
        ]

    def add(self, name: str, answer: worker.Answer) -> None:
        """Takes in the measurement of a test file, and keeps it."""
        shared = [
            str(path.relative_to(self._repository))
            for pattern in SHARED
            for path in self._repository.glob(pattern)
        ]
        self.files[name] = FileCoverage(
            digests={p: self._digest(p) for p in (name, *shared, *answer.lines)},
            secs=answer.secs,
            failed=answer.failed,
            lines=answer.lines,
        )
        self._place.parent.mkdir(parents=True, exist_ok=True)
        kept = {n: dataclasses.asdict(f) for n, f in self.files.items()}
        files.write_text(self._place, json.dumps(kept))

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            file = self._repository / path
            content = file.read_bytes() if file.is_file() else b""
            self._digests[path] = hashlib.sha256(content).hexdigest()[:16]
        return self._digests[path]

    def choose(self, mutant: mutants.Mutant, max_secs: float) -> Chosen:
        """Chooses the tests that may notice a mutant, the likeliest first.

        The mirrored test file comes first, then the files of its folder, then others;
        of each, those that take least. Behind those that execute the line come others
        of the mirrored file, which may meet it in a process of their own; of a line
        that runs while the module is imported, also those of its folder, which may
        read what it made.

        Args:
            mutant: What is to be noticed.
            max_secs: Tests are taken until they take as much.
        """
        mirror = mirrored(mutant.path)
        folder = mirror.rpartition("/")[0]
        executing = self._executing(mutant)
        groups = [(name, tests, True) for name, tests in executing.items()]
        for name in self.files:
            is_near = name.rpartition("/")[0] == folder
            if name == mirror or (is_near and not mutant.is_in_function):
                met = executing.get(name, ())
                others = [test for test in self._good(name) if test not in met]
                groups.append((name, others, False))

        def order(group: tuple[str, list[str], bool]) -> tuple[object, ...]:
            name, tests, executes = group
            cost = sum(self.files[name].secs[test] for test in tests)
            is_far = name.rpartition("/")[0] != folder
            return name != mirror, is_far, not executes, cost, name

        secs: dict[str, float] = {}
        for name, tests, _ in sorted(groups, key=order):
            for test in tests:
                if sum(secs.values()) < max_secs:
                    secs[test] = self.files[name].secs[test]
        return Chosen(secs, list(dict.fromkeys(test.split("::")[0] for test in secs)))

    def _executing(self, mutant: mutants.Mutant) -> dict[str, list[str]]:
        """Tests that execute a mutant's line by their files, or what is around it."""
        # Outside of bodies lines run while a module is imported, by whom says nothing.
        spans = [mutant.lines, mutant.function, (1, 10**9)]
        for first, last in spans if mutant.is_in_function else spans[1:]:
            found = {
                name: self._touching(name, mutant.path, first, last)
                for name in self.files
            }
            if any(found.values()):
                return {name: tests for name, tests in found.items() if tests}
        return {}

    def _touching(self, name: str, path: str, first: int, last: int) -> list[str]:
        """Tests of a file that execute any line of a span.

        A test that imports the module executes what its constants call, and need not
        look at it: only where the whole module is asked for does it count.
        """
        lines: Mapping[str, list[int]] = self.files[name].lines.get(path, {})
        places = {
            place
            for line, tests in lines.items()
            if first <= int(line) <= last
            for place in tests
        }
        if first > 1:
            places -= set(lines.get("1", ()))
        good = set(self._good(name))
        return [
            t for i, t in enumerate(self.files[name].secs) if i in places and t in good
        ]

    def _good(self, name: str) -> list[str]:
        """Tests of a file that pass without a mutant."""
        file = self.files[name]
        return [test for test in file.secs if test not in file.failed]


def mirrored(path: str) -> str:
    """`prep/plan/splits.py` → `tests/prep/plan/test_splits.py`."""
    file = pathlib.PurePosixPath(path)
    return str("tests" / file.with_name(f"test_{file.name}"))
