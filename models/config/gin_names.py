"""What gin knows by name, and the known name nearest to an unknown one."""

import difflib
import inspect
import re
from collections.abc import Iterable

import gin


def suggestion(message: str) -> str:
    """The known name nearest to the one that gin complains of, as a sentence's end."""
    unknown_parameter = re.search(
        r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", message
    )
    if unknown_parameter:
        selector, name = unknown_parameter.groups()
        return nearest(name, parameter_names(selector)) + "."
    unknown_class = re.search(
        r"No configurable matching (?:reference )?'@?([^'(]+)", message
    )
    if unknown_class:
        name = unknown_class.group(1).rsplit("/", 1)[-1].rsplit(".", 1)[-1]
        known = {selector.rsplit(".", 1)[-1]: selector for selector in registered()}
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        return f" The nearest name is {known[close[0]]!r}." if close else ""
    return ""


def bound_name(binding: str) -> str:
    """Returns the name that a binding sets: "batch_size = 4" → "batch_size"."""
    return binding.split("=", 1)[0].strip()


def registered() -> list[str]:
    """Everything that gin can configure, by full name."""
    return sorted(selector for selector, _ in gin.config._REGISTRY.items())


def parameter_names(selector: str) -> list[str]:
    """The parameters of a configurable, for a class those of its constructor."""
    # What gin hands out takes anything; the names are those of what it wraps.
    function = gin.config._REGISTRY.get_match(selector).wrapped
    return [
        name
        for name, item in inspect.signature(function).parameters.items()
        if item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to another, as a sentence's end; '' if none is."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}" if close else ""
