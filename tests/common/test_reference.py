"""The reference page of the manifests says what the models read."""

from pathlib import Path

from featward.manifests.document import KINDS
from featward.manifests.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "manifests.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "the models have changed: run make docs"


def test_every_key_has_a_meaning() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if row.rstrip(" |").endswith("|")] == []


def test_every_kind_has_a_section() -> None:
    for kind in KINDS:
        assert f"\n## {kind}\n" in page()
