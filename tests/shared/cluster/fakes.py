"""Nodes that are none, for tests of many pods: kwok says of their pods that they run, and nothing does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.box import Box
from cluster.control_plane import Inside
from cluster.init import ADDRESS
from kubernetes_kit import Kubernetes, _process
from kubernetes_programs import module_folder, programs

__all__ = ["ON_A_FAKE_NODE", "add_fake_node", "faking", "start_fakes"]

_SUBNET = "10.245.0.0/16"
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
_KEY, _FAKE = "kwok.x-k8s.io/node", "fake"
_TAINT = {"key": _KEY, "value": _FAKE, "effect": "NoSchedule"}
ON_A_FAKE_NODE: dict[str, Any] = {
    "nodeSelector": {_KEY: _FAKE},
    "tolerations": [{**_TAINT, "operator": "Equal"}],
}
"""What a pod's `spec` says to be put on one; others never are."""


def start_fakes(box: Box, inside: Inside) -> None:
    """Let fake nodes live; there are none yet."""
    kwok = programs("kwok")["kwok"]
    login = inside.kubeconfig("kwok", "kwok", "system:masters")
    box.start("kwok", kwok, *_arguments(inside.folder, login, ADDRESS))


@contextmanager
def faking(kubernetes: Kubernetes, folder: Path) -> Iterator[None]:
    """The same before a server without a box, for as long as the context lasts."""
    kwok = programs("kwok")["kwok"]
    login = kubernetes.kubeconfig("kwok", "system:masters")
    with _process(folder / "kwok.log", kwok, *_arguments(folder, login, "127.0.0.1")):
        yield


def _arguments(folder: Path, login: Path, node: str) -> list[str]:
    stages = folder / "stages.yaml"
    stages.write_text("\n---\n".join(file.read_text() for file in _stages()))
    return [
        f"--config={stages}",
        f"--kubeconfig={login}",
        # A real node is its kubelet's alone.
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={_KEY}={_FAKE}",
        f"--cidr={_SUBNET}",
        f"--node-ip={node}",
    ]


def add_fake_node(kubernetes: Kubernetes, name: str, pods: int = 1000) -> None:
    """A node with room for so many pods, which takes those alone that ask for one like it."""
    room = {"cpu": "1000", "memory": "1000Gi", "pods": str(pods)}
    body = {
        "metadata": {"name": name, "annotations": {_KEY: _FAKE}, "labels": {_KEY: _FAKE}},
        "spec": {"taints": [_TAINT]},
        "status": {"allocatable": room, "capacity": room},
    }
    kubernetes.call("POST", "/api/v1/nodes", body)


def _stages() -> list[Path]:
    """How nodes and pods go on from state to state, as kwok's own module has it."""
    root = module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"
    found = [file for stage in _STAGES for file in sorted((root / stage).glob("*.yaml"))]
    return [file for file in found if file.name != "kustomization.yaml"]
