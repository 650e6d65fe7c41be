"""Forty-odd pods as they come to a webhook, and what becomes of each: read the golden files as prose."""

import pytest

from injection_kit import GOLDEN, Fixture, admitted, answer_of, fixtures, written

ALL = list(fixtures())


@pytest.mark.parametrize("fixture", ALL, ids=lambda fixture: fixture.name)
def test_each_pod_becomes_its_golden_pod_and_stays_so_the_second_time(fixture: Fixture) -> None:
    assert written(fixture) == (GOLDEN / f"{fixture.name}.yaml").read_text()
    first = answer_of(fixture.pod, fixture.namespace)
    second = answer_of(admitted(fixture.pod, first), fixture.namespace)
    assert second.patch == ()
    assert second.decision.refused == first.decision.refused
    if first.patch:
        assert second.explanation.reason == "already-injected"


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == {fixture.name for fixture in ALL}
    assert len(ALL) >= 40


@pytest.mark.parametrize("fixture", ALL, ids=lambda fixture: fixture.name)
def test_a_patch_only_adds_or_replaces_what_is_ours(fixture: Fixture) -> None:
    for operation in answer_of(fixture.pod, fixture.namespace).patch:
        assert operation["op"] in ("add", "replace")
        if operation["op"] == "replace":
            assert "featward" in str(operation["value"]) or "127.0.0.1" in str(operation["value"])
