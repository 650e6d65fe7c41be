"""Follows the manifests of a CA in the API server of a cluster.

What is known stays in force while the server is silent, restarts or forgets: reflectors take nothing away that
a server has not said is gone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import BUSINESS_UNITS, ENVIRONMENTS, WORKLOADS, Key
from featward.manifests.document import AnyModel, Document
from featward_ca.cluster.objects import Malformed, Objects, read
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError

_KINDS = {"Environment": ENVIRONMENTS, "BusinessUnit": BUSINESS_UNITS, "Workload": WORKLOADS}
# One `kubectl apply` writes a unit and its workloads one by one.
_SETTLE_SECONDS = 0.2

_Read = Document[AnyModel] | Malformed


class ClusterSource:
    """Make it with `following`."""

    def __init__(self, gateway: Gateway, cluster: str, environment: str) -> None:
        self._cluster = cluster
        self._server = gateway.server
        self._objects = Objects(cluster, environment)
        self._changed = asyncio.Event()
        self._reflectors: dict[str, Reflector[_Read]] = {
            kind: Reflector(gateway, resource, read, partial(self._put, kind))
            for kind, resource in _KINDS.items()
        }

    @classmethod
    @asynccontextmanager
    async def following(
        cls, gateway: Gateway, cluster: str, environment: str
    ) -> AsyncIterator["ClusterSource"]:
        """The source, which follows the cluster for as long as the context lasts."""
        source = cls(gateway, cluster, environment)
        tasks = [
            asyncio.create_task(reflector.run(), name=f"manifests: {kind}")
            for kind, reflector in source._reflectors.items()
        ] + [
            asyncio.create_task(source._synced(reflector))
            for reflector in source._reflectors.values()
        ]
        try:
            yield source
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def directory(self, before: Directory | None = None) -> tuple[Directory, list[str]]:
        """As `Objects.directory` says. Raises ConfigurationError also until the server has answered once."""
        silent = [
            kind for kind, reflector in self._reflectors.items() if not reflector.synced.is_set()
        ]
        if silent:
            raise ConfigurationError(
                f"the API server of {self._cluster} ({self._server}) has not listed every"
                f" {' and '.join(silent)} yet; the log says why it was asked in vain"
            )
        return self._objects.directory(before)

    async def change(self) -> None:
        """Returns when something has changed since the last call, and no more came for a moment."""
        await self._changed.wait()
        await asyncio.sleep(_SETTLE_SECONDS)
        self._changed.clear()

    def _put(self, kind: str, key: Key, _: _Read | None, new: _Read | None) -> None:
        self._objects.put(kind, key[1], new)
        self._changed.set()

    async def _synced(self, reflector: Reflector[_Read]) -> None:
        """A list without any object is news too."""
        await reflector.synced.wait()
        self._changed.set()
