"""The page about the kinds is what the definitions are."""

from pathlib import Path

from featward.crds import names_of
from featward.crds.columns import COLUMNS
from featward.crds.definitions import KINDS
from featward.crds.reference import page
from featward.crds.status import STATUS
from featward.manifests import CODES

PAGE = Path(__file__).parents[3] / "docs" / "kinds.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "the models have changed: run make docs"


def test_every_name_column_key_and_code_is_on_it() -> None:
    text = page()
    for kind in KINDS:
        assert f"`{names_of(kind).plural}` | `{names_of(kind).short}`" in text
        assert all(column.name in text for column in COLUMNS[kind])
        for name, info in STATUS[kind].model_fields.items():
            assert f"| `status.{info.alias or name}` |" in text
    assert all(f"`{code}`" in text for code in CODES)
