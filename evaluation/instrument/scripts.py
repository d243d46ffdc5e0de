"""JavaScript modules joined into one classic script, without a bundler.

A page from a disk may load no modules. So each module becomes a function that returns
what it exports, and an import reads from that; modules need nothing but to import by
`import { name } from "./file.mjs";`, a line each, and to export declarations.
"""

from __future__ import annotations

import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent / "js"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.mjs";$', re.MULTILINE)
_EXPORT = re.compile(
    r"^export ((?:async )?(?:class|const|function) (\w+))", re.MULTILINE
)


def bundle(entry: str, *, last: str = "") -> str:
    """Joins a module with all that it imports.

    Args:
        entry: Name of the module in `js/`, without suffix.
        last: A statement at the end, to which module `x.mjs` is `$x`.

    Returns:
        A script that can stand inside an HTML script element.

    Raises:
        ValueError: If a module cannot be joined, or would end the element.
    """
    parts: dict[str, str] = {}
    _collect(entry, parts)
    text = '"use strict";\n(() => {\n' + "".join(parts.values()) + f"{last}\n}})();\n"
    for forbidden in ("</script", "<!--", "\nimport ", "\nexport "):
        if forbidden in text:
            raise ValueError(f"{entry}.mjs cannot be joined: it holds {forbidden!r}.")
    return text


def _collect(name: str, parts: dict[str, str]) -> None:
    """Adds a module behind the modules that it imports."""
    if name in parts:
        return
    text = (FOLDER / f"{name}.mjs").read_text("utf-8")
    for imported in _IMPORT.finditer(text):
        _collect(imported[2], parts)
    exported = ", ".join(found[2] for found in _EXPORT.finditer(text))
    text = _EXPORT.sub(r"\1", _IMPORT.sub(r"const \1 = $\2;", text))
    parts[name] = f"const ${name} = (() => {{\n{text}return {{ {exported} }};\n}})();\n"
