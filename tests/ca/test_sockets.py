"""The CA's UNIX sockets as the engine's Listener meets them."""

import asyncio
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, PingAckReceived

from featward_ca.service.sockets import listen

PINGS = 12


async def test_a_listener_may_ping_as_often_as_it_likes(tmp_path: Path) -> None:
    server = await listen(tmp_path / "s.sock", [])
    try:
        answered = await asyncio.wait_for(_pings(tmp_path / "s.sock"), 20)
    finally:
        await server.stop(0)
    assert answered == PINGS


async def _pings(socket: Path) -> int:
    """How many of twelve pings without data between them are answered before the connection ends."""
    reader, writer = await asyncio.open_unix_connection(socket)
    connection, answered = H2Connection(H2Configuration(client_side=True)), 0
    connection.initiate_connection()
    connection.ping(bytes(8))
    writer.write(connection.data_to_send())
    try:
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, ConnectionTerminated):
                    return answered
                if isinstance(event, PingAckReceived):
                    answered += 1
                    if answered == PINGS:
                        return answered
                    connection.ping(bytes(8))
            writer.write(connection.data_to_send())
        return answered
    finally:
        writer.close()
