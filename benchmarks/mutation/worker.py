"""Runs tests again and again in processes that have imported TensorFlow already.

    python -m benchmarks.mutation.worker    (in a copy of the repository)

A line of JSON on the standard input is a `Request`, one on the standard output its
`Answer`. What takes seconds to import is imported once, and nothing is computed with
it: TensorFlow starts its threads with the first operation, and a process that is forked
after that hangs. Each request is answered by a forked process, which imports the
project's own modules, so it meets the mutant wherever it stands.
"""

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import pytest

# Imported once; none of them computes anything by that.
HEAVY = (
    *("ddsp_compat", "tensorflow", "tf_keras", "tensorflow_probability", "ddsp"),
    *("ddsp.training", "ddsp.losses", "gin", "librosa", "librosa.core"),
    *(
        "librosa.filters",
        "matplotlib.pyplot",
        "mir_eval",
        "pretty_midi",
        "scipy.signal",
    ),
    *(
        "scipy.optimize",
        "scipy.stats",
        "soundfile",
        "soxr",
        "av",
        "jinja2",
        "absl.flags",
    ),
    *("apache_beam", "apache_beam.testing.util", "coverage", "jsonschema", "tqdm"),
)
MARKERS = "not slow and not browser"  # `make check` leaves out long ones, too
_LOG_CHARS = 2000  # of what a process said, kept to explain a failure
_POLL_SECS = 0.02


@dataclasses.dataclass(frozen=True)
class Request:
    """Tests to be run.

    Attributes:
        files: Test files, in order.
        tests: Their tests that count, all if empty; in each file those at the front of
            the list come first.
        limit_secs: After which the process is ended.
        test_limits: Seconds after which it is ended within a test, by the test's name;
            others have no limit of their own.
        covered: Modules whose executed lines are noted, by test; none of it if empty.
        path: File of a mutant, "" for none.
        text: What stands in it meanwhile.
    """

    files: list[str]
    tests: list[str]
    limit_secs: float
    test_limits: dict[str, float] = dataclasses.field(default_factory=dict)
    covered: list[str] = dataclasses.field(default_factory=list)
    path: str = ""
    text: str = ""


@dataclasses.dataclass
class Answer:
    """What came of it.

    Attributes:
        code: pytest's exit code; below 0 where a signal, or the limit, ended it.
        secs: Of each test that ran, by its name: of processors, also for processes that
            it waited for, since other programs may be at work.
        failed: The tests that failed.
        lines: Of each covered module and line, the tests that executed it, as their
            places in `secs`.
        log: End of what was printed.
    """

    code: int = 0
    secs: dict[str, float] = dataclasses.field(default_factory=dict)
    failed: list[str] = dataclasses.field(default_factory=list)
    lines: dict[str, dict[str, list[int]]] = dataclasses.field(default_factory=dict)
    log: str = ""


