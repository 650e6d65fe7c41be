"""One CustomResourceDefinition for each kind: its names, its schema, its columns, its status."""

from dataclasses import dataclass
from typing import Any

from featward.crds.columns import COLUMNS
from featward.crds.schema import Node, structural
from featward.crds.status import STATUS
from featward.manifests.document import CLUSTER_KINDS
from featward.manifests.model import API_VERSION, Namespaced

__all__ = ["GROUP", "VERSION", "Names", "definition", "names_of"]

GROUP, _, VERSION = API_VERSION.partition("/")

_SHORT_NAMES = {
    "Environment": "fenv",
    "BusinessUnit": "fbu",
    "Workload": "fwl",
    "FeatureSet": "fset",
    "FeatureBinding": "fbind",
    "GrantApproval": "fga",
    "Override": "fov",
}
# `kubectl get fbind --field-selector spec.featureSet.name=driver-stats`
_SELECTABLE = {
    "FeatureSet": (".spec.owner.team",),
    "FeatureBinding": (".spec.featureSet.name",),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What a kind is called by an API server and by kubectl."""

    kind: str
    short: str
    namespaced: bool

    @property
    def singular(self) -> str:
        """As in `kubectl explain featureset`."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """As in URLs and in RBAC."""
        return f"{self.singular}s"

    @property
    def crd(self) -> str:
        """The name of its definition."""
        return f"{self.plural}.{GROUP}"


def names_of(kind: str) -> Names:
    """The names of a kind that has a CRD."""
    metadata = CLUSTER_KINDS[kind].model_fields["metadata"].annotation
    namespaced = isinstance(metadata, type) and issubclass(metadata, Namespaced)
    return Names(kind, _SHORT_NAMES[kind], namespaced)


def definition(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, as JSON."""
    names = names_of(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": names.crd,
            # Removing a definition removes all of its objects; whoever uninstalls a chart seldom means that.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": names.plural,
                "singular": names.singular,
                "shortNames": [names.short],
                "categories": ["featward"],
            },
            "scope": "Namespaced" if names.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def _version(kind: str) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema(kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.as_json() for column in COLUMNS[kind]],
    }
    if kind in _SELECTABLE:
        version["selectableFields"] = [{"jsonPath": path} for path in _SELECTABLE[kind]]
    return version


def _schema(kind: str) -> Node:
    """The kind's, with its status, and of its metadata the name alone: the rest is Kubernetes' own."""
    schema = structural(CLUSTER_KINDS[kind])
    inside = schema["properties"]
    name = inside["metadata"]["properties"]["name"]
    # The server knows these three by itself, and lets nobody say more about them.
    schema["required"] = [key for key in schema["required"] if key == "spec"]
    if not schema["required"]:
        del schema["required"]
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": name}},
        "spec": inside["spec"],
        "status": structural(STATUS[kind]),
    }
    return schema


KINDS: tuple[str, ...] = tuple(_SHORT_NAMES)
"""Every kind that has a CRD: all but Namespace, which is Kubernetes' own."""
