"""The loop behind WatchIdentity: answers requests in order and pushes trust as it changes."""

import asyncio
from collections.abc import Sequence

import grpc

from featward.identity.v1 import identity_pb2
from featward_ca.clock import milliseconds
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError, StoppingError
from featward_ca.issuer import IssuedSvid
from featward_ca.requests import public_key_of
from featward_ca.service.acknowledgements import AckBook
from featward_ca.service.guard import Call
from featward_ca.service.issuing import Issuing
from featward_ca.service.peers import Peer
from featward_ca.service.streams import Stream, Streams
from featward_ca.store import acknowledgements
from featward_ca.trust import Trust

# An agent that serves a node has all its workloads at hand after a restart; twenty fill one group
# commit.
CSRS_PER_MESSAGE = 20


class Watching:
    """Serves open streams, until they or the CA end."""

    def __init__(self, core: Core, streams: Streams, issuing: Issuing, book: AckBook) -> None:
        self._core = core
        self._book = book
        self._streams = streams
        self._issuing = issuing
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closing.set()

    async def watch(self, _: object, call: Call) -> None:
        """One stream; ends with the client, or with the server."""
        with self._streams.hold(call.peer.serial) as stream:
            stream.lineage = await self._lineage_of(call.peer)
            trust = self._core.trust.current
            await call.context.write(self._response(trust=trust))
            reading = asyncio.ensure_future(call.context.read())
            changing = asyncio.ensure_future(self._core.trust.after(trust.sequence))
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                while True:
                    await asyncio.wait(
                        {reading, changing, closing}, return_when=asyncio.FIRST_COMPLETED
                    )
                    if closing.done():
                        raise StoppingError("the CA is stopping; connect again")
                    if changing.done():
                        trust = changing.result()
                        await call.context.write(self._response(trust=trust))
                        changing = asyncio.ensure_future(self._core.trust.after(trust.sequence))
                    if reading.done():
                        message = reading.result()
                        if message is grpc.aio.EOF:
                            return
                        await self._answer(message, stream, call)
                        reading = asyncio.ensure_future(call.context.read())
            finally:
                for waiting in (reading, changing, closing):
                    waiting.cancel()
                if stream.lineage:
                    self._book.gone(stream.lineage)

    async def _answer(
        self, message: identity_pb2.WatchIdentityRequest, stream: Stream, call: Call
    ) -> None:
        await self._hear(message, stream, call.peer)
        if not message.csrs:
            return
        if len(message.csrs) > CSRS_PER_MESSAGE:
            raise MalformedRequestError(
                f"a message holds {CSRS_PER_MESSAGE} certificate requests at most"
            )
        keys = [public_key_of(csr) for csr in message.csrs]
        if message.evidence.WhichOneof("kind"):
            issued = await self._issuing.by_evidence(message.evidence, keys, call)
        else:
            issued = await self._issuing.by_svid(keys, stream, call)
        await call.context.write(self._response(svids=issued))
        stream.lineage = issued[-1].row.lineage

    async def _hear(
        self, message: identity_pb2.WatchIdentityRequest, stream: Stream, peer: Peer
    ) -> None:
        """Keep what a client says about itself; it can have learnt no more than we have said."""
        said = min(message.acknowledged_sequence, self._core.trust.current.sequence)
        stream.acknowledged = max(stream.acknowledged, said)
        if not stream.lineage and message.lineage:
            stream.lineage = await self._claimed(message.lineage, peer)
        if stream.lineage:
            self._book.heard(
                stream.lineage,
                said,
                message.serial_in_use or peer.serial or None,
                version=message.version or None,
                clock_offset_ms=message.clock_offset_ms or None,
            )

    async def _lineage_of(self, peer: Peer) -> str:
        """Which client this is, by the certificate of its connection; empty: it has shown none."""
        if not peer.serial:
            return ""
        row = await self._core.store.read(lambda c: acknowledgements.of_serial(c, peer.serial))
        return row.id if row and row.spiffe_id == peer.spiffe_id else ""

    async def _claimed(self, lineage: str, peer: Peer) -> str:
        """The lineage that a caller without a certificate says it has, if it may have it."""
        row = await self._core.store.read(lambda c: acknowledgements.of_lineage(c, lineage))
        workloads = self._core.situation.directory.run_by(peer.uid) if peer.uid is not None else []
        mine = row is not None and row.workload in [workload.name for workload in workloads]
        return lineage if mine else ""

    def _response(
        self, trust: Trust | None = None, svids: Sequence[IssuedSvid] = ()
    ) -> identity_pb2.WatchIdentityResponse:
        return identity_pb2.WatchIdentityResponse(
            svids=[svid.message() for svid in svids],
            trust=trust.message() if trust else None,
            server_time=milliseconds(self._core.clock),
        )
