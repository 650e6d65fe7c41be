"""Who reaches which port of protected pods, as the API server has them, and what closes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featward.kubectl.closing import closing_policy
from featward.kubectl.exposure import Listening, Port, judge, probes
from featward.kubectl.names import CONTAINER, SERVER
from featward.kubernetes.resource import FEATURE_SETS, PODS, SERVICES, Resource
from featward.manifests.document import Document
from featward.manifests.feature_set import FeatureSet
from featward.manifests.objects import document_of
from featward.manifests.text import day_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from featward.kubectl.cluster import Cluster
    from featward.kubectl.probing import Dialled
    from featward.manifests.feature_set import Accepted

__all__ = ["Exposed", "closing", "exposed"]

NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", namespaced=True)
# What may hold the same values, beside the pod, and is not ours to close.
_BEYOND = ("online-store", "offline-server", "registry", "ui")


@dataclass(frozen=True, slots=True)
class _Around:
    """What a pod is judged by."""

    services: list[Any]
    policies: list[Any]
    listening: list[Listening] | None
    accepted: tuple[Accepted, ...]
    upstreams: tuple[int, ...]
    now: float

    def judge(self, pod: Any, more: Sequence[Any] = ()) -> list[Port]:
        """With further policies."""
        policies = [*self.policies, *more]
        return judge(
            pod,
            self.listening,
            self.services,
            policies,
            self.accepted,
            now=self.now,
            upstreams=self.upstreams,
        )


@dataclass(frozen=True, slots=True)
class Exposed:
    """One pod. ``probes``: those of the kubelet that keep a port from being moved to loopback, by port."""

    pod: Any
    around: _Around
    sets: tuple[str, ...]
    ports: tuple[Port, ...]
    probes: dict[int, list[str]]
    beyond: tuple[tuple[str, str], ...]
    """What else may hold the same values, and what the owner says of it."""

    @property
    def name(self) -> str:
        """``namespace/name``."""
        return f"{self.pod['metadata']['namespace']}/{self.pod['metadata']['name']}"

    @property
    def has_sidecar(self) -> bool:
        """Whether a sidecar is in it."""
        containers = self.pod["spec"].get("initContainers") or ()
        return any(one["name"] == CONTAINER for one in containers)

    @property
    def knows_listening(self) -> bool:
        """Whether its sidecar says where it listens."""
        return self.around.listening is not None

    def as_json(self, dialled: Dialled | None = None) -> dict[str, Any]:
        """For programs."""
        return {
            "pod": self.name,
            "featureSets": list(self.sets),
            "sidecar": self.has_sidecar,
            "ports": [self._port_as_json(one, dialled) for one in self.ports],
            "beyond": [{"what": what, "says": says} for what, says in self.beyond],
        }

    def _port_as_json(self, port: Port, dialled: Dialled | None) -> dict[str, Any]:
        said = port.as_json()
        if found := self.probes.get(port.port):
            said["probes"] = found
        if dialled and (answer := dialled.of(self.pod, port)):
            said["dialled"] = {"from": dialled.origin, "result": answer.value}
        return said


async def exposed(cluster: Cluster, namespace: str, name: str | None, now: float) -> list[Exposed]:
    """Of one pod, or of all with a server's sidecar in a namespace. Raises FeatwardError and ApiError."""
    if name is not None:
        pods = [await cluster.pod(namespace, name)]
    else:
        listed = await cluster.listed(PODS, namespace)
        pods = [one for one in listed if SERVER in (one["metadata"].get("labels") or {})]
    services = await cluster.listed(SERVICES, namespace)
    policies = await cluster.listed(NETWORK_POLICIES, namespace)
    sets = await cluster.listed(FEATURE_SETS, namespace)
    return [_exposed(pod, services, policies, sets, now) for pod in pods]


def _exposed(
    pod: Any, services: list[Any], policies: list[Any], sets: list[Any], now: float
) -> Exposed:
    account = pod["spec"].get("serviceAccountName") or "default"
    serving = [one for one in sets if _account(one) == account]
    models = [found.model for one in serving if isinstance(found := document_of(one), Document)]
    specs = [one.spec for one in models if isinstance(one, FeatureSet)]
    accepted = tuple(one for spec in specs for one in spec.accepted)
    ports = [one.port for spec in specs for one in spec.serving.endpoints]
    upstreams = tuple(sorted({one for one in ports if one is not None}))
    around = _Around(services, policies, _listening(serving), accepted, upstreams, now)
    judged = tuple(around.judge(pod))
    probed = {one.port: calls for one in judged if (calls := probes(pod, one.port))}
    names = tuple(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in serving)
    return Exposed(pod, around, names, judged, probed, tuple(_beyond(judged, accepted, now)))


def _account(feature_set: Any) -> str | None:
    workload = feature_set["spec"]["serving"].get("workload") or {}
    return workload.get("serviceAccount")


def _listening(sets: Iterable[Any]) -> list[Listening] | None:
    """What the sidecars of these sets have seen, None where they say nothing."""
    said = [
        one
        for feature_set in sets
        for one in (feature_set.get("status") or {}).get("listening") or ()
    ]
    return [Listening(one["address"], one["port"]) for one in said] or None


def _beyond(
    judged: Iterable[Port], accepted: Iterable[Accepted], now: float
) -> Iterator[tuple[str, str]]:
    inside = {one.what for one in judged}
    for what in _BEYOND:
        if what in inside:
            continue
        mine = [one for one in accepted if one.what == what]
        last = max(mine, key=lambda one: one.until, default=None)
        if last is None:
            yield what, "nobody says who reaches it: spec.accepted of the FeatureSet is the place"
        elif now < day_after(last.until):
            yield what, f"accepted until {last.until}: {last.reason}"
        else:
            yield what, f"it was accepted until {last.until}: {last.reason}"


def closing(one: Exposed) -> tuple[dict[str, Any], list[str]]:
    """The policy for the pods of this server, and what whoever applies it should know. Raises FeatwardError."""
    policy = closing_policy(one.pod, one.ports)
    notes = [
        "it holds only where the cluster's network enforces NetworkPolicies, and not for the pod's node"
    ]
    for left in one.around.judge(one.pod, [policy]):
        if left.what == "feature-server" and left.state in ("open", "accepted"):
            notes.append(f"port {left.port} stays open in spite of it: {left.why}")
    return policy, notes
