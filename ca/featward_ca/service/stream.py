"""What happens on a WatchIdentity stream: requests are answered in order, and trust is pushed as it
changes.
"""

import asyncio
import logging
import random

import grpc

from featward.identity.v1 import identity_pb2
from featward.logs import fields
from featward_ca.clock import milliseconds
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError, StoppingError, TooManyRequestsError
from featward_ca.pacing import splay
from featward_ca.requests import keys_of
from featward_ca.service.acknowledgements import AckBook
from featward_ca.service.guard import Call
from featward_ca.service.issuing import Issuing
from featward_ca.service.limits import Buckets
from featward_ca.service.rpcs import Rate
from featward_ca.service.streams import Stream, Streams
from featward_ca.trust import Trust

_log = logging.getLogger(__name__)
# An agent that serves a node has all its workloads at hand after a restart; twenty fill one group
# commit.
CSRS_PER_MESSAGE = 20
# Messages of one caller: ten thousand are nothing, and a flood without end is not.
_MESSAGES = Rate(20_000, 100)


class Watching:
    """Serves open streams, until they or the CA end."""

    def __init__(self, core: Core, streams: Streams, issuing: Issuing, book: AckBook) -> None:
        self._core = core
        self._streams = streams
        self._issuing = issuing
        self._book = book
        self._stopping = False
        self._said = Buckets(_MESSAGES)
        # Only so that they are not collected while they run.
        self._pushes: set[asyncio.Task[None]] = set()
        core.trust.subscribe(self._push_all)

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._stopping = True
        for stream in self._streams:
            if stream.handler:
                stream.handler.cancel()

    async def watch(self, _: object, call: Call) -> None:
        """One stream; ends with the client, or with the server."""
        stream = Stream(call, call.peer.held)
        try:
            with self._streams.hold(stream):
                self._book.changed(stream)
                await self._push(stream)
                while (message := await call.context.read()) is not grpc.aio.EOF:
                    await self._answer(message, stream)
        except asyncio.CancelledError:
            if self._stopping:
                wait = splay(len(self._streams))
                raise StoppingError("the CA is stopping; connect again", wait) from None
            raise
        finally:
            # It is no longer among the open ones.
            self._book.changed(stream)

    async def _answer(self, message: identity_pb2.WatchIdentityRequest, stream: Stream) -> None:
        if wait := self._said.take(stream.call.peer.source or "", self._core.clock.now()):
            raise TooManyRequestsError("this caller says more than anybody has to say", wait)
        if stream.lineage is None and message.lineage:
            stream.lineage = await self._issuing.own_lineage(message.lineage, stream.call.peer)
        self._book.heard(stream, message)
        if not message.csrs:
            return
        if len(message.csrs) > CSRS_PER_MESSAGE:
            raise MalformedRequestError(
                f"a message holds {CSRS_PER_MESSAGE} certificate requests at most"
            )
        keys = keys_of(message.csrs)
        if message.evidence.WhichOneof("kind"):
            issued = await self._issuing.by_evidence(message.evidence, keys, stream.call, stream)
            if len(issued) == 1:
                self._goes_on_as(stream, issued[0].row.lineage)
        else:
            issued = await self._issuing.by_svid(keys, stream, stream.call)
        answer = identity_pb2.WatchIdentityResponse(
            svids=[svid.message() for svid in issued], server_time=milliseconds(self._core.clock)
        )
        await self._write(stream, answer.SerializeToString())

    def _goes_on_as(self, stream: Stream, lineage: str) -> None:
        before, stream.lineage = stream.lineage, lineage
        if before and before != lineage:
            self._book.left(before)
        self._book.changed(stream)

    def _push_all(self, before: Trust, trust: Trust) -> None:
        """Bans and the like at once; what is only added spread over a moment."""
        longest = 0.0 if trust.is_urgent_after(before) else splay(len(self._streams))
        loop, now = asyncio.get_running_loop(), self._core.clock.now()
        for stream in self._streams:
            if stream.handler and stream.held and self._core.bans.takes(stream.held, now):
                # It has to show this SVID when it connects again, and the Listener refuses that.
                stream.handler.cancel()
                continue
            delay = random.uniform(0, longest)  # noqa: S311  # spreads load, hides nothing
            loop.call_later(delay, self._start_push, stream)

    def _start_push(self, stream: Stream) -> None:
        if stream not in self._streams:
            return
        task = asyncio.create_task(self._push_or_drop(stream))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _push_or_drop(self, stream: Stream) -> None:
        try:
            await self._push(stream)
        except Exception as error:  # grpc has no one class for a stream that has ended meanwhile
            _log.debug("push not sent", extra=fields(error=repr(error)))

    async def _push(self, stream: Stream) -> None:
        """Send the newest trust, if it has not been sent."""
        trust = self._core.trust.current
        if trust.sequence <= stream.sent:
            return
        stream.sent = trust.sequence
        if stream.claimed >= trust.sequence:
            # It has it from another replica, and has said so already.
            self._book.changed(stream)
        time = identity_pb2.WatchIdentityResponse(server_time=milliseconds(self._core.clock))
        await self._write(stream, trust.pushed + time.SerializeToString())

    async def _write(self, stream: Stream, response: bytes) -> None:
        async with stream.writing:
            await stream.call.context.write(response)
