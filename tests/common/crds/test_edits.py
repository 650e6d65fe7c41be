"""What becomes of objects that are there: edits, several writers, and what kubectl makes of them."""

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crd_kit import apply, collection, tried
from featward.crds.status import (
    Condition,
    FeatureSetStatus,
    Laggard,
    ReplicaRow,
    Status,
    WouldBeRefused,
)
from featward.manifests.text import LONGEST_DURATION, seconds
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS, programs

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

API = "featward.dev/v1alpha1"
NOW = "2026-11-23T18:00:00Z"
DIGEST = "0" * 64
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kubectl(crds: Kubernetes, tmp_path: Path) -> Kubectl:
    """The real one, as the administrator."""
    program = programs("kubectl")["kubectl"]
    config = crds.kubeconfig("kubectl-user", "system:masters")

    def run(*arguments: str, **documents: Any) -> subprocess.CompletedProcess[str]:
        for name, document in documents.items():
            (tmp_path / f"{name}.yaml").write_text(json.dumps(document))
        common = (f"--kubeconfig={config}", f"--cache-dir={tmp_path}")
        return subprocess.run(
            [program, *common, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    return run


def named(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **place}, "spec": spec}


def feature_set(namespace: str, name: str = "driver-stats") -> dict[str, Any]:
    spec = {
        "version": "1.2.0",
        "owner": {"team": "driver-ml", "contact": "driver-ml@acme.example"},
        "serving": {
            "workload": {"serviceAccount": "feast"},
            "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
        },
        "entities": [{"name": "driver_id", "type": "int64"}],
        "features": [{"name": "driver:rate", "type": "double"}],
    }
    return named("FeatureSet", name, spec, namespace)


def with_status(tree: dict[str, Any], status: Status) -> dict[str, Any]:
    written = status.model_dump(
        by_alias=True, exclude_none=True, exclude_defaults=True, mode="json"
    )
    return {key: tree[key] for key in ("apiVersion", "kind", "metadata")} | {"status": written}


def edited(crds: Kubernetes, tree: dict[str, Any], spec: dict[str, Any]) -> tuple[int, str]:
    path = f"{collection(tree['kind'])}/{tree['metadata']['name']}"
    status, answer = crds.ask("PATCH", path, {"spec": spec}, "merge-patch+json")
    return status, answer.get("message", "")


def test_a_trust_domain_never_changes(crds: Kubernetes) -> None:
    # Of its own: the server is everybody's, and it stays there.
    tree = named("Environment", "stays", {"trustDomain": "stays.acme.example"})
    crds.call("POST", collection("Environment"), tree)
    assert edited(crds, tree, {"svidTTL": "2h"})[0] == 200
    status, message = edited(crds, tree, {"trustDomain": "other.acme.example"})
    assert status == 422
    assert "an environment keeps its trust domain" in message
    assert edited(crds, tree, {"trustDomain": None})[0] == 422


def test_an_override_never_changes_but_in_its_status(crds: Kubernetes) -> None:
    target = {"featureSet": {"namespace": "ml", "name": "driver-stats"}}
    spec = {"action": "relax", "target": target, "reason": "incident", "expires": NOW}
    tree = named("Override", "stays", spec)
    crds.call("POST", collection("Override"), tree)
    for change in (
        {"expires": "2026-11-23T19:00:00Z"},
        {"reason": "another"},
        {"action": "close"},
        {"target": {"featureSet": None, "environment": "prod"}},
    ):
        status, message = edited(crds, tree, change)
        assert status == 422, change
        assert "an Override is not changed once it is made" in message
    path = f"{collection('Override')}/stays"
    labelled = {"metadata": {"labels": {"incident": "42"}}}
    crds.call("PATCH", path, labelled, "merge-patch+json")
    ended = {"status": {"target": "featureset ml/driver-stats"}}
    crds.call("PATCH", f"{path}/status", ended, "merge-patch+json")


def test_a_name_that_the_server_makes_up_is_taken(crds: Kubernetes) -> None:
    target = {"environment": "prod"}
    spec = {"action": "close", "target": target, "reason": "incident", "expires": NOW}
    tree = named("Override", "x", spec)
    tree["metadata"] = {"generateName": "incident-"}
    status, answer = tried(crds, tree)
    assert status == 201, answer


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        ("36600d", 201),
        ("36601d", 422),
        ("99999d99999h999999m9999999s", 422),
        ("0d", 422),
        ("200000d", 422),
        ("1d1d", 422),
    ],
)
def test_no_duration_wraps_around(crds: Kubernetes, lifetime: str, expected: int) -> None:
    tree = named("BusinessUnit", "prod.payments", {"authority": {"lifetime": lifetime}})
    status, answer = tried(crds, tree)
    assert status == expected, answer
    assert (0 < seconds(lifetime) <= LONGEST_DURATION) or expected == 422


