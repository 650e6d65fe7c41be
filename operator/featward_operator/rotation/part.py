"""Rotation as a part of the operator: on the leader alone, one `Steering` for each environment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge

from featward.kubernetes.errors import ApiError
from featward.kubernetes.reflector import Reflector
from featward.logs import fields
from featward_operator.rotation.owner import RESOURCES, Owner, owner_of
from featward_operator.rotation.speech import unheard
from featward_operator.rotation.steer import Access, Steering
from featward_operator.rotation.writing import StatusWriter
from featward_operator.run import Operator, Part
from featward_operator.words import AuthorityReachable

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from featward.kubernetes.elector import Lost
    from featward.kubernetes.events import Events
    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key
    from featward_operator.rotation.blockers import Pods
    from featward_operator.settings import EnvironmentSettings

__all__ = ["Rotations", "ratio", "rotation_part"]

_log = logging.getLogger(__name__)


def ratio(registry: CollectorRegistry) -> Gauge:
    """The metric; one for each registry."""
    return Gauge(
        "featward_operator_rotation_acknowledged_ratio",
        "Of the clients that a rotation's present step needs, the part that has acknowledged, by owner; "
        "only while a rotation is under way.",
        ["owner"],
        registry=registry,
    )


def rotation_part(access: Callable[[EnvironmentSettings], Access], pods: Pods) -> Part:
    """``access``: how the CA of an environment is reached with the operator's identity; ``pods``: how many pods
    run as a service account.
    """
    gauges: list[Gauge] = []

    async def lead(operator: Operator, lost: Lost) -> None:
        # A replica may lead several times, and a series is registered once.
        gauge = gauges[0] if gauges else ratio(operator.metrics.registry)
        gauges[:] = [gauge]
        found = {one.name: access(one) for one in operator.settings.environments}
        rotations = Rotations(operator.gateway, operator.events, found, pods, gauge)
        await rotations.run(lost)

    return Part("rotation", lead=lead)


class Rotations:
    """The objects, and who steers which of them."""

    def __init__(
        self,
        gateway: Gateway,
        events: Events,
        accesses: Mapping[str, Access],
        pods: Pods,
        gauge: Gauge,
        **options: Any,
    ) -> None:
        """``accesses`` by the name of the environment; ``options`` are `Steering`'s."""
        self._writer = StatusWriter(gateway, events)
        self._reflectors = [
            Reflector(gateway, one, owner_of, self._changed) for one in RESOURCES.values()
        ]
        self._steering = {
            name: Steering(access, self._owners(name), self._writer, pods, gauge, **options)
            for name, access in accesses.items()
        }
        self._orphans: asyncio.Queue[Owner] = asyncio.Queue()

    async def run(self, lost: Lost) -> None:
        """Until cancelled; nothing is written once the lead is lost."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            for reflector in self._reflectors:
                await reflector.synced.wait()
            for one in self._steering.values():
                group.create_task(self._steer(one, lost))
            group.create_task(self._tell_orphans(lost))

    async def _steer(self, one: Steering, lost: Lost) -> None:
        await one.run(lost)
        # What leads does not end by itself: who ends it is waited for.
        await asyncio.Event().wait()

    def _owners(self, environment: str) -> Callable[[], list[Owner]]:
        def owners() -> list[Owner]:
            found = [one for reflector in self._reflectors for one in reflector.store.values()]
            return [one for one in found if one.environment == environment]

        return owners

    def _changed(self, key: Key, old: Owner | None, new: Owner | None) -> None:
        known = new or old
        if known is None:
            return
        steering = self._steering.get(known.environment)
        if steering is not None:
            # What we write ourselves comes back as well, and is nothing to look at.
            if old is None or new is None or _asks(old) != _asks(new):
                steering.wake()
        elif new is not None:
            self._orphans.put_nowait(new)

    async def _tell_orphans(self, lost: Lost) -> None:
        """Say of objects of other environments that nobody here looks after them."""
        while True:
            owner = await self._orphans.get()
            if lost.is_set():
                continue
            try:
                await self._tell_orphan(owner)
            except ApiError as error:
                told = fields(kind=owner.kind, name=owner.name, why=str(error))
                _log.warning("status not written", extra=told)

    async def _tell_orphan(self, owner: Owner) -> None:
        reason = AuthorityReachable.NOT_OURS
        message = f"this operator does not work for the environment {owner.environment}"

        def make(one: Owner) -> dict[str, Any]:
            (reachable, _) = unheard(one, reason, message, time.time())
            return {"conditions": [reachable]}

        if self._writer.is_due(owner, make(owner)):
            await self._writer.write(owner, make)


def _asks(owner: Owner) -> tuple[object, ...]:
    return owner.uid, owner.generation, owner.requested_at, owner.paused
