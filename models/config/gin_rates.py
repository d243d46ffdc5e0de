"""A dataset's rates and lengths in a configuration: bound once, contradicted never."""

import copy
import pathlib
import re

import gin

from models.config import gin_config
from models.config import gin_names
from prep.dataset import info as dataset_info

# Parameters that state a rate or a length, and what the dataset calls them.
RATE_PARAMETERS = {
    "sample_rate": "sample_rate",
    "frame_rate": "frame_rate",
    "n_samples": "n_samples",
    "time_steps": "n_frames",
    "n_frames": "n_frames",
}
RATE_MACROS = ("SAMPLE_RATE", "FRAME_RATE", "N_SAMPLES", "TIME_STEPS", "EXAMPLE_SECS")


def bind_dataset(
    info: dataset_info.DatasetInfo, *, sources: gin_config.Sources
) -> None:
    """Sets the macros that a dataset decides; the command line's own stay.

    Raises:
        gin_config.ConfigError: If a file of the user's own sets one to another value.
    """
    on_command_line = {gin_names.bound_name(text) for text in sources.bindings}
    for name, value in info.macros().items():
        if name in on_command_line:
            continue
        own_file = _own_file_that_sets(name, sources)
        bound = gin_config.macro_value(name)
        if name in RATE_MACROS and own_file and bound != value:
            raise gin_config.ConfigError(
                f"{own_file} says {name} = {bound!r}, but the dataset at "
                f"{info.data_dir} has {name} = {value!r}; remove the line, or prepare "
                "a dataset with it."
            )
        gin_config.bind_macro(name, value)


def check_rates(info: dataset_info.DatasetInfo) -> None:
    """Checks every bound rate and length against the dataset's.

    Raises:
        gin_config.ConfigError: If one differs.
    """
    for name in RATE_MACROS:
        stated = gin_config.macro_value(name)
        if stated != info.macros()[name]:
            raise gin_config.ConfigError(
                f"--gin_param={name}={stated} contradicts the dataset at "
                f"{info.data_dir}, which has {info.macros()[name]}; leave it out: the "
                "dataset says rates and lengths."
            )
    # Parameters bound to a number, whatever class they belong to.
    for (scope, selector), bound in gin_config.current().items():
        if selector.startswith("gin."):
            continue
        for name in RATE_PARAMETERS.keys() & bound.keys():
            stated = copy.deepcopy(bound[name])
            actual = getattr(info, RATE_PARAMETERS[name])
            if isinstance(stated, int | float) and stated != actual:
                short = selector.rsplit(".", 1)[-1]
                where = f"{scope}/{short}" if scope else short
                raise gin_config.ConfigError(
                    f"{where}.{name} = {stated} contradicts the dataset at "
                    f"{info.data_dir}, which has {actual}; use a gin file that takes "
                    "its rates from the dataset, or say "
                    f"--gin_param={where}.{name}={actual}."
                )


def _own_file_that_sets(name: str, sources: gin_config.Sources) -> str | None:
    """The user's own gin file, if any, that sets a macro last."""
    setter = None
    pending = list(sources.gin_files)
    while pending:
        path = _locate(pending.pop(0))
        if path is None or path.is_relative_to(gin_config.SHIPPED):
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
