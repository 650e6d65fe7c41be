"""Faults by chance, one after the other: what must hold in the end, and what must hold all the time."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from cluster.faults import FaultProxy, always, fault_proxy, watching
from featward.kubernetes.backoff import Backoff
from featward.kubernetes.elector import Elector
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import CONFIG_MAPS
from following import Followed, following, is_so, write
from kubernetes_kit import Kubernetes

SEED = 20261123
SECONDS = 10.0
OF_WATCHES = ("none", "none", "cut", "hold", "slow", "410", "429", "500", "closed")
OF_LEASES = ("none", "cut", "hold", "slow", "500")
GONE = {"kind": "Status", "code": 410, "reason": "Expired"}


def fail(proxy: FaultProxy, name: str) -> None:
    """One fault, in the place of the last."""
    proxy.mend()
    known: dict[str, Callable[[], None]] = {
        "none": lambda: None,
        "cut": proxy.cut,
        "hold": proxy.hold,
        "slow": lambda: proxy.slow(0.4),
        "410": lambda: proxy.answer(watching, 200, {"type": "ERROR", "object": GONE}),
        "429": lambda: proxy.answer(always, 429, {}, {"Retry-After": "0.3"}),
        "500": lambda: proxy.answer(always, 500, b"<html>"),
        "closed": lambda: proxy.answer(watching, 200, b""),
    }
    known[name]()


def fits_together(followed: Followed) -> bool:
    """Whether each change begins with what the one before it ended with."""
    last: dict[str, str | None] = {}
    for name, old, new in followed.changes:
        if last.get(name) != old or old == new:
            return False
        last[name] = new
    return {name: value for name, value in last.items() if value is not None} == followed.values


async def test_whatever_failed_the_store_is_as_the_server_in_the_end(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    chance, real = random.Random(SEED), dict[str, str]()
    backoff = Backoff(0.05, 0.5)
    async with following(gateway, namespace, idle=1.0, backoff=backoff, page=3) as followed:
        end, turn = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            if turn % 4 == 0:
                fail(proxy, chance.choice(OF_WATCHES))
            turn += 1
            name = f"c-{chance.randrange(12)}"
            if name in real and chance.random() < 0.4:
                await asyncio.to_thread(
                    kubernetes.call, "DELETE", CONFIG_MAPS.path(namespace, name)
                )
                del real[name]
            else:
                real[name] = str(turn)
                await asyncio.to_thread(write, kubernetes, namespace, name, real[name])
            await asyncio.sleep(0.05)
        # Whatever came before, the last that is missed are deletions.
        proxy.mend()
        await is_so(lambda: followed.values == real)
        proxy.cut()
        for name in sorted(real)[::2]:
            await asyncio.to_thread(kubernetes.call, "DELETE", CONFIG_MAPS.path(namespace, name))
            del real[name]
        proxy.answer(watching, 410, GONE, times=1)
        proxy.uncut()
        await is_so(lambda: followed.values == real)
        assert fits_together(followed)
        assert followed.causes, "no fault was felt"


async def test_whatever_failed_no_two_led_at_once(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    """Three candidates, each behind a proxy of its own."""
    chance, names = random.Random(SEED), ("a", "b", "c")
    acts: list[tuple[float, str]] = []

    async def lead(name: str, gateway: Gateway) -> None:
        elector = Elector(gateway, namespace, "leader", name, lease=2.0, renew=1.0, retry=0.1)
        while True:
            async with elector.leading() as lost:
                while not lost.is_set():
                    acts.append((time.monotonic(), name))
                    await asyncio.sleep(0.01)

    async with contextlib.AsyncExitStack() as stack:
        proxies, tasks = {}, []
        for name in names:
            folder = tmp_path / name
            folder.mkdir()
            proxy = await stack.enter_async_context(fault_proxy(kubernetes, folder))
            opened = await Gateway.open(str(proxy.kubeconfig), agent=name)
            gateway = await stack.enter_async_context(opened)
            proxies[name] = proxy
            tasks.append(asyncio.create_task(lead(name, gateway)))
        end = time.monotonic() + 1.5 * SECONDS
        while time.monotonic() < end:
            for name, proxy in proxies.items():
                # Whoever leads is likelier to be in trouble.
                leads = bool(acts) and acts[-1][1] == name
                is_spared = chance.random() < (0.2 if leads else 0.7)
                fail(proxy, "none" if is_spared else chance.choice(OF_LEASES))
            await asyncio.sleep(chance.uniform(0.3, 3.0))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    turns = [(before, after) for before, after in pairwise(acts) if before[1] != after[1]]
    assert len(turns) >= 2, "nobody was ever followed"
    # Nobody hands it back here, so a follower has waited for the rest of the Lease.
    assert min(after[0] - before[0] for before, after in turns) > 0.5
