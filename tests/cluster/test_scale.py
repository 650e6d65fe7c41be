"""Many pods, on nodes that are none: two replicas of the whole operator before a server of their own."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from admission_kit import OWN_NAMESPACE, install_policies, install_webhook
from churn_kit import churn
from cluster.fakes import ON_A_FAKE_NODE, add_fake_node, faking
from cluster.feasts import feature_set, served_by
from crd_kit import apply, install
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import PODS, Resource
from featward_operator.certificates.authority import pem_blocks
from featward_operator.certificates.overlap import Lives
from kubernetes_kit import ISSUER, Kubernetes, running_kubernetes
from operator_process import DOMAIN, Replica, running, running_ca, settings_of
from spreading import spread

pytestmark = pytest.mark.timeout(400)

RATE, SECONDS = 50.0, 45.0
REPLICAS = ("a", "b")
NODES = 4
ML = "ml"
# An authority is due to be followed 10 s after it was made, and the one after when that has been forgotten: two
# of them are replaced within the time of the test.
SHORT = Lives(authority=165.0, leaf=10.0, announced=3.0)
HOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", namespaced=False
)
LATENCY = "controller_runtime_webhook_latency_seconds_bucket"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


@dataclass
class Fleet:
    """The server, the replicas, and their webhook ports."""

    kubernetes: Kubernetes
    gateway: Gateway
    replicas: list[Replica]
    ports: list[int]


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    """All of it at work: the policies and the webhook in force, and nodes for the pods."""
    async with AsyncExitStack() as stack:
        kubernetes = stack.enter_context(running_kubernetes(folder))
        login = kubernetes.kubeconfig("operator", "system:masters")
        gateway = await stack.enter_async_context(await Gateway.open(str(login), agent="tests"))
        install(kubernetes)
        lay_out(kubernetes)
        install_policies(kubernetes)
        ca, root = stack.enter_context(running_ca(kubernetes, folder))
        found = Fleet(kubernetes, gateway, [], [])
        for name in REPLICAS:
            settings = settings_of(kubernetes, folder, ca, root, name=name)
            started = running(folder, settings, login, name=name, lives=SHORT)
            found.replicas.append(stack.enter_context(started))
            found.ports.append(settings["ports"]["webhook"])
        for one in found.replicas:
            await one.ready()
        stack.enter_context(faking(kubernetes, folder))
        for number in range(NODES):
            add_fake_node(kubernetes, f"fake-{number}")
        port = await stack.enter_async_context(spread(found.ports))
        await asyncio.to_thread(install_webhook, kubernetes, port)
        await until(lambda: bundle_of(gateway))
        await asyncio.sleep(1)  # the server follows its own objects, and tells nobody how far it is
        yield found


def lay_out(kubernetes: Kubernetes) -> None:
    """A platform, and a set that pods serve."""
    kubernetes.namespace(name=OWN_NAMESPACE)
    kubernetes.namespace("prod.payments", ML)
    accounts = f"/api/v1/namespaces/{ML}/serviceaccounts"
    kubernetes.call("POST", accounts, {"metadata": {"name": "feast"}})
    cluster = {"name": "eu1", "issuer": ISSUER}
    about: dict[str, Any] = {"apiVersion": "featward.dev/v1alpha1"}
    for one in (
        {
            **about,
            "kind": "Environment",
            "metadata": {"name": "prod"},
            "spec": {"trustDomain": DOMAIN, "clusters": [cluster]},
        },
        {**about, "kind": "BusinessUnit", "metadata": {"name": "prod.payments"}, "spec": {}},
        feature_set(ML, "driver-stats", served_by("feast")),
    ):
        status, answer = apply(kubernetes, one, "tests")
        assert status == 201, answer


def a_pod(node: str) -> dict[str, Any]:
    """A server's, put on a node by whoever makes it: there is no scheduler."""
    return {
        "metadata": {"generateName": "feast-", "labels": {"featward.dev/inject": "server"}},
        "spec": {
            "serviceAccountName": "feast",
            "nodeName": node,
            "containers": [{"name": "feast", "image": "localhost/feast:1"}],
            **ON_A_FAKE_NODE,
        },
    }


