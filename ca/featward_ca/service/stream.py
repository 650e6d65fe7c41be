"""The loop behind WatchIdentity: answers requests in order and pushes trust as it changes."""

import asyncio
from collections.abc import Sequence

import grpc

from featward.identity.v1 import identity_pb2
from featward_ca.clock import milliseconds
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError, StoppingError
from featward_ca.issuer import IssuedSvid
from featward_ca.requests import keys_of
from featward_ca.service.guard import Call
from featward_ca.service.issuing import Issuing
from featward_ca.service.streams import Stream, Streams
from featward_ca.trust import Trust

# An agent that serves a node has all its workloads at hand after a restart; twenty fill one group
# commit.
CSRS_PER_MESSAGE = 20


class Watching:
    """Serves open streams, until they or the CA end."""

    def __init__(self, core: Core, streams: Streams, issuing: Issuing) -> None:
        self._core = core
        self._streams = streams
        self._issuing = issuing
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closing.set()

    async def watch(self, _: object, call: Call) -> None:
        """One stream; ends with the client, or with the server."""
        with self._streams.hold(call.peer.serial) as stream:
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

    async def _answer(
        self, message: identity_pb2.WatchIdentityRequest, stream: Stream, call: Call
    ) -> None:
        stream.acknowledged = max(stream.acknowledged, message.acknowledged_sequence)
        if not message.csrs:
            return
        if len(message.csrs) > CSRS_PER_MESSAGE:
            raise MalformedRequestError(
                f"a message holds {CSRS_PER_MESSAGE} certificate requests at most"
            )
        keys = keys_of(message.csrs)
        if message.evidence.WhichOneof("kind"):
            issued = await self._issuing.by_evidence(message.evidence, keys, call)
        else:
            issued = await self._issuing.by_svid(keys, stream, call)
        await call.context.write(self._response(svids=issued))

    def _response(
        self, trust: Trust | None = None, svids: Sequence[IssuedSvid] = ()
    ) -> identity_pb2.WatchIdentityResponse:
        return identity_pb2.WatchIdentityResponse(
            svids=[svid.message() for svid in svids],
            trust=trust.message() if trust else None,
            server_time=milliseconds(self._core.clock),
        )
