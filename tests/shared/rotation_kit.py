"""Rotation as the operator steers it: a real CA, a real API server, and leaders, some of which get killed."""

import asyncio
import contextlib
import copy
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from ca_in_cluster import Started, World, eventually
from chart_kit import LEAST, render
from crd_kit import collection
from featward.authority.v1 import authority_pb2
from featward.client.identity import WorkloadIdentity
from featward.identity.spiffe import SpiffeId
from featward.kubernetes.elector import Lost
from featward.kubernetes.events import Events
from featward.kubernetes.gateway import MERGE_PATCH, Gateway
from featward_ca.settings import ServeSettings
from featward_engine import Credentials
from featward_operator.rotation.part import Rotations, ratio
from featward_operator.rotation.steer import Access, Authority
from kubernetes_kit import Kubernetes
from operator_kit import free_port

__all__ = [
    "ROTATE",
    "STATE",
    "Bench",
    "a_bench",
    "access_to",
    "leading",
    "process",
    "somebody_leaves",
    "until_told",
]

ROTATE = "featward.dev/rotate-requested-at"
STATE = "featward.dev/rotation"
_FAR = 1e9


def settings_of(world: World) -> ServeSettings:
    """A CA at an address of its own, that knows the operator of the world's namespace."""
    return world.settings(
        listen=f"127.0.0.1:{free_port()}",
        operator=f"eu1/{world.namespace}/featward-operator",
        unsafe_short_lives=True,
    )


@dataclass
class Bench:
    """A world with a CA, and what an operator needs for it."""

    world: World
    ca: Started
    root: str

    @property
    def unit(self) -> str:
        """The business unit that is rotated."""
        return f"{self.world.environment}.payments"

    def object(self, name: str = "") -> dict[str, Any]:
        """The BusinessUnit, or the Environment of this name, as the server has it."""
        kind = "Environment" if name == self.world.environment else "BusinessUnit"
        found: dict[str, Any] = self.world.kubernetes.call(
            "GET", f"{collection(kind)}/{name or self.unit}"
        )
        return found

    def rotation(self, name: str = "") -> dict[str, Any]:
        """Its `status.rotation`."""
        found: dict[str, Any] = (self.object(name).get("status") or {}).get("rotation") or {}
        return found

    def answer(self, question: str, name: str = "") -> tuple[str, str]:
        """Status and reason of one of its conditions."""
        rows = (self.object(name).get("status") or {}).get("conditions") or ()
        found = [(one["status"], one["reason"]) for one in rows if one["type"] == question]
        return found[0] if found else ("", "")

    def annotate(self, name: str = "", **annotations: str | None) -> None:
        """Set or (None) remove `rotate` and `state`."""
        keys = {"rotate": ROTATE, "state": STATE}
        said = {keys[key]: value for key, value in annotations.items()}
        kind = "Environment" if name == self.world.environment else "BusinessUnit"
        path = f"{collection(kind)}/{name or self.unit}"
        patch = {"metadata": {"annotations": said}}
        self.world.kubernetes.call("PATCH", path, patch, MERGE_PATCH.removeprefix("application/"))

    def events(self, reason: str, name: str = "") -> list[str]:
        """The notes of the Events of this reason about it."""
        path = "/apis/events.k8s.io/v1/namespaces/default/events?limit=5000"
        return [
            one["note"]
            for one in self.world.kubernetes.call("GET", path)["items"]
            if (one["regarding"]["name"], one["reason"]) == (name or self.unit, reason)
        ]

    async def authorities(self, owner: str = "") -> list[authority_pb2.Authority]:
        """All that the CA has for an owner, revoked ones left out."""
        shown = await self.ca.admin.Show(authority_pb2.ShowRequest())
        return [one for one in shown.authorities if one.owner == (owner or self.unit)]

    async def generation(self, owner: str = "") -> int:
        """Of the authority that signs."""
        found = [one for one in await self.authorities(owner) if one.state == "active"]
        return int(found[0].generation)

    async def has(self, check: Callable[[], Any], seconds: float = 40.0) -> float:
        """Wait until it holds."""

        async def ask() -> Any:
            found = await asyncio.to_thread(check)
            return await found if isinstance(found, Awaitable) else found

        return await eventually(ask, seconds)

    async def is_done(self, seconds: float = 60.0) -> float:
        """Wait until the request of the annotation is done."""

        def is_done() -> bool:
            found = self.object()
            request = (found.get("status") or {}).get("rotation", {}).get("request") or {}
            wanted = found["metadata"]["annotations"][ROTATE]
            return bool(request.get("done")) and request["requestedAt"] == wanted

        return await self.has(is_done, seconds)


@asynccontextmanager
async def a_bench(world: World) -> AsyncIterator[Bench]:
    """With one business unit, whose authority the CA has made."""
    world.apply("BusinessUnit", f"{world.environment}.payments")
    async with world.serving(settings_of(world)) as ca:
        shown = await ca.admin.Show(authority_pb2.ShowRequest())
        bench = Bench(world, ca, shown.root_sha256.hex())
        await eventually(bench.authorities)
        yield bench