async def bundle_of(gateway: Gateway) -> bytes:
    """What the server trusts the webhook by."""
    told = await gateway.ask("GET", HOOKS.path(None, "featward"))
    found = {one["clientConfig"].get("caBundle", "") for one in told["webhooks"]}
    return base64.b64decode(found.pop()) if len(found) == 1 else b""


async def watch_bundles(gateway: Gateway, seen: list[bytes]) -> None:
    """Every bundle that is published, in order."""
    while True:
        bundle = await bundle_of(gateway)
        if bundle and (not seen or seen[-1] != bundle):
            seen.append(bundle)
        await asyncio.sleep(0.1)


async def connect(fleet: Fleet, seen: list[bytes], failed: list[str]) -> None:
    """New connections to each replica by the bundle of that moment, as a server makes them after a pause."""
    while True:
        trust = ssl.create_default_context(cadata=(await bundle_of(fleet.gateway)).decode())
        for port in fleet.ports:
            try:
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=trust, server_hostname="localhost"
                )
                writer.close()
            except OSError as error:
                failed.append(f"with {len(seen)} bundles: {error}")
        await asyncio.sleep(0.2)


async def percentile(replicas: list[Replica], share: float) -> float:
    """Of the operators' own time for an admission: the bound of the bucket that it is in, in seconds."""
    buckets: dict[float, float] = {}
    for replica in replicas:
        for (name, labels), value in (await replica.series()).items():
            if name == LATENCY:
                bound = float(dict(labels)["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
    total = max(buckets.values())
    return min(bound for bound, value in buckets.items() if value >= share * total)


async def all_run(gateway: Gateway) -> bool:
    """Whether the nodes say so of every pod."""
    query = [("fieldSelector", "status.phase!=Running"), ("limit", "1")]
    return not (await gateway.ask("GET", PODS.path(ML), query=query))["items"]


async def until(holds: Callable[[], Awaitable[object]], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    for _ in range(int(seconds / 0.2)):
        if await holds():
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s")


async def test_fifty_pods_a_second_and_a_new_webhook_certificate_fail_no_admission(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seen: list[bytes] = []
    failed: list[str] = []
    async with fleet(tmp_path_factory.mktemp("s")) as found:
        gateway = found.gateway
        beside = [
            asyncio.create_task(watch_bundles(gateway, seen)),
            asyncio.create_task(connect(found, seen, failed)),
        ]
        pods = [
            churn(gateway, ML, a_pod(f"fake-{number}"), RATE / NODES, SECONDS)
            for number in range(NODES)
        ]
        parts = await asyncio.gather(*pods)
        for one in beside:
            assert not one.done(), one.exception()
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one
        made = sum(len(one.taken) for one in parts)
        await until(lambda: all_run(gateway))
        p99 = await percentile(found.replicas, 0.99)
        told = (await gateway.ask("GET", EVENTS))["items"]
    authorities = {block for bundle in seen for block in pem_blocks(bundle)}
    slowest = max(one.percentile(0.99) for one in parts)
    print(
        f"{made} pods at {RATE:.0f}/s, {len(authorities)} authorities in {len(seen)} bundles;",
        f"p99 of an admission <= {p99 * 1000:g} ms in the operator,",
        f"{slowest * 1000:.0f} ms for who made the pod",
    )
    assert not [why for one in parts for why in one.refused]
    assert not [name for one in parts for name in one.bare]
    assert made == int(RATE / NODES * SECONDS) * NODES
    # Else it were fewer a second than it says.
    assert max(one.late for one in parts) < 1.0
    assert not failed
    assert len(authorities) >= 3
    rotated = [one for one in told if one["reason"] == "WebhookCertificateRotated"]
    assert len(rotated) >= 2
    assert {one["type"] for one in rotated} == {"Normal"}
