"""grpc.aio servers on UNIX sockets that nobody but this user can open."""

import os
from collections.abc import Sequence
from pathlib import Path

import grpc

from featward_ca.errors import ConfigurationError

# sun_path has 108 bytes with its final zero.
_LONGEST_PATH = 107
# The largest message holds twenty certificate requests of four kilobytes and the evidence.
_LARGEST_MESSAGE = 128 * 1024
# The Listener in front pings every 30 s to notice a dead far side. By default grpc takes more than two
# pings without data for an attack ("too_many_pings") and ends the connection with all its streams.
_PINGS_ARE_NO_ATTACK = 0
# Calls that have arrived and that Python has not looked at yet. By default grpc answers CANCELLED to some
# of them from 1000 on, to all from 3000 on; after a restart more clients than that are there at once.
# Who may wait at all is the Listener's to say, by its number of connections.
_MOST_PENDING = 65_536
_OPTIONS = [
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.max_ping_strikes", _PINGS_ARE_NO_ATTACK),
    ("grpc.server.max_pending_requests", _MOST_PENDING),
    ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
]


async def listen(socket: Path, services: Sequence[grpc.GenericRpcHandler]) -> grpc.aio.Server:
    """Serve on a socket with mode 0600. Raises ConfigurationError."""
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(tuple(services))
    _bind(server, socket)
    await server.start()
    return server


def _bind(server: grpc.aio.Server, socket: Path) -> None:
    if len(os.fsencode(socket.absolute())) > _LONGEST_PATH:
        raise ConfigurationError(
            f"the socket path {socket.absolute()} is longer than {_LONGEST_PATH} bytes; choose a"
            " shorter directory"
        )
    # The process's umask decides the mode at the moment of binding, so that there is no wider one
    # before it.
    before = os.umask(0o177)
    try:
        socket.unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{socket.absolute()}")
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(f"the socket {socket} can't be made: {error}") from error
    finally:
        os.umask(before)
