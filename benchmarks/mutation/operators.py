"""Small wrong changes of a syntax tree: mutmut's, and those that signal code suffers.

An operator takes a node of LibCST and yields nodes to put in its place. mutmut's that
put None anywhere, or rename what is called, are left out: they end in a TypeError and
only flatter. The others change a formula (an operand, a factor, a mask or a guard is
missing), a statistic (median for mean), a rounding, and the order of statements.

Source: mutmut 3's operators; the others are own.
"""

import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import libcst as cst
from mutmut.mutation import mutators

SMALL = 1e-3  # floats below are guards: a tenth more of them changes nothing
# Strings that are keys, names or units; others are sentences.
_WORD = re.compile(r"[\w.\-/:]+")
_MASK = re.compile(r"^(is|are|has)_|(mask|order|kept|used|inside|ed|ible|loud|valid)$")
# What a function is confused with.
_CONFUSED = {
    "all": "any",
    "any": "all",
    "argmax": "argmin",
    "argmin": "argmax",
    "ceil": "floor",
    "cos": "sin",
    "floor": "ceil",
    "greater": "greater_equal",
    "greater_equal": "greater",
    "less": "less_equal",
    "less_equal": "less",
    "log10": "log2",
    "log2": "log10",
    "max": "min",
    "maximum": "minimum",
    "mean": "median",
    "median": "mean",
    "min": "max",
    "minimum": "maximum",
    "nanmean": "nanmedian",
    "nanmedian": "nanmean",
    "ones": "zeros",
    "ones_like": "zeros_like",
    "reduce_all": "reduce_any",
    "reduce_any": "reduce_all",
    "reduce_max": "reduce_min",
    "reduce_mean": "reduce_sum",
    "reduce_min": "reduce_max",
    "reduce_sum": "reduce_mean",
    "rint": "trunc",
    "round": "floor",
    "sin": "cos",
    "zeros": "ones",
    "zeros_like": "ones_like",
}
# Functions whose first argument may pass for their value.
_UNWRAPPED = {
    *("abs", "ceil", "clip", "clip_by_value", "cumsum", "exp", "float", "floor"),
    *("log", "log10", "maximum", "minimum", "nan_to_num", "relu", "round", "sigmoid"),
    *("softmax", "softplus", "sorted", "sqrt", "square", "stop_gradient", "tanh"),
    *("unique", "resolve", "lower", "strip"),
}
_GENERIC = {"dict", "frozenset", "list", "set", "tuple", "type"}  # list[str]
_DROPPED_LEFT = (cst.Multiply, cst.Add)  # also the first operand may go
_DROPPED_RIGHT = (*_DROPPED_LEFT, cst.Divide, cst.Subtract, cst.FloorDivide, cst.Modulo)
Operator = Callable[[Any], Iterable[cst.CSTNode]]


def name_of(function: cst.BaseExpression) -> str:
    """Returns the last name of what is called: "mean" of `np.mean`; "" of others."""
    if isinstance(function, cst.Attribute):
        return function.attr.value
    return function.value if isinstance(function, cst.Name) else ""


def change_number(node: cst.BaseNumber) -> Iterator[cst.CSTNode]:
    """Adds one, or a tenth to floats that are no guards."""
    if isinstance(node, cst.Float) and abs(node.evaluated_value) >= SMALL:
        yield node.with_changes(value=repr(round(node.evaluated_value * 1.1, 12)))
    else:
        yield from mutators.operator_number(node)


def change_word(node: cst.SimpleString) -> Iterator[cst.CSTNode]:
    """Changes a key or a name."""
    if node.quote in ('"', "'") and _WORD.fullmatch(node.raw_value):
        yield from list(mutators.operator_string(node))[:1]


def is_assertion(node: cst.CSTNode) -> bool:
    """Tells zip's `strict=True`, which nothing that is right can meet, from others."""
    return (
        isinstance(node, cst.Arg)
        and node.keyword is not None
        and node.keyword.value == "strict"
    )


