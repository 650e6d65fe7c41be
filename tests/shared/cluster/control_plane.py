"""etcd, the API server, the controllers and the scheduler, inside a box."""

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.box import Box
from cluster.init import ADDRESS, API_PORT
from cluster.waiting import wait_until
from kubernetes_control import Authority, apiserver_arguments, etcd_arguments
from kubernetes_kit import Kubernetes

__all__ = [
    "ISSUER",
    "SERVER",
    "Inside",
    "api_server",
    "start_again",
    "start_api_server",
    "start_controllers",
]

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVER = f"https://{ADDRESS}:{API_PORT}"
_ETCD, _PEER = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
_READY_SECONDS = 120.0


@dataclass(frozen=True)
class Inside:
    """How programs inside the box find the API server, and as whom."""

    folder: Path
    authority: Authority

    def kubeconfig(self, name: str, user: str, group: str | None = None) -> Path:
        """A file with a new certificate."""
        certificate = self.authority.issue(name, user, group)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "t",
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
            "clusters": [
                {
                    "name": "t",
                    "cluster": {
                        "server": SERVER,
                        "certificate-authority": str(self.authority.file),
                    },
                }
            ],
            "users": [
                {
                    "name": "t",
                    "user": {
                        "client-certificate": str(certificate),
                        "client-key": str(certificate.with_suffix(".key")),
                    },
                }
            ],
        }
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file


def start_api_server(box: Box, inside: Inside, built: dict[str, Path]) -> None:
    """With its etcd; returns at once."""
    box.start("etcd", built["etcd"], *etcd_arguments(inside.folder, _ETCD, _PEER))
    box.start("kube-apiserver", built["kube-apiserver"], *_apiserver(inside))


def api_server(box: Box, inside: Inside) -> Kubernetes:
    """How to ask it from outside, when it is ready."""
    kubernetes = Kubernetes(inside.folder, inside.authority, box.port)
    wait_until(lambda: _ready(box, kubernetes), "the API server is ready", _READY_SECONDS)
    return kubernetes


def start_again(box: Box, kubernetes: Kubernetes) -> None:
    """The API server, after it was stopped; returns when it is ready."""
    box.restart("kube-apiserver")
    wait_until(lambda: _ready(box, kubernetes), "the API server is ready again", _READY_SECONDS)


def start_controllers(box: Box, inside: Inside, built: dict[str, Path]) -> None:
    """With the scheduler; returns at once."""
    arguments = {"kube-controller-manager": _controllers(inside), "kube-scheduler": []}
    for name, more in arguments.items():
        config = inside.kubeconfig(name, f"system:{name}")
        box.start(
            name,
            built[name],
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            *more,
        )


def _apiserver(inside: Inside) -> list[str]:
    folder, authority = inside.folder, inside.authority
    kubelets = authority.issue("kubelets", "kube-apiserver", "system:masters")
    return [
        *apiserver_arguments(folder, authority, _ETCD, ADDRESS, API_PORT, ISSUER),
        # PodSecurity is among the plugins that are on without a word; this one is not.
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-client-certificate={kubelets}",
        f"--kubelet-client-key={kubelets.with_suffix('.key')}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _controllers(inside: Inside) -> list[str]:
    authority = inside.authority
    return [
        "--use-service-account-credentials=true",
        f"--root-ca-file={authority.file}",
        f"--service-account-private-key-file={inside.folder / 'sa.key'}",
        f"--cluster-signing-cert-file={authority.file}",
        f"--cluster-signing-key-file={authority.file.with_suffix('.key')}",
    ]


def _ready(box: Box, kubernetes: Kubernetes) -> bool:
    box.check("etcd")
    box.check("kube-apiserver")
    try:
        return kubernetes.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False
