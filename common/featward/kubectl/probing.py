"""Dials the ports of pods from a short pod of its own: what NetworkPolicies say and what the network does are
two things, and only a pod sees the second one.

The pod is of the image that the sidecars run, asks for nothing, has no token and fits Pod Security's
`restricted`. It is deleted when it has spoken, and ends by itself after `LIFE_SECONDS` where we can't do that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featward.errors import FeatwardError
from featward.kubectl.dial import Answer
from featward.kubectl.names import CONTAINER
from featward.kubernetes.errors import ApiError
from featward.kubernetes.resource import PODS

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster
    from featward.kubectl.exposed import Exposed
    from featward.kubectl.exposure import Port

__all__ = ["LIFE_SECONDS", "Dialled", "address_of", "probe_pod", "probed"]

LIFE_SECONDS = 60
_LOOK_SECONDS = 0.5
_NAME = "featward-probe-"
_NO_USER = 65532
# The one interpreter of the image (images/Containerfile).
_COMMAND = ("python3.11", "-P", "-m", "featward.kubectl.dial")


@dataclass(frozen=True, slots=True)
class Dialled:
    """What the ports of some pods said, by `address_of`, to a pod of the namespace ``origin``."""

    origin: str
    answers: dict[str, Answer]

    def of(self, pod: Any, port: Port) -> Answer | None:
        """Of one port; None where it was not dialled."""
        return self.answers.get(address_of(pod, port)) if port.protocol == "TCP" else None


def address_of(pod: Any, port: Port) -> str:
    """``host:port`` of a pod, an IPv6 host in brackets; with an empty host where it has no address yet."""
    host = (pod.get("status") or {}).get("podIP") or ""
    return f"[{host}]:{port.port}" if ":" in host else f"{host}:{port.port}"


async def probed(cluster: Cluster, found: Iterable[Exposed], origin: str | None) -> Dialled:
    """Dial every TCP port of these from a pod in the namespace ``origin``, without it in that of the first.

    Raises FeatwardError where there is nothing to dial or the pod does not start, and ApiError.
    """
    pods = [one for one in found if (one.pod.get("status") or {}).get("podIP")]
    addresses = [
        address_of(one.pod, port) for one in pods for port in one.ports if port.protocol == "TCP"
    ]
    if not addresses:
        raise FeatwardError("there is nothing to dial: no pod here with a port has an address")
    first = pods[0].pod
    where = origin or first["metadata"]["namespace"]
    body = probe_pod(_sidecar(pods), addresses, _pull_secrets(first, where))
    made = await cluster.gateway.ask("POST", PODS.path(where), body)
    path = PODS.path(where, made["metadata"]["name"])
    try:
        said = await _last_word(cluster, path)
    finally:
        await _delete(cluster, path)
    return Dialled(where, {address: Answer(word) for address, word in said.items()})


def probe_pod(image: str, addresses: list[str], pull_secrets: list[Any]) -> dict[str, Any]:
    """The pod that dials these."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": _NAME, "labels": {"app.kubernetes.io/name": "featward-probe"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": pull_secrets,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _NO_USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "command": list(_COMMAND),
                    "args": addresses,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "64Mi"},
                    },
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }


def _sidecar(pods: Iterable[Exposed]) -> str:
    for one in pods:
        for container in one.pod["spec"].get("initContainers") or ():
            if container["name"] == CONTAINER:
                return str(container["image"])
    raise FeatwardError(
        "the probe runs the image of a pod's sidecar, and no pod here has one: name a pod that has"
    )


def _pull_secrets(pod: Any, where: str) -> list[Any]:
    """Secrets are of a namespace; in another one the nodes have the image, or its own account may pull it."""
    same = pod["metadata"]["namespace"] == where
    return list(pod["spec"].get("imagePullSecrets") or ()) if same else []


async def _last_word(cluster: Cluster, path: str) -> dict[str, str]:
    for _ in range(int(LIFE_SECONDS / _LOOK_SECONDS)):
        pod = await cluster.gateway.ask("GET", path)
        if pod["status"].get("phase") == "Succeeded":
            said: dict[str, str] = await cluster.gateway.ask("GET", f"{path}/log")
            return said
        if pod["status"].get("phase") == "Failed":
            break
        await asyncio.sleep(_LOOK_SECONDS)
    raise FeatwardError(
        f"the pod that should dial said nothing within {LIFE_SECONDS} s: {_why(pod['status'])}"
    )


def _why(status: Any) -> str:
    """Why it does not run, as the scheduler or the kubelet says it."""
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        told = state.get("waiting") or state.get("terminated") or {}
        if told.get("reason"):
            return f"{told['reason']}: {told.get('message') or 'no more is known'}"
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return str(condition["message"])
    return f"it is {status.get('phase', 'unknown')}"


async def _delete(cluster: Cluster, path: str) -> None:
    try:
        await cluster.gateway.ask("DELETE", path, {"gracePeriodSeconds": 0})
    except ApiError as error:
        if error.status != 404:
            cluster.unread.append(f"the pod of the probe stays ({path}): {error}")
