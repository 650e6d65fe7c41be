"""The refusal table and the pages that its problem types point at are one list."""

import json
from pathlib import Path

import pytest

from featward_engine import refusals

PAGES = Path(__file__).parents[2] / "docs" / "problems"
TABLE = {row["reason"]: row for row in json.loads(refusals())}


def test_every_reason_has_a_page_and_every_page_a_reason() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == set(TABLE)


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_a_page_opens_with_its_reason_status_and_title(reason: str) -> None:
    row = TABLE[reason]
    head = (PAGES / f"{reason}.md").read_text().splitlines()[:3]
    assert head[0] == f"# {reason}"
    assert head[2].startswith(f"**{row['status']}, ")
    assert head[2].endswith(f" {row['title']}.")


def test_the_index_links_every_page() -> None:
    index = (PAGES / "README.md").read_text()
    assert all(f"[{reason}]({reason}.md)" in index for reason in TABLE)
