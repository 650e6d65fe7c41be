"""The NetworkPolicy that closes a feature server's own port: it lets in to every other port of the pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from featward.errors import FeatwardError
from featward.kubectl.names import CONTAINER, SERVER

if TYPE_CHECKING:
    from featward.kubectl.exposure import Port

__all__ = ["closing_policy"]


def closing_policy(pod: Mapping[str, Any], ports: Iterable[Port]) -> dict[str, Any]:
    """For all pods with the sidecar of this one. What it closes are the ports of the feature server.

    Raises FeatwardError for a pod without a sidecar, whose callers would have no other way, and for one whose
    feature server's port is not known.
    """
    metadata = pod["metadata"]
    server = (metadata.get("labels") or {}).get(SERVER)
    if not server:
        raise FeatwardError(
            f"the pod {metadata['name']} has no label {SERVER}, so no sidecar takes callers in: have it"
            " injected as a server before its own port is closed"
        )
    judged = list(ports)
    closed = {(one.port, one.protocol) for one in judged if one.what == "feature-server"}
    if not closed:
        raise FeatwardError(
            f"no port of the pod {metadata['name']} is known as that of a feature server: have a FeatureSet"
            " name it in spec.serving.endpoints[].port"
        )
    open_ports = {(one.port, one.protocol) for one in judged} | _sidecars(pod)
    rules = [{"protocol": of, "port": port} for port, of in sorted(open_ports - closed)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{server}-featward-closed", "namespace": metadata["namespace"]},
        "spec": {
            "podSelector": {"matchLabels": {SERVER: server}},
            "policyTypes": ["Ingress"],
            # A rule without ports would be about all of them.
            "ingress": [{"ports": rules}] if rules else [],
        },
    }


def _sidecars(pod: Mapping[str, Any]) -> set[tuple[int, str]]:
    containers = pod["spec"].get("initContainers") or ()
    return {
        (port["containerPort"], port.get("protocol") or "TCP")
        for one in containers
        if one["name"] == CONTAINER
        for port in one.get("ports") or ()
    }
