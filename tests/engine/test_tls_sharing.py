"""The Listener with a few connections to its server for all callers: nobody waits for, or sees, another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from certificates import CA, DOMAIN, PRICING, SCORING, Environment
from echo import Echo, channel, dialling, echo_server, listening, talk, unary, who
from featward_engine import ConfigError, Credentials, Listener


@pytest.fixture
def environment() -> Environment:
    return Environment()


class Counter:
    """Counts the connections that are open to a UNIX socket, by standing before it."""

    def __init__(self, socket: Path, behind: Path) -> None:
        self.open = 0
        self.socket, self._behind = socket, behind

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._carry, self.socket)
        try:
            yield
        finally:
            server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        far_reader, far_writer = await asyncio.open_unix_connection(self._behind)
        ends = [_copy(reader, far_writer), _copy(far_reader, writer)]
        await asyncio.wait(
            [asyncio.ensure_future(end) for end in ends], return_when=asyncio.FIRST_COMPLETED
        )
        for one in (writer, far_writer):
            one.close()
        self.open -= 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass


async def test_many_callers_share_few_connections_and_each_is_told_apart(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    async with AsyncExitStack() as stack:
        forward, _ = await stack.enter_async_context(echo_server(tmp_path))
        counter = Counter(tmp_path / "front.sock", forward)
        await stack.enter_async_context(counter.running())
        _, address = await stack.enter_async_context(
            listening(server, forward=counter.socket, far_connections=2)
        )
        talks = []
        for number in range(12):
            name = PRICING if number % 2 else SCORING
            signer = environment.payments if number % 2 else environment.risk
            far = {"address": address, "socket": tmp_path / f"{number}.sock", "expect": CA}
            credentials = environment.process(signer, name)
            _, opened = await stack.enter_async_context(dialling(credentials, **far))
            assert (await who(opened))["featward-peer-spiffe-id"] == name
            conversation = talk(opened)
            await conversation.write(b"open")
            assert await conversation.read() == b"open"
            talks.append(conversation)
        assert counter.open == 2
        for number, conversation in enumerate(talks):
            await conversation.write(b"%d" % number)
        for number, conversation in enumerate(talks):
            assert await conversation.read() == b"%d" % number


async def test_more_streams_than_one_caller_may_have_go_over_one_connection(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    async with AsyncExitStack() as stack:
        forward, _ = await stack.enter_async_context(echo_server(tmp_path))
        _, address = await stack.enter_async_context(
            listening(server, forward=forward, far_connections=1)
        )
        talks = []
        for number in range(6):
            far = {"address": address, "socket": tmp_path / f"{number}.sock", "expect": CA}
            credentials = environment.process(environment.payments, PRICING)
            _, opened = await stack.enter_async_context(dialling(credentials, **far))
            talks += [talk(opened) for _ in range(50)]
        for conversation in talks:
            await conversation.write(b"x")
        assert [await conversation.read() for conversation in talks] == [b"x"] * 300


async def test_a_caller_that_reads_nothing_keeps_nobody_waiting(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    async with AsyncExitStack() as stack:
        forward, _ = await stack.enter_async_context(echo_server(tmp_path))
        _, address = await stack.enter_async_context(
            listening(server, forward=forward, far_connections=1)
        )
        opened = []
        for name in ("deaf", "other"):
            far = {"address": address, "socket": tmp_path / f"{name}.sock", "expect": CA}
            credentials = environment.process(environment.payments, PRICING)
            opened.append((await stack.enter_async_context(dialling(credentials, **far)))[1])
        deaf = [talk(opened[0]) for _ in range(16)]

        async def flood(conversation: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
            # More than all windows on the way can hold.
            for _ in range(512):
                await conversation.write(b"x" * 65536)

        floods = [asyncio.ensure_future(flood(conversation)) for conversation in deaf]
        await asyncio.wait(floods, timeout=3)
        assert not all(done.done() for done in floods), "nothing was held back"
        async with asyncio.timeout(10):
            assert (await who(opened[1]))["featward-peer-spiffe-id"] == PRICING
        for one in floods:
            one.cancel()
        await asyncio.gather(*floods, return_exceptions=True)


async def _waiting(
    stack: AsyncExitStack, environment: Environment, echo: Echo, address: str, folder: Path
) -> tuple[Credentials, "grpc.aio.UnaryUnaryCall[bytes, bytes]"]:
    far = {"address": address, "socket": folder / "out.sock", "expect": CA}
    credentials = environment.process(environment.payments, PRICING)
    _, opened = await stack.enter_async_context(dialling(credentials, **far))
    call = unary(opened, "/echo/Wait")(b"", timeout=50)
    stack.callback(call.cancel)
    started = asyncio.ensure_future(call.wait_for_connection())
    stack.callback(started.cancel)
    await echo.waiting.wait()
    return credentials, call


async def test_a_banned_caller_s_calls_end_at_the_server_and_others_go_on(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    async with AsyncExitStack() as stack:
        forward, echo = await stack.enter_async_context(echo_server(tmp_path))
        _, address = await stack.enter_async_context(
            listening(server, forward=forward, far_connections=1)
        )
        other = environment.process(environment.risk, SCORING)
        far = {"address": address, "socket": tmp_path / "other.sock", "expect": CA}
        _, spared = await stack.enter_async_context(dialling(other, **far))
        conversation = talk(spared)
        await conversation.write(b"before")
        assert await conversation.read() == b"before"
        _, call = await _waiting(stack, environment, echo, address, tmp_path)
        bans = [("identity", PRICING, 0)]
        server.set_trust(environment.roots, environment.scopes, 2, bans=bans)
        async with asyncio.timeout(1):
            await echo.cancelled.wait()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        await conversation.write(b"after")
        assert await conversation.read() == b"after"


async def test_a_caller_that_vanishes_leaves_no_call_behind(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    async with AsyncExitStack() as stack:
        forward, echo = await stack.enter_async_context(echo_server(tmp_path))
        _, address = await stack.enter_async_context(
            listening(server, forward=forward, far_connections=1)
        )
        async with AsyncExitStack() as brief:
            await _waiting(brief, environment, echo, address, tmp_path)
        async with asyncio.timeout(5):
            await echo.cancelled.wait()


async def test_a_unix_front_shares_as_well(environment: Environment, tmp_path: Path) -> None:
    front = f"unix:{tmp_path / 'front.sock'}"
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(environment.credentials(), forward=forward, listen=front, far_connections=1),
        channel(tmp_path / "front.sock") as one,
        channel(tmp_path / "front.sock") as two,
    ):
        for opened in (one, two):
            told = await who(opened)
            assert "featward-peer-uid" in told
            assert "featward-peer-address" not in told


def test_more_far_connections_than_make_sense_are_refused(tmp_path: Path) -> None:
    config = {"listen": "127.0.0.1:0", "forward": str(tmp_path / "x.sock"), "far_connections": 5000}
    with pytest.raises(ConfigError, match="far_connections"):
        Listener(Credentials(DOMAIN), json.dumps(config).encode())
