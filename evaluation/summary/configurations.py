"""Gin configurations of runs, compared binding by binding."""

import re
from collections.abc import Iterable
from collections.abc import Mapping

from models.runs import configurations
from prep import checked_json

_SEED_BINDING = re.compile(r"(^|[._])seed$", re.IGNORECASE)


def differences(runs: Mapping[str, checked_json.Json]) -> list[checked_json.Json]:
    """Bindings of the operative configurations that are not the same in all runs.

    Args:
        runs: Each with `config`, gin's text.

    Returns:
        `{"binding": name, "values": {run: value or None}}`, sorted by name.
    """
    parsed = {
        name: configurations.parse_bindings(run.get("config", ""))
        for name, run in runs.items()
    }
    names = sorted({binding for bindings in parsed.values() for binding in bindings})
    rows = []
    for binding in names:
        values = {run: bindings.get(binding) for run, bindings in parsed.items()}
        if len(set(values.values())) > 1:
            rows.append({"binding": binding, "values": values})
    return rows


def beyond_the_seed(
    runs: Mapping[str, checked_json.Json], names: Iterable[str]
) -> list[str]:
    """Bindings in which trainings of one system differ, though only seeds should.

    Where the data lies is left out too: datasets are compared by their content.

    Args:
        runs: What is known of each run by name, with its `config`.
        names: The runs of the system.

    Returns:
        Names of bindings, sorted; empty when the trainings repeat each other.
    """
    rows = differences({name: runs[name] for name in names})
    return [
        row["binding"]
        for row in rows
        if row["binding"] != "DATA_DIR" and not _SEED_BINDING.search(row["binding"])
    ]
