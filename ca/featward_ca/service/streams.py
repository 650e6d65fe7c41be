"""The open WatchIdentity streams, and which trust each has acknowledged; for status and metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stream:
    """One open stream. `serial` is the newest SVID that this stream has proven or been given,
    `lineage` whose it is; empty while that is not known.
    """

    serial: str
    acknowledged: int = 0
    lineage: str = ""


class Streams:
    """All of them."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

    @contextmanager
    def hold(self, serial: str) -> Iterator[Stream]:
        """Count a stream for as long as it is open."""
        stream = Stream(serial)
        self._streams[id(stream)] = stream
        try:
            yield stream
        finally:
            del self._streams[id(stream)]

    def __len__(self) -> int:
        return len(self._streams)

    def behind(self, sequence: int) -> int:
        """How many have not acknowledged this sequence."""
        return sum(stream.acknowledged < sequence for stream in self._streams.values())
