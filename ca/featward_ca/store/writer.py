"""The embedded store: everything that waits at the same moment goes into one transaction, one
fsync.

It commits on the event loop instead of in a thread: a commit takes well under a millisecond, two
hand-overs of the interpreter lock per commit cost more than that, and a thread that commits eagerly
ends before the next request has been parsed, so that nothing is grouped. The price is that a slow
disk holds up the loop; then the groups grow, and throughput holds.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from featward.logs import fields
from featward_ca.errors import CaError, StoreError

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Work = Callable[[Connection], Any]

# One transaction holds this many pieces of work at most, so that the first in it does not wait for
# long.
_LARGEST_GROUP = 256
_NOT_WRITTEN = "the store could not write; the CA's log says why"


class LoopStore:
    """A `Store` whose database is as near as a function call. Work runs in order; each piece sees
    what those before wrote.
    """

    def __init__(self, engine: Engine, replica: str) -> None:
        self._replica = replica
        self._readers = engine
        self._engine = engine.execution_options(featward_write=True)
        self._waiting: list[tuple[_Work, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        return self._engine.dialect.name

    @property
    def replica(self) -> str:
        return self._replica

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        # Shielded: work that is under way is committed even if its caller has gone.
        return await asyncio.shield(future)

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        try:
            with self._readers.begin() as connection:
                return query(connection)
        except SQLAlchemyError as error:
            _log.error("query failed", extra=fields(error=str(error)))
            raise StoreError("the store could not be read; the CA's log says why") from error

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        # The write lock of the file, which the transaction takes as it begins, is all the lock
        # that is needed.
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            _log.error("commit failed", extra=fields(pieces=1, error=str(error)))
            raise StoreError(_NOT_WRITTEN) from error

    def close(self) -> None:
        self._engine.dispose()

    async def _drain(self) -> None:
        while self._waiting:
            await self._gather()
            group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
            self._commit(group)

    async def _gather(self) -> None:
        """Wait until one whole turn of the loop has brought nothing new: who is ready now joins
        the group.
        """
        seen = 0
        while seen < len(self._waiting) < _LARGEST_GROUP:
            seen = len(self._waiting)
            await asyncio.sleep(0)

    def _commit(self, group: list[tuple[_Work, asyncio.Future[Any]]]) -> None:
        try:
            with self._engine.begin() as connection:
                outcomes = [_attempt(connection, work) for work, _ in group]
        except (SQLAlchemyError, StoreError) as error:
            _log.error("commit failed", extra=fields(pieces=len(group), error=str(error)))
            outcomes = [StoreError(_NOT_WRITTEN)] * len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.cancelled():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _attempt(connection: Connection, work: _Work) -> Any:
    """The result of one piece of work, or its error with all it wrote undone."""
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
        savepoint.commit()
    except CaError as error:
        savepoint.rollback()
        return error
    except SQLAlchemyError as error:
        savepoint.rollback()
        _log.error("statement failed", extra=fields(error=str(error)))
        return StoreError(_NOT_WRITTEN)
    except Exception as error:  # a defect in one piece of work must not fail its neighbours
        savepoint.rollback()
        return error
    return result
