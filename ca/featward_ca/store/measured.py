"""A store that tells how long its callers wait: for their turn, and for the database.

Around any other, so that both databases are measured alike and neither knows of metrics.
"""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from featward_ca.metrics import Metrics
from featward_ca.store.store import Connection, Store

_Result = TypeVar("_Result")


class MeasuredStore:
    """A `Store` with the same answers and errors."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._queue = metrics.store_queue
        self._times = metrics.store_times

    @property
    def kind(self) -> str:
        return self._store.kind

    @property
    def shared(self) -> bool:
        return self._store.shared

    @property
    def file(self) -> Path | None:
        return self._store.file

    @property
    def replica(self) -> str:
        return self._store.replica

    def rename(self) -> None:
        self._store.rename()

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        asked = time.perf_counter()
        begun = asked

        def begin(connection: Connection) -> _Result:
            nonlocal begun
            begun = time.perf_counter()
            self._queue.observe(begun - asked)
            return work(connection)

        try:
            return await self._store.run(begin)
        finally:
            self._times.labels("write").observe(time.perf_counter() - begun)

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        with self._times.labels("read").time():
            return await self._store.read(query)

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        with self._times.labels("exclusive").time():
            return await self._store.exclusive(work)

    def changes(self) -> AsyncIterator[int]:
        return self._store.changes()

    def close(self) -> None:
        self._store.close()
