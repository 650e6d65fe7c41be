"""A CA that reads its manifests from a real API server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import grpc
import pytest

from ca_in_cluster import Started, World, eventually
from cluster.faults import fault_proxy
from featward.authority.v1 import authority_pb2
from featward_ca.clock import SystemClock
from featward_ca.errors import ConfigurationError, StoppingError
from featward_ca.server import running
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


async def knows(ca: Started, workload: str) -> bool:
    """Whether the CA would enrol it."""
    with suppress(grpc.aio.AioRpcError):
        await ca.admin.CreateJoinToken(authority_pb2.CreateJoinTokenRequest(workload=workload))
        return True
    return False


async def warned(ca: Started) -> str:
    """What its status says of edits; empty: nothing."""
    shown = await ca.admin.Show(authority_pb2.ShowRequest())
    return "".join(one.text for one in shown.warnings if one.code == "edits-refused")


def is_known(ca: Started, workload: str) -> Callable[[], Awaitable[bool]]:
    return lambda: knows(ca, workload)


async def test_a_ca_without_its_environment_waits_and_then_serves(world: World) -> None:
    unit = f"{world.environment}.payments"

    async def says(word: str) -> bool:
        status, problem = await world.health("/readyz")
        return status == 503 and word in problem

    async def apply_bit_by_bit() -> None:
        await eventually(lambda: says(f"no Environment {world.environment} yet"))
        assert (await world.health("/healthz"))[0] == 200
        # One that does not have the cluster is none that the CA can begin with.
        world.apply("Environment", world.environment, {"trustDomain": world.trust_domain})
        await eventually(lambda: says("has no cluster eu1"))
        world.apply("BusinessUnit", unit)
        world.apply_workload("feast")
        world.apply_environment()

    applying = asyncio.create_task(apply_bit_by_bit())
    async with world.serving(world.settings()) as ca:
        await applying
        assert await world.health("/readyz") == (200, "")
        assert await knows(ca, f"{unit}/feast")
        # An edit holds without a restart, one that takes away too.
        world.apply_workload("scoring")
        took = await eventually(is_known(ca, f"{unit}/scoring"))
        world.delete("Workload", f"{world.environment}-scoring")

        async def is_gone() -> bool:
            return not await knows(ca, f"{unit}/scoring")

        took = max(took, await eventually(is_gone))
        print(f"an edit held after {took:.2f} s")
        assert await warned(ca) == ""


async def test_a_bad_object_costs_itself_alone(world: World) -> None:
    unit = f"{world.environment}.payments"
    world.apply_environment()
    world.apply("BusinessUnit", unit, {"authority": {"lifetime": "30d"}})
    world.apply_workload("feast")
    world.apply_workload("orphan", "nobody")
    async with world.serving(world.settings()) as ca:
        assert await knows(ca, f"{unit}/feast")
        assert not await knows(ca, f"{world.environment}.nobody/orphan")
        assert "is not declared" in await warned(ca)
        # The API server takes it, for it does not compare two objects; the CA keeps what held.
        world.apply("BusinessUnit", unit, {"authority": {"lifetime": "2h"}})

        async def is_told() -> bool:
            return "would live 2h" in await warned(ca)

        await eventually(is_told)
        assert "it lives 30d until authority.lifetime is corrected" in await warned(ca)
        world.apply_workload("scoring")
        await eventually(is_known(ca, f"{unit}/scoring"))
        # With its unit it is one like others, and nothing is left to say.
        world.apply("BusinessUnit", f"{world.environment}.nobody")
        world.apply("BusinessUnit", unit, {"authority": {"lifetime": "30d"}})
        await eventually(is_known(ca, f"{world.environment}.nobody/orphan"))

        async def is_silent() -> bool:
            return await warned(ca) == ""

        await eventually(is_silent)


async def test_without_its_environment_a_running_ca_goes_on(world: World) -> None:
    unit = f"{world.environment}.default"
    world.apply_environment()
    world.apply_workload("feast", "default")
    async with world.serving(world.settings()) as ca:
        world.delete("Environment", world.environment)

        async def is_told() -> bool:
            return f"no Environment {world.environment}" in await warned(ca)

        await eventually(is_told)
        assert await knows(ca, f"{unit}/feast")
        assert (await world.health("/readyz"))[0] == 200


async def test_a_silent_server_leaves_in_force_what_is_known(world: World) -> None:
    unit = f"{world.environment}.default"
    world.apply_environment()
    world.apply_workload("feast", "default")
    async with (
        fault_proxy(world.kubernetes, world.folder) as proxy,
        world.serving(world.settings(proxy.kubeconfig)) as ca,
    ):
        for fail in (proxy.hold, proxy.cut):
            fail()
            world.apply_workload("late", "default")
            await asyncio.sleep(1)
            assert await knows(ca, f"{unit}/feast")
            assert (await world.health("/readyz"))[0] == 200
            proxy.mend()
            await eventually(is_known(ca, f"{unit}/late"), 60)
            world.delete("Workload", f"{world.environment}-late")


async def test_a_server_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    world.apply_environment()
    async with fault_proxy(world.kubernetes, world.folder) as proxy:
        proxy.cut()

        async def come_back() -> None:
            async def says() -> bool:
                status, problem = await world.health("/readyz")
                return status == 503 and "has not listed every" in problem

            await eventually(says)
            proxy.mend()

        coming = asyncio.create_task(come_back())
        async with world.serving(world.settings(proxy.kubeconfig)):
            await coming


async def test_a_ca_that_waits_can_be_stopped(world: World) -> None:
    stop, began = asyncio.Event(), time.monotonic()
    asyncio.get_running_loop().call_later(1.0, stop.set)
    with pytest.raises(StoppingError):
        async with running(world.settings(), SystemClock(), stop):
            pass
    assert time.monotonic() - began < 20
    assert (await world.health("/healthz"))[0] == 0


async def test_a_cluster_without_a_login_stops_the_start(world: World) -> None:
    settings = world.settings(from_cluster="us1")
    with pytest.raises(ConfigurationError, match="--from-cluster is about the cluster us1"):
        async with running(settings, SystemClock()):
            pass
    settings = world.settings(clusters={"eu1": "/nowhere/kubeconfig"})
    with pytest.raises(ConfigurationError, match="there is no kubeconfig /nowhere/kubeconfig"):
        async with running(settings, SystemClock()):
            pass
