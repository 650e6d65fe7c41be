"""The queue before issuing: who wants a leaf at the same moment shares a batch, and nobody who goes
away leaves one half done.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from featward.logs import fields
from featward_ca.batch import Batch, Leaf, Made
from featward_ca.errors import CaError, IssuanceError
from featward_ca.gathering import Gathering

_log = logging.getLogger(__name__)
# As many as the store takes into one transaction.
_LARGEST_BATCH = 256
# While one batch waits for its commit the next one is prepared; more would only be smaller ones.
_BATCHES_AT_ONCE = 2


@dataclass(frozen=True, eq=False)
class _Order:
    """What one caller waits for together: never more than a batch, and never split between two."""

    leaves: Sequence[Leaf]
    made: asyncio.Future[list[Made]]


class Leaves:
    """Makes them; those who wait at the same moment share a batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: list[_Order] = []
        # The leaves of those.
        self._number = 0
        self._gathering = Gathering()
        self._drain: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def make(self, leaves: Sequence[Leaf]) -> list[Made]:
        """For each leaf its certificate (DER) or why there is none: LintError before anything is
        stored, what its claim raises with nothing stored, IssuanceHaltedError, ClockSkewError,
        StoreError.
        """
        orders = [
            _order(leaves[start : start + _LARGEST_BATCH])
            for start in range(0, len(leaves), _LARGEST_BATCH)
        ]
        self._waiting += orders
        self._number += len(leaves)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._start_batches())
        # A batch goes on without its callers, so that no intent is left without an outcome.
        return [made for order in orders for made in await asyncio.shield(order.made)]

    async def make_now(self, leaf: Leaf) -> bytes:
        """The same for one, past all that wait: health must not turn red because many are served.
        Raises CaError.
        """
        order = _order([leaf])
        self._start([order])
        (outcome,) = await asyncio.shield(order.made)
        if isinstance(outcome, CaError):
            raise outcome
        return outcome

    async def finish(self) -> None:
        """Return when nothing is between its intent and its outcome."""
        if self._drain:
            await self._drain
        await asyncio.gather(*self._under_way)

    async def _start_batches(self) -> None:
        while self._waiting:
            await self._gathering.wait(lambda: self._number, _LARGEST_BATCH)
            self._start(self._next())
            while len(self._under_way) >= _BATCHES_AT_ONCE:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _next(self) -> list[_Order]:
        """The first of those who wait, as many as fit into one batch."""
        orders, leaves = 0, 0
        for order in self._waiting:
            if leaves + len(order.leaves) > _LARGEST_BATCH:
                break
            orders, leaves = orders + 1, leaves + len(order.leaves)
        batch, self._waiting = self._waiting[:orders], self._waiting[orders:]
        self._number -= leaves
        return batch

    def _start(self, batch: list[_Order]) -> None:
        task = asyncio.create_task(self._finish_batch(batch))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _finish_batch(self, batch: list[_Order]) -> None:
        outcomes: dict[Leaf, Made] = {}
        leaves = [leaf for order in batch for leaf in order.leaves]
        try:
            await self._batch.run(leaves, outcomes)
        except Exception:  # a defect of ours must not leave callers waiting for ever
            _log.exception("batch failed", extra=fields(leaves=len(leaves)))
        lost = IssuanceError("the certificate was not made; the CA's log says why")
        for order in batch:
            if not order.made.done():
                order.made.set_result([outcomes.get(leaf, lost) for leaf in order.leaves])


def _order(leaves: Sequence[Leaf]) -> _Order:
    return _Order(leaves, asyncio.get_running_loop().create_future())
