"""Texts with a format: a server's own check of types lets a list pass for one, and our rules do not."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from crd_kit import tried
from featward.crds.definitions import KINDS, definition
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

Path = tuple[str | int, ...]
# One object of each kind that has such texts, with all of them.
SPECS: dict[str, dict[str, Any]] = {
    "Environment": {
        "trustDomain": "prod.acme.example",
        "svidTTL": "1h",
        "renewEvery": "10m",
        "enforceBy": "2026-11-01",
        "maxOverride": "4h",
        "jwtIssuers": [
            {"name": "ci", "issuer": "https://ci.acme.example", "maxKeyAge": "1h"},
        ],
    },
    "BusinessUnit": {
        "authority": {"lifetime": "7d", "rotateEvery": "2d"},
        "ceiling": {"maxBindingLife": "90d"},
    },
    "FeatureSet": {
        "version": "1.2.0",
        "owner": {"team": "driver-ml", "contact": "driver-ml@acme.example"},
        "serving": {
            "workload": {"serviceAccount": "feast"},
            "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
        },
        "enforcement": {
            "mode": "shadow",
            "unidentified": {"allow": True, "until": "2099-01-31"},
        },
        "accepted": [{"what": "registry", "reason": "batch only", "until": "2099-06-30"}],
        "entities": [{"name": "driver_id", "type": "int64"}],
        "features": [{"name": "driver:rate", "type": "double"}],
    },
    "FeatureBinding": {
        "subjects": [{"businessUnit": "prod.risk"}],
        "featureSet": {"name": "driver-stats"},
        "features": ["driver:rate"],
        "purpose": "scoring",
        "expires": "2099-03-31",
        "recertifyBy": "2099-01-31",
    },
    "GrantApproval": {
        "binding": {"namespace": "ml", "name": "pricing-api"},
        "bindingDigest": f"sha256:{'0' * 64}",
        "businessUnit": "prod.payments",
        "reason": "agreed",
        "expires": "2099-03-31",
    },
    "Override": {
        "action": "relax",
        "target": {"environment": "prod"},
        "reason": "incident",
        "expires": "2026-11-23T18:00:00Z",
    },
}


def formatted(node: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """Where a schema has a text with a format, in the first of a list's."""
    if node.get("type") == "string" and "format" in node:
        yield path
    for key, inner in node.get("properties", {}).items():
        yield from formatted(inner, (*path, key))
    if "items" in node:
        yield from formatted(node["items"], (*path, 0))


FORMATTED = [
    (kind, path)
    for kind in KINDS
    for path in formatted(
        definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    )
]


def an_object(kind: str, namespace: str) -> dict[str, Any]:
    is_inside = definition(kind)["spec"]["scope"] == "Namespaced"
    inside = {"namespace": namespace} if is_inside else {}
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "prod.payments" if kind == "BusinessUnit" else "one"} | inside,
        "spec": copy.deepcopy(SPECS[kind]),
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    FORMATTED,
    ids=lambda one: one if isinstance(one, str) else ".".join(map(str, one)),
)
def test_a_list_is_no_text_of_a_format(
    crds: Kubernetes, namespace: str, kind: str, path: Path
) -> None:
    tree = an_object(kind, namespace)
    assert tried(crds, tree)[0] == 201, tried(crds, tree)[1]
    inner: Any = tree["spec"]
    for key in path[:-1]:
        inner = inner[key]
    assert isinstance(inner[path[-1]], str)
    inner[path[-1]] = []
    status, answer = tried(crds, tree)
    assert status == 422, answer
    assert str(path[-1]) in answer["message"]
