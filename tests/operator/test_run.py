"""Replicas of the operator as real processes before a real API server."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from cluster.faults import fault_proxy
from featward.kubernetes.resource import LEASES
from following import is_so
from kubernetes_kit import Kubernetes
from operator_kit import Replica, replica

# Processes, on a machine that may have more to do.
pytestmark = pytest.mark.timeout(180)


async def ready(one: Replica) -> None:
    end = time.monotonic() + 40
    while (await one.get("/readyz"))[0] != 200:
        assert time.monotonic() < end, one.log()


async def test_a_replica_is_ready_when_its_parts_are(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with replica(tmp_path, kubeconfig, namespace, "a", "readies", "writes") as one:
        while (answer := await one.get("/readyz"))[0] == 0:
            assert one.process.poll() is None, one.log()
        assert answer[0] == 503
        assert json.loads(answer[1])["waits for"] == {"readies": "half a second to pass"}
        assert (await one.get("/healthz"))[0] == 200
        await ready(one)
        await is_so(one.acts)
        _, metrics = await one.get("/metrics")
        assert 'leader_election_master_status{name="featward-operator"} 1.0' in metrics
        assert 'rest_client_requests_total{code="201",host="127.0.0.1:' in metrics
        assert "process_resident_memory_bytes" in metrics
        assert (await one.get("/"))[0] == 404


async def test_a_replica_that_is_told_to_stop_hands_over_and_answers_for_a_while(
    kubernetes: Kubernetes, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with replica(tmp_path, kubeconfig, namespace, "a", "writes") as first:
        await is_so(first.acts)
        with replica(tmp_path, kubeconfig, namespace, "b", "writes") as second:
            await ready(second)
            os.kill(first.process.pid, signal.SIGTERM)
            told_at = time.time()
            await is_so(second.acts)
            assert second.acts()[0] - told_at < 3
            status, text = await first.get("/readyz")
            assert (status, json.loads(text)["waits for"]) == (503, {"process": "it is stopping"})
            assert await first.ended() == 0
            assert time.time() - told_at >= 5
            assert first.acts()[-1] < second.acts()[0], "both acted"


async def test_a_killed_leader_is_followed(
    kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with replica(tmp_path, kubeconfig, namespace, "a", "writes") as first:
        await is_so(first.acts)
        with replica(tmp_path, kubeconfig, namespace, "b", "writes") as second:
            await ready(second)
            first.process.kill()
            await is_so(second.acts)
            assert 2 < second.acts()[0] - first.acts()[-1] < 8


async def test_a_leader_cut_off_from_the_server_stops_and_leads_again(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    """The process goes on, and what it serves."""
    async with fault_proxy(kubernetes, tmp_path) as proxy:
        parts = ("readies", "yields", "writes")
        with replica(tmp_path, proxy.kubeconfig, namespace, "a", *parts) as one:
            await is_so(one.acts)
            proxy.cut()
            cut_at = time.time()
            await is_so(lambda: any("leading no longer" in e["message"] for e in one.log()))
            assert one.acts()[-1] - cut_at < 3
            assert (await one.get("/readyz"))[0] == 200
            proxy.mend()
            mended_at = time.time()
            await is_so(lambda: one.acts()[-1] > mended_at)


async def test_a_part_that_ends_takes_the_process_along(
    kubernetes: Kubernetes, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    for part in ("fails", "fails-leading"):
        with replica(tmp_path, kubeconfig, namespace, "a", part) as one:
            assert await one.ended() == 1
            (last, *_) = reversed(one.log())
            assert f"the part {part} has ended: RuntimeError: out of luck" in last["message"]
        lease = kubernetes.call("GET", LEASES.path(namespace, "featward-operator"))
        assert lease["spec"]["holderIdentity"] == "", "a dead leader does not keep its Lease"


async def test_a_part_that_clings_to_a_lost_lead_ends_the_process(
    kubernetes: Kubernetes, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with replica(tmp_path, kubeconfig, namespace, "a", "clings") as one:
        await is_so(lambda: any(entry["message"] == "leading" for entry in one.log()))
        path = LEASES.path(namespace, "featward-operator")
        taken = {"spec": {"holderIdentity": "another"}}
        kubernetes.call("PATCH", path, taken, "merge-patch+json")
        assert await one.ended() == 1
        assert one.log()[-1]["message"] == "still leading though the lead is lost"
