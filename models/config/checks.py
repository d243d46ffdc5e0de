"""Checks that a configuration is whole: every macro set and used, every name known."""

import inspect
from typing import Any

import gin
import tensorflow as tf

from models.config import gin_config

KERAS_PARAMETERS = ("name", "trainable", "dtype", "dynamic")


def check_complete(bindings: tuple[str, ...] = ()) -> None:
    """Checks that every macro is defined, used, and nothing required is open.

    Raises:
        gin_config.ConfigError: If a macro is referenced but not set, if the command
            line sets one that nothing uses, or if a required parameter has no value.
    """
    config = gin_config.current()
    macro_function = gin.get_configurable("gin.macro")
    used = {
        ref.scoped_selector.rsplit("/", 1)[0]
        for ref in gin.config.iterate_references(config, to=macro_function)
    }
    defined = {scope for scope, selector in config if selector == "gin.macro"}
    # Used and not set; standing for itself; set by the user and not used; required.
    for name in sorted(used - defined):
        raise gin_config.ConfigError(
            f"%{name} is used but never set{gin_config.nearest(name, defined)}."
        )
    _check_circles(config, macro_function)
    for binding in bindings:
        name = gin_config.bound_name(binding)
        if name.isidentifier() and name not in used:
            raise gin_config.ConfigError(
                f"--gin_param={binding}: nothing uses a macro "
                f"{name}{gin_config.nearest(name, used)}."
            )
    try:
        gin.config.find_missing_overrides_hook(config)
    except ValueError as error:
        raise gin_config.ConfigError(gin_config.one_line(error)) from error


def _check_circles(config: dict[tuple[str, str], Any], macro_function: Any) -> None:
    """Checks that no macro stands for itself, at once or by way of others."""
    uses = {
        scope: {
            ref.scoped_selector.rsplit("/", 1)[0]
            for ref in gin.config.iterate_references(bound, to=macro_function)
        }
        for (scope, selector), bound in config.items()
        if selector == "gin.macro"
    }
    for name in uses:
        reached, frontier = set(), set(uses[name])
        while frontier:
            reached |= frontier
            frontier = set().union(*(uses.get(item, ()) for item in frontier)) - reached
        if name in reached:
            raise gin_config.ConfigError(f"the macro {name} stands for itself.")


def check_parameters() -> None:
    """Checks the parameters of classes that pass unknown ones on, as layers do.

    gin itself accepts any name for those, and Keras would complain only when the model
    is built.

    Raises:
        gin_config.ConfigError: If no constructor along the way knows a name.
    """
    for (scope, selector), bound in gin_config.current().items():
        del scope
        known = constructor_parameters(gin.get_configurable(selector))
        for name in bound:
            if known is not None and name not in known:
                raise gin_config.ConfigError(
                    f"{selector} has no parameter "
                    f"{name}{gin_config.nearest(name, known)}."
                )


def constructor_parameters(configured: Any) -> set[str] | None:
    """All parameters of a Keras layer or model, through its parents' constructors.

    Returns:
        Their names; None for anything else, whose parameters gin checks itself.
    """
    if not (inspect.isclass(configured) and issubclass(configured, tf.Module)):
        return None
    names = set(KERAS_PARAMETERS)
    for parent in configured.__mro__:
        constructor = parent.__dict__.get("__init__")
        if constructor is None or parent.__module__.startswith("tf_keras"):
            continue
        parameters = inspect.signature(constructor).parameters
        names |= set(parameters)
        if not any(item.kind == item.VAR_KEYWORD for item in parameters.values()):
            break  # nothing is passed on to its parents
    return names
