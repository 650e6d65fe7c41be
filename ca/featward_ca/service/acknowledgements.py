"""What clients say of themselves, on its way into the store: which trust and which SVID they use.

Rotation waits for it, so it has to outlive this process; but ten thousand clients say it in the
same second, after every change of trust. So it is gathered for a moment and stored in one
statement, and what a crash takes along comes again: every stream begins with it.
"""

import asyncio
import logging
import string
from dataclasses import dataclass, replace

from featward.identity.v1 import identity_pb2
from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import MalformedRequestError, StoreError
from featward_ca.service.streams import Stream, Streams
from featward_ca.store import clients
from featward_ca.store.clients import Told
from featward_ca.store.store import Store

_log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.2
# After the store has failed.
_RETRY_SECONDS = 2.0
# A serial has 20 bytes at most; versions are ours to choose, and a year is no clock.
_LONGEST_SERIAL, _LONGEST_VERSION = 40, 64
_LARGEST_OFFSET_MS = 366 * 86_400_000
_HEX = frozenset(string.hexdigits)


@dataclass
class _News:
    """What is not stored yet of one stream."""

    serial_in_use: str | None = None
    version: str | None = None
    clock_offset_ms: int | None = None


class AckBook:
    """Gathers and stores it. `heard` is cheap and never waits."""

    def __init__(self, store: Store, streams: Streams, clock: Clock) -> None:
        self._store = store
        self._streams = streams
        self._clock = clock
        self._news: dict[Stream, _News] = {}
        self._attested: list[Told] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()

    def heard(self, stream: Stream, message: identity_pb2.WatchIdentityRequest) -> None:
        """Take down what a message says of its sender. Raises MalformedRequestError."""
        serial = _serial(message.serial_in_use)
        stream.claimed = max(stream.claimed, message.acknowledged_sequence)
        news = self._of(stream)
        news.serial_in_use = serial or news.serial_in_use
        news.version = _version(message.version) or news.version
        if abs(message.clock_offset_ms) <= _LARGEST_OFFSET_MS:
            news.clock_offset_ms = message.clock_offset_ms

    def changed(self, stream: Stream) -> None:
        """A stream was opened or closed, or more of what it claims counts now."""
        self._of(stream)

    def attested(self, lineage: str, serial: str, sequence: int) -> None:
        """A client without a stream is answered with an SVID and this trust. Who uses the one uses
        the other, and it may never say more.
        """
        self._attested.append(Told(lineage, False, sequence, serial))
        self._after(FLUSH_SECONDS)

    def left(self, lineage: str) -> None:
        """A stream goes on as another client than it was: it was attested anew."""
        self._attested.append(Told(lineage, False))
        self._after(FLUSH_SECONDS)

    async def flush(self) -> None:
        """Store all that was heard until now; what can't be stored is kept and tried again."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        # What was begun before is stored before, and so it is when this returns.
        async with self._order:
            await self._flush()

    async def _flush(self) -> None:
        news, self._news = self._news, {}
        attested, self._attested = self._attested, []
        try:
            await self._resolve(news)
            if known := self._told(attested, news):
                await self._write(known)
        except StoreError as error:
            _log.error("acknowledgements not stored", extra=fields(error=str(error)))
            self._keep(attested, news)
            self._after(_RETRY_SECONDS)

    def _keep(self, attested: list[Told], news: dict[Stream, _News]) -> None:
        """For the next time; of streams that have ended meanwhile one line for each client, because
        clients come and go for as long as the store is away. What an ended stream said whose client
        could not be looked up is dropped: the client says it again when it comes back.
        """
        open_ = {stream: one for stream, one in news.items() if stream in self._streams}
        ended = {stream: one for stream, one in news.items() if stream not in self._streams}
        self._news = open_ | self._news
        latest: dict[str, Told] = {}
        for told in (*self._told(attested, ended), *self._attested):
            latest[told.lineage] = _joined(latest.get(told.lineage), told)
        self._attested = list(latest.values())

    def _of(self, stream: Stream) -> _News:
        self._after(FLUSH_SECONDS)
        return self._news.setdefault(stream, _News())

    def _after(self, seconds: float) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._start)

    def _start(self) -> None:
        self._timer = None
        self._flushing = asyncio.create_task(self.flush())

    async def _resolve(self, news: dict[Stream, _News]) -> None:
        """Find out whose SVIDs those are that streams have proven to hold."""
        unknown = {stream: stream.held for stream in news if stream.lineage is None and stream.held}
        if not unknown:
            return
        held = list(unknown.values())
        found = await self._store.read(lambda connection: clients.lineages(connection, held))
        for stream, one in unknown.items():
            stream.lineage = found.get(one)

    def _told(self, attested: list[Told], news: dict[Stream, _News]) -> list[Told]:
        # The stream of before is closed after the one that follows it was opened.
        open_ = {stream.lineage for stream in self._streams}
        # First, because what a stream says is newer.
        alone = [replace(told, connected=told.lineage in open_) for told in attested]
        return alone + [
            Told(
                stream.lineage,
                stream.lineage in open_,
                stream.acknowledged,
                one.serial_in_use,
                one.version,
                one.clock_offset_ms,
            )
            for stream, one in news.items()
            if stream.lineage is not None
        ]

    async def _write(self, told: list[Told]) -> None:
        replica, now = self._store.replica, self._clock.now()
        await self._store.run(lambda connection: clients.tell(connection, told, replica, now))


def _joined(before: Told | None, told: Told) -> Told:
    """What a client has said, and what it says now."""
    if before is None:
        return told
    return Told(
        told.lineage,
        told.connected,
        max(before.sequence, told.sequence),
        told.serial_in_use or before.serial_in_use,
        told.version or before.version,
        before.clock_offset_ms if told.clock_offset_ms is None else told.clock_offset_ms,
    )


def _serial(text: str) -> str | None:
    if len(text) > _LONGEST_SERIAL or not _HEX.issuperset(text):
        raise MalformedRequestError(
            f"the serial in use has to be hexadecimal, {_LONGEST_SERIAL} digits at most"
        )
    return text.lower() or None


def _version(text: str) -> str | None:
    plain = (letter for letter in text[:_LONGEST_VERSION] if letter.isprintable())
    return "".join(plain) or None
