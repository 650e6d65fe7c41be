"""The refusal table holds what the proxy refuses with, and nothing that callers would prepare for in vain."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "engine" / "proxy" / "src"
TABLE = (SOURCES / "refusal.rs").read_text()
REASONS = re.findall(r'^    (\w+) = "[a-z0-9-]+", \w+, [A-Z_]+,', TABLE, re.MULTILINE)
CODE = "\n".join(
    path.read_text() for path in sorted(SOURCES.rglob("*.rs")) if path.name != "refusal.rs"
)


def test_the_table_is_found() -> None:
    assert len(REASONS) > 30


@pytest.mark.parametrize("reason", REASONS)
def test_something_refuses_for_every_reason(reason: str) -> None:
    assert re.search(rf"\bReason::{reason}\b", CODE)
