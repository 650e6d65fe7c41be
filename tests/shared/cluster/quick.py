"""In the environment of short lives: a Feast of one business unit, and an app of the same and one of another
that ask it all the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.feasts import ACCOUNT, binding, feast, feature_set, served_by
from cluster.pods import rolled_out
from cluster.release import QUICK, Release
from cluster.traffic import App, asks_steadily
from featward.manifests.digest import binding_digest
from featward.manifests.document import Document
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.objects import document_of

__all__ = ["OTHER", "UNIT", "Quick", "make_quick"]

UNIT, OTHER = f"{QUICK}.payments", f"{QUICK}.risk"
_SERVERS, _OWN, _OTHERS = f"{QUICK}-ml", f"{QUICK}-pricing", f"{QUICK}-risk"
_SET, _COLUMN = "driver-stats", "conv_rate"
_VARIABLE = "FEATWARD_QUICK_ML_DRIVER_STATS_URL"


@dataclass(frozen=True)
class Quick:
    """`own` is an app of `UNIT`, as the server is, and `other` one of `OTHER`, by an approved grant."""

    own: App
    other: App
    servers: str = _SERVERS
    clients: str = _OWN
    binding: str = "pricing-api"

    @property
    def apps(self) -> tuple[App, App]:
        """Both."""
        return self.own, self.other


def make_quick(release: Release) -> Quick:
    """Make them, and return when all are Ready."""
    cluster = release.cluster
    for name, unit in ((_SERVERS, UNIT), (_OWN, UNIT), (_OTHERS, OTHER)):
        release.namespace(name, unit)
    granted, across = _granted(_OWN, "pricing-api"), _granted(_OTHERS, "risk-api")
    approval = _approval(across)
    cluster.apply(feature_set(_SERVERS, _SET, served_by(ACCOUNT)), granted, across, approval)
    cluster.apply(*feast(_SERVERS, release.demo))
    apps = {"pricing-api": _OWN, "risk-api": _OTHERS}
    for name, namespace in apps.items():
        named = f"{_SERVERS}/{_SET}"
        made = asks_steadily(namespace, name, release.image, named, _VARIABLE, _COLUMN)
        cluster.apply(*made)
    rolled_out(cluster, _SERVERS, "feast", 240)
    for name, namespace in apps.items():
        rolled_out(cluster, namespace, name)
    own, other = (App(cluster, namespace, name) for name, namespace in apps.items())
    return Quick(own, other)


def _granted(namespace: str, account: str) -> dict[str, Any]:
    subject = {"serviceAccount": {"namespace": namespace, "name": account}}
    return binding(_SERVERS, account, _SET, subject, _COLUMN)


def _approval(of: Mapping[str, Any]) -> dict[str, Any]:
    """The consent of the server's unit to a grant to another one."""
    document = document_of(of)
    assert isinstance(document, Document), document
    assert isinstance(document.model, FeatureBinding)
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "GrantApproval",
        "metadata": {"name": of["metadata"]["name"]},
        "spec": {
            "binding": {key: of["metadata"][key] for key in ("namespace", "name")},
            "bindingDigest": binding_digest(document.model),
            "businessUnit": UNIT,
            "reason": "fraud scores need it",
            "expires": of["spec"]["expires"],
        },
    }
