"""How a run's configuration is put together, checked and written down.

Later parts win: ddsp's defaults, ours, the run directory's own operative configuration
(a run that goes on), the user's gin files, the dataset's rates and lengths, and last
the bindings of the command line.

Unlike ddsp's runner, an unknown name is an error here, with the nearest known one.
"""

import contextlib
import copy
import dataclasses
import difflib
import inspect
import logging
import os
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import gin
from ddsp.training import ddsp_run
from ddsp.training import models as ddsp_models  # noqa: F401  registers the models

from prep import errors

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "gin"  # files here hold defaults that a dataset may override
# Folders in which gin files are looked for, after the current one; the first counts.
SEARCH_PATHS = (ddsp_run.GIN_PATH, str(REPOSITORY), str(SHIPPED))
DDSP_DEFAULTS = (os.path.join("optimization", "base.gin"), "eval/basic.gin")
TPU_DEFAULTS = (os.path.join("optimization", "base_tpu.gin"), "eval/basic.gin")
OWN_DEFAULTS = (
    "import models.registry",
    "get_trainer_class.trainer_class = @models.trainer.LadderTrainer",
    "eval_data/models.data.PreparedDataset.split = 'eval'",
)
# ddsp's own blocks that a run keeps although the function they name is not called.
STOCK_BLOCKS = (
    "ddsp.training.train_util.train",
    "ddsp.training.trainers.Trainer",
    "ddsp.training.eval_util.evaluate",
    "ddsp.training.eval_util.sample",
)


class ConfigError(errors.InputError, ValueError):
    """A configuration that cannot be used."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where a configuration comes from.

    Attributes:
        gin_files: The user's files, in order.
        bindings: The user's bindings, e.g. "batch_size=4".
        search_paths: More folders to look for gin files in.
        operative: A run's own configuration, as text that can be parsed, or None.
        use_tpu: Whether ddsp's defaults for TPUs are meant.
    """

    gin_files: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    search_paths: tuple[str, ...] = ()
    operative: str | None = None
    use_tpu: bool = False


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Turns what a configured object says of its arguments into a `ConfigError`.

    Only values that an object refuses and files that it misses: any other exception is
    a fault of the object.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(one_line(error)) from error


def parse_files(sources: Sources) -> None:
    """Replaces gin's configuration by the defaults and the files, not yet the bindings.

    Raises:
        ConfigError: If a file is missing, cannot be parsed, or names what is unknown.
    """
    gin.clear_config()
    # gin tells of every folder it looks into, partly as errors.
    logging.disable(logging.ERROR)
    try:
        _parse_all(sources)
    finally:
        logging.disable(logging.NOTSET)


def _parse_all(sources: Sources) -> None:
    for path in (*SEARCH_PATHS, *sources.search_paths):
        _add_search_path(path)
    with gin.unlock_config():
        for default in TPU_DEFAULTS if sources.use_tpu else DDSP_DEFAULTS:
            gin.parse_config_file(default)
        gin.parse_config(list(OWN_DEFAULTS))
        if sources.operative:
            _parse(lambda: gin.parse_config(sources.operative))
        for gin_file in sources.gin_files:
            _parse(lambda name=gin_file: gin.parse_config_file(name))


def parse_bindings(bindings: list[str] | tuple[str, ...]) -> None:
    """Adds the command line's bindings.

    Raises:
        ConfigError: If a binding cannot be parsed or names what is unknown.
    """
    with gin.unlock_config():
        for binding in bindings:
            try:
                _parse(lambda text=binding: gin.parse_config(text))
            except ConfigError as error:
                raise ConfigError(f"--gin_param={binding}: {error}") from error


def bind_macro(name: str, value: Any) -> None:
    """Sets a macro."""
    with gin.unlock_config():
        gin.bind_parameter((name, "gin.macro", "value"), value)


def macro_value(name: str) -> Any:
    """The value of a macro, or None if nothing sets it."""
    binding = current().get((name, "gin.macro"), {})
    return copy.deepcopy(binding.get("value"))


def parameter(selector: str, name: str, *, default: Any = None) -> Any:
    """A bound parameter with its references resolved, or the default."""
    bound = gin.get_bindings(selector, resolve_references=False)
    return copy.deepcopy(bound[name]) if name in bound else default


def is_bound(selector: str, name: str) -> bool:
    """Tells if a parameter is bound; its references stay unresolved."""
    return name in gin.get_bindings(selector, resolve_references=False)


def bound_class(selector: str, name: str) -> str | None:
    """The full name of the configurable that a parameter refers to, if it does."""
    value = gin.get_bindings(selector, resolve_references=False).get(name)
    if isinstance(value, gin.config.ConfigurableReference):
        return value.configurable.selector
    return None


def config_text() -> str:
    """The configuration in force, as text that parses back to the same.

    What was called with its defaults, and ddsp's blocks that our loop reads.
    """
    config = current()
    merged = {key: config[key] for key in config if key[1] == "gin.macro"}
    merged |= {key: config[key] for key in config if key[1] in STOCK_BLOCKS}
    for key, called in gin.config._OPERATIVE_CONFIG.items():
        # Bound parameters too: a caller's argument hides a binding from gin's record.
        merged[key] = {**config.get(key, {}), **called}
    with gin.config._OPERATIVE_CONFIG_LOCK:
        return gin.config._config_str(merged)


def current() -> dict[tuple[str, str], dict[str, Any]]:
    """Configuration as gin holds it: (scope, selector) → {parameter: value}."""
    return gin.config._CONFIG


def _add_search_path(path: str) -> None:
    if path not in gin.config._LOCATION_PREFIXES:
        gin.add_config_file_search_path(path)


def _parse(parse: Any) -> None:
    """Runs a parser and turns what goes wrong into one sentence."""
    try:
        parse()
    except OSError as error:
        raise ConfigError(one_line(error).rstrip(".") + ".") from error
    except ImportError as error:
        raise ConfigError(
            f"a gin file imports what is not there: {one_line(error)}."
        ) from error
    except (RecursionError, MemoryError) as error:
        raise ConfigError(
            "a gin file includes itself, or nests brackets too deeply."
        ) from error
    except (ValueError, SyntaxError) as error:
        raise ConfigError(one_line(error) + suggestion(str(error))) from error


def one_line(error: BaseException) -> str:
    """Returns the message of an error without line breaks."""
    return re.sub(r"\s+", " ", str(error)).strip()


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
