"""Whether this cluster has native sidecars: a server that has never heard of them drops the field silently, and
the sidecar would be an init container for which the pod waits for ever.
"""

import re
from collections.abc import Iterable
from typing import Any

from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import NODES

__all__ = ["LOOK_SECONDS", "ask_age", "too_old"]

LOOK_SECONDS = 600.0
"""How often to look: nodes come and go."""

_SERVER = (1, 33)
_KUBELET = (1, 29)
_VERSION = re.compile(r"v?(?P<major>[0-9]+)\.(?P<minor>[0-9]+)")


def too_old(server: str, kubelets: Iterable[tuple[str, str]]) -> str:
    """A sentence that says what is too old, empty where nothing is. ``kubelets``: node and version."""
    if _parsed(server) < _SERVER:
        return f"the API server is {server}"
    behind = sorted(name for name, version in kubelets if _parsed(version) < _KUBELET)
    if not behind:
        return ""
    others = f" and {len(behind) - 1} more" if len(behind) > 1 else ""
    return f"the kubelet of node {behind[0]}{others} is older than 1.29"


async def ask_age(gateway: Gateway) -> str:
    """The same about this cluster. Raises ApiError."""
    version: dict[str, Any] = await gateway.ask("GET", "/version")
    kubelets: list[tuple[str, str]] = []
    more = ""
    while True:
        query = [("limit", "100"), *([("continue", more)] if more else [])]
        page = await gateway.ask("GET", NODES.path(), query=query)
        for node in page.get("items") or ():
            info = (node.get("status") or {}).get("nodeInfo") or {}
            kubelets.append((node["metadata"]["name"], info.get("kubeletVersion") or ""))
        more = page["metadata"].get("continue") or ""
        if not more:
            return too_old(str(version.get("gitVersion")), kubelets)


def _parsed(version: str) -> tuple[int, int]:
    """What can't be read is new: a kubelet of somebody's own counting must not stop a cluster."""
    found = _VERSION.match(version)
    return (int(found["major"]), int(found["minor"])) if found else _SERVER
