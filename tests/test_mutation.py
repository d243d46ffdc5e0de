"""What `make mutate` changes, which tests it runs, and what it makes of them."""

import os
import pathlib
import signal
import subprocess

import pytest

from benchmarks.mutation import coverage_map
from benchmarks.mutation import crew
from benchmarks.mutation import equivalents
from benchmarks.mutation import mutants
from benchmarks.mutation import mutate
from benchmarks.mutation import worker
from tests.helpers import programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


def changes(source: str) -> set[str]:
    """The lines that the mutants of a module change, as they become."""
    source += "\n"
    found = mutants.mutants_of("toy", "toy.py", source)
    return {m.changed_lines(source)[1] for m in found if m.is_change(source)}


@pytest.mark.parametrize(
    ("source", "some"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a and b", {"x = a or b"}),
        ("x = not a", {"x = a"}),
        ("x = a * b", {"x = a", "x = b", "x = a / b"}),
        ("x = c / (a - b)", {"x = c / (a)", "x = c / (a + b)", "x = c"}),
        ("x = a[a > 0]", {"x = a", "x = a[a >= 0]", "x = a[a > 1]"}),
        ("x = a[is_loud]", {"x = a"}),
        ("x = a[1:n]", {"x = a[:n]", "x = a[1:]", "x = a[2:n]"}),
        ("x = a[0::n]", {"x = a[1::n]"}),
        ("x = f(a, axis=-1)", {"x = f(a)", "x = f(a, axis=-2)", "x = f(a, axis=+1)"}),
        ("x = np.mean(a)", {"x = np.median(a)"}),
        ("x = a.mean()", {"x = a.sum()"}),
        ("x = np.round(a)", {"x = np.floor(a)", "x = (a)"}),
        ("x = round(a)", {"x = int(a)", "x = (a)"}),
        ("x = max(a, b)", {"x = min(a, b)"}),
        ("x = tf.where(a, b, c)", {"x = (b)", "x = (c)"}),
        ("x = np.log10(a)", {"x = np.log2(a)", "x = (a)"}),
        ("x = 2.0", {"x = 2.2"}),
        ("x = 1e-7", {"x = 1.0000001"}),
        ("x = y['key']", {"x = y['XXkeyXX']"}),
        ("x += a", {"x -= a", "x = a", "pass"}),
        ("if a:\n    f()", {"if False:", "pass"}),
        ("if a:\n    f()\nelse:\n    g()", {"if not (a):"}),
        ("if a < b:\n    raise ValueError(f'{a + b}')", {"pass", "if a <= b:"}),
        ("def f():\n    g()\n    h()", {"h()\ng()"}),
        ("x = f(x)\nx = g(x)", set()),  # of a module's body the order is no claim
        ("def f(x):\n    x = g(x)\n    x = h(x)", {"x = h(x)\nx = g(x)"}),
        ("def f(x):\n    x.a = g(x)\n    x.a = h(x)", {"x.a = h(x)\nx.a = g(x)"}),
    ],
)
def test_mistakes_that_are_made(source, some):
    found = changes(source)
    assert some <= found
    if not some:
        assert not found


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "import a.b",
        "x: list[int]",
        "def f(x: int | None) -> str: ...",
        "@f(1)\ndef g(): ...",
        "assert a < b",
        "def __repr__(self):\n    return 1 + 2",
        "logging.info('%d', a + 1)",
        "x = 'A sentence, for a person.'",
        "def f():\n    x = g()\n    h(x)",  # one needs the other
        "def f():\n    super().f()\n    h()",
        "for x in zip(a, b, strict=True):\n    f(x)",
        "def f(self):\n    self.a = 'A sentence.'\n    self.b = a",
    ],
)
def test_what_no_test_need_know_is_left_alone(source):
    assert changes(source) <= {"pass"}


