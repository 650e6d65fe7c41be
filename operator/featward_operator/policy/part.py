"""The policy service as a part of the operator: what it is made of, and what its readiness waits for."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from featward.policy.slices import SliceCompiler
from featward_operator.policy.pushes import Pushes
from featward_operator.policy.series import Series
from featward_operator.policy.service import PolicyService
from featward_operator.policy.serving import serving
from featward_operator.policy.streams import Streams
from featward_operator.policy.tallies import Tallies

if TYPE_CHECKING:
    from featward.policy.workloads import AddressOf
    from featward_operator.health import Gate
    from featward_operator.identities import Identities
    from featward_operator.metrics import Metrics
    from featward_operator.world import World

__all__ = ["PolicyPart"]

# Between two looks at whether the CAs have given us identities.
_LOOK = 0.5


class PolicyPart:
    """One for each replica; `tallies` are for whoever writes status."""

    def __init__(
        self, world: World, identities: Identities, metrics: Metrics, address_of: AddressOf
    ) -> None:
        self._world, self._identities = world, identities
        self.streams, self.slices = Streams(), SliceCompiler(world.index, address_of=address_of)
        series = Series(metrics.registry)
        self.pushes = Pushes(self.slices, self.streams, watcher=series)
        series.watch(self.streams, self.slices, self.pushes.has_newest)
        self.tallies = Tallies(world, self.pushes.has_newest)
        world.changed = self.pushes.mark

    async def serve(self, listen: str, gate: Gate) -> None:
        """Serve until cancelled; opens the gate when sidecars are served. Raises OperatorError."""
        gate.close("the cluster's objects are listed")
        await self._world.synced.wait()
        while missing := self._identities.missing():
            gate.close(f"an identity in {', '.join(missing)}")
            await asyncio.sleep(_LOOK)
        service = PolicyService(
            self._world, self.pushes, self.streams, self.tallies, self._identities.trust_domains
        )
        credentials = [*self._identities.credentials.values()]
        with tempfile.TemporaryDirectory(prefix="featward-policy-") as folder:
            async with serving(service, credentials, listen, Path(folder)):
                gate.open()
                await self.pushes.run()
