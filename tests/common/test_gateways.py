"""A feature set behind a gateway is served by an identity of its own, and its server is where upstream says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from featward.identity.spiffe import SpiffeId
from featward.manifests import Catalogue, load_texts, validate
from featward.manifests.feature_set import LONGEST_GATEWAY_SET, FeatureSet
from featward.policy import Compiler
from featward.policy.v1.snapshot_pb2 import Snapshot
from featward_engine import Policy

BASE = (Path(__file__).parents[1] / "vectors" / "manifests" / "base.yaml").read_text()
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
GATEWAY = SpiffeId.parse("spiffe://prod.acme.example/bu/risk/ns/scoring/sa/rows-of-risk-gateway")
GATED = """\
---
apiVersion: featward.dev/v1alpha1
kind: FeatureSet
metadata: {name: rows-of-risk, namespace: scoring}
spec:
  version: "1.0"
  owner: {team: risk, contact: risk@acme.example}
  serving:
    gateway: {upstream: "%s"}
    endpoints: [{adapter: feast-http/v1}]
  entities: [{name: id, type: int64}]
  features: [{name: "v:f", type: int64}]
---
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {name: own, namespace: scoring}
spec:
  subjects: [{businessUnit: prod.risk}]
  featureSet: {name: rows-of-risk}
  features: ["v:f"]
  purpose: scoring
  expires: "2027-01-31"
"""


@pytest.mark.parametrize(
    ("upstream", "host", "port"),
    [
        ("feast-online.ml.svc:80", "feast-online.ml.svc", 80),
        ("10.0.0.7:6566", "10.0.0.7", 6566),
        ("[2001:db8::7]:6566", "[2001:db8::7]", 6566),
    ],
)
def test_a_gateway_is_the_sets_server(upstream: str, host: str, port: int) -> None:
    loaded = load_texts([("base", BASE + GATED % upstream)])
    assert validate(loaded, NOW) == ()
    catalogue = Catalogue(loaded.documents)
    assert catalogue.server_of(catalogue.feature_sets["scoring", "rows-of-risk"]) == GATEWAY
    content = Compiler(loaded, NOW).compile(GATEWAY).snapshot_bytes
    snapshot = Snapshot.FromString(content)
    assert [one.name for one in snapshot.feature_sets] == ["rows-of-risk"]
    (endpoint,) = snapshot.feature_sets[0].endpoints
    assert (endpoint.adapter, endpoint.host, endpoint.port) == ("feast-http/v1", host, port)
    assert [one.name for one in snapshot.bindings] == ["own"]
    Policy(content)


def gated(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureSet",
        "metadata": {"name": name, "namespace": "ml"},
        "spec": {
            "version": "1.0",
            "owner": {"team": "x", "contact": "x"},
            "serving": {
                "gateway": {"upstream": "feast:80"},
                "endpoints": [{"adapter": "feast-http/v1"}],
            },
            "entities": [{"name": "id", "type": "int64"}],
            "features": [{"name": "v:f", "type": "int64"}],
        },
    }


def test_the_name_of_its_service_account_fits() -> None:
    FeatureSet.model_validate(gated("x" * LONGEST_GATEWAY_SET))
    with pytest.raises(ValidationError, match="at most 245 characters for a set with a gateway"):
        FeatureSet.model_validate(gated("x" * (LONGEST_GATEWAY_SET + 1)))
