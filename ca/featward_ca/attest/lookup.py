"""Finds the SVIDs that renewals name: who asks at the same moment shares one look at the store.

A look costs a transaction, and after a restart of the CA all clients renew at once.
"""

import asyncio

from featward_ca.gathering import Gathering
from featward_ca.store import renewals
from featward_ca.store.renewals import Renewable
from featward_ca.store.store import Store

# As many as one statement may well ask for.
_LARGEST = 256


class Lookup:
    """Shares looks among those who wait."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._gathering = Gathering()
        self._serials: set[str] = set()
        self._look: asyncio.Task[dict[str, Renewable]] | None = None

    async def find(self, serial: str) -> Renewable | None:
        """The SVID with this serial as it is stored now or later. Raises StoreError."""
        if self._look is None or len(self._serials) >= _LARGEST:
            self._serials = set()
            self._look = asyncio.create_task(self._gather(self._serials))
        self._serials.add(serial)
        # Shielded: others wait for the same look.
        return (await asyncio.shield(self._look)).get(serial)

    async def _gather(self, serials: set[str]) -> dict[str, Renewable]:
        await self._gathering.wait(lambda: len(serials), _LARGEST)
        if self._serials is serials:
            # Who asks from now on may be too late for this look.
            self._look = None
        return await self._store.read(lambda c: renewals.find(c, tuple(serials)))
