"""The store of several replicas: a database over a socket, which may be slow or hang, so that all
of it happens in threads.

One thread writes, so that work gathers while a commit is on its way; one holds the rotation's lock;
a few read.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from featward_ca.store.changes import Changes, Listening
from featward_ca.store.groups import Groups
from featward_ca.store.pieces import Work, not_read, not_written, together, was_overtaken

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
READERS = 4
# How often a transaction that made way for another one is tried.
_TRIES = 5
# The trust's one row is the lock that guards rotation.
_LOCK = text("SELECT sequence FROM trust FOR UPDATE")


class ThreadStore:
    """A `Store` that other replicas use too."""

    def __init__(self, engine: Engine, listening: Listening) -> None:
        self._replica = secrets.token_hex(8)
        self._engine = engine
        self._readers = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._groups = Groups(self._commit)
        self._writing = ThreadPoolExecutor(1, "store-write")
        self._excluding = ThreadPoolExecutor(1, "store-exclusive")
        self._reading = ThreadPoolExecutor(READERS, "store-read")
        self._changes = Changes(self.read, listening)
        self._changes.watch(engine)

    @property
    def kind(self) -> str:
        return self._engine.dialect.name

    @property
    def shared(self) -> bool:
        return True

    @property
    def file(self) -> Path | None:
        return None

    @property
    def replica(self) -> str:
        return self._replica

    def rename(self) -> None:
        self._replica = secrets.token_hex(8)

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        return await self._groups.run(work)

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        def perform() -> _Result:
            with self._readers.begin() as connection:
                return query(connection)

        try:
            return await _in(self._reading, perform)
        except SQLAlchemyError as error:
            raise not_read(error) from error

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        def perform() -> _Result:
            with self._engine.begin() as connection:
                connection.execute(_LOCK)
                return work(connection)

        try:
            return await _in(self._excluding, lambda: _until_through(perform))
        except SQLAlchemyError as error:
            raise not_written(error) from error

    def changes(self) -> AsyncIterator[int]:
        return self._changes.follow()

    def close(self) -> None:
        self._changes.close()
        for threads in (self._writing, self._excluding, self._reading):
            threads.shutdown()
        self._engine.dispose()

    async def _commit(self, group: list[Work]) -> list[Any]:
        def perform() -> list[Any]:
            return together(self._engine, group)

        try:
            return await _in(self._writing, lambda: _until_through(perform))
        except SQLAlchemyError as error:
            raise not_written(error, len(group)) from error


async def _in(threads: Executor, perform: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(threads, perform)


def _until_through(perform: Callable[[], _Result]) -> _Result:
    for _ in range(_TRIES - 1):
        try:
            return perform()
        except SQLAlchemyError as error:
            if not was_overtaken(error):
                raise
    return perform()
