"""Mutants of a module: every place where one operator changes its text.

Left alone: imports, annotations, decorators, docstrings, `__repr__`, `assert`, messages
(what `raise` raises, logging, warnings) and sentences anywhere. A check that raises may
be left out as a whole.
"""

import ast
import dataclasses
import difflib
import itertools
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence

import libcst as cst
from libcst import metadata

from benchmarks.mutation import operators

_LEFT_ALONE = (
    *(cst.Annotation, cst.Assert, cst.Decorator, cst.Import, cst.ImportFrom),
    *(cst.FormattedStringExpression, cst.TypeAlias),
)
_SHOWN_ONLY = ("__repr__", "__str__")
_SAYING = ("logging", "warnings", "flags")  # modules whose calls are messages


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A small wrong change of a module.

    Attributes:
        module: Dotted name.
        path: Of the module's file, within the repository.
        begin: Where in the text the change begins, in characters.
        end: One past what is replaced.
        replacement: Stands there instead.
        lines: First and last line of what is changed, from 1.
        function: First and last line of the body of the function around it, or whose
            defaults it stands in; of the module where there is none.
    """

    module: str
    path: str
    begin: int
    end: int
    replacement: str
    lines: tuple[int, int]
    function: tuple[int, int]

    @property
    def is_in_function(self) -> bool:
        """Tells whether the line runs when a function does, not when it is imported."""
        begin, end = self.function
        return begin > 1 and begin <= self.lines[0] <= end

    def apply(self, source: str) -> str:
        """Returns the module's text with the change in it."""
        return source[: self.begin] + self.replacement + source[self.end :]

    def is_change(self, source: str) -> bool:
        """Tells whether the mutant is Python, and other Python than the module."""
        try:
            return ast.dump(ast.parse(self.apply(source))) != ast.dump(
                ast.parse(source)
            )
        except SyntaxError:
            return False

    def changed_lines(self, source: str) -> tuple[str, str]:
        """Returns the lines that change, and what they become, without indentation."""
        first = source.rfind("\n", 0, self.begin) + 1
        last = source.find("\n", max(self.end - 1, self.begin))
        last = last if last >= 0 else len(source)
        mutated = self.apply(source)
        mutated_last = last + len(mutated) - len(source)
        return _stripped(source[first:last]), _stripped(mutated[first:mutated_last])

    def diff(self, source: str) -> str:
        """Returns the change as `diff -u` shows it."""
        return "\n".join(
            difflib.unified_diff(
                source.splitlines(),
                self.apply(source).splitlines(),
                fromfile=self.path,
                tofile=self.path,
                n=2,
                lineterm="",
            )
        )


def _stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def mutants_of(module: str, path: str, source: str) -> list[Mutant]:
    """Finds every mutant of a module, in the order of its text.

    Args:
        module: Dotted name.
        path: Of its file, within the repository.
        source: Its text.
    """
    wrapper = metadata.MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    finder = _Finder(module, path, source)
    wrapper.visit(finder)
    # Two operators may come to the same text.
    unique = {(m.begin, m.end, m.replacement): m for m in finder.found}
    return [unique[key] for key in sorted(unique)]


