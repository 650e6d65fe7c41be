"""The one node: containerd, the kubelet and kube-proxy."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cluster.box import Box
from cluster.control_plane import Inside
from cluster.images import Image
from cluster.init import ADDRESS, BRIDGE, RESOLV_CONF, SUBNET
from cluster.machine import CNI
from cluster.waiting import wait_until
from kubernetes_kit import Kubernetes

__all__ = [
    "DOMAIN",
    "NODE",
    "import_image",
    "kill_container",
    "start_node",
    "start_runtime",
    "tag_image",
    "wait_for_node",
]

PROGRAMS = ("kubelet", "kube-proxy")
NODE = "node-1"
DOMAIN = "cluster.local"
_SOCKET = "/run/containerd/containerd.sock"
_PAUSE = "localhost/pause:1"
_READY_SECONDS = 60.0


def start_runtime(box: Box, folder: Path, images: list[Image]) -> None:
    """containerd, with these images, one of which is `localhost/pause:1`."""
    (folder / "cni").mkdir()
    _write(folder / "cni" / "10-pods.conflist", _pod_network())
    (folder / "containerd.toml").write_text(_containerd(folder))
    box.start("containerd", "containerd", "-c", str(folder / "containerd.toml"))
    wait_until(lambda: _answers(box), "containerd answers")
    for image in images:
        import_image(box, image)


def start_node(box: Box, inside: Inside, built: dict[str, Path]) -> None:
    """The kubelet and kube-proxy; returns at once."""
    folder = inside.folder
    node = inside.kubeconfig("node", f"system:node:{NODE}", "system:nodes")
    _write(folder / "kubelet.json", _kubelet(box, inside))
    box.start(
        "kubelet",
        built["kubelet"],
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={node}",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
    )
    _write(folder / "proxy.json", _proxy(inside.kubeconfig("proxy", "system:kube-proxy")))
    box.start("kube-proxy", built["kube-proxy"], f"--config={folder / 'proxy.json'}")


def wait_for_node(box: Box, kubernetes: Kubernetes) -> None:
    """Return when it is Ready."""
    wait_until(lambda: _is_ready(box, kubernetes), "the node is Ready", _READY_SECONDS)


def import_image(box: Box, image: Image) -> None:
    """From its file; pods then name it with `imagePullPolicy: IfNotPresent`, for there is no registry."""
    box.run("ctr", "-a", _SOCKET, "-n", "k8s.io", "images", "import", str(image.file), seconds=300)


def tag_image(box: Box, name: str, another: str) -> None:
    """Let an image that is there have another name as well."""
    box.run("ctr", "-a", _SOCKET, "-n", "k8s.io", "images", "tag", name, another)


def kill_container(box: Box, identity: str) -> None:
    """Kill its first process, which is told nothing before."""
    box.run("ctr", "-a", _SOCKET, "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", identity)


def _answers(box: Box) -> bool:
    box.check("containerd")
    with suppress(RuntimeError):
        box.run("ctr", "-a", _SOCKET, "version")
        return True
    return False


def _is_ready(box: Box, kubernetes: Kubernetes) -> bool:
    box.check("kubelet")
    status, node = kubernetes.ask("GET", f"/api/v1/nodes/{NODE}")
    conditions = node["status"].get("conditions", []) if status == 200 else []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _containerd(folder: Path) -> str:
    # Without CAP_SYS_RESOURCE, as in many containers, runc may not lower the score that the OOM killer reads.
    return f"""
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_PAUSE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI}"
    conf_dir = "{folder / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _pod_network() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": SUBNET}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _kubelet(box: Box, inside: Inside) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "address": ADDRESS,
        "port": 10250,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(inside.authority.file)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [ADDRESS],
        "clusterDomain": DOMAIN,
        "resolvConf": RESOLV_CONF,
        # Groups of its own, by whose name the next start finds them.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{box.ground.name}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "maxPods": 60,
        # Nothing is pulled anew, so nothing may be cleared away; and a full disk is the machine's business.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi"},
        # Else a container that a test kills again and again is started ever later.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "syncFrequency": "5s",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def _proxy(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NODE,
        "clusterCIDR": SUBNET,
        "bindAddress": ADDRESS,
        "healthzBindAddress": f"{ADDRESS}:10256",
        "metricsBindAddress": f"{ADDRESS}:10249",
        # Zero leaves alone what holds for the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))
