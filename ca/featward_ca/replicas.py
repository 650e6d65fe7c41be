"""This process among those on the same store: says that it lives, and cleans up after the dead.

Death is judged by what is seen: a replica whose heartbeat did not change at three looks in a row,
which are five seconds apart, however often there is something to say meanwhile.
Clocks of several machines are not compared, and a database that was away makes nobody dead, because
nobody looks meanwhile. One that was taken for dead and comes back gets a new name, and what it had
begun under the old one can't be completed (`replica_rows.fence`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from featward.logs import fields
from featward_ca.clock import Clock, sleep_or
from featward_ca.errors import StoreError
from featward_ca.store import audit, replica_rows
from featward_ca.store.replica_rows import ReplicaRow
from featward_ca.store.store import Connection, Store

_log = logging.getLogger(__name__)
BEAT_SECONDS = 5.0
# After so many looks at an unchanged heartbeat, which is 15 s, a replica is dead.
DEAD_LOOKS = 3


class Replicas:
    """Call `join` first and `leave` last; `keep_beating` in between."""

    def __init__(self, store: Store, clock: Clock, announced: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        # What Listeners would use, as long as there are none.
        self._used = announced
        self._streams: Callable[[], int] = lambda: 0
        self._started_at = clock.now()
        self._seen: dict[str, tuple[float, int]] = {}
        self._soon = asyncio.Event()

    def serve(self, used: Callable[[], int], streams: Callable[[], int]) -> None:
        """From now on there are Listeners, which use this sequence, and streams."""
        self._used, self._streams = used, streams

    async def join(self) -> None:
        """Be known to the others. Raises StoreError."""
        _say(await self.enter())

    async def enter(self) -> int:
        """The same, for who says by itself how many interrupted intents it has closed."""
        row, now, alone = self._row(), self._clock.now(), not self._store.shared

        def work(connection: Connection) -> int:
            if alone:
                # The lock of the data directory says so.
                replica_rows.remove(
                    connection, [other.id for other in replica_rows.everybody(connection)]
                )
            replica_rows.join(connection, row)
            closed = replica_rows.close_interrupted(connection, now)
            if alone:
                # On a shared store another's row with a lower id may still be on its way.
                audit.settle(connection, audit.newest(connection))
            return closed

        return await self._store.exclusive(work)

    async def leave(self) -> None:
        """Be gone, so that nobody waits to see whether this process is dead."""
        name = self._store.replica
        with contextlib.suppress(StoreError):  # then they wait
            await self._store.run(lambda c: replica_rows.remove(c, [name]))

    async def beat(self) -> None:
        """Say that this process lives, and look after the others. Raises StoreError."""
        await self._live()
        if self._store.shared:
            await self._bury(self._dead(await self._store.read(replica_rows.everybody)))

    async def _live(self) -> None:
        row = self._row()
        if not await self._store.run(lambda c: replica_rows.beat(c, row)):
            self._store.rename()
            _log.error("taken for dead by another replica", extra=fields(name=self._store.replica))
            await self.join()

    def soon(self) -> None:
        """Beat now: the Listeners use another sequence."""
        self._soon.set()

    async def keep_beating(self) -> None:
        """Beat every five seconds, and when there is something new to say, until cancelled."""
        look_at = self._clock.now()
        while True:
            try:
                if self._clock.now() < look_at:
                    await self._live()
                else:
                    look_at = self._clock.now() + BEAT_SECONDS
                    await self.beat()
            except StoreError as error:
                _log.error("no heartbeat", extra=fields(error=str(error)))
            await sleep_or(self._clock, self._clock.now() + BEAT_SECONDS, self._soon)

    def _row(self) -> ReplicaRow:
        return ReplicaRow(
            id=self._store.replica,
            started_at=self._started_at,
            seen_at=self._clock.now(),
            sequence=self._used(),
            streams=self._streams(),
        )

    def _dead(self, rows: list[ReplicaRow]) -> list[str]:
        before, self._seen = self._seen, {}
        for row in rows:
            seen_at, looks = before.get(row.id, (row.seen_at, -1))
            self._seen[row.id] = (row.seen_at, looks + 1 if seen_at == row.seen_at else 0)
        own = self._store.replica
        return [
            name for name, (_, looks) in self._seen.items() if looks >= DEAD_LOOKS and name != own
        ]

    async def _bury(self, names: list[str]) -> None:
        if not names:
            return
        now = self._clock.now()

        def work(connection: Connection) -> int:
            replica_rows.remove(connection, names)
            return replica_rows.close_interrupted(connection, now)

        closed = await self._store.exclusive(work)
        _log.warning("replicas are dead", extra=fields(names=names))
        _say(closed)


def _say(closed: int) -> None:
    if closed:
        _log.warning("intents without outcome closed", extra=fields(count=closed))
