"""featward in the cluster as an administrator installs it: images, `helm install`, and the platform's file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm

from chart_kit import CHART, LEAST, NAMESPACE, merged
from cluster.control_plane import ISSUER
from cluster.images import Image
from cluster.node import NODE
from cluster.pods import RESTRICTED, rolled_out, state_of
from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = ["ENVIRONMENT", "PLATFORM", "UNITS", "VALUES", "Release", "installed"]

ENVIRONMENT = LEAST["environments"][0]["name"]
UNITS = ("prod.payments", "prod.risk")
VALUES: dict[str, Any] = merged(
    LEAST,
    {
        # All of it shares two cores with a whole cluster.
        "operator": {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        "injection": {"cpuRequest": "10m", "memoryRequest": "32Mi"},
    },
)
PLATFORM: list[dict[str, Any]] = [
    {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": ENVIRONMENT},
        "spec": {
            "trustDomain": LEAST["environments"][0]["trustDomain"],
            "maxOverride": "4h",
            "clusters": [{"name": LEAST["cluster"], "issuer": ISSUER, "businessUnits": ["*"]}],
        },
    },
    *(
        {
            "apiVersion": "featward.dev/v1alpha1",
            "kind": "BusinessUnit",
            "metadata": {"name": unit},
            "spec": {"ceiling": {"maxSensitivity": 2}},
        }
        for unit in UNITS
    ),
]
_VOLUME = "/var/lib/featward-volume"
_SECONDS = 120.0


@dataclass(frozen=True)
class Release:
    """The chart, installed, and its CA and operators at work."""

    cluster: Cluster
    helm: helm.Config
    image: str
    demo: str

    def namespace(self, name: str, unit: str, **labels: str) -> None:
        """One of a business unit, for pods that fit `restricted`."""
        given = {"featward.dev/business-unit": unit} | labels
        self.cluster.namespace(name, RESTRICTED | given)

    def upgrade(self, chart: Path, values: Mapping[str, Any]) -> None:
        """Another chart or other values; returns when all that runs of it is the new one."""
        self.helm.upgrade(chart, "featward", dict(values), namespace=NAMESPACE)
        rolled_out(self.cluster, NAMESPACE, "featward-operator", _SECONDS)
        _wait_for_ca(self.cluster)


@contextmanager
def installed(
    cluster: Cluster,
    images: Sequence[tuple[str, Path]],
    values: Mapping[str, Any] = VALUES,
    platform: Sequence[Mapping[str, Any]] = tuple(PLATFORM),
) -> Iterator[Release]:
    """featward's image and the demo's, the chart by Helm, and the platform's file by `kubectl apply`."""
    for name, file in images:
        cluster.import_image(Image(name, file))
    _make_volume(cluster)
    cluster.namespace(NAMESPACE, RESTRICTED)
    admin = cluster.kubernetes.kubeconfig("helm", "system:masters")
    with helm.Config(kubeconfig_path=admin, namespace=NAMESPACE) as config:
        config.install(CHART, "featward", dict(values), namespace=NAMESPACE)
        _wait_for_kinds(cluster)
        cluster.apply(*platform)
        _wait_for_ca(cluster)
        rolled_out(cluster, NAMESPACE, "featward-operator", _SECONDS)
        (image, _), (demo, _) = images
        yield Release(cluster, config, image, demo)


def _make_volume(cluster: Cluster) -> None:
    """For the CA's claim: there is nobody here who makes volumes."""
    cluster.box.run("mkdir", "-p", _VOLUME)
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "featward"},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": _VOLUME},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }
    cluster.apply(volume)


def _wait_for_kinds(cluster: Cluster) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/environments.featward.dev"

    def established() -> bool:
        conditions = cluster.kubernetes.call("GET", crds)["status"].get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    wait_until(established, "the kinds are there", 20)


def _wait_for_ca(cluster: Cluster) -> None:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/featward-ca-{ENVIRONMENT}"

    def is_ready() -> bool:
        found = cluster.kubernetes.call("GET", path)
        status, newest = found["status"], found["metadata"]["generation"]
        seen = status.get("observedGeneration", 0) >= newest
        updated = status.get("currentRevision") == status.get("updateRevision")
        return bool(seen and updated and status.get("readyReplicas"))

    try:
        wait_until(is_ready, "the CA is ready", _SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state_of(cluster, NAMESPACE)}") from error
