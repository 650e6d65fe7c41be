"""Who leads the operators, and what becomes of them."""

import time
from typing import Any

from chart_kit import NAMESPACE
from cluster.pods import pods
from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = ["OPERATORS", "holder", "kill_leader", "leader_after", "operators", "restarts"]

OPERATORS = "featward-operator"
"""The Deployment, and the Lease."""
_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{OPERATORS}"
_SELECTOR = "app.kubernetes.io/component"


def operators(cluster: Cluster) -> list[dict[str, Any]]:
    """The pods."""
    return [
        one
        for one in pods(cluster, NAMESPACE)
        if one["metadata"]["labels"].get(_SELECTOR) == "operator"
    ]


def holder(cluster: Cluster) -> str:
    """Who leads: the name of the pod, `_`, and what no process before it has had."""
    spec = cluster.kubernetes.call("GET", _LEASE)["spec"]
    return str(spec.get("holderIdentity") or "")


def kill_leader(cluster: Cluster) -> tuple[str, float]:
    """By SIGKILL, from outside of its container; who it was, and when, on a clock that nobody sets."""
    who = holder(cluster)
    assert who, "nobody leads"
    killed_at = time.monotonic()
    cluster.kill_container(NAMESPACE, who.partition("_")[0], "operator")
    return who, killed_at


def leader_after(cluster: Cluster, before: str, seconds: float = 40.0) -> tuple[str, float]:
    """Wait for another one to lead; who it is, and when."""
    wait_until(lambda: holder(cluster) not in ("", before), f"somebody follows {before}", seconds)
    return holder(cluster), time.monotonic()


def restarts(cluster: Cluster, namespace: str = NAMESPACE) -> dict[str, int]:
    """How often the containers of each pod were started again."""
    found = {}
    for pod in pods(cluster, namespace):
        for one in pod["status"].get("containerStatuses", ()):
            found[f"{pod['metadata']['name']}/{one['name']}"] = one["restartCount"]
    return found
