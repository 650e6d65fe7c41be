"""What the webhook knows of a cluster: namespaces, business units, feature sets, followed on every replica."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import BUSINESS_UNITS, FEATURE_SETS, NAMESPACES, Key
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward_operator.injection.facts import NamespaceFacts

__all__ = ["Known"]

# The API server waits 3 s for the answer about the pod.
_ASK_SECONDS = 1.0
# Namespaces that were made this moment are few. Whoever reaches the port can name others: so many at once, and
# so many a second from then on, are asked for.
_ASKS, _ASKS_A_SECOND = 20.0, 5.0


class Known:
    """Gives the surroundings of a pod, once `synced`."""

    def __init__(
        self,
        gateway: Gateway,
        environments: Mapping[str, object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``environments``: those served here, by name; the only one has the namespaces without a label."""
        self._gateway = gateway
        self._only = next(iter(environments)) if len(environments) == 1 else None
        self._labels = Reflector(gateway, NAMESPACES, _labels_of, self._changed)
        self._units = Reflector(gateway, BUSINESS_UNITS, _exists, self._changed)
        self._sets = Reflector(gateway, FEATURE_SETS, _exists, self._changed)
        # Made when a pod comes, and kept until something changes: pods come far more often.
        self._named_units: frozenset[str] | None = None
        self._named_sets: dict[str | None, Mapping[str, list[str]]] = {}
        self._asks, self._asked_at = _ASKS, clock()
        self._clock = clock

    async def run(self) -> NoReturn:
        """Follow the server until cancelled."""
        await asyncio.gather(self._labels.run(), self._units.run(), self._sets.run())
        raise AssertionError("a reflector never ends by itself")

    async def synced(self) -> None:
        """Wait until all of it has been read once."""
        for one in (self._labels, self._units, self._sets):
            await one.synced.wait()

    async def of(self, name: str) -> NamespaceFacts | None:
        """What is known of a namespace; one that was made this moment is asked for."""
        labels = self._labels.store.get(("", name))
        if labels is None:
            labels = await self._asked(name)
        if labels is None:
            return None
        if self._named_units is None:
            self._named_units = frozenset(unit for _, unit in self._units.store)
        environment = self._environment(labels)
        if environment not in self._named_sets:
            self._named_sets[environment] = self._sets_of(environment)
        return NamespaceFacts(name, labels, self._named_units, self._named_sets[environment])

    async def _asked(self, name: str) -> Mapping[str, str] | None:
        now = self._clock()
        regained = (now - self._asked_at) * _ASKS_A_SECOND
        self._asks, self._asked_at = min(_ASKS, self._asks + regained), now
        if self._asks < 1:
            return None
        self._asks -= 1
        try:
            path = NAMESPACES.path(None, name)
            return _labels_of(await self._gateway.ask("GET", path, seconds=_ASK_SECONDS))
        except ApiError:
            return None

    def _changed(self, _key: Key, _before: object, _now: object) -> None:
        self._named_units = None
        self._named_sets.clear()

    def _environment(self, labels: Mapping[str, str]) -> str | None:
        unit = labels.get(BUSINESS_UNIT_LABEL)
        return self._only if unit is None else unit.partition(".")[0]

    def _sets_of(self, environment: str | None) -> Mapping[str, list[str]]:
        """By name, the namespaces of one environment that have a set of it."""
        found: dict[str, list[str]] = defaultdict(list)
        for namespace, name in self._sets.store:
            labels = self._labels.store.get(("", namespace), {})
            if self._environment(labels) == environment:
                found[name].append(namespace)
        return found


def _labels_of(raw: Mapping[str, Any]) -> Mapping[str, str]:
    labels = raw["metadata"].get("labels") or {}
    return {key: value for key, value in labels.items() if key.startswith("featward.dev/")}


def _exists(_raw: Mapping[str, Any]) -> bool:
    return True