def test_changes_of_several_lines_keep_the_rest():
    source = (
        "def f():\n    return g(\n        a,\n        b=[1,\n           2],\n    )\n"
    )
    for mutant in mutants.mutants_of("toy", "toy.py", source):
        changed = mutant.apply(source)
        assert changed.startswith("def f():\n    return") and mutant.is_change(source)
    assert changes(source) == {"3],", "b=[2,", "return g(\na)"}


def test_sample_is_drawn_by_its_seed():
    source = "x = 1 + 2 * 3 - a\n"
    found = mutants.mutants_of("toy", "toy.py", source)
    draws = [
        mutate.draw(found, {"toy.py": source}, size=4, seed=seed) for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) == 4
    everything = mutate.draw(found, {"toy.py": source}, size=100, seed=1)
    assert everything == found


def test_places_name_packages_modules_and_lines():
    mutant = mutants.Mutant("prep.plan.cutting", "", 0, 0, "", (7, 8), (1, 9))
    for places in ("", "prep", "models,prep.plan", "prep.plan.cutting:7", "prep:5-7"):
        assert mutate.is_at(mutant, places), places
    for places in ("models", "prep.pla", "prep.plan.cutting:8", "prep.plan:1-6"):
        assert not mutate.is_at(mutant, places), places


def test_every_pattern_of_the_claims_names_modules():
    for pattern in mutate.CLAIMS:
        assert list(REPOSITORY.glob(pattern.removeprefix(":!"))), pattern


@pytest.mark.slow
def test_named_equivalents_are_mutants_and_have_a_reason():
    entries = equivalents.read(REPOSITORY)
    for module in {entry.module for entry in entries}:
        path = f"{module.replace('.', '/')}.py"
        source = (REPOSITORY / path).read_text("utf-8")
        found = {
            mutant.changed_lines(source)
            for mutant in mutants.mutants_of(module, path, source)
        }
        for entry in entries:
            if entry.module == module:
                assert any(entry.matches(*lines) for lines in found), entry
                assert entry.reason, entry


def test_equivalents_are_left_out():
    source = "def f():\n    return a < b\n"
    found = mutants.mutants_of("toy", "toy.py", source)
    entry = equivalents.Equivalent("toy", "return a < b", "return a <= b", "why")
    rest = equivalents.without(found, source, [entry])
    assert len(rest) == len(found) - 1
    assert all("<=" not in mutant.apply(source) for mutant in rest)
    entry = equivalents.Equivalent("toy", "return a < b", "*", "why")
    assert equivalents.without(found, source, [entry]) == []
    other = equivalents.Equivalent("toy", "return a < c", "*", "why")
    assert equivalents.without(found, source, [other]) == found


