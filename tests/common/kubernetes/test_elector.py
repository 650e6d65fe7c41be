"""Candidates for one Lease on a real API server; some are processes that get killed or stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import elector_program
from cluster.faults import FaultProxy
from featward.kubernetes.elector import Elector, Lost
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import LEASES
from following import is_so
from kubernetes_kit import Kubernetes

# Processes, on a machine that may have more to do.
pytestmark = pytest.mark.timeout(180)
# Short, so that nobody waits; a Lease says its duration in whole seconds.
SHORT = {"lease": 3.0, "renew": 2.0, "retry": 0.2}


@pytest.fixture
async def direct(kubernetes: Kubernetes) -> AsyncIterator[Gateway]:
    """Past the proxy."""
    path = kubernetes.kubeconfig("candidate", "system:masters")
    async with await Gateway.open(str(path), agent="test") as gateway:
        yield gateway


def candidate(gateway: Gateway, namespace: str, identity: str, **given: Any) -> Elector:
    return Elector(gateway, namespace, "leader", identity, **(SHORT | given))


class Candidate:
    """A task that leads as soon as it can, and as long as it may."""

    def __init__(self, elector: Elector) -> None:
        self._elector = elector
        self.led_at = self.lost_at = 0.0
        self.lost: Lost | None = None

    @property
    def leads(self) -> bool:
        return self.lost is not None and not self.lost.is_set()

    async def run(self) -> None:
        async with self._elector.leading() as self.lost:
            self.led_at = time.monotonic()
            await self.lost.wait()
            self.lost_at = time.monotonic()


@asynccontextmanager
async def standing(elector: Elector) -> AsyncIterator[Candidate]:
    found = Candidate(elector)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def spec(kubernetes: Kubernetes, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = kubernetes.call("GET", LEASES.path(namespace, "leader"))["spec"]
    return found


async def test_one_leads_and_when_it_stops_the_other_follows_at_once(
    kubernetes: Kubernetes, direct: Gateway, namespace: str
) -> None:
    async with standing(candidate(direct, namespace, "b-second")) as second:
        await is_so(lambda: second.leads)
        async with standing(candidate(direct, namespace, "a-first")) as first:
            await asyncio.sleep(3.5)
            assert (first.leads, second.leads) == (False, True), (
                "it renews for longer than its Lease"
            )
            assert spec(kubernetes, namespace)["leaseTransitions"] == 0
    assert spec(kubernetes, namespace)["holderIdentity"] == ""
    began = time.monotonic()
    async with standing(candidate(direct, namespace, "a-first", lease=60.0)) as first:
        await is_so(lambda: first.leads)
        assert time.monotonic() - began < 2
        told = spec(kubernetes, namespace)
        assert (told["holderIdentity"], told["leaseTransitions"]) == ("a-first", 1)


@pytest.mark.parametrize(
    "fail",
    [FaultProxy.hold, FaultProxy.cut, partial(FaultProxy.slow, seconds=5.0)],
    ids=["hold", "cut", "slow"],
)
async def test_a_leader_that_cannot_renew_stops_before_its_lease_ends(
    kubernetes: Kubernetes,
    gateway: Gateway,
    direct: Gateway,
    proxy: FaultProxy,
    namespace: str,
    fail: Callable[[FaultProxy], None],
) -> None:
    async with standing(candidate(gateway, namespace, "faulty")) as first:
        await is_so(lambda: first.leads)
        async with standing(candidate(direct, namespace, "healthy")) as second:
            await asyncio.sleep(0.5)
            began = time.monotonic()
            fail(proxy)
            await is_so(lambda: second.leads)
            assert first.lost_at, "it leads on"
            assert first.lost_at - began < 3
            assert second.led_at > first.lost_at
            proxy.mend()


async def test_a_candidate_looks_when_the_lease_ends_and_not_a_retry_later(
    kubernetes: Kubernetes, direct: Gateway, namespace: str
) -> None:
    gone = {"holderIdentity": "gone", "leaseDurationSeconds": 3}
    body = {"metadata": {"name": "leader"}, "spec": gone}
    kubernetes.call("POST", LEASES.path(namespace), body)
    began = time.monotonic()
    # It looks now, after 1.9 s, and would next after 3.8.
    async with standing(candidate(direct, namespace, "next", retry=1.9)) as following:
        await is_so(lambda: following.leads)
        assert 3.0 <= following.led_at - began < 3.7


async def test_a_leader_that_hears_of_another_stops_at_once(
    kubernetes: Kubernetes, direct: Gateway, namespace: str
) -> None:
    async with standing(candidate(direct, namespace, "first")) as first:
        await is_so(lambda: first.leads)
        path = LEASES.path(namespace, "leader")
        taken = {"spec": {"holderIdentity": "another"}}
        kubernetes.call("PATCH", path, taken, "merge-patch+json")
        began = time.monotonic()
        await is_so(lambda: not first.leads)
        assert time.monotonic() - began < 1.5
    assert spec(kubernetes, namespace)["holderIdentity"] == "another"


@pytest.mark.parametrize("offset", [-86_400 * 365, 86_400 * 365])
async def test_a_clock_that_is_set_changes_no_leader(
    kubernetes: Kubernetes,
    gateway: Gateway,
    direct: Gateway,
    proxy: FaultProxy,
    namespace: str,
    offset: float,
) -> None:
    ahead = [0.0]
    set_clock = candidate(gateway, namespace, "set", now=lambda: time.time() + ahead[0])
    async with standing(set_clock) as first:
        await is_so(lambda: first.leads)
        async with standing(candidate(direct, namespace, "other")) as second:
            ahead[0] = offset
            await asyncio.sleep(3.5)
            assert (first.leads, second.leads) == (True, False)
            # And a dead leader whose Lease is of next year is not waited for until then.
            began = time.monotonic()
            proxy.cut()
            await is_so(lambda: second.leads)
            assert 2 < time.monotonic() - began < 9
            proxy.mend()


@contextmanager
def process(
    kubernetes: Kubernetes, folder: Path, namespace: str, name: str, **seconds: float
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A candidate, and the file that it writes to."""
    said = folder / f"{name}.log"
    times = [str(seconds[key]) for key in ("lease", "renew", "retry")]
    path = str(kubernetes.kubeconfig(name, "system:masters"))
    command = [sys.executable, elector_program.__file__, path, namespace, name, *times]
    with said.open("wb") as output:
        started = subprocess.Popen(command, stdout=output)
        try:
            yield started, said
        finally:
            started.kill()
            started.wait()


