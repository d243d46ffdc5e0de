"""The rules of the house that a machine can check; docs/architecture.md explains them.

`ARROWS` is the drawing: a line a room, with the rooms that it may import.
"""

import ast
import collections
import configparser
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("prep", "models", "evaluation", "benchmarks")
# A room is a subpackage, or a module at the top of its package. It may import the rooms
# on its right; a room of another package is written with the package's name.
ARROWS = {
    "prep": """
        tensorflow_setup:
        files:
        errors:
        products: tensorflow_setup
        loudness:
        progress:
        demo: files progress
        pitch: products tensorflow_setup
        settings: pitch
        recordings: loudness
        features: loudness pitch recordings settings
        checked_json:
        plan: features loudness recordings settings
        processes:
        dataset: features files loudness plan processes recordings settings
        beam: dataset features loudness pitch plan recordings settings
        report: beam pitch plan settings
        preparation: beam dataset files plan progress recordings report settings
        command_line:
        run_beam: beam command_line preparation settings tensorflow_setup
    """,
    "models": """
        schedules:
        layers: prep.products prep.tensorflow_setup
        measures:
        config: prep.dataset
        data: prep.dataset
        controls: layers schedules synths
        decoders: layers
        synths: layers
        losses: layers measures schedules synths
        autoencoder: controls decoders layers losses measures
        runs: config prep.dataset prep.files prep.processes
        streaming: autoencoder controls decoders prep.tensorflow_setup synths
        export: autoencoder controls data decoders measures prep.files runs streaming
            synths
        monitoring: data layers losses measures synths
        teaching: data losses measures prep.files runs
        training: config data layers losses measures monitoring prep.dataset prep.files
            prep.processes prep.tensorflow_setup runs synths teaching
        registry: autoencoder config controls data decoders layers losses schedules
            synths teaching training
        ddsp_run: prep.command_line runs training
    """,
    "evaluation": """
        metrics: models.measures
        collapse_index: models.measures
        scoring: collapse_index metrics models.data models.measures models.runs
            models.synths prep.features prep.files prep.processes prep.recordings
        summary: collapse_index metrics models.data models.measures models.runs scoring
        report: collapse_index metrics models.measures models.runs prep.command_line
            prep.processes scoring summary
        evaluate: models.runs prep.pitch prep.progress report scoring summary
        matrix: collapse_index models.config models.runs prep.dataset prep.files
            prep.processes prep.progress report scoring summary
        render: models.autoencoder models.controls models.measures models.runs
            models.streaming prep.dataset prep.features prep.files prep.loudness
            prep.pitch prep.recordings prep.report report scoring
        instrument: models.autoencoder models.controls models.decoders models.runs
            models.streaming models.synths prep.files prep.loudness render report
        derive_collapse_index: collapse_index models.measures prep.command_line
            prep.pitch prep.recordings scoring
        run_demo: prep.command_line
        run_fad: metrics prep.command_line prep.files prep.recordings scoring summary
        run_matrix: matrix prep.command_line scoring
        live: models.runs models.streaming prep.features prep.loudness prep.pitch
            prep.recordings render
        run_render: instrument live models.export prep.command_line render scoring
        run_report: evaluate prep.command_line report scoring
        pairs: prep.recordings scoring
        evaluate_pairs: collapse_index metrics models.measures pairs prep.pitch
            prep.progress report scoring summary
        run_score: evaluate_pairs pairs prep.command_line report
    """,
}
# What a user sees of a mistake is the same everywhere, and so is an object of JSON.
GROUND = {"prep.errors", "prep.checked_json"}
MAX_LINES = 500  # a module above this holds a second topic
MAX_MODULES = 14  # of a folder; more do not fit on one screen of a newcomer's
# A program stands at the top of its package, where nobody imports it.
PROGRAMS = {
    "prep.run_beam",
    "prep.demo",
    "models.ddsp_run",
    "evaluation.run_report",
    "evaluation.run_score",
    "evaluation.run_matrix",
    "evaluation.run_render",
    "evaluation.run_demo",
    "evaluation.run_fad",
    "evaluation.derive_collapse_index",
}


