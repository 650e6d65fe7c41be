"""A program that has its identity from a real CA by a real service account token."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from ca_in_cluster import Started, World, eventually
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward.client.identity import WorkloadIdentity
from featward.identity.join_token import JoinToken
from featward.identity.v1 import identity_pb2
from featward_ca.settings import ServeSettings
from featward_engine import Credentials
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


@dataclass
class Client:
    """A program with an identity, and the CA as it sees it."""

    identity: WorkloadIdentity
    credentials: Credentials
    running: "asyncio.Task[None]"
    admin: Any

    @property
    def svid(self) -> dict[str, Any]:
        return dict(json.loads(self.credentials.identity() or b"{}"))

    async def sees_the_ca(self) -> bool:
        """Whether it reaches it by its own identity."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self.admin.Show(authority_pb2.ShowRequest(), timeout=5)
            return True
        return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def settings_of(world: World) -> ServeSettings:
    """A CA that stays at one address, with lives of a minute."""
    return world.settings(
        listen=f"127.0.0.1:{free_port()}",
        operator=f"eu1/{world.namespace}/featward-operator",
        unsafe_short_lives=True,
    )


@asynccontextmanager
async def having_identity(
    world: World, address: str, roots: list[str], **given: Any
) -> AsyncIterator[Client]:
    """A replica of the operator, as its pod would be."""
    credentials = Credentials(world.trust_domain)
    pod = world.kubernetes.pod(world.namespace, given.pop("account", "featward-operator"))
    audience = f"featward.dev/ca/{world.trust_domain}"
    folder = world.folder / pod.name[-5:]
    folder.mkdir(mode=0o700)
    token = given.pop("token", lambda: world.kubernetes.token(pod, audience))
    identity = WorkloadIdentity(
        credentials, address, world.trust_domain, token, lambda: roots, folder, **given
    )
    running = asyncio.create_task(identity.run())
    channel = identity.channel(f"spiffe://{world.trust_domain}/featward/ca", address)
    try:
        yield Client(identity, credentials, running, AdminStub(channel))
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await channel.close()
        await identity.close()


async def root_of(ca: Started) -> str:
    return str((await ca.admin.Show(authority_pb2.ShowRequest())).root_sha256.hex())


async def rotate(ca: Started, owner: str, seconds: float) -> authority_pb2.Rotation:
    """Rotate it, and wait until nothing is left of the one before."""
    request = authority_pb2.RotateRequest(owner=owner, reason="a test")
    await ca.admin.Rotate(request)
    states: list[list[authority_pb2.Rotation]] = []

    async def is_done() -> bool:
        shown = await ca.admin.Show(authority_pb2.ShowRequest())
        under_way = [one for one in shown.rotations if one.owner == owner]
        states.append(under_way)
        return not under_way

    await eventually(is_done, seconds)
    return next(one[0] for one in reversed(states) if one)


async def test_a_banned_certificate_is_replaced_at_once_by_evidence(world: World) -> None:
    async with world.serving(settings_of(world)) as ca, contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            having_identity(world, ca.addresses.listen, [await root_of(ca)])
        )
        async with asyncio.timeout(60):
            await client.identity.ready.wait()
        await eventually(client.sees_the_ca)
        before = client.svid
        await ca.admin.AddBan(authority_pb2.AddBanRequest(serial=before["serial"], reason="stolen"))

        async def is_another() -> bool:
            return bool(client.svid["serial"] != before["serial"])

        await eventually(is_another)
        # Not because it ended, nor at half of its life, when it would be renewed.
        assert client.svid["not_after"] - before["not_after"] < 25
        await eventually(client.sees_the_ca)


async def test_the_operator_has_an_identity_over_restarts_and_rotations(world: World) -> None:
    settings = settings_of(world)
    async with contextlib.AsyncExitStack() as stack:
        async with world.serving(settings) as ca:
            root = await root_of(ca)
            # While one root follows another there may be one that is not ours, yet or any more.
            client = await stack.enter_async_context(
                having_identity(world, ca.addresses.listen, ["00" * 32, root])
            )
            async with asyncio.timeout(60):
                await client.identity.ready.wait()
            assert client.svid["spiffe_id"] == f"spiffe://{world.trust_domain}/featward/operator"
            await eventually(client.sees_the_ca)
            first = client.svid["serial"]
        # The CA is away, and the identity stays.
        assert client.svid["serial"] == first

        async def is_missed() -> bool:
            return client.identity.last_error is not None

        await eventually(is_missed)
        async with world.serving(settings) as ca:
            await eventually(client.sees_the_ca)
            # It acknowledges, or the step would have to wait for it; and it renews what is tainted.
            before = client.svid["authority"]
            last = await rotate(ca, "platform", 60)
            assert last.needed == 1
            assert client.svid["authority"] != before
            assert await client.sees_the_ca()
            assert client.identity.last_error is None