def when(said: Path, word: str) -> list[float]:
    lines = [line.split() for line in said.read_text().splitlines()]
    return [float(line[0]) for line in lines if line[1:] == [word]]


async def measure(lags: list[float]) -> None:
    """By how much a sleep is too long, again and again."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.1)
        lags.append(time.monotonic() - began - 0.1)


async def test_of_two_electors_one_leads_and_a_killed_one_is_followed_within_20_s(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    """With the real times."""
    real = {"lease": 15.0, "renew": 10.0, "retry": 2.0}
    with process(kubernetes, tmp_path, namespace, "first", **real) as (first, first_said):
        await is_so(lambda: when(first_said, "leads"))
        with process(kubernetes, tmp_path, namespace, "second", **real) as (_, second_said):
            await asyncio.sleep(3)
            first.kill()
            killed_at = time.time()
            lags: list[float] = []
            measuring = asyncio.create_task(measure(lags))
            await is_so(lambda: when(second_said, "leads"), 60)
            measuring.cancel()
            (led_at,) = when(second_said, "leads")
            # What the machine makes everybody wait, at each of four requests, is not the elector's.
            assert 11 < led_at - killed_at < 20 + 4 * max(lags)


async def test_a_leader_that_was_stopped_does_nothing_when_it_goes_on(
    kubernetes: Kubernetes, direct: Gateway, namespace: str, tmp_path: Path
) -> None:
    with process(kubernetes, tmp_path, namespace, "stopped", **SHORT) as (stopped, said):
        await is_so(lambda: when(said, "acts"))
        os.kill(stopped.pid, signal.SIGSTOP)
        async with standing(candidate(direct, namespace, "other")) as other:
            await is_so(lambda: other.leads)
            led_at = time.time()
            os.kill(stopped.pid, signal.SIGCONT)
            await is_so(lambda: when(said, "lost"))
            assert max(when(said, "acts")) < led_at
            assert other.leads


def test_times_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="retry < renew < lease"):
        Elector(object(), "ml", "leader", "me", lease=10, renew=10)  # type: ignore[arg-type]  # unused
