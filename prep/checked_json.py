"""JSON files as dataclasses: each value checked against its annotation on reading.

A file that was damaged, cut off or written by something else is refused in one sentence
that names the file and the key. Keys that a dataclass does not know are passed over, so
files of a later version can be read as far as they are understood.
"""

import dataclasses
import functools
import json
import types
import typing
from typing import Any

T = typing.TypeVar("T")
Json = dict[str, Any]  # an object as `json` reads and writes it


class DamagedError(ValueError):
    """A file does not hold what it should; the message says which and where."""


def load(text: str | bytes, where: str) -> Any:
    """Parses JSON.

    Args:
        text: The content, UTF-8.
        where: Name of the file, for the message.

    Raises:
        DamagedError: If it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where} is not valid JSON ({error})") from error


def build(cls: type[T], values: Any, where: str) -> T:
    """Makes a dataclass of parsed JSON.

    Args:
        cls: A dataclass. Its fields are annotated with str, bool, int, float, None,
            Any, dataclasses of such, and list, tuple, dict and unions of them.
        values: As `json.loads` gives them.
        where: Name of the file, for the message.

    Returns:
        An instance. A field that is not in the file has its default.

    Raises:
        DamagedError: If a value is missing, of another type, or refused by the
            dataclass.
    """
    if not isinstance(values, dict):
        raise DamagedError(f"{where} is {_kind(values)} where an object is needed")
    hints = _hints(typing.cast(type, cls))
    given: dict[str, Any] = {}
    for field in dataclasses.fields(typing.cast(Any, cls)):
        if field.name in values:
            place = f"{where}, {field.name}"
            given[field.name] = _convert(hints[field.name], values[field.name], place)
        elif (
            field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise DamagedError(f"{where} lacks {field.name!r}")
    try:
        return cls(**given)
    except ValueError as error:
        raise DamagedError(f"{where}: {error}") from error


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """The annotations of a dataclass, evaluated once: a plan has 100,000 of a class."""
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Returns `value` as `hint` asks; numbers and text as they are."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (one for one in arguments if one is not type(None))
        return _convert(inner, value, where)
    if origin is tuple and isinstance(value, list):
        # A tuple of fixed length names each element's type.
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise DamagedError(f"{where} has {len(value)} values, not {len(arguments)}")
        inners = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(
            _convert(inner, one, f"{where}[{index}]")
            for index, (inner, one) in enumerate(zip(inners, value, strict=True))
        )
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], one, where) for one in value]
    if origin is dict and isinstance(value, dict):
        return {k: _convert(arguments[1], v, f"{where}, {k}") for k, v in value.items()}
    allowed = (int, float) if hint is float else hint if origin is None else ()
    # True is an int for Python, but not for a person.
    if isinstance(value, allowed) and (hint is bool or not isinstance(value, bool)):
        return value
    raise DamagedError(f"{where} is {_kind(value)} where {_wanted(hint)} is needed")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names.get(type(value), repr(value))


def _wanted(hint: Any) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
    }
    return names.get(
        hint, "a list" if typing.get_origin(hint) in (list, tuple) else "an object"
    )
