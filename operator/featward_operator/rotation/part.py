"""Rotation as a part of the operator: on the leader alone, one `Steering` for each environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge

from featward.kubernetes.reflector import Reflector
from featward_operator.rotation.owner import RESOURCES, Owner, owner_of
from featward_operator.rotation.steer import Access, Steering
from featward_operator.rotation.writing import StatusWriter
from featward_operator.run import Operator, Part
from featward_operator.vocabulary import Reason

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from featward.kubernetes.elector import Lost
    from featward.kubernetes.events import Events
    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key
    from featward_operator.rotation.blockers import Pods
    from featward_operator.settings import EnvironmentSettings

__all__ = ["RotationPart", "Rotations", "ratio"]


def ratio(registry: CollectorRegistry) -> Gauge:
    """The metric; one for each registry."""
    return Gauge(
        "featward_operator_rotation_acknowledged_ratio",
        "Of the clients that a rotation's present step needs, the part that has acknowledged, by owner; "
        "only while a rotation is under way.",
        ["owner"],
        registry=registry,
    )


class RotationPart:
    """One for each replica. ``access``: how the CA of an environment is reached with the operator's identity;
    ``pods``: how many pods run as a service account.
    """

    def __init__(self, access: Callable[[EnvironmentSettings], Access], pods: Pods) -> None:
        self._access, self._pods = access, pods
        self._gauge: Gauge | None = None
        self._leading: Rotations | None = None

    def part(self) -> Part:
        """For the operator."""
        return Part("rotation", lead=self._lead)

    def reach(self, environment: str) -> tuple[Reason, str] | None:
        """Whether the CA of an environment was heard at the last look, and a sentence; None where this replica
        does not lead or has not looked yet.
        """
        return self._leading.reach(environment) if self._leading else None

    async def _lead(self, operator: Operator, lost: Lost) -> None:
        # A replica may lead several times, and a series is registered once.
        self._gauge = self._gauge or ratio(operator.metrics.registry)
        found = {one.name: self._access(one) for one in operator.settings.environments}
        rotations = Rotations(operator.gateway, operator.events, found, self._pods, self._gauge)
        self._leading = rotations
        try:
            await rotations.run(lost)
        finally:
            self._leading = None


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

    async def run(self, lost: Lost) -> None:
        """Until cancelled; nothing is written once the lead is lost."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            for reflector in self._reflectors:
                await reflector.synced.wait()
            for one in self._steering.values():
                group.create_task(self._steer(one, lost))

    async def _steer(self, one: Steering, lost: Lost) -> None:
        await one.run(lost)
        # What leads does not end by itself: who ends it is waited for.
        await asyncio.Event().wait()

    def reach(self, environment: str) -> tuple[Reason, str] | None:
        """As `RotationPart.reach`."""
        steering = self._steering.get(environment)
        return steering.heard if steering is not None else None

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
        # What we write ourselves comes back as well, and is nothing to look at.
        asked = old is None or new is None or _asks(old) != _asks(new)
        if steering is not None and asked:
            steering.wake()


def _asks(owner: Owner) -> tuple[object, ...]:
    return owner.uid, owner.generation, owner.requested_at, owner.paused
