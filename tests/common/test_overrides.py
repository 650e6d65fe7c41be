"""Overrides come from a cluster alone, and are in force only as long as their environment allows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from featward.manifests import Catalogue, Document, Finding, Loaded, load_texts, validate
from featward.manifests.objects import document_of
from featward.manifests.overriding import in_force
from featward.policy import Compiler

BASE = (Path(__file__).parents[1] / "vectors" / "manifests" / "base.yaml").read_text()
ALLOWED = BASE.replace('enforceBy: "2026-11-01"}', 'enforceBy: "2026-11-01", maxOverride: 4h}', 1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = int(NOON.timestamp())
SET = {"featureSet": {"namespace": "pricing", "name": "driver-stats"}}


def moment(after: timedelta) -> str:
    return (NOON + after).strftime("%Y-%m-%dT%H:%M:%SZ")


def override(
    hours: float, target: dict[str, Any] = SET, action: str = "relax", made: float = 0.0
) -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "Override",
        "metadata": {"name": "incident", "creationTimestamp": moment(timedelta(hours=made))},
        "spec": {
            "action": action,
            "target": target,
            "reason": "scoring is refused",
            "expires": moment(timedelta(hours=hours)),
        },
    }


def judged(
    raw: dict[str, Any], base: str = ALLOWED, now: float = NOW
) -> tuple[list[str], list[Finding]]:
    """The Overrides in force at a moment, and what the rules find."""
    made = document_of(raw)
    assert isinstance(made, Document), made
    loaded = load_texts([("base", base)])
    assert loaded.findings == ()
    together = Loaded((*loaded.documents, made), ())
    found = [one.model.metadata.name for one in in_force(Catalogue(together.documents), now)]
    return found, list(validate(together, int(now)))


def test_the_base_allows_overrides_now() -> None:
    assert ALLOWED != BASE


def test_it_is_in_force_until_its_very_second() -> None:
    end = NOW + 4 * 3600
    assert judged(override(4), now=end - 0.5) == (["incident"], [])
    assert judged(override(4), now=end) == ([], [])


@pytest.mark.parametrize(
    ("raw", "base"),
    [
        (override(4.001), ALLOWED),
        # Made an hour ago: the rest would be allowed, but it was to hold for five.
        (override(4, made=-1), ALLOWED),
        (override(0.1), BASE),
        (override(5, {"environment": "prod"}, "close"), ALLOWED),
    ],
    ids=["longer than allowed", "counted from when it was made", "none allowed", "an environment"],
)
def test_what_is_too_long_is_never_in_force(raw: dict[str, Any], base: str) -> None:
    found, findings = judged(raw, base)
    assert found == []
    assert [(one.code, one.blocks) for one in findings] == [("override-too-long", False)]
    assert findings[0].path == "spec.expires"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ({"featureSet": {"namespace": "pricing", "name": "none"}}, "spec.target.featureSet"),
        ({"binding": {"namespace": "pricing", "name": "none"}}, "spec.target.binding"),
        ({"environment": "staging"}, "spec.target.environment"),
    ],
)
def test_an_override_of_nothing_warns_and_blocks_nothing(target: dict[str, Any], path: str) -> None:
    _, findings = judged(override(1, target, "close"))
    assert [(one.code, one.path) for one in findings] == [("override-without-target", path)]
    assert not findings[0].blocks


@pytest.mark.parametrize(
    ("target", "action", "path"),
    [
        ({"binding": {"namespace": "pricing", "name": "x"}}, "relax", "spec"),
        ({}, "close", "spec.target"),
        ({**SET, "environment": "prod"}, "close", "spec.target"),
    ],
    ids=["a relaxed binding", "no target", "two targets"],
)
def test_what_makes_no_sense_is_refused(target: dict[str, Any], action: str, path: str) -> None:
    found = document_of(override(1, target, action))
    assert isinstance(found, list)
    assert [(one.code, one.path) for one in found] == [("invalid-value", path)]


@pytest.mark.parametrize("day", ["2026-02-30T10:00:00Z", "2026-11-23T25:00:00Z", "2026-11-23"])
def test_a_moment_is_one_of_the_calendar(day: str) -> None:
    raw = override(1)
    raw["spec"]["expires"] = day
    found = document_of(raw)
    assert isinstance(found, list)
    assert [one.path for one in found] == ["spec.expires"]


def test_an_override_in_a_folder_is_refused() -> None:
    raw = override(1)
    del raw["metadata"]["creationTimestamp"]
    (finding,) = load_texts([("base", BASE), ("x", str(raw).replace("'", '"'))]).findings
    assert (finding.code, finding.blocks) == ("unknown-kind", True)
    assert "never kept in a folder" in finding.message


def test_one_that_is_not_in_force_changes_no_snapshot() -> None:
    made = document_of(override(40))
    assert isinstance(made, Document)
    loaded = load_texts([("base", BASE)])
    server = next(iter(Catalogue(loaded.documents).served_by))
    plain = Compiler(loaded, NOW).compile(server)
    beside = Compiler(Loaded((*loaded.documents, made), ()), NOW).compile(server)
    assert beside.snapshot_bytes == plain.snapshot_bytes
