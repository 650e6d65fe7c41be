"""Writes what this replica's sidecars report into the status of their sets: a row that is this replica's alone.

What people wait for is written within five seconds, counters and times every half minute, and nothing where no
sidecar is connected here: thousands of sets must not cost thousands of requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from featward.kubernetes.backoff import Backoff
from featward.kubernetes.errors import ApiError
from featward.kubernetes.resource import FEATURE_SETS
from featward.logs import fields
from featward.manifests.model import API_VERSION
from featward_operator.reconcile.sightings import beat_of, row_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key
    from featward_operator.policy.tallies import SetTally
    from featward_operator.world import World

__all__ = ["EVERY_SECONDS", "LOOK_SECONDS", "Reports", "RowWriter"]

_log = logging.getLogger(__name__)
EVERY_SECONDS = 30.0
"""Between two writings of a row in which only counters and times differ."""
LOOK_SECONDS = 4.0
"""Between two looks at each set."""
_KIND = "FeatureSet"


@dataclass(slots=True)
class _Written:
    """A row as it was written last."""

    beat: Any
    at: float
    # Since when pods are behind, in Unix seconds.
    behind: dict[str, float] = field(default_factory=dict)


class Reports(Protocol):
    """Who knows what sidecars have reported."""

    def of_set(self, key: Key) -> SetTally:
        """What is told of one set now."""


class RowWriter:
    """One for each replica. ``newest`` gives the digest that a workload's sidecars are to use."""

    def __init__(
        self,
        gateway: Gateway,
        world: World,
        reports: Reports,
        newest: Callable[[SpiffeId], str],
        replica: str,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._gateway, self._world, self._reports = gateway, world, reports
        self._newest, self._replica, self._now = newest, replica, now
        self._written: dict[Key, _Written] = {}
        self._manager = f"featward-policy-{replica}"[:128]

    async def run(self) -> NoReturn:
        """Write until cancelled. What fails is tried again at the next look."""
        await self._world.synced.wait()
        self._find_own()
        backoff = Backoff(first=LOOK_SECONDS, longest=60.0)
        while True:
            try:
                await self.write()
                backoff.reset()
                await asyncio.sleep(LOOK_SECONDS)
            except ApiError as error:
                _log.warning("status row not written", extra=fields(why=str(error)))
                await asyncio.sleep(backoff.next(error.retry_after))

    async def write(self) -> int:
        """Write every row that is due; how many were. Raises ApiError for what is no one set's fault."""
        count = 0
        for key in [*self._world.index.catalogue.feature_sets]:
            try:
                count += await self._write_if_due(key)
            except ApiError:
                raise
            except Exception:  # what sidecars say must not be able to end the operator
                _log.exception("status row not made", extra=fields(feature_set="/".join(key)))
            # A set with many sidecars takes a millisecond, and others answer webhooks on this loop.
            await asyncio.sleep(0)
        for key in self._written.keys() - self._world.index.catalogue.feature_sets.keys():
            del self._written[key]
        return count

    def _find_own(self) -> None:
        """A replica that began again has rows from before, which it takes back where it has nothing to say."""
        for key, observed in self._world.objects[_KIND].items():
            rows = observed.status.get("replicas") or ()
            if any(row["replica"] == self._replica for row in rows):
                self._written[key] = _Written(None, float("-inf"))

    async def _write_if_due(self, key: Key) -> bool:
        tally, before = self._reports.of_set(key), self._written.get(key)
        if not tally.sidecars:
            if before is None:
                return False
            # Where the set is gone so is the row.
            await self._apply(key, None)
            del self._written[key]
            return True
        now = self._now()
        behind = self._behind(tally, before, now)
        server = self._world.index.catalogue.server(key)
        digest = self._newest(server) if server is not None else ""
        row = row_of(tally, self._replica, digest, behind, self._world.pods, now)
        beat = beat_of(row)
        if before is not None and before.beat == beat and now - before.at < EVERY_SECONDS:
            before.behind = behind
            return False
        if not await self._apply(key, {"replicas": [row.as_row()]}):
            return False
        self._written[key] = _Written(beat, now, behind)
        return True

    def _behind(self, tally: SetTally, before: _Written | None, now: float) -> dict[str, float]:
        known = before.behind if before is not None else {}
        return {one.pod: known.get(one.pod, now) for one in tally.sidecars if not one.current}

    async def _apply(self, key: Key, status: dict[str, Any] | None) -> bool:
        """False where there is no such set, or the server refuses just this. None takes the row back."""
        namespace, name = key
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": _KIND,
            "metadata": {"namespace": namespace, "name": name},
        }
        # An empty status would still be something that we say.
        body |= {"status": status} if status is not None else {}
        try:
            await self._gateway.apply(
                FEATURE_SETS, body, manager=self._manager, subresource="status"
            )
        except ApiError as error:
            if not error.is_ours:
                raise
            if error.status != 404:
                told = fields(namespace=namespace, name=name, why=str(error))
                _log.error("status row refused by the API server", extra=told)
            return False
        return True
