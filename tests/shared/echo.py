"""A gRPC server on a UNIX socket that tells its caller which metadata it saw, and a Listener before it.

The messages are bytes: what is tested is how calls are carried, so a schema would only stand between.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from featward_engine import Credentials, Dialer, Listener

Channel = grpc.aio.Channel


class Echo(grpc.GenericRpcHandler):
    """``/echo/Who`` answers the metadata as JSON, ``/echo/Talk`` each message, ``/echo/Wait`` never."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.waiting = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        match details.method:
            case "/echo/Who":
                return grpc.unary_unary_rpc_method_handler(self._who)
            case "/echo/Talk":
                return grpc.stream_stream_rpc_method_handler(self._talk)
            case "/echo/Wait":
                return grpc.unary_unary_rpc_method_handler(self._wait)
        return None

    async def _who(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("tail", "wagging"),))
        return json.dumps([list(pair) for pair in context.invocation_metadata()]).encode()

    async def _talk(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        await context.abort(grpc.StatusCode.DATA_LOSS, "said all")

    async def _wait(self, request: bytes, context: Any) -> bytes:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request


@asynccontextmanager
async def echo_server(folder: Path) -> AsyncIterator[tuple[Path, Echo]]:
    """The server; yields its socket and itself."""
    echo = Echo()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((echo,))
    socket = folder / "echo.sock"
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        yield socket, echo
    finally:
        await server.stop(None)


@asynccontextmanager
async def listening(
    credentials: Credentials, *others: Credentials, **config: object
) -> AsyncIterator[tuple[Listener, str]]:
    """A Listener; yields it and its address."""
    settings = {"listen": "127.0.0.1:0", **config}
    listener = Listener(credentials, json.dumps(settings, default=str).encode(), list(others))
    address = listener.start()
    try:
        yield listener, address
    finally:
        await asyncio.to_thread(listener.stop, 0.0)


@asynccontextmanager
async def dialling(
    credentials: Credentials, **config: object
) -> AsyncIterator[tuple[Dialer, Channel]]:
    """A Dialer; yields it and an open channel over it."""
    dialer = Dialer(credentials, json.dumps(config, default=str).encode())
    path = dialer.start()
    try:
        async with channel(path) as opened:
            yield dialer, opened
    finally:
        await asyncio.to_thread(dialer.stop)


OPTIONS = [
    # gRPC would send the socket's path as :authority, which is none, and hyper resets such a call.
    ("grpc.default_authority", "localhost"),
    # gRPC would share one connection between equal channels.
    ("grpc.use_local_subchannel_pool", 1),
]


def channel(path: str | Path) -> Channel:
    """A channel over a UNIX socket."""
    return grpc.aio.insecure_channel(f"unix:{path}", OPTIONS)


def unary(opened: Channel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """A call with bytes in and bytes out."""
    callable_: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = opened.unary_unary(method)
    return callable_


def talk(opened: Channel) -> "grpc.aio.StreamStreamCall[bytes, bytes]":
    """A conversation of bytes."""
    callable_: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
    callable_ = opened.stream_stream("/echo/Talk")
    return callable_(timeout=50)


async def who(opened: Channel) -> dict[str, str]:
    """The metadata that the server saw."""
    answer = await unary(opened, "/echo/Who")(b"", timeout=10)
    return dict(json.loads(answer))
