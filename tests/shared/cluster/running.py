"""The whole cluster, started and stopped."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster import control_plane, dns, machine, node
from cluster.box import Box, open_box
from cluster.control_plane import Inside, api_server, start_api_server, start_controllers
from cluster.dns import start_dns, wait_for_dns
from cluster.images import BUSYBOX, Image, busybox_layer, write_image
from cluster.node import (
    import_image,
    kill_container,
    start_node,
    start_runtime,
    tag_image,
    wait_for_node,
)
from cluster.waiting import wait_until
from kubernetes_control import Authority
from kubernetes_kit import Kubernetes
from kubernetes_programs import programs

__all__ = ["PROGRAMS", "Cluster", "running_cluster"]

PROGRAMS = (*control_plane.PROGRAMS, *node.PROGRAMS, *dns.PROGRAMS, "kubectl")
_FOREVER = "2147483647"


@dataclass
class Cluster:
    """`kubernetes` asks the API server as administrator, `box` has the programs, `kubeconfig` is for others'
    tools; `took` says how many seconds each step of the start has taken.
    """

    kubernetes: Kubernetes
    box: Box
    inside: Inside
    kubeconfig: Path
    kubectl_program: Path
    took: dict[str, float] = field(default_factory=dict)

    def kubectl(self, *arguments: str, text: str = "", seconds: float = 60.0) -> str:
        """What it says; fails with its complaint where it fails."""
        done = subprocess.run(
            [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Make these objects, or make them so."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("apply", "--filename=-", text=text)

    def import_image(self, image: Image) -> None:
        """Let pods use it."""
        import_image(self.box, image)

    def tag_image(self, name: str, another: str) -> None:
        """Let pods name it so, too."""
        tag_image(self.box, name, another)

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace that pods can be made in."""
        body = {"metadata": {"name": name, "labels": dict(labels or {})}}
        self.kubernetes.call("POST", "/api/v1/namespaces", body)
        _wait_for_account(self.kubernetes, name)

    def kill_container(self, namespace: str, pod: str, container: str) -> None:
        """Its first process, from outside, as the kernel would: it is told nothing."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        states = self.kubernetes.call("GET", path)["status"]["containerStatuses"]
        (which,) = [one["containerID"] for one in states if one["name"] == container]
        kill_container(self.box, which.removeprefix("containerd://"))


@contextmanager
def running_cluster(folder: Path, *, keep: bool = False) -> Iterator[Cluster]:
    """A cluster with its node Ready, until the context or this process ends; certificates and logs are
    in `folder`, which stays. With `keep` it goes on until its box's process is killed.
    """
    machine.require()
    built = programs(*PROGRAMS)
    took: dict[str, float] = {}
    began = time.monotonic()

    def done(step: str) -> None:
        took[step] = time.monotonic() - began - sum(took.values())

    with open_box(folder, keep=keep) as box:
        inside = Inside(folder, Authority(folder))
        start_api_server(box, inside, built)
        start_runtime(box, folder, _images(folder))
        done("containerd")
        kubernetes = api_server(box, inside)
        done("API server")
        start_controllers(box, inside, built)
        start_node(box, inside, built)
        start_dns(box, inside, built)
        wait_for_node(box, kubernetes)
        wait_for_dns(box)
        _wait_for_account(kubernetes, "default")
        done("node")
        kubeconfig = kubernetes.kubeconfig("admin", "system:masters", inline=True)
        yield Cluster(kubernetes, box, inside, kubeconfig, built["kubectl"], took)


def _wait_for_account(kubernetes: Kubernetes, namespace: str) -> None:
    """Without it no pod can be made there; a controller makes it in its own time."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    wait_until(lambda: kubernetes.ask("GET", path)[0] == 200, f"{namespace} has its account")


def _images(folder: Path) -> list[Image]:
    layer = busybox_layer()
    return [
        write_image(folder / "pause.tar", "localhost/pause:1", ["sleep", _FOREVER], layer),
        write_image(folder / "busybox.tar", BUSYBOX, ["sh"], layer),
    ]
