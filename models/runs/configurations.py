"""The configuration that a run has saved, as gin's text: its bindings, compared."""

import re


def parse_bindings(config: str) -> dict[str, str]:
    r"""Reads the bindings of a gin configuration text, `name = value`.

    Args:
        config: Text as gin writes it; values may go on over lines by brackets or `\`.

    Returns:
        Value by name, white space joined.
    """
    bindings: dict[str, str] = {}
    current = ""
    for line in config.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "import ", "include ", "from ")):
            continue
        if not line[0].isspace() and re.search(r" =( |$)", line):
            current, value = (part.strip() for part in stripped.split("=", 1))
            bindings[current] = value.rstrip("\\").strip()
        elif current:
            bindings[current] = (
                f"{bindings[current]} {stripped.rstrip(chr(92))}".strip()
            )
    return bindings


def changed(before: str, after: str) -> list[str]:
    """Names what two configurations bind differently.

    What only one of them binds is left out: it is a function that the other did not
    call, or did not have.
    """
    first, second = parse_bindings(before), parse_bindings(after)
    return [name for name in first if second.get(name, first[name]) != first[name]]
