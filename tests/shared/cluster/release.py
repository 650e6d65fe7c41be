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
from featward_ca.settings import embedded_file

__all__ = ["ENVIRONMENTS", "PLATFORM", "QUICK", "UNITS", "VALUES", "Release", "installed"]

QUICK = "quick"
"""The environment whose SVIDs live half a minute: its rotations wait no longer for pods that are gone."""
ENVIRONMENTS: dict[str, str] = {"prod": "1h", QUICK: "30s"}
"""Each with the life of its SVIDs."""
UNITS = tuple(f"{name}.{unit}" for name in ENVIRONMENTS for unit in ("payments", "risk"))
VALUES: dict[str, Any] = merged(
    LEAST,
    {
        "environments": [
            *LEAST["environments"],
            {
                "name": QUICK,
                "trustDomain": f"{QUICK}.acme.example",
                "ca": {"extraArgs": ["--unsafe-short-lives"]},
            },
        ],
        # All of it shares two cores with a whole cluster.
        "operator": {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        "injection": {"memoryRequest": "32Mi"},
    },
)
PLATFORM: list[dict[str, Any]] = [
    *(
        {
            "apiVersion": "featward.dev/v1alpha1",
            "kind": "Environment",
            "metadata": {"name": name},
            "spec": {
                "trustDomain": f"{name}.acme.example",
                "svidTTL": life,
                "maxOverride": "4h",
                "clusters": [{"name": LEAST["cluster"], "issuer": ISSUER, "businessUnits": ["*"]}],
            },
        }
        for name, life in ENVIRONMENTS.items()
    ),
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
_VOLUMES = "/var/lib/featward-volumes"
_SECONDS = 120.0


@dataclass(frozen=True)
class Release:
    """The chart, installed, and its CAs and operators at work."""

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
        for environment in values["environments"]:
            _wait_for_ca(self.cluster, environment["name"])

    def store(self, environment: str) -> Path:
        """The file with all that a CA knows, inside of the box."""
        return embedded_file(Path(_VOLUMES, environment, environment))


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
    environments = [one["name"] for one in values["environments"]]
    for environment in environments:
        _make_volume(cluster, environment)
    cluster.namespace(NAMESPACE, RESTRICTED)
    admin = cluster.kubernetes.kubeconfig("helm", "system:masters")
    with helm.Config(kubeconfig_path=admin, namespace=NAMESPACE) as config:
        config.install(CHART, "featward", dict(values), namespace=NAMESPACE)
        _wait_for_kinds(cluster)
        cluster.apply(*platform)
        for environment in environments:
            _wait_for_ca(cluster, environment)
        rolled_out(cluster, NAMESPACE, "featward-operator", _SECONDS)
        (image, _), (demo, _) = images
        yield Release(cluster, config, image, demo)


def _make_volume(cluster: Cluster, environment: str) -> None:
    """For the claim of this environment's CA: there is nobody here who makes volumes."""
    folder = f"{_VOLUMES}/{environment}"
    cluster.box.run("mkdir", "-p", folder)
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    claim = {"namespace": NAMESPACE, "name": f"data-featward-ca-{environment}-0"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"featward-{environment}"},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim},
            "local": {"path": folder},
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


def _wait_for_ca(cluster: Cluster, environment: str) -> None:
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/featward-ca-{environment}"

    def is_ready() -> bool:
        found = cluster.kubernetes.call("GET", path)
        status, newest = found["status"], found["metadata"]["generation"]
        seen = status.get("observedGeneration", 0) >= newest
        updated = status.get("currentRevision") == status.get("updateRevision")
        return bool(seen and updated and status.get("readyReplicas"))

    try:
        wait_until(is_ready, f"the CA of {environment} is ready", _SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state_of(cluster, NAMESPACE)}") from error
