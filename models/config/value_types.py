"""Checks that values of a configuration have the types that their parameters need.

gin hands on whatever a file says: text in a number's place would end in an error deep
inside Keras. What a parameter needs is what its annotation says or, as in ddsp's
classes, which have none, the type of its default.
"""

import inspect
import types
import typing
from typing import Any

import gin

from models.config import gin_config

_NUMBERS = (int, float)
_NAMES = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def check_values() -> None:
    """Checks all plain values of the configuration in force.

    Raises:
        gin_config.ConfigError: If one is of another type than its parameter needs.
    """
    for (scope, selector), bound in gin_config.current().items():
        if selector == "gin.macro":
            continue
        wanted = _wanted_types(selector)
        for name, value in bound.items():
            if name not in wanted:
                continue
            # A macro stands for its value; other references are made by their call.
            if isinstance(value, gin.config.ConfigurableReference):
                if value.configurable.selector != "gin.macro":
                    continue
                value = gin_config.macro_value(value.scoped_selector.rsplit("/", 1)[0])
                if isinstance(value, gin.config.ConfigurableReference):
                    continue
            if not _fits(value, wanted[name]):
                where = f"{scope}/{selector}" if scope else selector
                raise gin_config.ConfigError(
                    f"{where}.{name} is {value!r:.60}, where "
                    f"{_NAMES[wanted[name]]} is needed."
                )


def _fits(value: Any, wanted: type) -> bool:
    """Tells if a value may stand where a type is needed; None may anywhere."""
    if value is None:
        return True
    if wanted is float:
        return isinstance(value, _NUMBERS)
    if wanted is bool:  # 0 and 1 are bools for many
        return isinstance(value, int)
    return isinstance(value, wanted)


def _wanted_types(selector: str) -> dict[str, type]:
    """The simple types that a configurable's parameters need, where they say one."""
    wrapped = gin.config._REGISTRY.get_match(selector).wrapped
    # A class hands what it does not know itself on to its parents.
    functions = [wrapped]
    if inspect.isclass(wrapped):
        functions = [
            vars(one)["__init__"] for one in wrapped.__mro__ if "__init__" in vars(one)
        ]
    found: dict[str, type] = {}
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters
            hints = typing.get_type_hints(function)
        except (NameError, TypeError, ValueError):  # built-in, or names not imported
            continue
        for name, parameter in parameters.items():
            kind = _simple_type(hints.get(name), parameter.default)
            if kind is not None:
                found.setdefault(name, kind)
    return found


def _simple_type(hint: Any, default: Any) -> type | None:
    """The type that an annotation or, without one, a default asks for, if simple."""
    if hint is None:
        # Numbers of ddsp's defaults are often whole where fractions are meant.
        kind = type(default)
        return float if kind in _NUMBERS else kind if kind is bool else None
    if isinstance(hint, types.UnionType):
        inner = [one for one in typing.get_args(hint) if one is not type(None)]
        hint = inner[0] if len(inner) == 1 else None
    return hint if hint in _NAMES else None
