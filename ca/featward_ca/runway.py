"""How the CA's clients stand, for readiness and metrics: the runway, and who is behind.

Counting reads every living SVID, so one count serves all who ask within some seconds.
"""

import asyncio
from dataclasses import dataclass

from featward_ca.core import Core
from featward_ca.store import bans, clients, living
from featward_ca.store.store import Connection

# Two scrapes of Prometheus at its usual pace never read the same count.
_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Outlook:
    """All of it at one moment. `runway` is None when nothing lives."""

    runway: float | None
    clients: int
    behind: int
    bans: int


class Runway:
    """Counts when asked, and tells the metrics."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = asyncio.Lock()
        self._outlook: Outlook | None = None
        self._counted_at = 0.0

    async def outlook(self) -> Outlook:
        """The newest count. Raises StoreError."""
        async with self._lock:
            now = self._core.clock.now()
            age = now - self._counted_at
            if self._outlook is None or not 0 <= age < _FRESH_SECONDS:
                self._outlook = await self._count(now)
                self._counted_at = now
                self._tell(self._outlook)
            return self._outlook

    async def _count(self, now: float) -> Outlook:
        replica, sequence = self._core.store.replica, self._core.trust.current.sequence

        def query(connection: Connection) -> Outlook:
            counts = clients.counts(connection, replica, sequence, now)
            # Where nobody is connected, the end of the first of all that live has to do.
            first_end = None if counts.first_end else living.live(connection, now).first_end
            return Outlook(
                runway=counts.runway(now, first_end),
                clients=counts.clients,
                behind=counts.behind,
                bans=bans.count(connection, now),
            )

        return await self._core.store.read(query)

    def _tell(self, outlook: Outlook) -> None:
        metrics = self._core.metrics
        metrics.runway.set(float("nan") if outlook.runway is None else outlook.runway)
        metrics.clients.set(outlook.clients)
        metrics.clients_behind.set(outlook.behind)
        metrics.bans.set(outlook.bans)
        metrics.svid_lifetime.set(self._core.situation.lifetimes.svid)
