"""What clients say that they have learnt, kept in the store so that rotations can wait for it.

Nothing waits for these writes: a lost one is said again when the client opens its next stream. So
they are gathered for a moment and stored together.
"""

import asyncio
import logging
from dataclasses import replace

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import StoreError
from featward_ca.store import acknowledgements
from featward_ca.store.acknowledgements import Heard
from featward_ca.store.store import Store

_log = logging.getLogger(__name__)
_GATHER_SECONDS = 0.2


class AckBook:
    """`heard` and `gone` return at once; `drain` stores what is left."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[str, Heard] = {}
        self._flushing: asyncio.Task[None] | None = None

    def heard(
        self,
        lineage: str,
        sequence: int,
        serial: str | None = None,
        *,
        version: str | None = None,
        clock_offset_ms: int | None = None,
    ) -> None:
        """A client has said this, and holds a stream of this process."""
        now, replica = self._clock.now(), self._store.replica
        said = Heard(lineage, sequence, now, replica, serial, version, clock_offset_ms)
        if before := self._pending.get(lineage):
            said = replace(
                said,
                sequence=max(before.sequence, sequence),
                serial=serial or before.serial,
                version=version or before.version,
            )
        self._add(said)

    def answered(self, lineage: str, sequence: int) -> None:
        """A client was answered with a trust of this sequence, and holds no stream."""
        self._add(Heard(lineage, sequence, self._clock.now(), None))

    def gone(self, lineage: str) -> None:
        """A client's stream has ended."""
        before = self._pending.get(lineage)
        left = Heard(lineage, 0, self._clock.now(), None)
        self._add(replace(before, replica=None) if before else left)

    async def drain(self) -> None:
        """Store what waits, now."""
        waiting, self._pending = list(self._pending.values()), {}
        try:
            await self._store.run(lambda connection: acknowledgements.store(connection, waiting))
        except StoreError as error:
            # They are said again at the next stream; gates stay shut until then.
            _log.error("acknowledgements lost", extra=fields(count=len(waiting), error=str(error)))

    def _add(self, heard: Heard) -> None:
        self._pending[heard.lineage] = heard
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        while self._pending:
            await asyncio.sleep(_GATHER_SECONDS)
            await self.drain()
