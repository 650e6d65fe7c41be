"""The policy port: an engine Listener, which ends mTLS, before a grpc.aio server that nobody else can reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from featward.listening import not_listening
from featward_engine import ConfigError, Credentials, Listener
from featward_operator.errors import OperatorError

if TYPE_CHECKING:
    from featward_operator.policy.service import PolicyService

__all__ = ["serving"]

_STOP_GRACE = 5.0
# A report has at most 64 callers with what each misses; a name is below 2 KiB.
_LARGEST_MESSAGE = 512 << 10
_OPTIONS = [
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.so_reuseport", 0),
    # The Listener pings every 30 s to notice a dead far side, which grpc would take for an attack.
    ("grpc.http2.max_ping_strikes", 0),
    # All sidecars come at once after a restart; by default grpc answers CANCELLED from 1,000 calls on.
    ("grpc.server.max_pending_requests", 65_536),
    ("grpc.server.max_pending_requests_hard_limit", 65_536),
]
# All streams in a few connections: one of gRPC's costs more than a stream.
_FAR_CONNECTIONS = 8


@contextlib.asynccontextmanager
async def serving(
    service: PolicyService, identities: Sequence[Credentials], listen: str, folder: Path
) -> AsyncIterator[str]:
    """Serve as long as the context lasts; the bound address.

    ``identities`` are the operator's, one of each environment; a caller that asks for none by name is shown the
    first. ``folder`` is private to us. Raises OperatorError.
    """
    socket = folder / "policy.sock"
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((service.handlers(),))
    # Mode 0600 from the first moment on.
    before = os.umask(0o177)
    try:
        socket.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{socket.absolute()}")
    except (OSError, RuntimeError) as error:
        raise OperatorError(f"the socket {socket} can't be made: {error}") from error
    finally:
        os.umask(before)
    await server.start()
    config = {
        "listen": listen,
        "forward": str(socket),
        "client_certificate": "required",
        "far_connections": _FAR_CONNECTIONS,
    }
    try:
        listener = Listener(identities[0], json.dumps(config).encode(), list(identities[1:]))
        try:
            bound = listener.start()
        except ConfigError as error:
            raise OperatorError(not_listening("ports.policy", str(error))) from error
        try:
            yield bound
        finally:
            # Streams end by themselves no sooner than their clients do.
            service.close()
            await asyncio.to_thread(listener.stop, _STOP_GRACE)
    finally:
        await server.stop(_STOP_GRACE)
