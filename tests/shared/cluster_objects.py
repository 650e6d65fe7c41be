"""Objects of a small sound cluster, as an API server gives them, for tests that change one thing about it."""

from typing import Any

from featward.identity.spiffe import SpiffeId
from featward.manifests.document import Document
from featward.manifests.objects import document_of
from featward.policy.index import PolicyIndex

API = "featward.dev/v1alpha1"
NOW = 1_795_435_200  # 2026-11-23T12:00:00Z
DOMAIN = "prod.acme.example"
FEAST = SpiffeId.service_account(DOMAIN, "payments", "pricing", "feast")
API_POD = SpiffeId.service_account(DOMAIN, "payments", "shop", "api")
OTHER = SpiffeId.service_account(DOMAIN, "payments", "shop", "feast")
FEATURES = ("hourly:a", "hourly:b", "hourly:c")


def an_object(
    kind: str, name: str, spec: Any = None, namespace: str = "", **metadata: Any
) -> dict[str, Any]:
    """One object; `metadata` besides its name."""
    found: dict[str, Any] = {"name": name, "creationTimestamp": "2026-11-20T08:00:00Z", **metadata}
    if namespace:
        found["namespace"] = namespace
    raw = {"apiVersion": "v1" if kind == "Namespace" else API, "kind": kind, "metadata": found}
    return raw if kind == "Namespace" else raw | {"spec": spec or {}}


def a_namespace(name: str, unit: str = "prod.payments") -> dict[str, Any]:
    return an_object("Namespace", name, labels={"featward.dev/business-unit": unit})


def a_set(
    name: str, namespace: str = "pricing", made: str = "2026-11-20T08:00:00Z", **spec: Any
) -> dict[str, Any]:
    """A feature set that the service account feast of its namespace serves."""
    features = spec.pop("features", FEATURES)
    return an_object(
        "FeatureSet",
        name,
        {
            "version": "1.2.0",
            "owner": {"team": "drivers", "contact": "drivers@acme.example"},
            "serving": {
                "workload": {"serviceAccount": "feast"},
                "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
                "address": f"feast-featward.{namespace}.svc:15443",
            },
            "entities": [{"name": "driver_id", "type": "int64"}],
            "features": [{"name": one, "type": "double"} for one in features],
            **spec,
        },
        namespace,
        creationTimestamp=made,
    )


def a_binding(
    name: str, feature_set: str, namespace: str = "pricing", **spec: Any
) -> dict[str, Any]:
    """A grant of the first feature to the api of the namespace shop."""
    account = {"namespace": "shop", "name": "api"}
    return an_object(
        "FeatureBinding",
        name,
        {
            "subjects": [{"serviceAccount": account}],
            "featureSet": {"name": feature_set},
            "features": ["hourly:a"],
            "purpose": "online pricing",
            "expires": "2097-03-31",
            **spec,
        },
        namespace,
    )


def an_override(action: str, hours: int = 1, **target: Any) -> dict[str, Any]:
    expires = f"2026-11-23T{12 + hours}:00:00Z"
    spec = {"action": action, "target": target, "reason": "incident", "expires": expires}
    made = "2026-11-23T11:59:00Z"
    return an_object("Override", f"{action}-it", spec, creationTimestamp=made)


PLATFORM = [
    an_object("Environment", "prod", {"trustDomain": DOMAIN, "maxOverride": "12h"}),
    an_object("BusinessUnit", "prod.payments"),
    an_object("BusinessUnit", "prod.risk"),
    a_namespace("pricing"),
    a_namespace("shop"),
    a_namespace("risky", "prod.risk"),
]
CLUSTER = [
    *PLATFORM,
    a_set("drivers"),
    a_binding("api", "drivers"),
    a_binding("second", "drivers", features=["hourly:b"]),
    a_set("riders", "shop"),
    a_binding("riders-api", "riders", "shop"),
]


def apply(index: PolicyIndex, *objects: dict[str, Any]) -> frozenset[SpiffeId]:
    """What a watch would say of these objects; whose snapshot may differ then."""
    touched: frozenset[SpiffeId] = frozenset()
    for raw in objects:
        found, metadata = document_of(raw), raw["metadata"]
        if isinstance(found, Document):
            touched |= index.put(found)
        else:
            touched |= index.refuse(raw["kind"], metadata.get("namespace"), metadata["name"], found)
    return touched


def an_index(*objects: dict[str, Any]) -> PolicyIndex:
    index = PolicyIndex()
    apply(index, *(objects or CLUSTER))
    return index
