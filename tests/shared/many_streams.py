"""Opens many WatchIdentity streams to a CA's socket: a process of its own for test_many_streams.

Told what to do by lines on standard input, it answers each with one line on standard output.
"""

import asyncio
import sys
from typing import Any

import grpc

from featward.identity.v1 import identity_pb2, identity_pb2_grpc

CHANNELS = 8
# Handshakes under way at once.
AT_ONCE = 200
# The digest of the key that all their SVIDs are stored with.
KEY = b"k"
OPTIONS = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
Stub: Any = identity_pb2_grpc.IdentityServiceStub


class Many:
    """The streams, and what each has received."""

    def __init__(self, socket: str) -> None:
        self._channels = [
            grpc.aio.insecure_channel(f"unix:{socket}", OPTIONS) for _ in range(CHANNELS)
        ]
        self._streams: list[Any] = []

    async def open(self, serials: list[str], spiffe_id: str) -> int:
        """One stream for each serial; each has received its first trust."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, serial: str) -> None:
            metadata = (
                ("featward-peer-spiffe-id", spiffe_id),
                ("featward-peer-serial", serial),
                ("featward-peer-key", KEY.hex()),
            )
            async with gate:
                stub = Stub(self._channels[number % CHANNELS])
                stream = stub.WatchIdentity(metadata=metadata)
                trust = (await stream.read()).trust
                said = identity_pb2.WatchIdentityRequest(acknowledged_sequence=trust.sequence)
                await stream.write(said)
                self._streams.append(stream)

        await asyncio.gather(*(one(*each) for each in enumerate(serials)))
        return len(self._streams)

    async def receive(self, sequence: int) -> int:
        """Wait until every stream has received this sequence, and acknowledge it."""

        async def one(stream: Any) -> None:
            while (await stream.read()).trust.sequence < sequence:
                pass
            said = identity_pb2.WatchIdentityRequest(acknowledged_sequence=sequence)
            await stream.write(said)

        await asyncio.gather(*(one(stream) for stream in self._streams))
        return len(self._streams)


async def main(socket: str, spiffe_id: str) -> None:
    """Serve the lines."""
    many, loop = Many(socket), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *rest = line.split()
        done = (
            await many.open(rest, spiffe_id) if word == "open" else await many.receive(int(rest[0]))
        )
        print(done, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
