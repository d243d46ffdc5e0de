"""The house rules that a machine can check: arrows, cycles, sizes, quiet libraries."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("prep", "models", "evaluation", "benchmarks")
# Whom a package may import besides itself; `prep → evaluation` is no arrow.
ALLOWED = {
    "prep": set(),
    "models": set(),
    "evaluation": {"models", "prep"},
    "benchmarks": {"models", "prep", "evaluation"},
}
MAX_LINES = 500  # a module above this holds a second topic


def module_files() -> dict[str, pathlib.Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = module_files()


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
    assert {"prep.run_beam", "models.trainer"} <= set(MODULES)
    assert len(MODULES) > 100


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package):
    for name, path in MODULES.items():
        if name.split(".")[0] != package:
            continue
        imported = imported_modules(ast.parse(path.read_text("utf-8")), deferred=True)
        others = {other.split(".")[0] for other in imported} - {package}
        assert others <= ALLOWED[package], f"{name} imports {sorted(imported)}"


def test_modules_import_each_other_in_no_circle():
    graph = {
        name: imported_modules(ast.parse(path.read_text("utf-8")), deferred=False)
        for name, path in MODULES.items()
    }
    assert find_cycle(graph) == []


def test_a_circle_is_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("name", MODULES)
def test_module_holds_one_topic(name):
    assert len(MODULES[name].read_text("utf-8").splitlines()) <= MAX_LINES


def test_gin_is_no_package():
    # One would shadow the gin-config library.
    assert not list((ROOT / "gin").rglob("__init__.py"))


def test_only_programs_print():
    for name, path in MODULES.items():
        text = path.read_text("utf-8")
        if '__name__ == "__main__"' in text or name.startswith("benchmarks."):
            continue
        lines = [
            node.lineno
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not lines, f"{name} prints in lines {lines}; use absl.logging"
