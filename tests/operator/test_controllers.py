"""What becomes of results, on a real API server; the reconcilers are the tests' own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from featward.kubernetes.elector import Lost
from featward.kubernetes.events import Events, ObjectRef
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.queue import WorkQueue
from featward.kubernetes.resource import CONFIG_MAPS, EVENTS, PODS, Key
from featward_operator.controllers import Apply, Controller, Delete, Notice, Reconcile, Result
from featward_operator.metrics import Metrics
from following import is_so
from kubernetes_kit import Kubernetes

FAR = 1e9


class Bench:
    """A controller at work, and what it counts."""

    def __init__(self, gateway: Gateway, reconcile: Reconcile[None], **given: Any) -> None:
        self.metrics = Metrics()
        queue = WorkQueue[Key](first=0.1, watcher=self.metrics.queue("pod"))
        events = Events(gateway, controller="featward.dev/operator", instance="test")
        self.controller = Controller(
            PODS,
            "Pod",
            reconcile,
            None,
            gateway=gateway,
            events=events,
            metrics=self.metrics,
            queue=queue,
            **given,
        )
        self.lost = Lost(time.monotonic, time.monotonic() + FAR)

    def counted(self, series: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(series, labels) or 0.0

    def reconciles(self, result: str) -> float:
        name = "controller_runtime_reconcile_total"
        return self.counted(name, controller="pod", result=result)


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.controller.run(bench.lost))
    try:
        yield bench
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def config_map(namespace: str, name: str) -> Apply:
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
    return Apply(CONFIG_MAPS, body)


async def test_actions_status_and_events_are_carried_out(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    pod = kubernetes.pod(namespace)
    about = ObjectRef("v1", "Pod", namespace, pod.name, pod.uid)
    condition = {"type": "featward.dev/Ready", "status": "True"}

    def reconcile(key: Key, world: None, now: float) -> Result:
        assert abs(now - time.time()) < 60
        return Result(
            actions=(config_map(namespace, "child"),),
            status={"conditions": [condition]},
            events=(Notice(about, "SidecarMissing", "the pod has no sidecar", "Warning"),),
        )

    async with working(Bench(gateway, reconcile)) as bench:
        bench.controller.queue.add((namespace, pod.name))
        await is_so(lambda: bench.reconciles("success") == 1)
        bench.controller.queue.add((namespace, pod.name))
        await is_so(lambda: bench.reconciles("success") == 2)
        count = "controller_runtime_reconcile_time_seconds_count"
        assert bench.counted(count, controller="pod") == 2
    made = kubernetes.call("GET", CONFIG_MAPS.path(namespace, "child"))
    found = kubernetes.call("GET", PODS.path(namespace, pod.name))
    assert made["metadata"]["managedFields"][0]["manager"] == "featward-operator"
    told = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert told["featward.dev/Ready"] == "True"
    managers = {
        one["manager"]: one.get("subresource") for one in found["metadata"]["managedFields"]
    }
    assert managers["featward-operator-status"] == "status"
    events = kubernetes.call("GET", EVENTS.path(namespace))["items"]
    (event,) = [one for one in events if one["reason"] == "SidecarMissing"]
    assert event["regarding"]["uid"] == pod.uid
    assert (event["type"], event["note"]) == ("Warning", "the pod has no sidecar")
    assert event["reportingController"] == "featward.dev/operator"


async def test_what_the_server_refuses_is_not_tried_again_and_again(
    gateway: Gateway, namespace: str
) -> None:
    calls = []

    def reconcile(key: Key, world: None, now: float) -> Result:
        calls.append(key)
        return Result(actions=(config_map(namespace, "Not A Name"),))

    async with working(Bench(gateway, reconcile)) as bench:
        bench.controller.queue.add((namespace, "a"))
        await is_so(lambda: bench.reconciles("terminal_error") == 1)
        await asyncio.sleep(0.5)
        assert len(calls) == 1
        name = "controller_runtime_terminal_reconcile_errors_total"
        assert bench.counted(name, controller="pod") == 1


async def test_a_reconciler_that_fails_is_tried_again_and_others_go_on(
    gateway: Gateway, namespace: str
) -> None:
    calls: list[str] = []

    def reconcile(key: Key, world: None, now: float) -> Result:
        calls.append(key[1])
        if key[1] == "bad" and calls.count("bad") < 3:
            raise RuntimeError("a mistake of ours")
        return Result()

    async with working(Bench(gateway, reconcile)) as bench:
        bench.controller.queue.add((namespace, "bad"))
        bench.controller.queue.add((namespace, "good"))
        await is_so(lambda: bench.reconciles("success") == 2)
        assert calls == ["bad", "good", "bad", "bad"]
        assert bench.counted("controller_runtime_reconcile_panics_total", controller="pod") == 2
        assert bench.counted("controller_runtime_reconcile_errors_total", controller="pod") == 2
        assert bench.counted("controller_runtime_max_concurrent_reconciles", controller="pod") == 1
        assert bench.counted("controller_runtime_active_workers", controller="pod") == 0
        assert bench.counted("workqueue_retries_total", name="pod") == 2
        assert bench.controller.queue.failures((namespace, "bad")) == 0


async def test_a_date_brings_the_key_back(gateway: Gateway, namespace: str) -> None:
    calls: list[float] = []

    def reconcile(key: Key, world: None, now: float) -> Result:
        calls.append(now)
        return Result(requeue_at=now + (1.2 if len(calls) == 1 else 10 * 86_400))

    async with working(Bench(gateway, reconcile)) as bench:
        bench.controller.queue.add((namespace, "a"))
        await is_so(lambda: len(calls) == 2)
        assert 1.1 < calls[1] - calls[0] < 4
        (timer,) = bench.controller.queue._later.values()
        left = timer.when() - asyncio.get_running_loop().time()
        assert 590 < left < 601, "a clock that is set is noticed in ten minutes"


async def test_the_status_of_what_is_gone_is_no_failure(gateway: Gateway, namespace: str) -> None:
    def reconcile(key: Key, world: None, now: float) -> Result:
        return Result(status={"phase": "Running"})

    async with working(Bench(gateway, reconcile)) as bench:
        bench.controller.queue.add((namespace, "absent"))
        await is_so(lambda: bench.reconciles("success") == 1)


async def test_whoever_does_not_lead_any_more_writes_nothing(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    calls = []

    def reconcile(key: Key, world: None, now: float) -> Result:
        calls.append(key)
        bench.lost.set()
        return Result(actions=(config_map(namespace, "late"),))

    bench = Bench(gateway, reconcile)
    async with working(bench):
        bench.controller.queue.add((namespace, "a"))
        await is_so(lambda: calls)
        await asyncio.sleep(0.5)
    status, _ = kubernetes.ask("GET", CONFIG_MAPS.path(namespace, "late"))
    assert status == 404


async def test_only_the_object_that_was_meant_is_deleted(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    await config_map(namespace, "child").carry_out(gateway)
    path = CONFIG_MAPS.path(namespace, "child")
    uid = kubernetes.call("GET", path)["metadata"]["uid"]
    other = "00000000-0000-0000-0000-000000000000"
    await Delete(CONFIG_MAPS, namespace, "child", other).carry_out(gateway)
    assert kubernetes.ask("GET", path)[0] == 200
    for _ in range(2):
        await Delete(CONFIG_MAPS, namespace, "child", uid).carry_out(gateway)
    assert kubernetes.ask("GET", path)[0] == 404
