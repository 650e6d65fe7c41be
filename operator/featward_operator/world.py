"""What this replica knows of its cluster: all documents in one index, and the pods, cut down.

Every replica has it whole, for every replica serves sidecars and webhooks. It is fed by reflectors, and knows
nothing of who asks; who has to act on an edit is told whose snapshot it may change.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import (
    BINDINGS,
    BUSINESS_UNITS,
    ENVIRONMENTS,
    FEATURE_SETS,
    GRANT_APPROVALS,
    NAMESPACES,
    OVERRIDES,
    PODS,
    WORKLOADS,
    Key,
)
from featward.logs import fields
from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.labels import is_ours
from featward.manifests.objects import document_of
from featward.policy.index import PolicyIndex
from featward_operator.pods import PodFacts, pod_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Resource

__all__ = ["KINDS", "Unreadable", "World", "projected"]

_log = logging.getLogger(__name__)
# The platform's first, so that the sets that come later are somebody's.
KINDS: Mapping[str, Resource] = {
    "Environment": ENVIRONMENTS,
    "BusinessUnit": BUSINESS_UNITS,
    "Namespace": NAMESPACES,
    "Workload": WORKLOADS,
    "FeatureSet": FEATURE_SETS,
    "FeatureBinding": BINDINGS,
    "GrantApproval": GRANT_APPROVALS,
    "Override": OVERRIDES,
}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that this version can't read, and why."""

    findings: tuple[Finding, ...]


Kept: TypeAlias = "Document[AnyModel] | Unreadable"


def projected(raw: Mapping[str, Any]) -> Kept:
    """What is kept of an object. Of labels and annotations that is ours alone: what others write is no edit."""
    metadata = dict(raw["metadata"])
    for group in ("labels", "annotations"):
        given = metadata.pop(group, None) or {}
        if ours := {key: value for key, value in given.items() if is_ours(key.partition("/")[0])}:
            metadata[group] = ours
    found = document_of({**raw, "metadata": metadata})
    return found if isinstance(found, Document) else Unreadable(tuple(found))


class World:
    """The index and the pods. ``relisted`` is told of the resource whose list is made again, and why."""

    def __init__(self, relisted: Callable[[str, str], None] | None = None) -> None:
        self.index = PolicyIndex()
        self.changed: Callable[[frozenset[SpiffeId]], None] = lambda workloads: None
        self.synced = asyncio.Event()
        """Set when everything is known once, for good."""
        self._pods: dict[str, tuple[Key, PodFacts]] = {}
        self._relisted = relisted

    def take(self, kind: str, key: Key, kept: Kept | None) -> None:
        """An object is there, or (None) is no longer."""
        namespace, name = key[0] or None, key[1]
        if kept is None:
            touched = self.index.drop(kind, namespace, name)
        elif isinstance(kept, Unreadable):
            _log.warning(
                "object can't be read",
                extra=fields(kind=kind, namespace=namespace, name=name, why=str(kept.findings[0])),
            )
            touched = self.index.refuse(kind, namespace, name, kept.findings)
        else:
            touched = self.index.put(kept)
        if touched:
            self.changed(touched)

    def take_pod(self, key: Key, old: PodFacts | None, new: PodFacts | None) -> None:
        """A pod is there, is another one, or (None) is no longer."""
        if old is not None and (new is None or new.uid != old.uid):
            self._pods.pop(old.uid, None)
        if new is not None:
            self._pods[new.uid] = (key, new)

    def pod(self, uid: str) -> tuple[Key, PodFacts] | None:
        """The pod of this uid, with its namespace and name."""
        return self._pods.get(uid)

    def running(self, namespace: str, account: str) -> int:
        """How many pods of a service account there are."""
        return sum(
            key[0] == namespace and facts.service_account == account
            for key, facts in self._pods.values()
        )

    async def follow(self, gateway: Gateway) -> None:
        """Follow a cluster until cancelled."""
        reflectors = [*self._reflectors(gateway)]
        async with asyncio.TaskGroup() as group:
            for one in reflectors:
                group.create_task(one.run(), name=f"reflector of {one.resource}")
            for one in reflectors:
                await one.synced.wait()
            # What is known now stays for long, and need not be looked through at each collection.
            gc.collect()
            gc.freeze()
            self.synced.set()
            _log.info("cluster known", extra=fields(pods=len(self._pods)))

    def _reflectors(self, gateway: Gateway) -> Iterator[Reflector[Any]]:
        for kind, resource in KINDS.items():
            yield Reflector(
                gateway, resource, projected, self._taker(kind), relisted=self._teller(resource)
            )
        yield Reflector(gateway, PODS, pod_facts, self.take_pod, relisted=self._teller(PODS))

    def _taker(self, kind: str) -> Callable[[Key, Kept | None, Kept | None], None]:
        def taken(key: Key, old: Kept | None, new: Kept | None) -> None:
            self.take(kind, key, new)

        return taken

    def _teller(self, resource: Resource) -> Callable[[str], None]:
        def told(cause: str) -> None:
            if self._relisted:
                self._relisted(str(resource), cause)

        return told
