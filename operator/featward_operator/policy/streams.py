"""The open WatchPolicy streams of this replica.

A stream with nothing to do is one coroutine that waits for the sidecar's next message; what is pushed to it is
written by a task that lives as long as the writing does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from featward.policy.v1 import policy_pb2 as v1
from featward_operator.policy.refusals import later

if TYPE_CHECKING:
    import grpc

    from featward.identity.spiffe import SpiffeId
    from featward.policy.compiler import Compiled
    from featward_operator.policy.peers import Peer
    from featward_operator.policy.refusals import RefusedError

__all__ = ["PART_BYTES", "Stream", "Streams", "ViewKey"]

# An eighth of the 4 MiB that a sidecar takes as one message.
PART_BYTES = 512 << 10
# Of one SVID: a sidecar has one, and a second while it changes its certificate or is started again.
_STREAMS_OF_SVID = 4
# 26 KB each: 520 MB. Other replicas have room before that.
_MOST_STREAMS = 20_000

ViewKey: TypeAlias = "tuple[SpiffeId, frozenset[str], bool]"
"""Streams of one view get the same bytes: workload, sets called, and whether the engine is an old one."""


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream."""

    peer: Peer
    hello: v1.Hello
    view: ViewKey
    context: grpc.aio.ServicerContext[Any, Any]
    handler: asyncio.Task[Any] | None
    # What the sidecar has, as far as we know: said by it, or sent whole.
    digest: str
    # What the engine uses, as it said, since when; and what it refused.
    using: str
    using_since: float
    refused: str = ""
    error: str = ""
    # What it is to have, None as long as that is what it has.
    wanted: Compiled | None = None
    wanted_since: float = 0.0
    sending: asyncio.Task[None] | None = None
    # When it was last told that what it has is the newest.
    told_at: float = 0.0
    ended_by: RefusedError | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def say(self, **what: Any) -> None:
        """Write one message, after those that are being written."""
        async with self.writing:
            await self.context.write(v1.WatchPolicyResponse(**what))

    async def send(self, compiled: Compiled) -> bool:
        """Write a snapshot in parts; False where another was wanted meanwhile, which voids these."""
        content = memoryview(compiled.snapshot_bytes)
        for offset in range(0, len(content), PART_BYTES):
            if self.wanted is not compiled:
                return False
            data = bytes(content[offset : offset + PART_BYTES])
            part = v1.Part(digest=compiled.digest, total=len(content), offset=offset, data=data)
            await self.say(part=part)
        self.digest = compiled.digest
        return True

    def end(self, error: RefusedError) -> None:
        """End it with this status."""
        self.ended_by = error
        if self.handler is not None:
            self.handler.cancel()


class Streams:
    """All of them, by what they are sent."""

    def __init__(self) -> None:
        self._streams: dict[ViewKey, set[Stream]] = {}
        # Places taken, by serial: from before a stream's first message on.
        self._taken: Counter[str] = Counter()
        self._all_taken = 0
        self._count = 0

    @contextmanager
    def place(self, peer: Peer) -> Iterator[None]:
        """Take a place before anything is waited for, so that streams that are opened together count too.

        Raises RefusedError where all are taken, or all of this one SVID.
        """
        if self._all_taken >= _MOST_STREAMS or self._taken[peer.serial] >= _STREAMS_OF_SVID:
            raise later("too many streams are open", 5.0)
        self._taken[peer.serial] += 1
        self._all_taken += 1
        try:
            yield
        finally:
            self._all_taken -= 1
            self._taken[peer.serial] -= 1
            if not self._taken[peer.serial]:
                del self._taken[peer.serial]

    @contextmanager
    def hold(self, stream: Stream) -> Iterator[None]:
        """List a stream for as long as it is open."""
        self._streams.setdefault(stream.view, set()).add(stream)
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            of_view = self._streams[stream.view]
            of_view.discard(stream)
            if not of_view:
                del self._streams[stream.view]

    def of(self, view: ViewKey) -> tuple[Stream, ...]:
        """Those that get this."""
        return tuple(self._streams.get(view, ()))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Stream]:
        return iter([one for of_view in self._streams.values() for one in of_view])
