"""What the configuration of a finished run may do when it is opened.

A gin file is code: it imports modules and calls whatever is registered. Files that a
person names with a flag may do that. A run that came from somebody else may import
modules of ddsp and of this project alone, and its model may refer to nothing that
trains, evaluates, or reads and writes files.
"""

import os
import re
import sys
from collections.abc import Collection
from collections.abc import Iterator

import gin
from gin import config_parser

from models.config import gin_config

PACKAGES = ("ddsp", "models", "gin")
TRUST_VARIABLE = "DDSP_TRUSTED_MODULES"  # modules of a person's own, by commas
# Blocks that opening a run does not call.
_UNCALLED = (*gin_config.STOCK_BLOCKS, "ddsp.training.trainers.get_trainer_class")
_MACRO = "gin.macro"
_DANGEROUS = re.compile(
    r"ddsp\.training\.(data|eval_util|evaluators|inference|train_util|trainers)\."
    r"|ddsp\.spectral_ops\.PretrainedCREPE"  # loads a SavedModel, which is code too
    r"|models\.(data|loop|trainer)\."
)
_IMPORTED = re.compile(r"^\s*(?:import|from)\s+([\w.]+)", re.MULTILINE)


class _Delegate(config_parser.ParserDelegate):
    """Takes references and macros for what they are called."""

    def configurable_reference(self, scoped_name: str, evaluate: bool) -> str:
        return scoped_name

    def macro(self, name: str) -> str:
        return name


def modules_imported(text: str) -> set[str]:
    """Modules that a person's gin file imports itself, and so trusts."""
    return set(_IMPORTED.findall(text))


def check_statements(text: str, *, trusted: Collection[str] = ()) -> None:
    """Checks, before anything is run, what a saved configuration imports.

    A module that this process has imported already may be named: nothing runs then.

    Args:
        text: The configuration.
        trusted: Further modules that it may import.

    Raises:
        gin_config.ConfigError: If it imports another, or includes files.
    """
    allowed = {*trusted, *os.environ.get(TRUST_VARIABLE, "").split(",")}
    try:
        statements = list(config_parser.ConfigParser(text, _Delegate()))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise gin_config.ConfigError(
            f"it cannot be read ({gin_config.one_line(error)[:200]})."
        ) from error
    # Nothing has run yet: only what parses as harmless is handed to gin.
    for statement in statements:
        if isinstance(statement, config_parser.IncludeStatement):
            raise gin_config.ConfigError(
                f"it includes {statement.filename!r}, which no run saves."
            )
        if not isinstance(statement, config_parser.ImportStatement):
            continue
        module = statement.module
        is_known = module.split(".")[0] in PACKAGES or module in sys.modules
        if module.startswith("__gin__") or not (is_known or module in allowed):
            raise gin_config.ConfigError(
                f"it imports {module}, which would run code that came with it; if "
                f"that module is yours, set {TRUST_VARIABLE}={module}."
            )


def check_references() -> None:
    """Checks what the model of the configuration in force may call.

    Raises:
        gin_config.ConfigError: If it refers to something that does more than compute.
    """
    for where, selector in _references():
        if _DANGEROUS.match(selector):
            raise gin_config.ConfigError(
                f"{where} refers to {selector}, which no model needs."
            )


def _references() -> Iterator[tuple[str, str]]:
    """Yields parameters' places and the full names that they refer to."""
    config = gin_config.current()
    for key, bound in config.items():
        if key[1] in _UNCALLED or key[1] == _MACRO:
            continue
        where = "/".join(part for part in key if part)
        frontier, seen = [bound], set()
        while frontier:
            for reference in gin.config.iterate_references(frontier.pop()):
                yield where, reference.configurable.selector
                # A macro stands for what it is bound to.
                name = reference.scoped_selector.rpartition("/")[0]
                if reference.configurable.selector == _MACRO and name not in seen:
                    seen.add(name)
                    frontier.append(config.get((name, _MACRO), {}))