@asynccontextmanager
async def access_to(bench: Bench) -> AsyncIterator[Access]:
    """The operator's identity, by a token of a pod of its account."""
    world, pod = bench.world, bench.world.kubernetes.pod(bench.world.namespace, "featward-operator")
    folder = world.folder / f"i{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    domain, address = world.trust_domain, bench.ca.addresses.listen
    identity = WorkloadIdentity(
        Credentials(domain),
        address,
        domain,
        lambda: world.kubernetes.token(pod, f"featward.dev/ca/{domain}"),
        lambda: [bench.root],
        folder,
    )
    running = asyncio.create_task(identity.run())
    try:
        yield Access(
            identity.ready.is_set, lambda: identity.channel(str(SpiffeId.ca(domain)), address)
        )
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await identity.close()


def operators_login(kubernetes: Kubernetes) -> Path:
    """A kubeconfig of somebody who may what the chart lets the operator do in all of a cluster, and no more."""
    user = "rotation-operator"
    for one in copy.deepcopy(render(LEAST)):
        plural = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
        if one["kind"] in plural and one["metadata"]["name"] == "featward-operator":
            one["metadata"]["name"] = user
            if "subjects" in one:
                one["subjects"] = [{"kind": "User", "name": user}]
                one["roleRef"]["name"] = user
            path = f"/apis/rbac.authorization.k8s.io/v1/{plural[one['kind']]}"
            status, answer = kubernetes.ask("POST", path, one)
            assert status in (201, 409), answer
    return kubernetes.kubeconfig(user)


async def somebody_leaves(bench: Bench, account: str = "feast") -> str:
    """A pod that had an identity of the unit and is gone: rotations wait until its SVID ends. Its SPIFFE ID."""
    world = bench.world
    world.kubernetes.relabel(world.namespace, bench.unit)
    pod = world.kubernetes.pod(world.namespace, account)
    domain = world.trust_domain
    who = str(SpiffeId.service_account(domain, "payments", world.namespace, account))
    folder = world.folder / f"g{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    identity = WorkloadIdentity(
        Credentials(domain),
        bench.ca.addresses.listen,
        domain,
        lambda: world.kubernetes.token(pod, f"featward.dev/ca/{domain}"),
        lambda: [bench.root],
        folder,
        expected=who,
    )
    running = asyncio.create_task(identity.run())
    async with asyncio.timeout(60):
        await identity.ready.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await identity.close()
    return who


def until_told() -> Lost:
    """A lead that is lost when somebody sets it."""
    return Lost(time.monotonic, time.monotonic() + _FAR)


@asynccontextmanager
async def leading(
    bench: Bench,
    access: Access,
    lost: Lost | None = None,
    pods: Callable[[str, str], int] = lambda namespace, account: 0,
    **options: Any,
) -> AsyncIterator[CollectorRegistry]:
    """A leader in this process; its series."""
    config = operators_login(bench.world.kubernetes)
    registry = CollectorRegistry()
    async with await Gateway.open(str(config), agent="featward-tests") as gateway:
        events = Events(gateway, controller="featward.dev/operator", instance="test")
        accesses = {bench.world.environment: access}
        rotations = Rotations(gateway, events, accesses, pods, ratio(registry), **options)
        task = asyncio.create_task(rotations.run(lost or until_told()))
        try:
            yield registry
            assert not task.done(), task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def process(bench: Bench, die: str = "") -> "subprocess.Popen[bytes]":
    """A leader in a process of its own; `die`: ``before`` or ``after`` it asks the CA to rotate, by SIGKILL."""
    world, pod = bench.world, bench.world.kubernetes.pod(bench.world.namespace, "featward-operator")
    token = world.kubernetes.token(pod, f"featward.dev/ca/{world.trust_domain}")
    told = {
        "folder": str(world.folder),
        "kubeconfig": str(operators_login(world.kubernetes)),
        "environment": world.environment,
        "domain": world.trust_domain,
        "address": bench.ca.addresses.listen,
        "root": bench.root,
        "token": token,
        "die": die,
    }
    shared = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([shared, *sys.path])}
    return subprocess.Popen([sys.executable, __file__, json.dumps(told)], env=environment)


class Mortal(Authority):
    """A CA, asking which is the last thing that its client does."""

    die = ""

    async def rotate(self, owner: str, generation: int, reason: str) -> None:
        if self.die == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().rotate(owner, generation, reason)
        if self.die == "after":
            os.kill(os.getpid(), signal.SIGKILL)


async def main(told: dict[str, str]) -> None:
    """Lead until killed."""
    Mortal.die = told["die"]
    folder = Path(told["folder"]) / f"p{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    domain, address = told["domain"], told["address"]
    identity = WorkloadIdentity(
        Credentials(domain),
        address,
        domain,
        lambda: told["token"],
        lambda: [told["root"]],
        folder,
    )
    running = asyncio.create_task(identity.run())
    access = Access(
        identity.ready.is_set, lambda: identity.channel(str(SpiffeId.ca(domain)), address)
    )
    async with await Gateway.open(told["kubeconfig"], agent="featward-tests") as gateway:
        events = Events(gateway, controller="featward.dev/operator", instance=folder.name)
        gauge = ratio(CollectorRegistry())
        accesses = {told["environment"]: access}
        pods: Callable[[str, str], int] = lambda namespace, account: 0  # noqa: E731  it is handed over
        rotations = Rotations(gateway, events, accesses, pods, gauge, authority=Mortal)
        await rotations.run(until_told())
    await running


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