@pytest.mark.parametrize(
    ("ttl", "every", "expected"),
    [
        ("1d", "11h59m59s", 201),
        ("1d", "12h", 422),
        ("1d12h", "17h", 201),
        (None, "29m59s", 201),
        (None, "30m", 422),
    ],
)
def test_the_server_counts_durations_as_we_do(
    crds: Kubernetes, ttl: str | None, every: str, expected: int
) -> None:
    spec = {"trustDomain": "x.example", "renewEvery": every} | ({"svidTTL": ttl} if ttl else {})
    status, answer = tried(crds, named("Environment", "counts", spec))
    assert status == expected, answer
    assert expected == 201 or "below half of the svidTTL" in answer["message"]


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_a_misspelt_key_is_refused_by_kubectl_apply(
    kubectl: Kubectl, namespace: str, options: tuple[str, ...]
) -> None:
    tree = feature_set(namespace, "misspelt")
    tree["spec"]["enforcment"] = {"mode": "observe"}
    done = kubectl("apply", *options, "--filename=it.yaml", it=tree)
    assert done.returncode == 1
    assert "enforcment" in done.stderr
    del tree["spec"]["enforcment"]
    done = kubectl("apply", *options, "--dry-run=server", "--filename=it.yaml", it=tree)
    assert done.returncode == 0, done.stderr


def test_what_was_expected_is_said(kubectl: Kubectl, namespace: str) -> None:
    tree = feature_set(namespace, "wrong")
    tree["spec"]["serving"]["gateway"] = {"upstream": "feast:80"}
    done = kubectl("apply", "--filename=it.yaml", it=tree)
    assert "spec.serving: Invalid value" in done.stderr
    assert "expected exactly one of workload, gateway" in done.stderr
    told = kubectl("explain", "fset.spec.serving.address").stdout
    assert "a host and a port with a colon between" in " ".join(told.split())


def test_two_managers_apply_status_and_spec_without_conflict(crds: Kubernetes) -> None:
    """Helm, the operator's leader and two replicas of it; each as often as it likes, none by force."""
    namespace = crds.namespace()
    tree = feature_set(namespace)
    ready = Condition(
        type="Ready",
        status="True",
        reason="Ready",
        message="All is well.",
        last_transition_time=NOW,
    )
    summed = FeatureSetStatus(
        sidecars=3, sidecars_current=2, progress="2/3", mode="enforce", conditions=(ready,)
    )
    for round_number in range(2):
        status, answer = apply(crds, tree, "helm")
        assert status == (200 if round_number else 201), answer
        for replica in ("operator-a", "operator-b"):
            row = replica_row(replica, seen=f"2026-11-23T18:00:0{round_number}Z")
            own = with_status(tree, FeatureSetStatus(replicas=(row,)))
            status, answer = apply(crds, own, f"featward-policy-{replica}", status=True)
            assert status == 200, answer
        status, answer = apply(
            crds, with_status(tree, summed), "featward-operator-status", status=True
        )
        assert status == 200, answer
    kept = crds.call("GET", f"{collection('FeatureSet', namespace)}/driver-stats")
    assert kept["spec"] == tree["spec"]
    assert [one["replica"] for one in kept["status"]["replicas"]] == ["operator-a", "operator-b"]
    assert {one["seenAt"] for one in kept["status"]["replicas"]} == {"2026-11-23T18:00:01Z"}
    assert kept["status"]["progress"] == "2/3"
    assert kept["metadata"]["generation"] == 1, "a status is no new generation"
    # What another writer of the spec says otherwise is a conflict, told by name.
    other = copy.deepcopy(tree)
    other["spec"]["version"] = "2.0.0"
    status, answer = apply(crds, other, "somebody")
    assert (status, answer["reason"]) == (409, "Conflict")
    assert 'conflict with "helm"' in answer["message"]


