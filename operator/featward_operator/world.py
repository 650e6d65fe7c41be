"""What this replica knows of its cluster: all documents in one index, and the pods, cut down.

Every replica has it whole, for every replica serves sidecars and webhooks. It is fed by reflectors, and knows
nothing of who asks; who has to act on an edit is told whose snapshot it may change.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import (
    DOCUMENTS,
    PODS,
    Key,
)
from featward.logs import fields
from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.labels import is_ours
from featward.manifests.objects import document_of
from featward.policy.index import PolicyIndex
from featward_operator.pods import PodFacts, PodIndex, pod_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Resource

__all__ = ["Observed", "Unreadable", "World", "WorldWatcher", "observed", "projected"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that this version can't read, and why."""

    findings: tuple[Finding, ...]


Kept: TypeAlias = "Document[AnyModel] | Unreadable"


@dataclass(frozen=True, slots=True)
class Observed:
    """An object, and what the server says of it beside: what status is written by."""

    kept: Kept
    uid: str
    generation: int
    written: bytes
    """Its status as canonical JSON, which takes a third of the room that a dictionary would."""

    @property
    def status(self) -> dict[str, Any]:
        """Its status; a new dictionary each time."""
        found: dict[str, Any] = json.loads(self.written) if self.written else {}
        return found


class WorldWatcher(Protocol):
    """Who acts on changes. Called in the middle of a change, so it only notes what to look at."""

    def object_changed(self, kind: str, key: Key, *, meant: bool) -> None:
        """An object is there, changed or gone; ``meant``: what is meant by it, and not its status alone."""

    def pod_changed(self, key: Key, old: PodFacts | None, new: PodFacts | None) -> None:
        """A pod is there, changed or gone."""


def observed(raw: Mapping[str, Any]) -> Observed:
    """What is kept of an object that has a status of ours."""
    metadata, status = raw["metadata"], raw.get("status")
    # A Namespace's status is not ours.
    ours = status if status and raw.get("kind") != "Namespace" else None
    return Observed(
        projected(raw),
        metadata.get("uid") or "",
        metadata.get("generation") or 0,
        json.dumps(ours, sort_keys=True, separators=(",", ":")).encode() if ours else b"",
    )


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
        self.pods = PodIndex()
        self.objects: Mapping[str, dict[Key, Observed]] = {kind: {} for kind in DOCUMENTS}
        """What is kept of each object, by kind, namespace and name."""
        self.watchers: list[WorldWatcher] = []
        """Told of each change after it was taken in."""
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

    def observe(self, kind: str, key: Key, new: Observed | None) -> None:
        """The same for an object with all that the server says of it."""
        known = self.objects[kind]
        old = known.get(key)
        if new is None:
            known.pop(key, None)
        else:
            known[key] = new
        meant = old is None or new is None or (old.kept, old.uid) != (new.kept, new.uid)
        if meant:
            self.take(kind, key, new.kept if new is not None else None)
        for one in self.watchers:
            one.object_changed(kind, key, meant=meant)

    def take_pod(self, key: Key, old: PodFacts | None, new: PodFacts | None) -> None:
        """A pod is there, is another one, or (None) is no longer."""
        self.pods.take(key, old, new)
        for one in self.watchers:
            one.pod_changed(key, old, new)

    def pod(self, uid: str) -> tuple[Key, PodFacts] | None:
        """The pod of this uid, with its namespace and name."""
        return self.pods.of_uid(uid)

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
            _log.info("cluster known", extra=fields(pods=len(self.pods)))

    def _reflectors(self, gateway: Gateway) -> Iterator[Reflector[Any]]:
        for kind, resource in DOCUMENTS.items():
            yield Reflector(
                gateway, resource, observed, self._taker(kind), relisted=self._teller(resource)
            )
        yield Reflector(gateway, PODS, pod_facts, self.take_pod, relisted=self._teller(PODS))

    def _taker(self, kind: str) -> Callable[[Key, Observed | None, Observed | None], None]:
        def taken(key: Key, old: Observed | None, new: Observed | None) -> None:
            self.observe(kind, key, new)

        return taken

    def _teller(self, resource: Resource) -> Callable[[str], None]:
        def told(cause: str) -> None:
            if self._relisted:
                self._relisted(str(resource), cause)

        return told
