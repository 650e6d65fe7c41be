"""docs/kubernetes.md says what the code does."""

from pathlib import Path

import yaml

from documented import blocks
from featward_operator.injection.decision import Reason
from featward_operator.injection.names import ANNOTATIONS
from featward_operator.injection.reference import renewed

PAGE = Path(__file__).parents[3] / "docs" / "kubernetes.md"


def test_the_tables_are_those_of_the_code() -> None:
    assert renewed(PAGE.read_text()) == PAGE.read_text(), "run make docs"


def test_every_reason_and_annotation_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert all(f"| `{reason}` | " in text for reason in Reason)
    assert all(f"| `{key}` | " in text for key in ANNOTATIONS)


def test_the_role_of_the_page_is_one() -> None:
    (text,) = [one.text for one in blocks(PAGE) if one.info == "rbac"]
    assert yaml.safe_load(text)["rules"][0]["verbs"] == ["assign"]