async def test_an_identity_outlives_many_of_its_certificates(world: World) -> None:
    world.apply_environment(svidTTL="6s")
    settings = settings_of(world)
    async with (
        world.serving(settings) as ca,
        having_identity(world, ca.addresses.listen, [await root_of(ca)]) as client,
    ):
        async with asyncio.timeout(60):
            await client.identity.ready.wait()
        serials = set()

        async def has_had_four() -> bool:
            serials.add(client.svid["serial"])
            return len(serials) == 4

        await eventually(has_had_four, 60)
        assert await client.sees_the_ca()
        # All of them are one client: what renewed was not a stranger each time.
        listed = await ca.admin.ListClients(authority_pb2.ListClientsRequest())
        assert len(listed.clients) == 1


async def test_a_dead_replica_blocks_no_rotation_and_a_living_one_is_waited_for(
    world: World,
) -> None:
    settings = settings_of(world)
    async with world.serving(settings) as ca, contextlib.AsyncExitStack() as stack:
        roots = [await root_of(ca)]
        dead, living = [
            await stack.enter_async_context(having_identity(world, ca.addresses.listen, roots))
            for _ in range(2)
        ]
        for one in (dead, living):
            async with asyncio.timeout(60):
                await one.identity.ready.wait()

        async def connected() -> list[bool]:
            listed = await ca.admin.ListClients(authority_pb2.ListClientsRequest())
            return sorted(one.connected for one in listed.clients)

        async def both() -> bool:
            return await connected() == [True, True]

        await eventually(both)
        # As after kill -9: the connection breaks, and nobody says good-bye or renews.
        dead.running.cancel()

        async def one_is_gone() -> bool:
            return await connected() == [False, True]

        await eventually(one_is_gone)
        await asyncio.sleep(10)  # after its start the CA waits for all
        done = await rotate(ca, "platform", 40)
        assert done.needed == 1


async def test_whoever_is_somebody_else_is_told_so(world: World) -> None:
    settings = settings_of(world)
    async with (
        world.serving(settings) as ca,
        having_identity(world, ca.addresses.listen, [await root_of(ca)], account="feast") as client,
    ):

        async def is_told() -> bool:
            return "correct --operator" in (client.identity.last_error or "")

        try:
            await eventually(is_told)
        except AssertionError as error:
            raise AssertionError(f"{error}: {client.identity.last_error}") from None
        assert not client.identity.ready.is_set()


async def test_another_ca_is_not_believed(world: World) -> None:
    settings = settings_of(world)
    async with (
        world.serving(settings) as ca,
        having_identity(world, ca.addresses.listen, ["11" * 32]) as client,
    ):

        async def is_refused() -> bool:
            return bool(client.identity.last_error)

        await eventually(is_refused)
        assert not client.identity.ready.is_set()
        assert (await ca.admin.ListClients(authority_pb2.ListClientsRequest())).clients == []


async def test_a_join_token_is_shown_once(world: World) -> None:
    world.apply_workload("console", "default")
    settings = settings_of(world)
    name = f"{world.environment}.default/console"
    async with world.serving(settings) as ca:
        answer = await ca.admin.CreateJoinToken(authority_pb2.CreateJoinTokenRequest(workload=name))
        told = JoinToken.parse(answer.token)
        asked: list[str] = []

        def evidence(token: str) -> identity_pb2.Evidence:
            asked.append(token)
            return identity_pb2.Evidence(join_token=token)

        async with having_identity(
            world,
            ca.addresses.listen,
            [told.root_sha256.hex()],
            token=lambda: told.evidence,
            evidence=evidence,
            renews_by_evidence=False,
            expected=f"spiffe://{world.trust_domain}/bu/default/svc/console",
        ) as client:
            async with asyncio.timeout(60):
                await client.identity.ready.wait()
            first = client.svid["serial"]

            async def is_renewed() -> bool:
                return bool(client.svid["serial"] != first)

            await eventually(is_renewed, 60)
            assert asked == [told.evidence]
