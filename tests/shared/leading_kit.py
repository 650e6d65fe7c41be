"""A leader's status part at work on a real API server, with the roles that the chart gives the operator."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from chart_kit import LEAST, NAMESPACE, render
from crd_kit import collection
from featward.identity.spiffe import SpiffeId
from featward.kubernetes.elector import Lost
from featward.kubernetes.events import Events
from featward.kubernetes.gateway import Gateway
from featward_operator.health import Health
from featward_operator.metrics import Metrics
from featward_operator.policy.tallies import SetTally
from featward_operator.reconcile.part import Reconciling
from featward_operator.run import Operator
from featward_operator.vocabulary import Reason
from featward_operator.world import World
from kubernetes_kit import Kubernetes
from reconcile_kit import settings_of

__all__ = [
    "Leader",
    "Tallies",
    "collecting_garbage",
    "install_roles",
    "leading",
    "replicas",
    "said",
]

# As whom it logs in: by a certificate, which needs no token.
USER = "featward-operator"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def install_roles(kubernetes: Kubernetes) -> None:
    """The operator's roles as the chart has them."""
    plurals = {
        "ClusterRole": f"{_RBAC}/clusterroles",
        "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
        "Role": f"{_RBAC}/namespaces/{NAMESPACE}/roles",
        "RoleBinding": f"{_RBAC}/namespaces/{NAMESPACE}/rolebindings",
    }
    for one in render(LEAST):
        if one["kind"] in plurals and one["metadata"]["name"] == "featward-operator":
            if "subjects" in one:
                one["subjects"] = [{"kind": "User", "name": USER}]
            kubernetes.call("POST", plurals[one["kind"]], one)


class Tallies:
    """What sidecars would report, as a test wants it."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], SetTally] = {}

    def of_set(self, key: tuple[str, str]) -> SetTally:
        return self.told.get(key, SetTally((), 0, 0, 0, 0, (), ()))


def _newest(_: SpiffeId) -> str:
    return "a" * 64


def _not_held(_: SpiffeId) -> bool:
    return False


@dataclass
class Leader:
    """One replica's part, and what it counts."""

    part: Reconciling
    operator: Operator
    world: World
    tallies: Tallies
    reach: dict[str, tuple[Reason, str]] = field(default_factory=dict)

    def written(self) -> float:
        """Requests that wrote something."""
        found = 0.0
        for family in self.operator.metrics.registry.collect():
            if family.name == "rest_client_requests":
                for one in family.samples:
                    wrote = one.labels.get("method") in ("PATCH", "POST", "DELETE")
                    found += one.value if wrote and one.name.endswith("_total") else 0
        return found

    def refused(self) -> float:
        """Requests that the account may not make, and others that can't be cured by trying again."""
        found = 0.0
        for family in self.operator.metrics.registry.collect():
            if family.name == "controller_runtime_terminal_reconcile_errors":
                found += sum(one.value for one in family.samples)
        return found


@asynccontextmanager
async def replicas(
    kubernetes: Kubernetes, instance: str, *, now: Callable[[], float] = time.time
) -> AsyncIterator[Leader]:
    """A replica that follows the cluster and does nothing yet."""
    login = await asyncio.to_thread(kubernetes.kubeconfig, USER)
    metrics = Metrics()
    async with await Gateway.open(
        str(login), agent="featward-operator", observe=metrics.observe_request
    ) as gateway:
        events = Events(gateway, controller="featward.dev/operator", instance=instance)
        operator = Operator(
            settings_of(NAMESPACE), instance, gateway, metrics, Health(metrics), events
        )
        world, tallies = World(), Tallies()
        told: dict[str, tuple[Reason, str]] = {}

        def reach(name: str) -> tuple[Reason, str]:
            return told.get(name, (Reason.REACHABLE, "its CA answers"))

        part = Reconciling(
            operator,
            world,
            tallies,
            _newest,
            _not_held,
            reach,
            now=now,
        )
        following = asyncio.create_task(world.follow(gateway))
        try:
            yield Leader(part, operator, world, tallies, told)
        finally:
            following.cancel()
            await asyncio.wait({following})


@asynccontextmanager
async def leading(
    kubernetes: Kubernetes, instance: str = "operator-0", *, now: Callable[[], float] = time.time
) -> AsyncIterator[Leader]:
    """One that leads, and has looked at everything once."""
    async with replicas(kubernetes, instance, now=now) as leader:
        lost = Lost(time.monotonic, time.monotonic() + 1e9)
        task = asyncio.create_task(leader.part.lead(lost))
        try:
            ready = asyncio.create_task(leader.part.leading.wait())
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
            assert ready.done(), task
            yield leader
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait({task})


def said(kubernetes: Kubernetes, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    """The status of an object at the server, with its conditions by type as `answers`."""
    raw = kubernetes.call("GET", f"{collection(kind, namespace or None)}/{name}")
    status: dict[str, Any] = raw.get("status") or {}
    listed = status.get("conditions", ())
    return {**status, "answers": {one["type"]: (one["status"], one["reason"]) for one in listed}}


@contextmanager
def collecting_garbage(kubernetes: Kubernetes) -> Iterator[None]:
    """The controller that removes what has lost its owner, and no other."""
    from kubernetes_kit import _process
    from kubernetes_programs import programs

    program = programs("kube-controller-manager")["kube-controller-manager"]
    config = kubernetes.kubeconfig("garbage", "system:masters")
    with _process(
        config.with_suffix(".log"),
        program,
        "--controllers=garbage-collector-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--kubeconfig={config}",
    ):
        yield
