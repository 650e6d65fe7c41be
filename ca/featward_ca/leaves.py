"""The queue before issuing: who wants a leaf at the same moment shares a batch, and nobody who goes
away leaves one half done.
"""

import asyncio
import logging
from collections.abc import Sequence

from featward.logs import fields
from featward_ca.batch import Batch, Leaf, Made
from featward_ca.errors import CaError, IssuanceError
from featward_ca.gathering import gather

_log = logging.getLogger(__name__)
# As many as the store takes into one transaction.
_LARGEST_BATCH = 256
# While one batch waits for its commit the next one is prepared; more would only be smaller ones.
_BATCHES_AT_ONCE = 2


class Leaves:
    """Makes them; those who wait at the same moment share a batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._waiting: list[tuple[Leaf, asyncio.Future[Made]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def make(self, leaves: Sequence[Leaf]) -> list[Made]:
        """For each leaf its certificate (DER) or why there is none: LintError before anything is
        stored, what its claim raises with nothing stored, IssuanceHaltedError, ClockSkewError,
        StoreError.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Made]] = [loop.create_future() for _ in leaves]
        self._waiting.extend(zip(leaves, futures, strict=True))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._start_batches())
        # A batch goes on without its callers, so that no intent is left without an outcome.
        return list(await asyncio.gather(*(asyncio.shield(future) for future in futures)))

    async def make_now(self, leaf: Leaf) -> bytes:
        """The same for one, past all that wait: health must not turn red because many are served.
        Raises CaError.
        """
        future: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._start([(leaf, future)])
        outcome = await asyncio.shield(future)
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
            await gather(lambda: len(self._waiting), _LARGEST_BATCH)
            batch = self._waiting[:_LARGEST_BATCH]
            self._waiting = self._waiting[_LARGEST_BATCH:]
            self._start(batch)
            while len(self._under_way) >= _BATCHES_AT_ONCE:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, batch: list[tuple[Leaf, asyncio.Future[Made]]]) -> None:
        task = asyncio.create_task(self._finish_batch(batch))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _finish_batch(self, batch: list[tuple[Leaf, asyncio.Future[Made]]]) -> None:
        outcomes: dict[Leaf, Made] = {}
        try:
            await self._batch.run([leaf for leaf, _ in batch], outcomes)
        except Exception:  # a defect of ours must not leave callers waiting for ever
            _log.exception("batch failed", extra=fields(leaves=len(batch)))
        for leaf, future in batch:
            if not future.done():
                lost = IssuanceError("the certificate was not made; the CA's log says why")
                future.set_result(outcomes.get(leaf, lost))