def module_files() -> dict[str, pathlib.Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = module_files()


def room_of(module: str) -> str:
    """`models.runs.record` → `models.runs`."""
    return ".".join(module.split(".")[:2])


def allowed_arrows() -> dict[str, set[str]]:
    """The table as sets of full room names."""
    arrows = {}
    for package, text in ARROWS.items():
        room = ""
        for word in text.split():
            if word.endswith(":"):
                room = f"{package}.{word[:-1]}"
                arrows[room] = set()
            else:
                arrows[room].add(word if "." in word else f"{package}.{word}")
    return arrows


def imported_modules(tree: ast.AST, *, deferred: bool) -> set[str]:
    """Modules of the project that a module imports.

    Args:
        tree: The module.
        deferred: Whether imports inside functions count.
    """
    found = set()
    for node in ast.walk(tree) if deferred else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


@functools.cache
def tree_of(name: str) -> ast.Module:
    """The syntax tree of a module, parsed once."""
    return ast.parse(MODULES[name].read_text("utf-8"))


@functools.cache
def imports_of(name: str, *, deferred: bool = True) -> frozenset[str]:
    """Modules of the project that the module of a name imports."""
    return frozenset(imported_modules(tree_of(name), deferred=deferred))


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Names along one cycle of a graph, or an empty list."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if cycle := visit(other, [*path, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in sorted(graph) if (cycle := visit(name, []))), [])


def test_modules_are_found():
    assert PROGRAMS < set(MODULES)
    assert len(MODULES) > 100


@pytest.mark.parametrize("package", ARROWS)
def test_rooms_import_only_what_the_table_says(package):
    arrows = allowed_arrows()
    rooms = {room_of(m) for m in MODULES if m.startswith(f"{package}.")}
    assert rooms == {room for room in arrows if room.startswith(f"{package}.")}
    for name in MODULES:
        if not name.startswith(f"{package}."):
            continue
        room = room_of(name)
        others = {room_of(other) for other in imports_of(name)}
        others -= {room, *PACKAGES, *GROUND}
        assert others <= arrows[room], f"{name} → {sorted(others - arrows[room])}"


def test_every_arrow_of_the_table_is_used():
    seen = {room: set() for room in allowed_arrows()}
    for name in MODULES:
        if (room := room_of(name)) in seen:
            seen[room] |= {room_of(other) for other in imports_of(name)}
    unused = {r: others - seen[r] for r, others in allowed_arrows().items()}
    assert {room: others for room, others in unused.items() if others} == {}


def test_rooms_form_no_circle():
    arrows = allowed_arrows()
    assert (
        find_cycle({room: others & set(arrows) for room, others in arrows.items()})
        == []
    )


def test_modules_import_each_other_in_no_circle():
    graph = {name: imports_of(name, deferred=False) for name in MODULES}
    assert find_cycle(graph) == []


def test_a_circle_is_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", ("prep", "models", "evaluation"))
def test_stages_import_only_earlier_ones(package):
    earlier = {
        "prep": "prep",
        "models": "prep models",
        "evaluation": "prep models evaluation",
    }
    for name in MODULES:
        if name.startswith(f"{package}."):
            others = {other.split(".")[0] for other in imports_of(name)}
            assert others <= set(earlier[package].split()), name


def test_programs_are_imported_by_nobody():
    for name in MODULES:
        if not name.startswith("benchmarks"):
            assert not imports_of(name) & (PROGRAMS - {name}), name


def test_module_holds_one_topic():
    for name, path in MODULES.items():
        assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES, name


def test_a_type_name_means_one_thing():
    """Classes of all packages, and the types that a module gives a name of its own."""
    places = collections.defaultdict(list)
    for name in MODULES:
        for node in tree_of(name).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if re.fullmatch(r"([A-Z][a-z]+)+", alias := node.targets[0].id):
                    places[alias].append(name)
    assert {word: found for word, found in places.items() if len(found) > 1} == {}


def test_folders_stay_small_and_say_what_they_are():
    for path in {path.parent for path in MODULES.values()}:
        modules = [p for p in path.glob("*.py") if p.name != "__init__.py"]
        assert len(modules) <= MAX_MODULES, f"{path.name} holds {len(modules)} modules"
        if path.parent != ROOT:
            tree = tree_of(".".join(path.relative_to(ROOT).parts))
            text = " ".join((ast.get_docstring(tree) or "").split())
            assert "enter" in text and "leave" in text and "Begin at `" in text, path


def test_installed_packages_are_the_folders():
    """An editable install would hide a folder that setup.cfg forgot."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("prep", "models", "evaluation")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == folders
    # Files beside the code that a wheel must carry.
    data = config["options.package_data"]
    for package in ("prep", "models", "evaluation"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                owner = ".".join(path.parent.parent.relative_to(ROOT).parts)
                assert f"{path.parent.name}/*" in data.get(owner, ""), path


def test_the_document_draws_the_folders_that_there_are():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = next(part for part in text.split("```") if part.startswith("\nprep/"))
    drawn, package = set(), ""
    for line in tree.splitlines():
        if match := re.match(r"(\w+)/", line):
            package = match.group(1)
        elif match := re.match(r"  (\w+)/ ", line):
            drawn.add(f"{package}.{match.group(1)}")
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("prep", "models", "evaluation")
        for path in (ROOT / package).glob("*/__init__.py")
    }
    assert drawn == folders


def test_gin_is_no_package():
    # One would shadow the gin-config library.
    assert not list((ROOT / "gin").rglob("__init__.py"))


def test_every_gin_name_is_in_the_registry():
    registered = {
        name
        for name, path in MODULES.items()
        if re.search(r"^@gin\.(register|configurable)\(", path.read_text("utf-8"), re.M)
    }
    assert registered == imports_of("models.registry")


def test_only_programs_print():
    for name, path in MODULES.items():
        text = path.read_text("utf-8")
        if '__name__ == "__main__"' in text or name.startswith("benchmarks."):
            continue
        lines = [
            node.lineno
            for node in ast.walk(tree_of(name))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not lines, f"{name} prints in lines {lines}; use absl.logging"