def replica_row(replica: str, seen: str) -> ReplicaRow:
    lagging = Laggard(pod="feast-1", digest=DIGEST, engine="0.1.0", since=NOW)
    refused = WouldBeRefused(
        caller="spiffe://prod.acme.example/bu/risk/svc/risk-api",
        reason="not-granted",
        missing=("driver:rate",),
        last_seen=NOW,
        count=7,
    )
    return ReplicaRow(
        replica=replica,
        seen_at=seen,
        sidecars=3,
        sidecars_current=2,
        laggards=(lagging,),
        refused_last_hour=7,
        would_be_refused=(refused,),
    )


def test_two_managers_may_each_have_their_part_of_a_list(crds: Kubernetes) -> None:
    """Rows are known by their names, so that one who adds a feature takes nobody's away."""
    namespace = crds.namespace()
    apply(crds, feature_set(namespace), "team-a")
    added = named(
        "FeatureSet",
        "driver-stats",
        {"features": [{"name": "driver:age", "type": "int64"}]},
        namespace,
    )
    status, answer = apply(crds, added, "team-b")
    assert status == 200, answer
    assert [one["name"] for one in answer["spec"]["features"]] == ["driver:rate", "driver:age"]


def test_the_columns_are_what_a_reader_sees(crds: Kubernetes, kubectl: Kubectl) -> None:
    namespace = crds.namespace()
    tree = feature_set(namespace)
    apply(crds, tree, "helm")
    summed = FeatureSetStatus(mode="shadow", progress="2/3", refused_last_hour=0)
    apply(crds, with_status(tree, summed), "featward-operator-status", status=True)
    spec = {
        "subjects": [{"businessUnit": "prod.risk"}],
        "featureSet": {"name": "driver-stats"},
        "features": ["driver:rate"],
        "purpose": "scoring",
        "expires": "2087-03-31",
        "recertifyBy": "2087-01-31",
    }
    apply(crds, named("FeatureBinding", "scoring", spec, namespace), "helm")
    printed = kubectl("get", "fset,fbind", "--namespace", namespace).stdout
    lines = [re.split(r" {2,}", line.strip()) for line in printed.splitlines() if line]
    assert lines[0] == ["NAME", "VERSION", "MODE", "SIDECARS", "REFUSED/H", "READY", "AGE"]
    assert lines[1][1:5] == ["1.2.0", "shadow", "2/3", "0"]
    assert lines[2][:2] == ["NAME", "SET"]
    # kubectl leaves the cells empty of what nobody has said yet.
    assert [lines[3][1], *lines[3][2:4]] == ["driver-stats", "2087-03-31", "2087-01-31"]
    assert "driver-stats" in kubectl("get", "featward", "--namespace", namespace).stdout


def test_bindings_are_found_by_their_set_and_sets_by_their_team(
    crds: Kubernetes, kubectl: Kubectl
) -> None:
    namespace = crds.namespace()
    for name in ("one", "two"):
        tree = feature_set(namespace, name)
        tree["spec"]["owner"]["team"] = f"team-{name}"
        apply(crds, tree, "helm")
    where = ("--namespace", namespace, "--output=name")
    found = kubectl("get", "fset", *where, "--field-selector=spec.owner.team=team-two")
    assert found.stdout.split() == ["featureset.featward.dev/two"]
