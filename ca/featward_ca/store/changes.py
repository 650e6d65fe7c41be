"""Hearing of changes of the trust: this process's own, and those of other replicas.

PostgreSQL tells who listens, in a thread of its own because the driver waits in it; and somebody
who was not connected for a moment looks every two seconds anyway, at one number. The embedded store
has no other process to hear of.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from sqlalchemy import Connection, Engine, event, select

from featward.logs import fields
from featward_ca.errors import StoreError
from featward_ca.store import tables

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
_MARK = "featward_trust_changed"


class Listening(Protocol):
    """What a database has to tell of changes by others."""

    def start(self, changed: Callable[[], None]) -> None:
        """Call `changed`, from any thread, whenever there may be a change, until `stop`."""
        ...

    def stop(self) -> None:
        """Be silent from now on."""
        ...


def mark(connection: Connection) -> None:
    """Say that the transaction of this connection changes the trust, if it is committed."""
    connection.info[_MARK] = True


class Changes:
    """Wakes those who follow the sequence of one store."""

    def __init__(
        self,
        read: Callable[[Callable[[Connection], int]], Awaitable[int]],
        listening: Listening | None = None,
    ) -> None:
        self._read = read
        self._listening = listening
        self._followers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def watch(self, engine: Engine) -> None:
        """Hear of this process's own commits."""
        event.listen(engine, "commit", self._committed)
        event.listen(engine, "rollback", _forget)

    async def follow(self) -> AsyncIterator[int]:
        """The sequence now, and again after each change of it, until cancelled. Several changes
        at once are one.
        """
        changed, last = asyncio.Event(), -1
        self._follow(changed)
        try:
            while True:
                if (sequence := await self._look()) != last:
                    last = sequence
                    yield sequence
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS if self._listening else None):
                        await changed.wait()
                changed.clear()
        finally:
            del self._followers[changed]

    def close(self) -> None:
        """Stop listening."""
        if self._listening:
            self._listening.stop()

    def _follow(self, changed: asyncio.Event) -> None:
        if self._listening and not self._followers:
            self._listening.start(self._wake)
        self._followers[changed] = asyncio.get_running_loop()

    async def _look(self) -> int:
        while True:
            try:
                return await self._read(_sequence)
            except StoreError as error:
                _log.error("trust not looked at", extra=fields(error=str(error)))
                await asyncio.sleep(_LOOK_SECONDS)

    def _committed(self, connection: Connection) -> None:
        if connection.info.pop(_MARK, False):
            self._wake()

    def _wake(self) -> None:
        for changed, loop in tuple(self._followers.items()):
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(changed.set)


def _forget(connection: Connection) -> None:
    connection.info.pop(_MARK, None)


def _sequence(connection: Connection) -> int:
    return int(connection.execute(select(tables.trust.c.sequence)).scalar_one())
