"""Hearing of changes of the trust, of authorities and of a halt: our own and other replicas'.

PostgreSQL tells who listens, in a thread of its own because the driver waits in it; and somebody
who was not connected for a moment looks every two seconds anyway. The embedded store
has no other process to hear of.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, event, select

from featward.logs import fields
from featward_ca.errors import StoreError
from featward_ca.store import tables

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
# The sequence first.
_State = tuple[int, frozenset[tuple[Any, ...]], float | None]
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
    """Say that the transaction of this connection changes what replicas have to know of, if it is
    committed: what is announced, the states of authorities, whether issuing is halted.
    """
    connection.info[_MARK] = True


class Changes:
    """Wakes those who follow the sequence of one store."""

    def __init__(
        self,
        read: Callable[[Callable[[Connection], _State]], Awaitable[_State]],
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
        """The sequence now, and again after each change of what replicas have to know of, until
        cancelled. Several changes at once are one.
        """
        changed = asyncio.Event()
        last: _State | None = None
        self._follow(changed)
        try:
            while True:
                if (state := await self._look()) != last:
                    last = state
                    yield state[0]
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

    async def _look(self) -> _State:
        while True:
            try:
                return await self._read(_state)
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


def _state(connection: Connection) -> _State:
    """All that replicas have to know of at once: small tables, and a number that differs whenever
    one of them was changed.
    """
    sequence = connection.execute(select(tables.trust.c.sequence)).scalar_one()
    states = select(tables.authority.c.id, tables.authority.c.state)
    halted = connection.execute(select(tables.issuance.c.halted_at)).scalar()
    return int(sequence), frozenset(map(tuple, connection.execute(states))), halted
