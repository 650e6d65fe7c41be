"""A real Kubernetes API server with its etcd, for tests: namespaces, service accounts, pods, tokens.

There are no controllers and no nodes: a pod is an object, which is all that a token is bound to.
One server serves the whole session; each test takes a namespace of its own.
"""

import base64
import contextlib
import http.client
import itertools
import json
import secrets
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from documented import blocks
from kubernetes_control import Authority, apiserver_arguments, etcd_arguments
from kubernetes_programs import programs

__all__ = ["ISSUER", "Kubernetes", "Pod", "running_kubernetes"]

ISSUER = "https://kubernetes.default.svc.eu1.acme.example"
_START_SECONDS = 120.0
_PAGE = Path(__file__).parents[2] / "docs" / "attestation.md"
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Pod:
    """A pod object, which tokens are bound to."""

    namespace: str
    name: str
    uid: str
    service_account: str


class Kubernetes:
    """The running server; `admin_kubeconfig` may do all, `ca_kubeconfig` what featward's CA needs."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        port: int,
        etcd: str = "",
        start: Callable[[], subprocess.Popen[bytes]] | None = None,
    ) -> None:
        """With the address of its etcd and with what starts it, it can be restarted and made to forget."""
        self._folder = folder
        self.authority = authority
        self._port = port
        self._etcd = etcd
        self._start = start
        self._names = itertools.count()
        self.role: dict[str, Any] = {}
        self._admin = authority.issue("admin", "admin", "system:masters")
        self.tls = ssl.create_default_context(cafile=authority.file)
        """What connects as the administrator."""
        self.tls.load_cert_chain(self._admin, self._admin.with_suffix(".key"))
        self.server = f"https://{_HOST}:{port}"

    def call(self, method: str, path: str, body: object = None, kind: str = "json") -> Any:
        """One request as the administrator; fails for any other status than success."""
        status, answer = self.ask(method, path, body, kind)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        kind: str = "json",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One request and its status."""
        connection = http.client.HTTPSConnection(_HOST, self._port, context=self.tls, timeout=30)
        try:
            sent = None if body is None else json.dumps(body)
            told = {"Content-Type": f"application/{kind}", **(headers or {})}
            connection.request(method, path, sent, told)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode(errors="replace")

    def start(self) -> None:
        """Start the API server, or end it and start it again: it has forgotten all that it had cached."""
        assert self._start is not None, "somebody else has started it"
        process = self._start()
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        log = (self._folder / "apiserver.log").read_text()
        raise AssertionError(f"kube-apiserver is not ready: {log[-2000:]}")

    def compact(self) -> None:
        """Have etcd forget every version of an object but the newest."""
        newest = self._etcd_call("range", {"key": base64.b64encode(b"/").decode()})
        revision = newest["header"]["revision"]
        self._etcd_call("compaction", {"revision": revision, "physical": True})

    def _etcd_call(self, what: str, body: dict[str, object]) -> Any:
        request = urllib.request.Request(  # noqa: S310  it is our own etcd on loopback
            f"{self._etcd}/v3/kv/{what}", json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  as above
            return json.load(answer)

    def kubeconfig(self, user: str, group: str | None = None, *, inline: bool = False) -> Path:
        """A kubeconfig for a user of this name, by files or with all of it inside."""
        certificate = self.authority.issue(user, user, group)
        parts = {
            "certificate-authority": self.authority.file,
            "client-certificate": certificate,
            "client-key": certificate.with_suffix(".key"),
        }
        said = {
            f"{key}-data" if inline else key: _base64(file) if inline else str(file)
            for key, file in parts.items()
        }
        authority = {key: value for key, value in said.items() if "authority" in key}
        return self._kubeconfig(
            f"{user}-{'inline' if inline else 'files'}",
            {key: value for key, value in said.items() if "client" in key},
            authority,
        )

    def kubeconfig_with_token(self, name: str, token_file: Path) -> Path:
        """A kubeconfig of a service account whose token is in a file."""
        authority = {"certificate-authority": str(self.authority.file)}
        return self._kubeconfig(name, {"tokenFile": str(token_file)}, authority)

    def _kubeconfig(self, name: str, user: dict[str, str], authority: dict[str, str]) -> Path:
        cluster = {"server": self.server, **authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "t",
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
            "clusters": [{"name": "t", "cluster": cluster}],
            "users": [{"name": "t", "user": user}],
        }
        file = self._folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def ca_kubeconfig(self) -> Path:
        """What docs/ca.md says the CA needs, and no more."""
        user = f"featward-ca-{next(self._names)}"
        self.grant(user)
        return self.kubeconfig(user)

    def grant(self, user: str, kind: str = "User", namespace: str | None = None) -> None:
        """Let somebody review tokens and read namespaces, by the role that docs/attestation.md has."""
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        if not self.role:
            (text,) = [one.text for one in blocks(_PAGE) if one.info == "rbac"]
            self.role = next(iter(yaml.safe_load_all(text)))
            self.call("POST", f"{rbac}/clusterroles", self.role)
        subject = {"kind": kind, "name": user} | ({"namespace": namespace} if namespace else {})
        name = self.role["metadata"]["name"]
        binding = {
            "metadata": {"name": f"reviews-{user}-{next(self._names)}"},
            "subjects": [subject],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
        }
        self.call("POST", f"{rbac}/clusterrolebindings", binding)

    def namespace(self, business_unit: str | None = None, name: str | None = None) -> str:
        """A new namespace, labelled as a business unit's."""
        name = name or f"pricing-{secrets.token_hex(4)}"
        labels = {"featward.dev/business-unit": business_unit} if business_unit else {}
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        return name

    def relabel(self, namespace: str, business_unit: str) -> None:
        """Say that a namespace is another business unit's."""
        labels = {"featward.dev/business-unit": business_unit}
        patch = {"metadata": {"labels": labels}}
        path = f"/api/v1/namespaces/{namespace}"
        self.call("PATCH", path, patch, "merge-patch+json")

    def pod(self, namespace: str, service_account: str = "pricing-api") -> Pod:
        """A pod with its service account, which is made if it is not there."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        status, answer = self.ask("POST", accounts, {"metadata": {"name": service_account}})
        assert status in (201, 409), answer
        body = {
            "metadata": {"generateName": f"{service_account}-"},
            "spec": {
                "serviceAccountName": service_account,
                "containers": [{"name": "app", "image": "localhost/app:1"}],
            },
        }
        metadata = self.call("POST", f"/api/v1/namespaces/{namespace}/pods", body)["metadata"]
        return Pod(namespace, metadata["name"], metadata["uid"], service_account)

    def delete(self, pod: Pod) -> None:
        """Remove a pod at once."""
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        self.call("DELETE", path, {"gracePeriodSeconds": 0})

    def token(self, pod: Pod, audience: str, seconds: int = 3600, *, bound: bool = True) -> str:
        """What the kubelet projects into the pod; not `bound`: a token of its service account."""
        reference = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
        spec: dict[str, object] = {"audiences": [audience], "expirationSeconds": seconds}
        if bound:
            spec["boundObjectRef"] = reference
        path = f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{pod.service_account}/token"
        answer = self.call("POST", path, {"spec": spec})
        return str(answer["status"]["token"])

    def reviews(self) -> int:
        """How many TokenReviews the server was asked for until now."""
        _, text = self.ask("GET", "/metrics")
        found = 0.0
        for line in text.splitlines():
            if line.startswith("apiserver_request_total") and 'resource="tokenreviews"' in line:
                found += float(line.rpartition(" ")[2])
        return int(found)


@contextmanager
def running_kubernetes(folder: Path) -> Iterator[Kubernetes]:
    """The server for as long as the context lasts."""
    built = programs("etcd", "kube-apiserver")
    authority = Authority(folder)
    client, peer, port = _free_ports(3)
    etcd = f"http://{_HOST}:{client}"
    arguments = [str(built["kube-apiserver"]), *_apiserver(folder, authority, etcd, port)]
    listening = etcd_arguments(folder, etcd, f"http://{_HOST}:{peer}")
    with _process(folder / "etcd.log", built["etcd"], *listening), ExitStack() as server:

        def start() -> subprocess.Popen[bytes]:
            server.close()
            return server.enter_context(_process(folder / "apiserver.log", *arguments))

        kubernetes = Kubernetes(folder, authority, port, etcd, start)
        kubernetes.start()
        yield kubernetes


def _apiserver(folder: Path, authority: Authority, etcd: str, port: int) -> list[str]:
    return [
        *apiserver_arguments(folder, authority, etcd, _HOST, port, ISSUER),
        "--endpoint-reconciler-type=none",  # it refuses to start on a loopback address with one
    ]


@contextmanager
def _process(log: Path, program: Path | str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> list[int]:
    """Free at this moment; all of them are held until all are known, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
