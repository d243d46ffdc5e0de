"""docs/trust.md promises nothing without a test that is there."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "trust.md").read_text("utf-8")
# Sections whose lines are promises, and one that also says what is not promised.
PROMISES = re.findall(r"^- .+(?:\n  .+)*", PAGE, re.MULTILINE)


def test_every_test_that_is_named_exists():
    defined = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.M))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named <= defined, named - defined


def test_every_promise_names_its_test():
    warned_of = PAGE[PAGE.index("## What may not") :]
    for promise in PROMISES:
        if promise not in warned_of:
            assert re.search(r"`test_\w+`", promise), promise
