"""Every word that the operator says is on its page, and some test has it said."""

import ast
from pathlib import Path

import pytest

from featward_operator.conditions import answer
from featward_operator.vocabulary import QUESTIONS, Event, Reason, Type
from featward_operator.words import page, series

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "kubernetes-reference.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == page(), "the words have changed: run make docs"


def test_every_reason_event_condition_and_metric_is_on_the_page_and_reached_by_a_test() -> None:
    text, said = page(), _said_by_tests()
    conditions, _, rest = text.partition("## Events")
    # By hand, as words of two tables may be alike and a set would hold one of them.
    assert not [one for one in Type if f"### {one}\n" not in conditions]
    assert not [one for one in Reason if f"| `{one}` | {one.meaning} |" not in conditions]
    assert not [one for one in Event if f"| `{one}` | {one.meaning} |" not in rest]
    words = [*Type, *Reason, *Event]
    assert not [one for one in words if one.value not in said]
    for family in series():
        assert f"`{family.name}" in text
        assert any(family.name in one for one in said), family.name


def _said_by_tests() -> set[str]:
    """Every text that stands in a test of the operator, or in what such tests share, but here."""
    files = [
        *(ROOT / "tests" / "operator").rglob("*.py"),
        *(ROOT / "tests" / "sidecar").glob("*.py"),
    ]
    found = set()
    for file in files:
        if file == Path(__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_reason_stands_for_one_answer_to_a_question() -> None:
    for told in QUESTIONS.values():
        reasons = (*told.true, *told.false, *told.unknown)
        assert len(set(reasons)) == len(reasons)
        assert told.kinds
    with pytest.raises(AssertionError, match="no reason"):
        answer(Type.SERVED, Reason.EXPIRED, "")
