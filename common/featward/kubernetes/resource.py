"""Where kinds are in an API server, and how an object is called: paths and keys, without any I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

__all__ = [
    "BINDINGS",
    "BUSINESS_UNITS",
    "CONFIG_MAPS",
    "DEPLOYMENTS",
    "DISRUPTION_BUDGETS",
    "DOCUMENTS",
    "ENVIRONMENTS",
    "EVENTS",
    "FEATURE_SETS",
    "GRANT_APPROVALS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "OVERRIDES",
    "PODS",
    "SECRETS",
    "SERVICES",
    "SERVICE_ACCOUNTS",
    "WORKLOADS",
    "Key",
    "Resource",
    "key_of",
]

Key: TypeAlias = tuple[str, str]
"""Namespace and name; the namespace of what lives in none is empty."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as an API server serves it; the group of built-in kinds is empty."""

    group: str
    version: str
    plural: str
    namespaced: bool

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str = ""
    ) -> str:
        """The path of one object, or of all in a namespace or the cluster.

        >>> Resource("apps", "v1", "deployments", True).path("ml", "feast", "status")
        '/apis/apps/v1/namespaces/ml/deployments/feast/status'
        """
        steps = ["apis", self.group] if self.group else ["api"]
        steps.append(self.version)
        if self.namespaced and namespace:
            steps += ["namespaces", namespace]
        steps.append(self.plural)
        steps += [step for step in (name, subresource) if step]
        return "/" + "/".join(quote(step, safe="") for step in steps)

    def __str__(self) -> str:
        """``featuresets.featward.dev``, or ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def key_of(raw: Mapping[str, Any]) -> Key:
    """The key of an object as the server gives it."""
    metadata = raw["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _ours(plural: str, *, namespaced: bool) -> Resource:
    return Resource("featward.dev", "v1alpha1", plural, namespaced)


CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods", namespaced=True)
SECRETS = Resource("", "v1", "secrets", namespaced=True)
SERVICES = Resource("", "v1", "services", namespaced=True)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", namespaced=True)
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", namespaced=True)
EVENTS = Resource("events.k8s.io", "v1", "events", namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True)

ENVIRONMENTS = _ours("environments", namespaced=False)
BUSINESS_UNITS = _ours("businessunits", namespaced=False)
WORKLOADS = _ours("workloads", namespaced=False)
FEATURE_SETS = _ours("featuresets", namespaced=True)
BINDINGS = _ours("featurebindings", namespaced=True)
GRANT_APPROVALS = _ours("grantapprovals", namespaced=False)
OVERRIDES = _ours("overrides", namespaced=False)

DOCUMENTS: Mapping[str, Resource] = {
    "Environment": ENVIRONMENTS,
    "BusinessUnit": BUSINESS_UNITS,
    "Namespace": NAMESPACES,
    "Workload": WORKLOADS,
    "FeatureSet": FEATURE_SETS,
    "FeatureBinding": BINDINGS,
    "GrantApproval": GRANT_APPROVALS,
    "Override": OVERRIDES,
}
"""Of what policy is made, by kind: the platform's first, so that the sets that come later are somebody's."""
