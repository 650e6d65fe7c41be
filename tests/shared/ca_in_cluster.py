"""A CA whose manifests, key and bundle are in a real API server, with the rights that the page gives it."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import yaml

from crd_kit import apply, collection
from documented import blocks
from featward.authority.v1 import authority_pb2_grpc
from featward_ca.clock import SystemClock
from featward_ca.cluster.names import ObjectName
from featward_ca.server import Addresses, running
from featward_ca.settings import ServeSettings
from kubernetes_kit import ISSUER, Kubernetes

__all__ = ["Started", "World", "a_world", "eventually"]

_PAGE = Path(__file__).parents[2] / "docs" / "operations" / "ca-in-a-cluster.md"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> float:
    """Wait until it holds; how long that took."""
    began = time.monotonic()
    while not await check():
        assert time.monotonic() - began < seconds, f"not so within {seconds} s"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Started:
    """A running CA."""

    addresses: Addresses
    admin: authority_pb2_grpc.AuthorityServiceStub


@dataclass
class World:
    """An environment of its own in the one server, whose objects go with it."""

    kubernetes: Kubernetes
    folder: Path
    namespace: str
    environment: str = field(default_factory=lambda: f"e{secrets.token_hex(4)}")
    port: int = 0
    _made: list[tuple[str, str]] = field(default_factory=list)

    @property
    def trust_domain(self) -> str:
        return f"{self.environment}.acme.example"

    def apply(self, kind: str, name: str, spec: dict[str, Any] | None = None) -> None:
        """Write an object."""
        tree = {
            "apiVersion": "featward.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec or {},
        }
        status, answer = apply(self.kubernetes, tree, "tests", force=True)
        assert status in (200, 201), answer
        self._made.append((kind, name))

    def apply_environment(self, **spec: Any) -> None:
        """The one that the CA waits for."""
        cluster = {"name": "eu1", "issuer": ISSUER}
        self.apply(
            "Environment",
            self.environment,
            {"trustDomain": self.trust_domain, "clusters": [cluster]} | spec,
        )

    def apply_workload(self, name: str, unit: str = "payments") -> None:
        """One that a join token can be made for."""
        spec = {"businessUnit": f"{self.environment}.{unit}", "name": name}
        self.apply("Workload", f"{self.environment}-{name}", spec)

    def delete(self, kind: str, name: str) -> None:
        self.kubernetes.ask("DELETE", f"{collection(kind)}/{name}")

    def clear(self) -> None:
        for kind, name in self._made:
            self.delete(kind, name)

    def object(self, name: str) -> ObjectName:
        """One of the names that the page gives rights to, in this world's namespace."""
        return ObjectName("eu1", self.namespace, name)

    def login(self) -> Path:
        """What the page says that the CA may do, and no more."""
        file = self.folder / "ca.kubeconfig"
        if file.exists():
            return file
        (text,) = [one.text for one in blocks(_PAGE) if one.info == "ca-in-a-cluster"]
        for tree in yaml.safe_load_all(text):
            self._grant(tree)
        account = f"system:serviceaccount:{self.namespace}:featward-ca"
        # Beside colons in it, a path would be several.
        file.write_text(self.kubernetes.kubeconfig(account).read_text())
        return file

    def _grant(self, tree: dict[str, Any]) -> None:
        for subject in tree.get("subjects", ()):
            subject["namespace"] = self.namespace
        inside = ""
        if tree["metadata"].get("namespace"):
            tree["metadata"]["namespace"] = self.namespace
            inside = f"/namespaces/{self.namespace}"
        else:
            tree["metadata"]["name"] += f"-{self.environment}"
            if "roleRef" in tree:
                tree["roleRef"]["name"] += f"-{self.environment}"
        self.kubernetes.call("POST", f"{_RBAC}{inside}/{tree['kind'].lower()}s", tree)

    def settings(self, kubeconfig: Path | None = None, **changes: Any) -> ServeSettings:
        values: dict[str, Any] = {
            "environment": self.environment,
            "data": self.folder / "data",
            "manifests": None,
            "kek_file": self.folder / "kek",
            "listen": "127.0.0.1:0",
            "workload_socket": None,
            "admin_socket": self.folder / "admin.sock",
            "health": f"127.0.0.1:{self.port}",
            "clusters": {"eu1": str(kubeconfig or self.login())},
            "from_cluster": "eu1",
        }
        return ServeSettings(**(values | changes))

    async def health(self, path: str) -> tuple[int, str]:
        """Status and problem; 0 when nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, str((await answer.json()).get("problem", ""))
        except aiohttp.ClientConnectionError:
            return 0, ""

    @asynccontextmanager
    async def serving(self, settings: ServeSettings) -> AsyncIterator[Started]:
        async with (
            running(settings, SystemClock()) as addresses,
            grpc.aio.insecure_channel(f"unix:{addresses.admin_socket}") as channel,
        ):
            yield Started(addresses, AdminStub(channel))


@contextmanager
def a_world(kubernetes: Kubernetes, folder: Path) -> Iterator[World]:
    """With an Environment's name that nobody else has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    world = World(kubernetes, folder, kubernetes.namespace(), port=port)
    try:
        yield world
    finally:
        world.clear()
