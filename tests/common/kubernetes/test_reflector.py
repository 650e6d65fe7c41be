"""The reflector before a real API server, through a proxy that fails as it is told."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.faults import FaultProxy, Seen, fault_proxy, listing, watching
from featward.kubernetes.backoff import Backoff
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import CONFIG_MAPS, Resource
from following import following, is_so, write
from kubernetes_kit import Kubernetes, running_kubernetes
from kubernetes_programs import BUILD_SECONDS

EXPIRED = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
}


async def test_what_changes_is_told_once_and_kept(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    async with following(gateway, namespace) as followed:
        assert followed.values == {"a": "1"}
        write(kubernetes, namespace, "b", "1")
        write(kubernetes, namespace, "a", "2")
        kubernetes.call("DELETE", CONFIG_MAPS.path(namespace, "b"))
        await is_so(lambda: len(followed.changes) == 4)
        assert followed.changes == [
            ("a", None, "1"),
            ("b", None, "1"),
            ("a", "1", "2"),
            ("b", "1", None),
        ]
        assert followed.values == {"a": "2"}


async def test_what_is_cut_away_is_no_change(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    async with following(gateway, namespace) as followed:
        labels = {"metadata": {"labels": {"colour": "blue"}}}
        kubernetes.call("PATCH", CONFIG_MAPS.path(namespace, "a"), labels, "merge-patch+json")
        write(kubernetes, namespace, "b", "1")
        await is_so(lambda: "b" in followed.values)
        assert [name for name, *_ in followed.changes] == ["a", "b"]


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_410_is_a_relist_with_a_diff(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str, how: str
) -> None:
    for name in ("stays", "changes", "goes"):
        write(kubernetes, namespace, name, "1")
    async with following(gateway, namespace) as followed:
        followed.changes.clear()
        if how == "status":
            proxy.answer(watching, 410, EXPIRED["object"], times=1)
        else:
            proxy.answer(watching, 200, EXPIRED, times=1)
        proxy.cut()
        write(kubernetes, namespace, "changes", "2")
        kubernetes.call("DELETE", CONFIG_MAPS.path(namespace, "goes"))
        write(kubernetes, namespace, "comes", "1")
        proxy.uncut()
        await is_so(lambda: len(followed.changes) == 3)
        assert sorted(followed.changes) == [
            ("changes", "1", "2"),
            ("comes", None, "1"),
            ("goes", "1", None),
        ]
        assert followed.values == {"stays": "1", "changes": "2", "comes": "1"}
        assert followed.causes == ["expired"]


async def test_a_silent_watch_is_given_up_after_its_idle_time(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    async with following(gateway, namespace, idle=1.0) as followed:
        await is_so(lambda: proxy.count(watching) >= 1)
        proxy.hold()
        began = time.monotonic()
        write(kubernetes, namespace, "a", "1")
        await is_so(lambda: proxy.count(watching, began) >= 1)
        assert time.monotonic() - began < 4
        proxy.mend()
        await is_so(lambda: followed.values == {"a": "1"})


async def test_two_watches_that_tell_nothing_are_followed_by_a_list(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    async with following(gateway, namespace, idle=0.5) as followed:
        lists = proxy.count(listing)
        await is_so(lambda: followed.causes == ["silent"])
        await is_so(lambda: proxy.count(listing) > lists)


async def test_a_watch_that_closes_at_once_makes_no_storm(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    """A tenth of the real times: the first half minute is three seconds."""
    proxy.answer(watching, 200, b"")
    began = time.monotonic()
    async with following(gateway, namespace, backoff=Backoff(0.05, 3.0)) as followed:
        await asyncio.sleep(began + 3.0 - time.monotonic())
        assert 4 <= len(proxy.requests) <= 10
        assert set(followed.causes) == {"closed at once"}
        proxy.mend()
        write(kubernetes, namespace, "a", "1")
        await is_so(lambda: followed.values == {"a": "1"})


async def test_a_bookmark_and_an_end_at_once_make_no_storm_either(
    gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    version = {"metadata": {"resourceVersion": "1"}}
    proxy.answer(watching, 200, {"type": "BOOKMARK", "object": version})
    async with following(gateway, namespace, backoff=Backoff(0.05, 3.0)):
        await asyncio.sleep(3.0)
        assert 3 <= len(proxy.requests) <= 10


@pytest.mark.parametrize("status", [403, 500])
async def test_a_refused_list_makes_no_storm(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str, status: int
) -> None:
    proxy.answer(listing, status, {"kind": "Status", "code": status})
    reflector = Reflector(
        gateway,
        CONFIG_MAPS,
        lambda raw: raw,
        lambda *_: None,
        namespace=namespace,
        backoff=Backoff(0.05, 3.0),
    )
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(3.0)
    assert 3 <= len(proxy.requests) <= 10
    assert not reflector.synced.is_set()
    proxy.mend()
    await is_so(reflector.synced.is_set)
    task.cancel()


async def test_a_429_waits_as_it_says(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    proxy.answer(listing, 429, {"kind": "Status", "code": 429}, {"Retry-After": "2"}, times=1)
    began = time.monotonic()
    async with following(gateway, namespace) as followed:
        assert 2.0 <= time.monotonic() - began < 6.0
        assert proxy.count(listing) == 2
        assert followed.values == {"a": "1"}


async def test_a_slow_server_is_waited_for(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    proxy.slow(1.0)
    async with following(gateway, namespace) as followed:
        assert followed.values == {"a": "1"}
        assert proxy.count(listing) == 1


async def test_a_list_of_thousands_comes_in_pages(
    gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    """By the proxy, as it would take a server minutes to be given so many objects. Others go on meanwhile,
    although whoever is told of an object works on it for a while.
    """
    pages, longest, told = 30, 0.0, 0

    def page(number: int) -> dict[str, Any]:
        names = [f"c-{number}-{each}" for each in range(100)]
        metadata = {"resourceVersion": "1"}
        metadata |= {"continue": str(number + 1)} if number + 1 < pages else {}
        items = [{"metadata": {"namespace": namespace, "name": name}} for name in names]
        return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items}

    for number in range(pages):

        def asked(seen: Seen, wanted: str = str(number or "")) -> bool:
            return listing(seen) and seen.query.get("continue", "") == wanted

        proxy.answer(asked, 200, page(number))

    def work(*_: object) -> None:
        nonlocal told
        told += 1
        time.sleep(0.001)

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)

    reflector = Reflector(gateway, CONFIG_MAPS, lambda raw: raw, work, namespace=namespace)
    tasks = [asyncio.create_task(one) for one in (reflector.run(), watch_the_loop())]
    await is_so(reflector.synced.is_set, 40)
    for task in tasks:
        task.cancel()
    assert told == len(reflector.store) == 100 * pages
    assert {seen.query["limit"] for seen in proxy.requests if listing(seen)} == {"100"}
    assert longest < 1.0, "told of all in one go, it would be three seconds"


async def test_pages_of_a_real_server_make_one_list(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    for number in range(25):
        write(kubernetes, namespace, f"c-{number}", str(number))
    async with following(gateway, namespace, page=10) as followed:
        assert len(followed.values) == 25
        assert proxy.count(listing) == 3


async def test_objects_too_large_for_a_page_come_in_smaller_ones(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    proxy.answer(lambda seen: seen.query.get("limit") == "100", 200, b"x" * ((64 << 20) + 1))
    async with following(gateway, namespace) as followed:
        assert followed.values == {"a": "1"}
        assert [seen.query["limit"] for seen in proxy.requests if listing(seen)] == ["100", "25"]


async def test_an_object_that_nobody_understands_stops_no_other(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    async with following(gateway, namespace) as followed:
        broken = {"data": None}
        kubernetes.call("PATCH", CONFIG_MAPS.path(namespace, "a"), broken, "merge-patch+json")
        write(kubernetes, namespace, "b", "1")
        await is_so(lambda: "b" in followed.values)
        assert followed.values == {"a": "1", "b": "1"}, "what it was before stays"


async def test_items_of_a_list_have_their_kind(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    write(kubernetes, namespace, "a", "1")
    reflector = Reflector(
        gateway,
        CONFIG_MAPS,
        lambda raw: (raw["kind"], raw["apiVersion"]),
        lambda *_: None,
        namespace=namespace,
        selector="followed=yes",
    )
    task = asyncio.create_task(reflector.run())
    await is_so(reflector.synced.is_set)
    task.cancel()
    assert list(reflector.store.values()) == [("ConfigMap", "v1")]


async def test_a_kind_that_comes_later_is_found(
    kubernetes: Kubernetes, gateway: Gateway, proxy: FaultProxy
) -> None:
    """As our own kinds do, when the operator starts before the chart's CRDs are in."""
    laters = Resource("later.acme.example", "v1", "laters", namespaced=True)
    reflector = Reflector(
        gateway, laters, lambda raw: raw, lambda *_: None, backoff=Backoff(0.05, 1.0)
    )
    task = asyncio.create_task(reflector.run())
    await is_so(lambda: proxy.count(listing) >= 3)
    assert not reflector.synced.is_set()
    listed = {"kind": "LaterList", "metadata": {"resourceVersion": "1"}, "items": []}
    proxy.answer(listing, 200, listed)
    await is_so(reflector.synced.is_set)
    task.cancel()


@pytest.mark.timeout(BUILD_SECONDS)
async def test_a_restarted_server_and_a_compacted_etcd_are_recovered_from(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    with running_kubernetes(folder) as kubernetes:
        namespace = kubernetes.namespace()
        write(kubernetes, namespace, "goes", "1")
        async with (
            fault_proxy(kubernetes, tmp_path) as proxy,
            await Gateway.open(str(proxy.kubeconfig), agent="test") as gateway,
            following(gateway, namespace, backoff=Backoff(0.5, 3.0)) as followed,
        ):
            proxy.cut()
            kubernetes.call("DELETE", CONFIG_MAPS.path(namespace, "goes"))
            write(kubernetes, namespace, "comes", "1")
            kubernetes.compact()
            # The loop waits for it, so the reflector's next attempt comes with the version that is gone.
            kubernetes.start()
            began = time.monotonic()
            proxy.mend()
            await is_so(lambda: followed.values == {"comes": "1"})
            assert proxy.count(lambda _: True, began) <= 10
            assert followed.causes == ["expired"]
            # And it follows from there.
            write(kubernetes, namespace, "comes", "2")
            await is_so(lambda: followed.values == {"comes": "2"})