def drop_keyword(node: cst.Call) -> Iterator[cst.CSTNode]:
    """Leaves a named argument to its default."""
    if len(node.args) > 1:
        for index, argument in enumerate(node.args):
            if argument.keyword is not None and not is_assertion(argument):
                rest = [*node.args[:index], *node.args[index + 1 :]]
                rest[-1] = rest[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
                yield node.with_changes(args=rest)


def drop_operand(node: cst.BinaryOperation) -> Iterator[cst.CSTNode]:
    """Leaves out a factor, a divisor or a term."""
    if isinstance(node.operator, _DROPPED_RIGHT):
        yield _enclosed(node.left, node)
    if isinstance(node.operator, _DROPPED_LEFT):
        yield _enclosed(node.right, node)


def _enclosed(
    part: cst.BaseExpression, whole: cst.BaseExpression
) -> cst.BaseExpression:
    """The part of an expression, in the brackets of the whole where it has none."""
    if whole.lpar and not part.lpar:
        return part.with_changes(lpar=whole.lpar, rpar=whole.rpar)
    return part


def confuse(node: cst.Call) -> Iterator[cst.CSTNode]:
    """Calls a function that is easily confused with the right one."""
    other = _CONFUSED.get(name_of(node.func))
    if other is None:
        return
    if isinstance(node.func, cst.Attribute):
        # Arrays have `mean` and no `median`.
        if other == "median" and not (
            isinstance(node.func.value, cst.Name) and node.func.value.value == "np"
        ):
            other = "sum"
        yield node.with_deep_changes(node.func.attr, value=other)
    else:
        other = {"floor": "int", "mean": "", "median": ""}.get(other, other)
        if other:
            yield node.with_deep_changes(node.func, value=other)


def unwrap(node: cst.Call) -> Iterator[cst.CSTNode]:
    """Leaves out a function: a guard, a root, a rounding, an order."""
    if name_of(node.func) not in _UNWRAPPED:
        return
    if isinstance(node.func, cst.Attribute) and not node.args:
        yield node.func.value
    elif node.args and not node.args[0].star and node.args[0].keyword is None:
        inner = node.args[0].value
        yield inner.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def choose_branch(node: cst.Call) -> Iterator[cst.CSTNode]:
    """Takes one side of `where` everywhere."""
    if name_of(node.func) == "where" and len(node.args) == 3:
        for argument in node.args[1:]:
            if argument.keyword is None:
                yield argument.value.with_changes(
                    lpar=[cst.LeftParen()], rpar=[cst.RightParen()]
                )


def drop_index(node: cst.Subscript) -> Iterator[cst.CSTNode]:
    """Leaves out a mask, or an end of a slice."""
    if len(node.slice) != 1 or name_of(node.value) in _GENERIC:
        return
    index = node.slice[0].slice
    if isinstance(index, cst.Slice):
        if index.lower and not _is_zero(index.lower):
            yield node.with_deep_changes(index, lower=None)
        if index.upper:
            yield node.with_deep_changes(index, upper=None)
    elif isinstance(index, cst.Index) and (
        isinstance(index.value, cst.Comparison) or _is_mask(index.value)
    ):
        yield node.value


def _is_zero(number: cst.BaseExpression) -> bool:
    """Tells whether a slice begins where it would without."""
    return isinstance(number, cst.Integer) and number.evaluated_value == 0


def _is_mask(index: cst.BaseExpression) -> bool:
    """Tells whether an index is a mask by its `~` or by its name."""
    if isinstance(index, cst.UnaryOperation):
        return isinstance(index.operator, cst.BitInvert)
    return bool(_MASK.search(name_of(index)))


def drop_statement(node: cst.BaseSmallStatement) -> Iterator[cst.CSTNode]:
    """Leaves a statement out: a check, a write, a flush, a rename."""
    if not isinstance(node, cst.Expr) or isinstance(node.value, cst.Call):
        yield cst.Pass()


def negate(node: cst.If) -> Iterator[cst.CSTNode]:
    """Never takes a branch, or takes the other; the new test of an `if`."""
    if node.orelse is None:
        yield cst.Name("False")
    elif not isinstance(node.test, cst.Comparison | cst.UnaryOperation):
        yield cst.UnaryOperation(
            operator=cst.Not(),
            expression=node.test.with_changes(
                lpar=[cst.LeftParen()], rpar=[cst.RightParen()]
            ),
        )


def swaps(first: cst.BaseSmallStatement, second: cst.BaseSmallStatement) -> bool:
    """Tells whether two neighbours are worth exchanging.

    Two calls for what they do are; so is one and a call whose value is kept, unless one
    needs what the other makes; so are two assignments to one name. A base class's
    constructor stands first by custom.
    """
    if "super" in _read(first):
        return False
    made, remade = _assigned(first), _assigned(second)
    if made & remade:
        return True
    does = [isinstance(one, cst.Expr) and _calls(one) for one in (first, second)]
    return any(does) and _calls(first) and _calls(second) and not made & _read(second)


def _calls(node: cst.BaseSmallStatement) -> bool:
    """Tells whether a statement is a call, or keeps a call's value."""
    return isinstance(node, cst.Expr | cst.Assign) and isinstance(node.value, cst.Call)


def _assigned(node: cst.BaseSmallStatement) -> set[str]:
    """Names that a statement assigns to."""
    if isinstance(node, cst.Assign):
        targets = [target.target for target in node.targets]
    elif isinstance(node, cst.AugAssign | cst.AnnAssign):
        targets = [node.target]
    else:
        return set()
    return set().union(*(_read(target) for target in targets)) - {"self"}


def _read(node: cst.CSTNode) -> set[str]:
    """Names in a piece of code; attributes with the name that they belong to."""
    names: set[str] = set()

    class Names(cst.CSTVisitor):
        def visit_Name(self, node: cst.Name) -> None:
            names.add(node.value)

        def visit_Attribute(self, node: cst.Attribute) -> bool:
            if isinstance(node.value, cst.Name):
                names.update(
                    (node.value.value, f"{node.value.value}.{node.attr.value}")
                )
                return False
            return True

    node.visit(Names())
    return names


OPERATORS: list[tuple[Any, Operator]] = [
    (cst.BaseNumber, change_number),
    (cst.SimpleString, change_word),
    (cst.Name, mutators.operator_name),
    (cst.AugAssign, mutators.operator_augmented_assignment),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.Call, mutators.operator_symmetric_string_methods_swap),
    (cst.Call, mutators.operator_unsymmetrical_string_methods_swap),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.Match, mutators.operator_match),
    (cst.IfExp, mutators.operator_if_exp),
    (cst.Call, drop_keyword),
    (cst.Call, confuse),
    (cst.Call, unwrap),
    (cst.Call, choose_branch),
    (cst.BinaryOperation, drop_operand),
    (cst.Subscript, drop_index),
    (cst.Expr | cst.Raise | cst.AugAssign, drop_statement),
]
