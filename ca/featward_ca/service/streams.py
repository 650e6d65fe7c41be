"""The open WatchIdentity streams of this process.

A stream that has nothing to do is one coroutine that waits for the client's next message. What is
pushed to it is written by short-lived tasks, so that nothing of it runs, or is even allocated, in
between.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from featward_ca.service.guard import Call
from featward_ca.store.svids import Held


@dataclass(eq=False, slots=True)
class Stream:
    """One open stream.

    `held` is the newest SVID that this stream has proven or been given, and `lineage` the client
    that it belongs to, once known. `sent` is the newest sequence that went out, `claimed` the
    newest that the client said to use; only what was sent counts.
    """

    call: Call
    held: Held | None
    lineage: str | None = None
    sent: int = 0
    claimed: int = 0
    handler: asyncio.Task[object] | None = field(default_factory=asyncio.current_task)
    # grpc takes one message at a time.
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def acknowledged(self) -> int:
        """What the client is known to use."""
        return min(self.sent, self.claimed)


class Streams:
    """All of them."""

    def __init__(self) -> None:
        self._streams: set[Stream] = set()

    @contextmanager
    def hold(self, stream: Stream) -> Iterator[None]:
        """Count a stream for as long as it is open."""
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams))

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._streams