class Watcher:
    """A plugin of pytest that chooses tests and notes what they do."""

    def __init__(self, request: Request):
        self.request = request
        self.found = Answer()
        self._fixtures: dict[str, list[str]] = {}
        self._context = ""
        self._coverage = None
        if request.covered:
            coverage = importlib.import_module("coverage")
            self._coverage = coverage.Coverage(
                data_file=None, config_file=False, include=request.covered
            )
            self._coverage.start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keeps the tests that were asked for, in each file in the order asked for."""
        if not self.request.tests:
            return
        place = {name: i for i, name in enumerate(self.request.tests)}
        files = {name: i for i, name in enumerate(self.request.files)}
        kept = [item for item in items if item.nodeid in place]
        kept.sort(key=lambda i: (files[i.nodeid.split("::")[0]], place[i.nodeid]))
        items[:] = kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Counts a test's processor seconds and the lines that it executes."""
        self._fixtures[item.nodeid] = list(item.fixturenames)
        begin = sum(os.times()[:4])
        self._switch(item.nodeid)
        # SIGALRM ends the process, whatever it is doing.
        signal.setitimer(
            signal.ITIMER_REAL, self.request.test_limits.get(item.nodeid, 0.0)
        )
        result = yield
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        self._switch("")
        self.found.secs[item.nodeid] = sum(os.times()[:4]) - begin
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        """What a shared fixture executes counts for all tests that use it."""
        if fixturedef.scope == "function":
            return (yield)
        before = self._context
        self._switch(_fixture_context(fixturedef.argname))
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes failures, of setting up too."""
        if report.failed:
            self.found.failed.append(report.nodeid)

    def _switch(self, context: str) -> None:
        self._context = context
        if self._coverage:
            self._coverage.switch_context(context)

    def note_lines(self) -> None:
        """Reads which tests executed which lines."""
        if not self._coverage:
            return
        self._coverage.stop()
        data = self._coverage.get_data()
        users: dict[str, set[int]] = {"": set()}  # by context
        for place, test in enumerate(self.found.secs):
            for context in (test, *map(_fixture_context, self._fixtures[test])):
                users.setdefault(context, set()).add(place)
        for file in data.measured_files():
            lines = self.found.lines.setdefault(os.path.relpath(file), {})
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = set().union(*(users.get(c, set()) for c in contexts))
                if tests:
                    lines[str(line)] = sorted(tests)


def _fixture_context(name: str) -> str:
    return f"fixture {name}"


def run(request: Request, folder: pathlib.Path) -> int:
    """Runs the tests of a request in this process; notes the answer in a file."""
    watcher = Watcher(request)
    words = ["-p", "no:cacheprovider", "-m", MARKERS, f"--basetemp={folder}/pytest"]
    first_only = ["-x"] if request.path else []
    code = pytest.main([*request.files, *words, *first_only], plugins=[watcher])
    watcher.note_lines()
    watcher.found.code = int(code)
    text = json.dumps(dataclasses.asdict(watcher.found))
    (folder / "answer.json").write_text(text)
    return int(code)


def run_forked(request: Request) -> Answer:
    """Runs the tests of a request in a forked process, and waits for it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mutant-"))
    pid = os.fork()
    if not pid:
        code = 3
        try:
            _become_test_process(folder)
            code = run(request, folder)
        finally:
            os._exit(code)
    try:
        code = _wait(pid, time.monotonic() + request.limit_secs)
        found = Answer(code=code)
        with contextlib.suppress(OSError):
            found = Answer(**json.loads((folder / "answer.json").read_text()))
        found.log = (folder / "log").read_text(errors="replace")[-_LOG_CHARS:]
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _become_test_process(folder: pathlib.Path) -> None:
    """Gives the process a group, a log and a folder for temporary files of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    with open(folder / "log", "w") as log, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed
    sys.argv = ["pytest"]


def _wait(pid: int, end: float) -> int:
    """Waits until a process ends or its time is over; returns its exit code."""
    code = None
    try:
        while code is None and time.monotonic() < end:
            time.sleep(_POLL_SECS)
            ended, status = os.waitpid(pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if ended else None
    finally:
        # What it started goes with it, also where this process is told to end.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if code is None:
            os.waitpid(pid, 0)
    return -signal.SIGALRM if code is None else code


def answer(request: Request) -> Answer:
    """Puts the mutant in its place, runs the tests, and puts the module back."""
    if not request.path:
        return run_forked(request)
    path = pathlib.Path(request.path)
    original = path.read_bytes()
    try:
        path.write_text(request.text, encoding="utf-8")
        return run_forked(request)
    finally:
        path.write_bytes(original)


def main() -> None:
    """Answers requests until there are no more."""
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what imports print is no answer
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # pytest looks for garbage at its end, and finds none in all that
    for line in sys.stdin:
        found = answer(Request(**json.loads(line)))
        print(json.dumps(dataclasses.asdict(found)), file=answers, flush=True)


if __name__ == "__main__":
    main()
