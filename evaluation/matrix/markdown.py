"""Tables and lists of the matrix's pages of text, as Markdown."""

from collections.abc import Iterable
from collections.abc import Sequence

from evaluation.matrix import scorecards
from evaluation.summary import gates


def cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its head, a line a row; its cells as `cell` returns them."""
    lines = (" | ".join(row) for row in (head, ["---"] * len(head), *rows))
    return "".join(f"| {line} |\n" for line in lines)


def gate_line(gate: gates.Gate | scorecards.CardGate) -> str:
    """A decision of the plan with its evidence, as an item of a list."""
    return f"- {gate.question} **{gate.answer}**. {' '.join(gate.evidence)}"
