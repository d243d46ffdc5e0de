"""How a run's configuration is put together, checked and written down.

Later parts win: ddsp's defaults, ours, the run directory's own operative configuration
(a run that goes on), the user's gin files, the dataset's rates and lengths, and last
the bindings of the command line.

Unlike ddsp's runner, an unknown name is an error here, with the nearest known one.
"""

import copy
import dataclasses
import difflib
import inspect
import logging
import os
import pathlib
import re
from typing import Any

import tensorflow as tf
from ddsp.training import ddsp_run
from ddsp.training import models as ddsp_models  # noqa: F401  registers the models

import gin
from models import dataset_info

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "gin"  # files here hold defaults that a dataset may override
DDSP_DEFAULTS = (os.path.join("optimization", "base.gin"), "eval/basic.gin")
TPU_DEFAULTS = (os.path.join("optimization", "base_tpu.gin"), "eval/basic.gin")
OWN_DEFAULTS = (
    "get_trainer_class.trainer_class = @models.trainer.LadderTrainer",
    "eval_data/models.data.PreparedDataset.split = 'eval'",
)
# Parameters that state a rate or a length, and what the dataset calls them.
RATE_PARAMETERS = {
    "sample_rate": "sample_rate",
    "frame_rate": "frame_rate",
    "n_samples": "n_samples",
    "time_steps": "n_frames",
    "n_frames": "n_frames",
}
KERAS_PARAMETERS = ("name", "trainable", "dtype", "dynamic")
RATE_MACROS = ("SAMPLE_RATE", "FRAME_RATE", "N_SAMPLES", "TIME_STEPS", "EXAMPLE_SECS")
# ddsp's own blocks that a run keeps although the function they name is not called.
STOCK_BLOCKS = (
    "ddsp.training.train_util.train",
    "ddsp.training.trainers.Trainer",
    "ddsp.training.eval_util.evaluate",
    "ddsp.training.eval_util.sample",
)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one clear sentence."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where a configuration comes from.

    Attributes:
        gin_files: The user's files, in order.
        bindings: The user's bindings, e.g. "batch_size=4".
        search_paths: More folders to look for gin files in.
        operative: A run's own configuration file, or None.
        use_tpu: Whether ddsp's defaults for TPUs are meant.
    """

    gin_files: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    search_paths: tuple[str, ...] = ()
    operative: str | None = None
    use_tpu: bool = False


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
    for path in (ddsp_run.GIN_PATH, str(REPOSITORY), str(SHIPPED)):
        _add_search_path(path)
    for path in sources.search_paths:
        _add_search_path(path)
    with gin.unlock_config():
        for default in TPU_DEFAULTS if sources.use_tpu else DDSP_DEFAULTS:
            gin.parse_config_file(default)
        gin.parse_config(list(OWN_DEFAULTS))
        if sources.operative:
            _parse(lambda: gin.parse_config_file(sources.operative))
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


def bind_dataset(info: dataset_info.DatasetInfo, *, sources: Sources) -> None:
    """Sets the macros that a dataset decides.

    Raises:
        ConfigError: If a file of the user's own sets one to another value.
    """
    for name, value in info.macros().items():
        own_file = _own_file_that_sets(name, sources)
        bound = macro_value(name)
        if name in RATE_MACROS and own_file and bound != value:
            raise ConfigError(
                f"{own_file} says {name} = {bound!r}, but the dataset at "
                f"{info.data_dir} has {name} = {value!r}; remove the line, or prepare "
                "a dataset with it."
            )
        bind_macro(name, value)


def bind_macro(name: str, value: Any) -> None:
    """Sets a macro."""
    with gin.unlock_config():
        gin.bind_parameter((name, "gin.macro", "value"), value)


def macro_value(name: str) -> Any:
    """The value of a macro, or None if nothing sets it."""
    binding = _bindings().get((name, "gin.macro"), {})
    return copy.deepcopy(binding.get("value"))


def parameter(selector: str, name: str, *, default: Any = None) -> Any:
    """A bound parameter with its references resolved, or the default."""
    bound = gin.get_bindings(selector, resolve_references=False)
    return copy.deepcopy(bound[name]) if name in bound else default


def is_bound(selector: str, name: str) -> bool:
    """Whether a parameter is bound, without resolving what it is bound to."""
    return name in gin.get_bindings(selector, resolve_references=False)


def bound_class(selector: str, name: str) -> str | None:
    """The full name of the configurable that a parameter refers to, if it does."""
    value = gin.get_bindings(selector, resolve_references=False).get(name)
    if isinstance(value, gin.config.ConfigurableReference):
        return value.configurable.selector
    return None


def check_complete(bindings: tuple[str, ...] = ()) -> None:
    """Checks that every macro is defined, used, and nothing required is open.

    Raises:
        ConfigError: If a macro is referenced but not set, if the command line sets one
            that nothing uses, or if a required parameter has no value.
    """
    config = _bindings()
    macro_function = gin.get_configurable("gin.macro")
    used = {
        ref.scoped_selector.rsplit("/", 1)[0]
        for ref in gin.config.iterate_references(config, to=macro_function)
    }
    defined = {scope for scope, selector in config if selector == "gin.macro"}
    for name in sorted(used - defined):
        raise ConfigError(f"%{name} is used but never set{_nearest(name, defined)}.")
    for binding in bindings:
        name = binding.split("=", 1)[0].strip()
        if name.isidentifier() and name not in used:
            raise ConfigError(
                f"--gin_param={binding}: nothing uses a macro "
                f"{name}{_nearest(name, used)}."
            )
    try:
        gin.config.find_missing_overrides_hook(config)
    except ValueError as error:
        raise ConfigError(_one_line(error)) from error


def check_parameters() -> None:
    """Checks the parameters of classes that pass unknown ones on, as layers do.

    gin itself accepts any name for those, and Keras would complain only when the model
    is built.

    Raises:
        ConfigError: If no constructor along the way knows a name.
    """
    for (scope, selector), bound in _bindings().items():
        del scope
        known = constructor_parameters(gin.get_configurable(selector))
        for name in bound:
            if known is not None and name not in known:
                raise ConfigError(
                    f"{selector} has no parameter {name}{_nearest(name, known)}."
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


def check_rates(info: dataset_info.DatasetInfo) -> None:
    """Checks every bound rate and length against the dataset's.

    Raises:
        ConfigError: If one differs.
    """
    for name in RATE_MACROS:
        if macro_value(name) != info.macros()[name]:
            raise ConfigError(
                f"--gin_param={name}={macro_value(name)} contradicts the dataset at "
                f"{info.data_dir}, which has {info.macros()[name]}; leave it out: the "
                "dataset says rates and lengths."
            )
    for (scope, selector), bound in _bindings().items():
        if selector.startswith("gin."):
            continue
        for name in RATE_PARAMETERS.keys() & bound.keys():
            stated = copy.deepcopy(bound[name])
            actual = getattr(info, RATE_PARAMETERS[name])
            if isinstance(stated, int | float) and stated != actual:
                short = selector.rsplit(".", 1)[-1]
                where = f"{scope}/{short}" if scope else short
                raise ConfigError(
                    f"{where}.{name} = {stated} contradicts the dataset at "
                    f"{info.data_dir}, which has {actual}; use a gin file that takes "
                    "its rates from the dataset, or say "
                    f"--gin_param={where}.{name}={actual}."
                )


def config_text() -> str:
    """The configuration in force, as text that parses back to the same.

    What was called with its defaults, and ddsp's blocks that our loop reads.
    """
    config = _bindings()
    merged = {key: config[key] for key in config if key[1] == "gin.macro"}
    merged |= {key: config[key] for key in config if key[1] in STOCK_BLOCKS}
    for key, called in gin.config._OPERATIVE_CONFIG.items():
        # Bound parameters too: a caller's argument hides a binding from gin's record.
        merged[key] = {**config.get(key, {}), **called}
    with gin.config._OPERATIVE_CONFIG_LOCK:
        return gin.config._config_str(merged)


def _bindings() -> dict[tuple[str, str], dict[str, Any]]:
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
        raise ConfigError(_one_line(error).rstrip(".") + ".") from error
    except ImportError as error:
        raise ConfigError(f"a gin file imports what is not there: {error}.") from error
    except (ValueError, SyntaxError) as error:
        raise ConfigError(_one_line(error) + suggestion(str(error))) from error


def suggestion(message: str) -> str:
    """The known name nearest to the one that gin complains of, as a sentence's end."""
    unknown_parameter = re.search(
        r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", message
    )
    if unknown_parameter:
        selector, name = unknown_parameter.groups()
        return _nearest(name, parameter_names(selector)) + "."
    unknown_class = re.search(
        r"No configurable matching (?:reference )?'@?([^'(]+)", message
    )
    if unknown_class:
        name = unknown_class.group(1).rsplit("/", 1)[-1].rsplit(".", 1)[-1]
        known = {selector.rsplit(".", 1)[-1]: selector for selector in registered()}
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        return f" The nearest name is {known[close[0]]!r}." if close else ""
    return ""


def registered() -> list[str]:
    """Everything that gin can configure, by full name."""
    return sorted(selector for selector, _ in gin.config._REGISTRY.items())


def parameter_names(selector: str) -> list[str]:
    """The parameters of a configurable, for a class those of its constructor."""
    function = gin.get_configurable(selector)
    return [
        name
        for name, item in inspect.signature(function).parameters.items()
        if item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}" if close else ""


def _one_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip()


def _own_file_that_sets(name: str, sources: Sources) -> str | None:
    """The user's own gin file, if any, that sets a macro last."""
    setter = None
    pending = list(sources.gin_files)
    while pending:
        path = _locate(pending.pop(0))
        if path is None or path.is_relative_to(SHIPPED):
            continue
        text = path.read_text(encoding="utf-8")
        pending += re.findall(r"^\s*include\s+['\"](.+?)['\"]", text, re.MULTILINE)
        if re.search(rf"^{name}\s*=", text, re.MULTILINE):
            setter = str(path)
    return setter


def _locate(name: str) -> pathlib.Path | None:
    """Finds a gin file as gin does."""
    for prefix in gin.config._LOCATION_PREFIXES:
        path = pathlib.Path(prefix) / name
        if path.is_file():
            return path.resolve()
    return None
