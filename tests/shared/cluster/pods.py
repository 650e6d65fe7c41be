"""Pods that fit Pod Security's `restricted`, and what has become of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = [
    "PYTHON",
    "RESTRICTED",
    "STAY",
    "container",
    "deployment",
    "is_ready",
    "pods",
    "rolled_out",
    "run_in",
    "state_of",
    "template",
]

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace."""
PYTHON = "/usr/bin/python3.11"
STAY = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15}); signal.sigwait({15})"
"""A program in Python that waits to be told to end."""
_GRACE_SECONDS = 3
_LINES = 25
_COUNTS = ("replicas", "updatedReplicas", "availableReplicas")


def container(name: str, image: str, *command: str, **more: Any) -> dict[str, Any]:
    """One without privileges, which may write to /tmp alone."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108  a container's own
        "volumeMounts": [{"name": "temporary", "mountPath": "/tmp"}],  # noqa: S108  a container's own
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        **more,
    }


def template(
    account: str,
    *containers: dict[str, Any],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Metadata and spec of pods of this service account."""
    return {
        "metadata": {"labels": dict(labels or {}), "annotations": dict(annotations or {})},
        "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": list(containers),
            "volumes": [{"name": "temporary", "emptyDir": {}}],
            **more,
        },
    }


def deployment(
    namespace: str, name: str, of: Mapping[str, Any], *, replicas: int = 1
) -> list[dict[str, Any]]:
    """A Deployment of such pods, after the service account that they name."""
    account = of["spec"]["serviceAccountName"]
    labels = {"app": name} | of["metadata"]["labels"]
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": namespace},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {**of, "metadata": {**of["metadata"], "labels": labels}},
            },
        },
    ]


def pods(cluster: Cluster, namespace: str, app: str = "") -> list[dict[str, Any]]:
    """Those of a namespace, or of one Deployment in it, that are not about to go."""
    query = f"?labelSelector=app%3D{app}" if app else ""
    found = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/pods{query}")["items"]
    return [one for one in found if "deletionTimestamp" not in one["metadata"]]


def is_ready(pod: Mapping[str, Any]) -> bool:
    """As the kubelet says."""
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def rolled_out(
    cluster: Cluster, namespace: str, name: str, seconds: float = 120.0
) -> list[dict[str, Any]]:
    """The pods of a Deployment, once all of them are Ready; fails with what they say."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"

    def done() -> bool:
        found = cluster.kubernetes.call("GET", path)
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = {status.get(name, 0) for name in _COUNTS}
        newest = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return bool(newest and counts == {wanted})

    try:
        wait_until(done, f"{namespace}/{name} is rolled out", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state_of(cluster, namespace)}") from error
    return pods(cluster, namespace, name)


def run_in(
    cluster: Cluster, pod: Mapping[str, Any], script: str, *arguments: str, within: str = "app"
) -> str:
    """A program in Python in one of its containers, and what it says."""
    where = pod["metadata"]
    command = ["exec", "--namespace", where["namespace"], where["name"], "--container", within]
    return cluster.kubectl(*command, "--", PYTHON, "-c", script, *arguments)


def state_of(cluster: Cluster, namespace: str) -> str:
    """All that is known of a namespace's pods, for whoever has to find out why they don't come up."""
    lines: list[str] = []
    for pod in cluster.kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]:
        status, name = pod["status"], pod["metadata"]["name"]
        lines.append(f"--- {name}: {status['phase']} {status.get('message', '')}")
        for one in _containers(status):
            lines.append(f"{one['name']}: ready {one['ready']}, {json.dumps(one['state'])}")
            lines += _log(cluster, namespace, name, one["name"])
    events = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    told = [one for one in events if one.get("type") == "Warning"]
    lines += [f"{one['involvedObject']['name']}: {one['message']}" for one in told[-_LINES:]]
    return "\n".join(lines)


def _containers(status: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _log(cluster: Cluster, namespace: str, pod: str, name: str) -> list[str]:
    ask = ("logs", "--namespace", namespace, pod, "--container", name, f"--tail={_LINES}")
    try:
        return [f"    {line}" for line in cluster.kubectl(*ask).splitlines()]
    except AssertionError:
        return []
