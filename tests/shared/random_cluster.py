"""Small random clusters as an API server would list them, drawn so that objects collide, and edits of them.

Few names make unknown units, second claims, grants across units, approvals of another digest, misspelt
features and sets that go wrong together common instead of rare. All of it follows from the seed.
"""

from random import Random
from typing import Any

from featward.manifests.digest import binding_digest
from featward.manifests.document import Document
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.objects import document_of

NOW = 1_795_435_200  # 2026-11-23T12:00:00Z
DAYS = ["2026-11-22", "2026-11-23", "2027-01-15", "2097-03-31"]
UNITS = ["prod.payments", "prod.risk", "prod.default", "dev.payments", "prod.nobody"]
NAMESPACES = ["pricing", "scoring", "sandbox"]
SETS = ["drivers", "riders"]
ACCOUNTS = ["feast", "api"]
FEATURES = [f"{view}:{column}" for view in ("hourly", "daily") for column in ("a", "b", "c")]
API = "featward.dev/v1alpha1"


class Cluster:
    """The objects by kind, namespace and name; `edit` changes one of them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.objects: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        for raw in _platform():
            self.objects[raw["kind"], None, raw["metadata"]["name"]] = raw

    def edit(self) -> tuple[tuple[str, str | None, str], dict[str, Any] | None]:
        """One edit: the object as it is now, None where it was deleted."""
        make = self.random.choices(_MAKERS, _WEIGHTS)[0]
        raw = make(self)
        metadata = raw["metadata"]
        key = (raw["kind"], metadata.get("namespace"), metadata["name"])
        if key in self.objects and self.random.random() < _DELETED.get(key[0], 0.25):
            del self.objects[key]
            return key, None
        known = self.objects.get(key)
        made = known["metadata"]["creationTimestamp"] if known else self._age()
        metadata.setdefault("creationTimestamp", made)
        self.objects[key] = raw
        return key, raw

    def documents(self) -> list[Document[Any]]:
        """All that can be read, the older first."""
        found = [document_of(raw) for raw in self.objects.values()]
        documents = [one for one in found if isinstance(one, Document)]
        return sorted(documents, key=lambda one: (one.created, one.kind, one.name))

    def some(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def sample(self, choices: list[Any], least: int = 1) -> list[Any]:
        return self.random.sample(choices, self.random.randint(least, len(choices)))

    def _age(self) -> str:
        return f"2026-11-20T08:00:0{self.random.randrange(4)}Z"


def _object(kind: str, name: str, spec: Any, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def _platform() -> list[dict[str, Any]]:
    """What every cluster begins with."""
    made = [
        _object("Environment", "prod", {"trustDomain": "prod.acme.example", "maxOverride": "4h"})
    ]
    made += [_object("BusinessUnit", name, {}) for name in UNITS[:2]]
    for name, unit in zip(NAMESPACES, ("prod.payments", "prod.payments", "prod.risk"), strict=True):
        namespace = _object("Namespace", name, None)
        namespace["apiVersion"] = "v1"
        namespace["metadata"]["labels"] = {"featward.dev/business-unit": unit}
        made.append(namespace)
    made += [
        _object("Workload", f"{name}-1", {"businessUnit": unit, "name": name})
        for name, unit in [
            ("feast", "prod.payments"),
            ("api", "prod.payments"),
            ("api-2", "prod.risk"),
        ]
    ]
    for one in made:
        one["metadata"]["creationTimestamp"] = "2026-11-20T07:00:00Z"
    return made


def _environment(cluster: Cluster) -> dict[str, Any]:
    name = cluster.some("prod", "prod", "prod", "dev")
    spec = {"trustDomain": f"{name}.acme.example", "maxOverride": "4h"}
    if cluster.random.random() < 0.2:
        spec["enforceBy"] = cluster.some(*DAYS)
    return _object("Environment", name, spec)


def _unit(cluster: Cluster) -> dict[str, Any]:
    ceiling: dict[str, Any] = {"maxSensitivity": cluster.some(1, 2, 3)}
    if cluster.random.random() < 0.3:
        ceiling["maxBindingLife"] = cluster.some("30d", "90d")
    ceiling["suspendOverdue"] = cluster.some(True, False)
    return _object("BusinessUnit", cluster.some(*UNITS[:4]), {"ceiling": ceiling})


def _namespace(cluster: Cluster) -> dict[str, Any]:
    raw = _object("Namespace", cluster.some(*NAMESPACES), None)
    raw["apiVersion"] = "v1"
    unit = cluster.some(*UNITS, *["prod.payments"] * 6, None)
    raw["metadata"]["labels"] = {"featward.dev/business-unit": unit} if unit else {}
    return raw


def _workload(cluster: Cluster) -> dict[str, Any]:
    name = cluster.some(*ACCOUNTS)
    spec = {"businessUnit": cluster.some(*UNITS[:3]), "name": name}
    if cluster.random.random() < 0.2:
        spec["role"] = "ci"
    return _object("Workload", f"{name}-{cluster.some(1, 2)}", spec)


def _feature_set(cluster: Cluster) -> dict[str, Any]:
    workload = cluster.some(
        {"serviceAccount": "feast"}, {"serviceAccount": "feast"}, {"name": "feast"}
    )
    features = [
        {"name": name, "type": "double", "sensitivity": cluster.some(0, 1, 2, 3)}
        for name in cluster.sample(FEATURES, cluster.some(2, 5, 6, 6))
    ]
    port = 6566 if cluster.random.random() < 0.95 else 6567
    spec: dict[str, Any] = {
        "version": cluster.some("1.2.0", "1.2.0", "2.0.0"),
        "owner": {"team": "t", "contact": "c@acme.example"},
        "serving": {
            "workload": workload,
            "endpoints": [{"adapter": "feast-http/v1", "port": port}],
            "address": cluster.some("10.0.0.1:15443", "10.0.0.2:15443"),
        },
        "enforcement": {"mode": cluster.some("observe", "shadow", "enforce", "enforce")},
        "entities": [
            {"name": "driver_id", "type": "int64" if cluster.random.random() < 0.95 else "string"}
        ],
        "features": features,
    }
    if cluster.random.random() < 0.5:
        names = [one["name"] for one in features]
        spec["services"] = [{"name": "svc", "features": cluster.sample(names)}]
    if cluster.random.random() < 0.02:
        spec["misspelt"] = 1
    return _object("FeatureSet", cluster.some(*SETS), spec, cluster.some(*NAMESPACES[:2]))


def _binding(cluster: Cluster) -> dict[str, Any]:
    subjects = [
        {
            "serviceAccount": {
                "namespace": cluster.some(*NAMESPACES),
                "name": cluster.some(*ACCOUNTS),
            }
        },
        {"workload": {"businessUnit": cluster.some(*UNITS[:2]), "name": "api"}},
        {"businessUnit": cluster.some("prod.payments", "prod.payments", *UNITS[:3])},
        {"spiffeId": "spiffe://prod.acme.example/bu/payments/ns/sandbox/sa/api"},
        {"spiffeId": "spiffe://prod.acme.example/bu/risk/svc/api"},
    ]
    spec: dict[str, Any] = {
        "subjects": cluster.random.sample(subjects, cluster.some(1, 1, 1, 2)),
        "featureSet": {"name": cluster.some(*SETS)},
        "features": cluster.sample(FEATURES[: cluster.some(3, 6)]),
        "purpose": cluster.some("x", "y"),
        "expires": cluster.some(*DAYS),
    }
    if cluster.random.random() < 0.3:
        spec["featureSet"]["version"] = ">=1.2,<2"
    if cluster.random.random() < 0.15:
        spec["services"] = ["svc"]
    if cluster.random.random() < 0.3:
        spec["recertifyBy"] = cluster.some(*(day for day in DAYS if day <= spec["expires"]))
    if cluster.random.random() < 0.02:
        spec["misspelt"] = 1
    name = cluster.some("one", "two", "three")
    return _object("FeatureBinding", name, spec, cluster.some(*NAMESPACES[:2]))


def _approval(cluster: Cluster) -> dict[str, Any]:
    bindings = [one for one in cluster.documents() if isinstance(one.model, FeatureBinding)]
    digest, named = f"sha256:{'0' * 64}", {"namespace": "pricing", "name": "one"}
    if bindings:
        model = cluster.some(*bindings).model
        digest = binding_digest(model)
        named = {"namespace": model.metadata.namespace, "name": model.metadata.name}
    spec = {
        "binding": named,
        "bindingDigest": digest,
        "businessUnit": cluster.some("prod.payments", "prod.payments", *UNITS),
        "reason": "r",
        "expires": cluster.some(*DAYS),
    }
    return _object("GrantApproval", f"{named['namespace']}-{named['name']}", spec)


def _override(cluster: Cluster) -> dict[str, Any]:
    close = cluster.random.random() < 0.5
    namespace = cluster.some(*NAMESPACES[:2])
    targets = [
        {"featureSet": {"namespace": namespace, "name": cluster.some(*SETS)}},
        {"environment": "prod"},
    ]
    if close:
        targets.append({"binding": {"namespace": namespace, "name": cluster.some("one", "two")}})
    spec = {
        "action": "close" if close else "relax",
        "target": cluster.some(*targets),
        "reason": "r",
        "expires": cluster.some("2026-11-23T11:00:00Z", "2026-11-23T12:30:00Z"),
    }
    raw = _object("Override", cluster.some("first", "second"), spec)
    raw["metadata"]["creationTimestamp"] = "2026-11-23T10:00:00Z"
    return raw


_MAKERS = [
    _environment, _unit, _namespace, _workload, _feature_set, _binding, _approval, _override
]  # fmt: skip
_WEIGHTS = [0.5, 1, 2, 1, 6, 14, 3, 2]
_DELETED = {"Environment": 0.1, "Override": 0.6}
