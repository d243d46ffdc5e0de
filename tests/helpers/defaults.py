"""What a class takes when nothing is said, beside another's."""

import inspect
from typing import Any


def check_defaults(ours: type, theirs: type, *, added: dict[str, Any]) -> None:
    """Checks that two classes share their defaults, but for parameters of ours.

    Args:
        ours: A class of this project.
        theirs: The one of ddsp in whose place it stands.
        added: Defaults of the parameters that only ours has.
    """
    defaults, stock = (
        {name: p.default for name, p in inspect.signature(cls).parameters.items()}
        for cls in (ours, theirs)
    )
    own = {name: defaults.pop(name) for name in defaults.keys() - stock.keys()}
    assert own == added
    for name, value in defaults.items():
        assert value == stock[name], name