TOY = """\
LIMIT = 3


def is_long(n):
    while n < 0:
        n += 9
    return n > LIMIT
"""
TESTS = """\
import pytest, toy

@pytest.fixture(scope="module")
def whether():
    return toy.is_long(2)

def test_far():
    assert toy.is_long(9) and not toy.is_long(1)

def test_border(whether):
    assert not toy.is_long(3) and not whether

def test_nothing():
    pass
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A module and its tests in the current folder."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "checks" / "test_toy.py").write_text(TESTS)
    (tmp_path / "setup.cfg").write_text(
        "[tool:pytest]\npythonpath = .\naddopts = --import-mode=importlib\n"
        "markers =\n    slow: s\n    browser: b\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(text: str = "", *tests: str, **more) -> worker.Answer:
    return worker.answer(
        worker.Request(
            files=["checks/test_toy.py"],
            tests=[f"checks/test_toy.py::{name}" for name in tests],
            limit_secs=more.pop("limit_secs", 60.0),
            path="toy.py" if text else "",
            text=text,
            **more,
        )
    )


@pytest.mark.slow
def test_mutant_is_killed_by_the_test_that_looks_at_the_border(toy):
    mutant = TOY.replace("n > LIMIT", "n >= LIMIT")
    assert ask(mutant, "test_far").code == 0
    outcome = ask(mutant, "test_border", "test_far")
    assert outcome.failed == ["checks/test_toy.py::test_border"]
    assert list(outcome.secs) == outcome.failed  # the first failure is the end
    assert (toy / "toy.py").read_text() == TOY
    judgement = mutate.judge(None, "", outcome)
    assert judgement.is_killed and judgement.by == "checks/test_toy.py::test_border"


@pytest.mark.slow
def test_mutant_that_never_ends_or_cannot_be_imported_is_killed(toy):
    outcome = ask(TOY.replace("n += 9", "n -= 9").replace("< 0", "< 5"), limit_secs=1.5)
    assert outcome.code == -signal.SIGALRM
    assert mutate.judge(None, "", outcome).by == "time"
    outcome = ask("LIMIT = 1 / 0\n", "test_far")
    assert mutate.judge(None, "", outcome).is_killed


@pytest.mark.slow
def test_no_test_at_all_is_no_judgement(toy):
    mutant = mutants.Mutant("toy", "toy.py", 0, 0, "", (1, 1), (1, 1))
    with pytest.raises(RuntimeError, match="no tests for toy"):
        mutate.judge(mutant, "", ask(TOY + "\n", "test_gone"))


@pytest.mark.slow
def test_lines_are_known_by_the_tests_that_execute_them(toy):
    outcome = ask(covered=["toy.py"])
    assert list(outcome.secs) == [
        f"checks/test_toy.py::test_{name}" for name in ("far", "border", "nothing")
    ]
    assert outcome.lines == {"toy.py": {"5": [0, 1], "7": [0, 1]}}
    only_fixture = TESTS.replace("not toy.is_long(3) and ", "")
    (toy / "checks" / "test_toy.py").write_text(only_fixture)
    assert ask(covered=["toy.py"]).lines["toy.py"]["7"] == [0, 1]


@pytest.mark.slow
def test_map_is_measured_anew_when_anything_in_it_changes(toy):
    place = toy / "kept" / "map.json"
    name = "checks/test_toy.py"
    kept = coverage_map.CoverageMap(toy, place)
    assert kept.stale([name]) == [name]
    kept.add(name, ask(covered=["toy.py"]))
    assert coverage_map.CoverageMap(toy, place).stale([name]) == []
    for file in ("toy.py", name, "setup.cfg"):
        text = (toy / file).read_text()
        (toy / file).write_text(text + "\n")
        assert coverage_map.CoverageMap(toy, place).stale([name]) == [name], file
        (toy / file).write_text(text)


def mapped(tmp_path, **files_of_tests) -> coverage_map.CoverageMap:
    """A map whose test files have tests of (seconds, lines of prep/a.py)."""
    kept = coverage_map.CoverageMap(tmp_path, tmp_path / "map.json")
    for file, tests in files_of_tests.items():
        name = f"tests/test_{file}.py"
        if file in ("mirror", "room"):
            name = f"tests/prep/test_{'a' if file == 'mirror' else file}.py"
        lines: dict[str, list[int]] = {}
        for place, (_, touched) in enumerate(tests):
            for line in touched:
                lines.setdefault(str(line), []).append(place)
        secs = {f"{name}::{i}": secs for i, (secs, _) in enumerate(tests)}
        failed = [f"{name}::9"]
        kept.files[name] = coverage_map.FileCoverage(
            {}, secs, failed, {"prep/a.py": lines}
        )
    return kept


def test_tests_of_the_line_run_first_those_near_it_before_cheap_ones(tmp_path):
    kept = mapped(
        tmp_path,
        dear=[(9.0, [5])],
        cheap=[(1.0, [5]), (1.0, [6])],
        room=[(2.0, [5])],
        mirror=[(1.0, []), (7.0, [5])],
    )
    mutant = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (5, 5), (4, 6))
    chosen = kept.choose(mutant, 100.0)
    mirror, room = "tests/prep/test_a.py", "tests/prep/test_room.py"
    assert chosen.files == [mirror, room, "tests/test_cheap.py", "tests/test_dear.py"]
    assert list(chosen.secs) == [
        *(f"{mirror}::1", f"{mirror}::0", f"{room}::0"),
        *("tests/test_cheap.py::0", "tests/test_dear.py::0"),
    ]
    assert sum(chosen.secs.values()) == 20.0
    assert list(kept.choose(mutant, 8.5).secs) == list(chosen.secs)[:3]


def test_lines_that_no_test_executes_take_those_around_them(tmp_path):
    kept = mapped(tmp_path, one=[(1.0, [6]), (1.0, [20])])
    for line, function, tests in (
        (5, (4, 6), ["tests/test_one.py::0"]),  # another line of the function
        (12, (11, 13), ["tests/test_one.py::0", "tests/test_one.py::1"]),
    ):
        mutant = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (line, line), function)
        assert list(kept.choose(mutant, 100.0).secs) == tests


def test_a_test_that_only_imports_a_module_says_nothing_of_its_functions(tmp_path):
    importing = [(1.0, [1, 2, 5])]
    kept = mapped(tmp_path, first=importing, room=[(3.0, [5])], far=[(1.0, [6])])
    for line, tests in ((5, ["prep/test_room"]), (6, ["test_far"])):
        mutant = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (line, line), (4, 7))
        chosen = kept.choose(mutant, 100.0).secs
        assert list(chosen) == [f"tests/{name}.py::0" for name in tests]
    alone = mapped(tmp_path, first=importing)
    mutant = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (5, 5), (4, 7))
    assert list(alone.choose(mutant, 100.0).secs) == ["tests/test_first.py::0"]


def test_what_is_imported_is_read_by_tests_of_the_folder(tmp_path):
    kept = mapped(tmp_path, far=[(1.0, [6])], room=[(2.0, [7]), (1.0, [])])
    constant = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (2, 2), (1, 9))
    room, far = "tests/prep/test_room.py", "tests/test_far.py"
    assert list(kept.choose(constant, 100.0).secs) == [
        *(f"{room}::0", f"{room}::1", f"{far}::0")
    ]
    within = mutants.Mutant("prep.a", "prep/a.py", 0, 0, "", (6, 6), (5, 9))
    assert list(kept.choose(within, 100.0).secs) == [f"{far}::0"]


def test_copy_holds_what_git_knows_and_never_a_stale_bytecode(tmp_path):
    repository = tmp_path / "origin"
    (repository / "prep").mkdir(parents=True)
    (repository / "prep" / "a.py").write_text("VALUE = 1\n")
    (repository / ".gitignore").write_text("*.wav\n")
    (repository / "large.wav").write_text("x")
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    copy = tmp_path / "copies" / "origin"
    crew.copy_repository(repository, copy)
    assert not (copy / "large.wav").exists()
    # A change within the same second and of the same size.
    module = copy / "prep" / "a.py"
    times = module.stat().st_atime, module.stat().st_mtime
    module.write_text("VALUE = 2\n")
    os.utime(module, times)
    shown = programs.run(
        "python3", "-c", "import prep.a; print(prep.a.VALUE)", cwd=copy
    )
    assert shown.stdout == "2\n"


def test_summary_counts_by_package():
    def judgement(module, is_killed):
        mutant = mutants.Mutant(module, "", 0, 0, "", (1, 1), (1, 1))
        return mutate.Judgement(mutant, "", is_killed, "")

    judgements = [judgement("prep.plan.text", True), judgement("prep.plan.make", False)]
    assert mutate.summarise([*judgements, judgement("prep.files", True)]) == {
        "killed": 2,
        "survived": 1,
        "killed_share": 0.667,
        "by_package": {
            "prep.files": {"killed": 1, "survived": 0},
            "prep.plan": {"killed": 1, "survived": 1},
        },
    }
