"""Objects of an API server become the same documents as files, as strictly, and with an age."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from featward.identity.spiffe import SpiffeId
from featward.manifests import Document, Finding, Loaded, load_texts, validate
from featward.manifests.document import AnyModel
from featward.manifests.labels import (
    INJECTION_LABEL,
    PROTECTION_LABEL,
    ROTATE_REQUESTED_AT,
    ROTATION,
    unknown_labels,
)
from featward.manifests.objects import document_of
from featward.policy import Compiler
from featward.policy.v1.snapshot_pb2 import Snapshot
from featward.strictyaml import read

EXAMPLE = Path(__file__).parents[2] / "examples" / "driver-stats"
TREES = [
    tree.value for path in sorted(EXAMPLE.glob("*.yaml")) for tree in read(path.read_text())[0]
]
FILES = load_texts([(path.name, path.read_text()) for path in sorted(EXAMPLE.glob("*.yaml"))])
FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
MADE = "2026-11-20T08:00:00Z"


def served(tree: dict[str, Any], made: str = MADE) -> dict[str, Any]:
    """As an API server would give it, with all that it and others add."""
    added = {
        "uid": "0b9f8a6e-8d5c-4d7b-9f57-0c8a54d8c0c4",
        "resourceVersion": "1234",
        "generation": 3,
        "creationTimestamp": made,
        "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
    }
    found = {**tree, "metadata": {**tree["metadata"], **added}, "status": {"conditions": []}}
    if tree["kind"] == "Namespace":
        found["spec"] = {"finalizers": ["kubernetes"]}
    return found


def documents(*trees: dict[str, Any], made: str = MADE) -> list[Document[AnyModel]]:
    found = [document_of(served(tree, made)) for tree in trees]
    assert not [one for one in found if isinstance(one, list)]
    return [one for one in found if isinstance(one, Document)]


def of_kind(kind: str) -> dict[str, Any]:
    return next(tree for tree in TREES if tree["kind"] == kind)


def labelled(tree: dict[str, Any], group: str, labels: dict[str, str]) -> dict[str, Any]:
    old = tree["metadata"].get(group, {})
    return {**tree, "metadata": {**tree["metadata"], group: {**old, **labels}}}


def snapshot(trees: list[Document[AnyModel]]) -> Snapshot:
    compiled = Compiler(Loaded(tuple(trees), ()), NOW).compile(FEAST)
    return Snapshot.FromString(compiled.snapshot_bytes)


def test_objects_are_the_documents_that_files_are() -> None:
    found = documents(*TREES)
    assert [one.model for one in found] == [one.model for one in FILES.documents]
    assert {one.created for one in found} == {datetime(2026, 11, 20, 8, tzinfo=UTC).timestamp()}
    assert snapshot(found) == snapshot(list(FILES.documents))


def test_what_is_wrong_with_an_object_says_which_object_and_where_in_it() -> None:
    tree = of_kind("FeatureBinding")
    found = document_of(served({**tree, "spec": {**tree["spec"], "expries": "2097-03-31"}}))
    assert isinstance(found, list)
    (finding,) = found
    assert (finding.file, finding.path) == ("FeatureBinding pricing/pricing-api", "spec.expries")
    assert (finding.code, finding.line) == ("unknown-key", 1)
    assert finding.remedy == "did you mean expires?"


def test_an_object_of_a_foreign_kind_is_a_finding() -> None:
    found = document_of({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    assert isinstance(found, list)
    assert [one.code for one in found] == ["unknown-kind"]


@pytest.mark.parametrize(
    ("group", "key", "remedy"),
    [
        ("labels", "featward.dev/business-unti", "did you mean featward.dev/business-unit?"),
        ("labels", "featwrd.dev/business-unit", "did you mean featward.dev/business-unit?"),
        ("annotations", "featward.dev/something", "remove it"),
    ],
)
def test_a_misspelt_label_of_a_cluster_namespace_blocks_nothing(
    group: str, key: str, remedy: str
) -> None:
    namespace = labelled(of_kind("Namespace"), group, {key: "prod.payments", "team": "x"})
    others = [tree for tree in TREES if tree["kind"] != "Namespace"]
    found = documents(namespace, *others)
    before = {finding.code for finding in validate(FILES, NOW)}
    (finding,) = (one for one in validate(Loaded(tuple(found), ()), NOW) if one.code not in before)
    assert (finding.code, finding.blocks, finding.remedy) == ("unknown-label", False, remedy)
    assert snapshot(found) == snapshot(list(FILES.documents))


@pytest.mark.parametrize(
    ("kind", "group", "key"),
    [
        ("Namespace", "labels", INJECTION_LABEL),
        ("Namespace", "labels", PROTECTION_LABEL),
        ("Environment", "annotations", ROTATE_REQUESTED_AT),
        ("Environment", "annotations", ROTATION),
        ("BusinessUnit", "annotations", ROTATE_REQUESTED_AT),
        ("BusinessUnit", "annotations", ROTATION),
    ],
)
def test_what_the_operator_reads_is_known_where_it_is_read_and_nowhere_else(
    kind: str, group: str, key: str
) -> None:
    assert not list(unknown_labels(kind, {group: {key: "x"}}))
    assert list(unknown_labels("FeatureSet", {group: {key: "x"}}))
    other = "annotations" if group == "labels" else "labels"
    assert list(unknown_labels(kind, {other: {key: "x"}}))


def test_a_misspelt_label_in_a_file_is_refused_as_ever() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {featward.dev/x: z}}\n"
    assert [one.code for one in load_texts([("x", text)]).findings] == ["unknown-key"]


@pytest.mark.parametrize(
    ("ages", "keeper"),
    [
        (("2026-11-20T08:00:00Z", "2026-11-20T07:59:59Z"), "driver-stats"),
        (("2026-11-20T07:59:59Z", "2026-11-20T08:00:00Z"), "another"),
        ((MADE, MADE), "another"),
    ],
    ids=["older", "younger", "of one age"],
)
def test_the_older_set_keeps_a_claim_and_without_ages_the_first_by_name(
    ages: tuple[str, str], keeper: str
) -> None:
    first = of_kind("FeatureSet")
    extra = {"name": "driver_hourly_stats:extra", "type": "double"}
    another = {
        **first,
        "metadata": {**first["metadata"], "name": "another"},
        "spec": {**first["spec"], "features": [*first["spec"]["features"], extra]},
    }
    others = [tree for tree in TREES if tree["kind"] != "FeatureSet"]
    found = [
        *documents(*others),
        *documents(another, made=ages[0]),
        *documents(first, made=ages[1]),
    ]
    sets = snapshot(found).feature_sets
    assert [one.name for one in sets] == ["another", "driver-stats"], "by name, whoever keeps what"
    claimed = "driver_hourly_stats:conv_rate"
    keepers = [one.name for one in sets if claimed in {feature.name for feature in one.features}]
    assert keepers == [keeper]
    granted = {one.feature_set_name for one in snapshot(found).bindings}
    assert granted == ({"driver-stats"} if keeper == "driver-stats" else set())
    losers = {
        finding.file
        for finding in validate(Loaded(tuple(found), ()), NOW)
        if finding.code.endswith("-claimed-twice")
    }
    assert losers == {f"FeatureSet pricing/{'another' if keeper != 'another' else 'driver-stats'}"}


def test_every_finding_of_an_object_has_a_path() -> None:
    findings: list[Finding] = list(validate(Loaded(tuple(documents(*TREES)), ()), NOW))
    assert findings
    assert all(one.path and one.line == 1 for one in findings)
