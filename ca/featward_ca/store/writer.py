"""The embedded store, which commits on the event loop instead of in a thread.

A commit takes well under a millisecond, two hand-overs of the interpreter lock per commit cost more
than that, and a thread that commits eagerly ends before the next request has been parsed, so that
nothing is grouped. The price is that a slow disk holds up the loop; then the groups grow, and
throughput holds.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from featward_ca.store.changes import Changes
from featward_ca.store.groups import Groups
from featward_ca.store.pieces import Work, not_read, not_written, together

_Result = TypeVar("_Result")


class LoopStore:
    """A `Store` whose database is as near as a function call, and belongs to this process."""

    def __init__(self, engine: Engine) -> None:
        self._replica = secrets.token_hex(8)
        self._readers = engine
        self._engine = engine.execution_options(featward_write=True)
        self._groups = Groups(self._commit)
        self._changes = Changes(self.read)
        self._changes.watch(engine)

    @property
    def kind(self) -> str:
        return self._engine.dialect.name

    @property
    def shared(self) -> bool:
        return False

    @property
    def file(self) -> Path | None:
        return Path(self._engine.url.database or "")

    @property
    def replica(self) -> str:
        return self._replica

    def rename(self) -> None:
        self._replica = secrets.token_hex(8)

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        return await self._groups.run(work)

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        try:
            with self._readers.begin() as connection:
                return query(connection)
        except SQLAlchemyError as error:
            raise not_read(error) from error

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        # The write lock of the file, which the transaction takes as it begins, is all the lock
        # that is needed.
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise not_written(error) from error

    def changes(self) -> AsyncIterator[int]:
        return self._changes.follow()

    def close(self) -> None:
        self._engine.dispose()

    async def _commit(self, group: list[Work]) -> list[Any]:
        try:
            return together(self._engine, group)
        except SQLAlchemyError as error:
            raise not_written(error, len(group)) from error