class _Finder(cst.CSTVisitor):
    """Visits a module and asks every operator about every node."""

    METADATA_DEPENDENCIES = (
        metadata.WhitespaceInclusivePositionProvider,
        metadata.PositionProvider,
    )

    def __init__(self, module: str, path: str, source: str):
        super().__init__()
        self.found: list[Mutant] = []
        self._module, self._path, self._source = module, path, source
        lines = source.splitlines(keepends=True)
        self._offsets = [0]
        for line in lines:
            self._offsets.append(self._offsets[-1] + len(line))
        self._code = cst.Module([])
        self._functions = [(1, len(lines))]

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._is_left_alone(node):
            return False
        if isinstance(node, cst.FunctionDef):
            self._functions.append(self._lines(node.body))
        if isinstance(node, cst.IndentedBlock):
            self._exchange(node.body)
        if isinstance(node, cst.If):
            for test in operators.negate(node):
                self._add(node.test, test)
        for kind, operator in operators.OPERATORS:
            if isinstance(node, kind):
                for mutated in operator(node):
                    self._add(node, mutated)
        return not isinstance(node, cst.Raise)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.FunctionDef) and not self._is_left_alone(
            original_node
        ):
            self._functions.pop()

    def _is_left_alone(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            return node.name.value in _SHOWN_ONLY
        if isinstance(node, cst.Expr):
            return _is_silent(node)
        return (
            isinstance(node, _LEFT_ALONE) or operators.is_assertion(node) or _says(node)
        )

    def _lines(self, node: cst.CSTNode) -> tuple[int, int]:
        position = self.get_metadata(metadata.PositionProvider, node)
        return position.start.line, position.end.line

    def _offset(self, position: metadata.CodePosition) -> int:
        return self._offsets[position.line - 1] + position.column

    def _add(self, node: cst.CSTNode, mutated: cst.CSTNode) -> None:
        """Notes that a node may be replaced, where its text can be told exactly."""
        place = self.get_metadata(metadata.WhitespaceInclusivePositionProvider, node)
        begin, end = self._offset(place.start), self._offset(place.end)
        line = self._source[self._offsets[place.start.line - 1] : begin]
        indent = "\n" + " " * (len(line) - len(line.lstrip()))
        # Lines after the first lack the indentation of the block around them.
        for joint in ("\n", indent):
            if self._text(node).replace("\n", joint) == self._source[begin:end]:
                self._note(begin, end, self._text(mutated).replace("\n", joint), node)
                return

    def _text(self, node: cst.CSTNode) -> str:
        return self._code.code_for_node(node)

    def _note(self, begin: int, end: int, text: str, node: cst.CSTNode) -> None:
        mutant = Mutant(
            module=self._module,
            path=self._path,
            begin=begin,
            end=end,
            replacement=text,
            lines=self._lines(node),
            function=self._functions[-1],
        )
        self.found.append(mutant)

    def _exchange(self, body: Sequence[cst.BaseStatement]) -> None:
        """Notes the neighbours in a block that may be exchanged, whole lines each."""
        for first, second in _neighbours(body):
            if operators.swaps(first.body[0], second.body[0]):
                (begin, middle), (start, last) = self._lines(first), self._lines(second)
                spans = (
                    self._source[self._offsets[begin - 1] : self._offsets[middle]],
                    self._source[self._offsets[middle] : self._offsets[start - 1]],
                    self._source[self._offsets[start - 1] : self._offsets[last]],
                )
                self.found.append(
                    Mutant(
                        module=self._module,
                        path=self._path,
                        begin=self._offsets[begin - 1],
                        end=self._offsets[last],
                        replacement="".join(reversed(spans)),
                        lines=(begin, last),
                        function=self._functions[-1],
                    )
                )


def _neighbours(
    body: Sequence[cst.BaseStatement],
) -> Iterator[tuple[cst.SimpleStatementLine, cst.SimpleStatementLine]]:
    for first, second in itertools.pairwise(body):
        if isinstance(first, cst.SimpleStatementLine) and isinstance(
            second, cst.SimpleStatementLine
        ):
            if not (_is_silent(first.body[0]) or _is_silent(second.body[0])):
                yield first, second


def _is_silent(statement: cst.BaseSmallStatement) -> bool:
    """Tells whether a statement is a docstring, or only says something."""
    return isinstance(statement, cst.Expr) and (
        isinstance(statement.value, cst.BaseString) or _says(statement.value)
    )


def _says(node: cst.CSTNode) -> bool:
    """Tells whether a node is a call that only says something to a person."""
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Attribute)
        and isinstance(node.func.value, cst.Name)
        and node.func.value.value in _SAYING
    )


def read_module(repository: pathlib.Path, path: str) -> tuple[str, str]:
    """Returns the dotted name and the text of a module's file."""
    name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return name, (repository / path).read_text("utf-8")
