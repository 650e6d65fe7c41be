"""How work gathers into transactions: everything that waits at the same moment goes into one, with
one fsync.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from featward_ca.store.pieces import Work

_Result = TypeVar("_Result")

# One transaction holds this many pieces of work at most, so that the first in it does not wait for
# long.
_LARGEST_GROUP = 256


class Groups:
    """Takes work in order and hands it to `commit` in groups; each piece sees what those before
    wrote.
    """

    def __init__(self, commit: Callable[[list[Work]], Any]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """What `work` returns, or raises, after its group was committed."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        # Shielded: work that is under way is committed even if its caller has gone.
        return await asyncio.shield(future)

    async def _drain(self) -> None:
        while self._waiting:
            await self._gather()
            group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
            try:
                outcomes = await self._commit([work for work, _ in group])
            except Exception as error:  # whatever it is, nobody must wait for ever
                outcomes = [error] * len(group)
            _settle([future for _, future in group], outcomes)

    async def _gather(self) -> None:
        """Wait until one whole turn of the loop has brought nothing new: who is ready now joins
        the group.
        """
        seen = 0
        while seen < len(self._waiting) < _LARGEST_GROUP:
            seen = len(self._waiting)
            await asyncio.sleep(0)


def _settle(futures: list[asyncio.Future[Any]], outcomes: list[Any]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.cancelled():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
