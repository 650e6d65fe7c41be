"""Writes what is said of an owner's rotation into its status, over what is there at that moment.

What is written is worked out anew from the object as it is, and the write names the version that was read: two
that both take themselves for the leader can't write one over the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from featward.kubernetes.errors import ApiError
from featward_operator.rotation.owner import RESOURCES, Owner, owner_of
from featward_operator.rotation.speech import news

if TYPE_CHECKING:
    from featward.kubernetes.events import Events
    from featward.kubernetes.gateway import Gateway

__all__ = ["MANAGER", "StatusWriter"]

MANAGER = "featward-operator-rotation"
"""Who owns these fields, beside those of the reconcilers in the same status."""
# Counters change with every client; what decides is written at once.
_COUNTERS_SECONDS = 5.0
_COUNTED = ("acknowledged", "needed", "progress", "blockers")


class StatusWriter:
    """For all owners."""

    def __init__(
        self,
        gateway: Gateway,
        events: Events,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._events = events
        self._clock = clock
        self._written: dict[tuple[str, str], float] = {}

    def is_due(self, owner: Owner, status: dict[str, Any]) -> bool:
        """Whether the status is to be written now."""
        if status == owner.status:
            return False
        if _without_counters(status) != _without_counters(owner.status):
            return True
        at = self._written.get((owner.kind, owner.name), float("-inf"))
        return self._clock() - at >= _COUNTERS_SECONDS

    async def write(
        self, owner: Owner, make: Callable[[Owner], dict[str, Any]], refused: str = ""
    ) -> Owner | None:
        """Write what ``make`` says of the object as it is now; the object then, None where it is gone or
        somebody else was faster. Raises ApiError.
        """
        path = RESOURCES[owner.kind].path(None, owner.name)
        try:
            fresh = owner_of(await self._gateway.ask("GET", path))
            status = make(fresh)
            if status == fresh.status:
                return fresh
            after = owner_of(await self._apply(fresh, status))
        except ApiError as error:
            if error.status == 404 or error.is_conflict:
                return None
            raise
        self._written[owner.kind, owner.name] = self._clock()
        before, new = fresh.status.get("rotation") or {}, status.get("rotation") or {}
        for one in news(fresh, before, new, refused):
            await self._events.record(one.about, one.reason, one.note, kind=one.kind)
        return after

    async def _apply(self, owner: Owner, status: dict[str, Any]) -> dict[str, Any]:
        body = {
            "apiVersion": "featward.dev/v1alpha1",
            "kind": owner.kind,
            "metadata": {"name": owner.name, "uid": owner.uid, "resourceVersion": owner.version},
            "status": status,
        }
        resource = RESOURCES[owner.kind]
        return await self._gateway.apply(resource, body, manager=MANAGER, subresource="status")


def _without_counters(status: Any) -> dict[str, Any]:
    rotation = status.get("rotation") or {}
    return {
        "rotation": {key: value for key, value in rotation.items() if key not in _COUNTED},
        "authority": status.get("authority"),
        "conditions": sorted(_answers(status.get("conditions") or ())),
    }


def _answers(conditions: Iterable[Any]) -> Iterable[tuple[str, ...]]:
    for one in conditions:
        yield one["type"], one["status"], one["reason"], str(one.get("observedGeneration"))
