"""Keeps the foreign bundles fresh: when each one is fetched, and what is known of its endpoint.

The other side says by its refresh hint how often it wants to be asked; within bounds it is obeyed.
After a failure we come back sooner than that, ever later, and never more often than the bounds allow.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from featward.logs import fields
from featward_ca.core import Core
from featward_ca.errors import CaError
from featward_ca.federation.fetch import fetch
from featward_ca.federation.relations import Relation
from featward_ca.federation.standing import interval

__all__ = ["Keeper"]

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 5.0
Dice = Callable[[float, float], float]


@dataclass
class _Attempts:
    """How often it failed since it last did not."""

    failures: int = 0


class Keeper:
    """One task for each relation, in step with the manifests."""

    def __init__(self, core: Core, dice: Dice = random.uniform) -> None:
        self._core = core
        self._dice = dice
        self._tasks: dict[Relation, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._core.relations_edited.clear()
                await self._follow_edit()
                await self._core.relations_edited.wait()
        finally:
            await self._end(list(self._tasks))

    async def _follow_edit(self) -> None:
        relations = self._core.situation.directory.relations
        await self._end([one for one in self._tasks if one not in relations.values()])
        try:
            if await self._core.foreign.use(relations):
                await self._core.authorities.load()
                await self._core.announce()
        except CaError as error:
            _log.error("change of federatesWith not stored", extra=fields(error=str(error)))
        self._core.endpoints.keep_only(relations)
        for relation in relations.values():
            if relation not in self._tasks:
                self._tasks[relation] = asyncio.create_task(self._keep(relation))

    async def _end(self, relations: list[Relation]) -> None:
        tasks = [self._tasks.pop(one) for one in relations]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, relation: Relation) -> None:
        attempts = _Attempts()
        while True:
            wait = await self._fetch(relation, attempts)
            await self._core.clock.sleep_until(self._core.clock.now() + wait)

    async def _fetch(self, relation: Relation, attempts: _Attempts) -> float:
        """Fetch once; after how many seconds to do it again."""
        core, domain = self._core, relation.trust_domain
        try:
            document = await fetch(relation.url, await core.foreign.anchors(relation))
            if await core.foreign.take(domain, document):
                await core.authorities.load()
                await core.announce()
                _log.info("foreign bundle changed", extra=fields(trust_domain=domain))
        except CaError as error:
            await self._failed(domain, str(error))
            return self._after_failure(attempts, await self._interval(domain))
        attempts.failures = 0
        core.endpoints.answered(domain)
        seconds = await self._interval(domain)
        # Never later than hinted, and not all in one moment.
        return self._dice(0.9 * seconds, seconds)

    async def _failed(self, domain: str, error: str) -> None:
        _log.warning("foreign bundle not fetched", extra=fields(trust_domain=domain, error=error))
        self._core.endpoints.failed(domain, error)
        try:
            await self._core.foreign.failed(domain, error)
        except CaError as store:
            _log.error("failure not stored", extra=fields(error=str(store)))

    def _after_failure(self, attempts: _Attempts, seconds: float) -> float:
        longest = min(seconds, _FIRST_RETRY_SECONDS * 2.0 ** min(attempts.failures, 20))
        attempts.failures += 1
        return self._dice(longest / 2, longest)

    async def _interval(self, domain: str) -> float:
        try:
            row = (await self._core.foreign.rows()).get(domain)
        except CaError:
            row = None
        if row:
            self._core.endpoints.known(row)
        hint = row.refresh_hint if row else 0
        return interval(hint, unsafe_short=self._core.situation.lifetimes.unsafe_short)
