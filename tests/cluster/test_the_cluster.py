"""The cluster of the tests itself: what tests of featward may rely on, and that it leaves nothing behind."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from cluster import machine
from cluster.fakes import ON_A_FAKE_NODE, add_fake_node
from cluster.images import BUSYBOX
from cluster.node import NODE
from cluster.running import Cluster
from cluster.waiting import wait_until
from kubernetes_programs import programs

pytestmark = pytest.mark.timeout(180, func_only=True)

# A user who is not root, no privileges, and no way to get them: what the standard `restricted` asks for.
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_SHARED = Path(__file__).parents[1] / "shared"


def _pod(name: str, script: str, **container: Any) -> dict[str, Any]:
    shell = {
        "name": "app",
        "image": BUSYBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [shell | container]},
    }


def _state(cluster: Cluster, namespace: str, pod: str) -> dict[str, Any]:
    found = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}")
    return dict(found)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _make(cluster: Cluster, namespace: str, *pods: dict[str, Any]) -> None:
    for pod in pods:
        cluster.kubernetes.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    names = [pod["metadata"]["name"] for pod in pods]
    wait_until(
        lambda: all(_is_ready(_state(cluster, namespace, name)) for name in names), f"{names} Ready"
    )


def test_two_pods_reach_each_other_by_service_name(cluster: Cluster, namespace: str) -> None:
    answering = "mkdir /tmp/www; echo hello >/tmp/www/index.html; httpd -f -p 8080 -h /tmp/www"
    _make(cluster, namespace, _pod("server", answering), _pod("client", "sleep 600"))
    service = {
        "metadata": {"name": "greeter"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    cluster.kubernetes.call("POST", f"/api/v1/namespaces/{namespace}/services", service)

    said = ""

    def heard() -> bool:
        nonlocal said
        ask = ("exec", "--namespace", namespace, "client", "--", "wget", "-q", "-O", "-")
        try:
            said = cluster.kubectl(*ask, "http://greeter")
        except AssertionError as error:
            said = str(error)
        return said == "hello\n"

    wait_until(heard, "the client hears the server", 20)


def test_a_pod_that_breaks_restricted_is_refused(cluster: Cluster, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    path = f"/api/v1/namespaces/{namespace}"
    cluster.kubernetes.call("PATCH", path, {"metadata": {"labels": labels}}, "merge-patch+json")

    status, answer = cluster.kubernetes.ask("POST", f"{path}/pods", _pod("root", "sleep 600"))
    assert status == 403
    assert "violates PodSecurity" in answer["message"]
    _make(cluster, namespace, _pod("nobody", "sleep 600", securityContext=_RESTRICTED))


def test_a_deleted_and_a_killed_container_come_back(cluster: Cluster, namespace: str) -> None:
    template = _pod("app", "sleep 600")
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    cluster.kubernetes.call("POST", path, deployment)

    def ready() -> list[str]:
        found = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return [one["metadata"]["name"] for one in found if _is_ready(one)]

    wait_until(ready, "a pod is there")
    (first,) = ready()
    # Again and again, for the kubelet makes whoever ends often wait.
    for times in (1, 2, 3):
        cluster.kill_container(namespace, first, "app")

        def restarts(times: int = times) -> bool:
            (container,) = _state(cluster, namespace, first)["status"]["containerStatuses"]
            return bool(container["restartCount"] == times and container["ready"])

        wait_until(restarts, f"it was started again {times} times", 15)
    cluster.kubernetes.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{first}")
    wait_until(lambda: set(ready()) - {first}, "another pod has taken its place")


def test_fake_nodes_take_fake_pods_and_no_others(fakes: Cluster, namespace: str) -> None:
    add_fake_node(fakes.kubernetes, "fake-1")
    pods = [_pod(f"fake-{number}", "") for number in range(50)]
    for pod in pods:
        pod["spec"] |= ON_A_FAKE_NODE
    _make(fakes, namespace, *pods, _pod("real", "sleep 600"))

    path = f"/api/v1/namespaces/{namespace}/pods"
    for pod in fakes.kubernetes.call("GET", path)["items"]:
        is_real = pod["metadata"]["name"] == "real"
        assert (pod["spec"]["nodeName"] == NODE) == is_real, "others may have fake nodes, too"
    assert fakes.kubectl("exec", "--namespace", namespace, "real", "--", "echo", "real") == "real\n"
    node = fakes.kubernetes.call("GET", f"/api/v1/nodes/{NODE}")
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.37.")
    fakes.kubernetes.call("DELETE", "/api/v1/nodes/fake-1")


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_nothing_of_the_cluster_is_left_on_the_machine(tmp_path: Path, *, killed: bool) -> None:
    before = _machine()
    holder = subprocess.Popen(
        [sys.executable, "-m", "cluster", "hold", tmp_path],
        env=os.environ | {"PYTHONPATH": str(_SHARED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        inside = os.readlink(f"/proc/{holder.stdout.readline().strip()}/ns/pid")
        name = (tmp_path / "box").read_text()
        _run_a_pod(tmp_path)
        # Nine programs, and for the pod three more.
        assert len(_processes(inside, name)) >= 12
        assert len(_folders_of(name)) > 10
        assert _machine() == before, "it is seen already while it runs"
        if killed:
            holder.send_signal(SIGKILL)
        else:
            holder.stdin.close()
    if killed:
        wait_until(lambda: not _processes(inside, name), "its processes are gone", 20)
        # What the kernel keeps for nobody is the next start's to remove, as every start does first of all.
        machine.remove_leftovers()
    assert not _processes(inside, name)
    assert not _folders_of(name)
    assert _machine() == before


def _run_a_pod(folder: Path) -> None:
    kubectl = programs("kubectl")["kubectl"]
    command = [str(kubectl), f"--kubeconfig={folder / 'admin-inline.kubeconfig'}"]

    apply = [*command, "apply", "--filename=-"]
    text = json.dumps(_pod("app", "sleep 600"))
    subprocess.run(apply, input=text, text=True, check=True, capture_output=True)
    wait = [*command, "wait", "pod", "app", "--for=condition=Ready", "--timeout=60s"]
    subprocess.run(wait, check=True, capture_output=True)


def _processes(inside: str, name: str) -> list[str]:
    """Those of the box's namespace, and those of containers, which have namespaces of their own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may have ended just now, or be one that even root may not look at.
        with suppress(OSError):
            ours = os.readlink(folder / "ns" / "pid") == inside
            if ours or name in (folder / "cgroup").read_text():
                found.append(folder.name)
    return found


def _folders_of(name: str) -> list[str]:
    """Its control groups and what it has on the disk."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    places = ("/sys/fs/cgroup", home / "featward" / "clusters")
    every = [folder for place in places for folder, _, _ in os.walk(place)]
    return [folder for folder in every if name in folder]


def _machine() -> dict[str, Any]:
    """What a cluster could change that the whole machine shares."""
    groups = [str(one) for one in _CGROUPS.glob("*/*") if "kube" in one.name or "k8s" in one.name]
    return {
        "mounts": Path("/proc/mounts").read_text(),
        "links": sorted(os.listdir("/sys/class/net")),
        "groups": sorted(groups),
        "settings": {name: Path("/proc/sys", name).read_text() for name in _SETTINGS},
        "folders": {name: sorted(os.listdir(name)) for name in _FOLDERS if Path(name).exists()},
    }


_CGROUPS = Path("/sys/fs/cgroup")
_SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
_FOLDERS = (
    "/etc",
    "/etc/cni",
    "/opt",
    "/run",
    "/run/netns",
    "/var/lib",
    "/var/lib/cni",
    "/var/log",
)
