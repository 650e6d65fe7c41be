"""WatchPolicy: who may have which policy, and what a sidecar says on its stream."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from featward.errors import CompileError
from featward.logs import fields
from featward.policy.v1 import policy_pb2 as v1
from featward_operator.policy.peers import Peer, peer_of
from featward_operator.policy.refusals import RETRY_AFTER, RefusedError, later, malformed
from featward_operator.policy.streams import Stream, Streams

if TYPE_CHECKING:
    from featward_operator.policy.pushes import Pushes
    from featward_operator.policy.tallies import Tallies
    from featward_operator.world import World

__all__ = ["PolicyService"]

_log = logging.getLogger(__name__)
_HELLO_SECONDS = 10.0
# Sets that one workload calls; the annotation of a pod has room for about as many.
_OUTBOUND = 256
# So many names of 317 bytes, the longest, and what else there is to say; it is kept as long as its stream.
_HELLO_BYTES = 96 << 10
# Messages of one stream: so many at once, and so many a second from then on.
_BURST, _RATE = 60.0, 2.0
_DIGEST = re.compile("([0-9a-f]{64})?")
_REPORT_MS = 5_000
# With this many streams each sidecar reports at the normal rate; with twice as many at half of it.
_REPORTING = 2_500


class PolicyService:
    """The handler. ``trust_domains`` are those of the environments that this operator works for."""

    def __init__(
        self,
        world: World,
        pushes: Pushes,
        streams: Streams,
        tallies: Tallies,
        trust_domains: Collection[str],
    ) -> None:
        self._world, self._pushes, self._streams = world, pushes, streams
        self._tallies = tallies
        self._trust_domains = frozenset(trust_domains)
        self._stopping = False

    def handlers(self) -> grpc.GenericRpcHandler:
        """For a grpc.aio server."""
        method = grpc.stream_stream_rpc_method_handler(
            self._watch,
            v1.WatchPolicyRequest.FromString,
            v1.WatchPolicyResponse.SerializeToString,
        )
        name = v1.DESCRIPTOR.services_by_name["PolicyService"].full_name
        return grpc.method_handlers_generic_handler(name, {"WatchPolicy": method})

    def close(self) -> None:
        """End all streams, so that the server can stop and sidecars go to another replica."""
        self._stopping = True
        for stream in self._streams:
            stream.end(later("the operator stops; connect again", 0.5))

    async def _watch(self, _: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            peer = peer_of(context.invocation_metadata() or (), self._trust_domains)
            await self._serve(peer, context)
        except RefusedError as error:
            await _refuse(context, error)
        except Exception as error:  # a defect of ours: the caller must not read our insides
            _log.exception("policy stream failed")
            name = type(error).__name__
            await context.abort(grpc.StatusCode.INTERNAL, f"{name}; the operator's log says more")

    async def _serve(self, peer: Peer, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        if not self._world.synced.is_set() or self._stopping:
            raise later("the operator does not know its cluster yet", 1.0)
        with self._streams.place(peer):
            await self._hear(peer, await _first(context), context)

    async def _hear(
        self, peer: Peer, hello: v1.Hello, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        view = self._open(peer, hello)
        stream = Stream(
            peer,
            hello,
            view,
            context,
            asyncio.current_task(),
            hello.digest,
            hello.digest,
            time.time(),
        )
        try:
            with self._streams.hold(stream):
                await stream.say(terms=v1.Terms(report_ms=self._report_ms()))
                await self._pushes.begin(stream)
                await self._listen(stream)
        except asyncio.CancelledError:
            if stream.ended_by is not None:
                raise stream.ended_by from None
            raise
        finally:
            stream.wanted = None
            self._tallies.leave(stream)
            self._pushes.close(view)

    def _open(self, peer: Peer, hello: v1.Hello) -> Any:
        if len(hello.outbound) > _OUTBOUND:
            raise malformed(f"a hello names {_OUTBOUND} sets at most, this {len(hello.outbound)}")
        if not _DIGEST.fullmatch(hello.digest):
            raise malformed("the digest of a hello is SHA-256 in lower-case hex, or empty")
        try:
            return self._pushes.open(peer.identity, frozenset(hello.outbound), hello.engine_version)
        except CompileError as error:
            raise malformed(str(error)) from error

    async def _listen(self, stream: Stream) -> None:
        left, looked = _BURST, time.monotonic()
        while (message := await stream.context.read()) is not grpc.aio.EOF:
            now = time.monotonic()
            left, looked = min(_BURST, left + (now - looked) * _RATE) - 1, now
            if left < 0:
                raise later("this sidecar says more than anybody has to say", 60.0)
            match message.WhichOneof("what"):
                case "applied":
                    await self._applied(stream, message.applied)
                case "report":
                    self._tallies.take(stream, message.report)
                case "hello":
                    raise malformed("a stream has one hello, as its first message")
                case _:
                    pass  # of a newer sidecar, and nothing that we were made to heed

    async def _applied(self, stream: Stream, applied: v1.Applied) -> None:
        if applied.error:
            stream.refused, stream.error = applied.digest[:64], applied.error[:500]
            _log.warning(
                "sidecar refused its policy",
                extra=fields(
                    workload=str(stream.peer.identity),
                    pod=stream.hello.pod.name,
                    digest=applied.digest[:64],
                    engine=stream.hello.engine_version[:40],
                    why=stream.error,
                ),
            )
            return
        stream.using, stream.using_since = applied.digest[:64], time.time()
        stream.refused = stream.error = ""
        if self._pushes.has_newest(stream):
            await self._pushes.affirm(stream)

    def _report_ms(self) -> int:
        return max(_REPORT_MS, _REPORT_MS * len(self._streams) // _REPORTING)


async def _first(context: grpc.aio.ServicerContext[Any, Any]) -> v1.Hello:
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            message = await context.read()
    except TimeoutError:
        raise malformed(f"no hello came within {_HELLO_SECONDS:.0f} s") from None
    if message is grpc.aio.EOF or message.WhichOneof("what") != "hello":
        raise malformed("the first message of a stream is a hello")
    if message.ByteSize() > _HELLO_BYTES:
        raise malformed(f"a hello has {_HELLO_BYTES} bytes at most, this {message.ByteSize()}")
    hello: v1.Hello = message.hello
    return hello


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], error: RefusedError) -> NoReturn:
    level = logging.DEBUG if error.retry_after else logging.WARNING
    _log.log(level, "policy refused", extra=fields(status=error.status.name, why=str(error)))
    if error.retry_after:
        context.set_trailing_metadata(((RETRY_AFTER, str(round(error.retry_after * 1000))),))
    await context.abort(error.status, str(error))
