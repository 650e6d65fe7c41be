"""What is kept of pods."""

import asyncio
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from cluster.faults import fault_proxy, listing
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import PODS
from featward_operator.pods import InitContainer, PodFacts, pod_facts
from following import is_so
from kubernetes_kit import Kubernetes

SIDECAR = {
    "name": "featward-sidecar",
    "image": "localhost/featward:0.2.0",
    "restartPolicy": "Always",
}


def spec(namespace: str, name: str) -> dict[str, Any]:
    """A pod as people write them, with more than we keep."""
    app = {
        "name": "feast",
        "image": "localhost/feast:1",
        "args": ["serve", "--host", "0.0.0.0"],  # noqa: S104  what Feast is started with
        "env": [{"name": f"SETTING_{number}", "value": "x" * 50} for number in range(20)],
        "ports": [
            {"name": "http", "containerPort": 6566},
            {"containerPort": 53, "protocol": "UDP"},
        ],
    }
    annotations = {"featward.dev/inject": "server", "kubectl.example/last-applied": "x" * 1000}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app": "feast"},
            "annotations": annotations,
        },
        "spec": {
            "serviceAccountName": "feast",
            "initContainers": [SIDECAR],
            "containers": [app],
        },
    }


async def test_a_pod_is_cut_before_it_is_kept(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    kubernetes.pod(namespace, "feast")
    kubernetes.call("POST", PODS.path(namespace), spec(namespace, "feast-0"))
    status = {"status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}]}}
    path = PODS.path(namespace, "feast-0", "status")
    found = kubernetes.call("PATCH", path, status, "merge-patch+json")
    reflector = Reflector(gateway, PODS, pod_facts, lambda *_: None, namespace=namespace)
    task = asyncio.create_task(reflector.run())
    await is_so(reflector.synced.is_set)
    task.cancel()
    assert reflector.store[namespace, "feast-0"] == PodFacts(
        uid=found["metadata"]["uid"],
        service_account="feast",
        pod_ip="10.1.2.3",
        phase="Running",
        deleting=False,
        host_network=False,
        labels={"app": "feast"},
        annotations={"featward.dev/inject": "server"},
        init_containers=(InitContainer("featward-sidecar", "localhost/featward:0.2.0", "Always"),),
        ports=(("http", 6566, "TCP"), ("", 53, "UDP")),
    )


@pytest.mark.timeout(180)
async def test_five_thousand_pods_take_ten_megabytes(
    kubernetes: Kubernetes, gateway: Gateway, tmp_path: Any, namespace: str
) -> None:
    """As a server gives them, page by page, without one that holds so many."""
    whole = spec(namespace, "")
    async with fault_proxy(kubernetes, tmp_path) as proxy:
        for number in range(50):
            items = [
                whole
                | {"metadata": whole["metadata"] | {"name": f"p-{each}", "uid": f"{each:036}"}}
                for each in range(number * 100, number * 100 + 100)
            ]
            metadata = {"resourceVersion": "1"} | ({"continue": "x"} if number < 49 else {})
            body = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}
            proxy.answer(listing, 200, body, times=1)
        async with await Gateway.open(str(proxy.kubeconfig), agent="test") as through:
            tracemalloc.start()
            reflector = Reflector(through, PODS, pod_facts, lambda *_: None)
            task = asyncio.create_task(reflector.run())
            await is_so(reflector.synced.is_set, 100)
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert len(reflector.store) == 5000
            print(f"{size / 5000:.0f} bytes a pod")
            assert size < 10 << 20
