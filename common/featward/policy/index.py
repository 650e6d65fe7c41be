"""All documents of a cluster, and whose snapshot an edit may change. Pure: whoever watches a cluster feeds it.

Each edit is followed to the workloads below it by tables that are kept up to date, so that its cost does not
grow with what else there is. What it may have changed is told as `Dirt` to whoever compiles.

An object that can't be read is refused rather than dropped: a binding then grants nothing and an approval
consents to nothing, but of a set, and of what says who may exist, the last good document stays, and holds what
is below it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from featward.manifests.loading import Loaded
from featward.manifests.shape import spoken_kind
from featward.policy.dependents import Dependents, Key, Reach
from featward.policy.live import LiveCatalogue
from featward.policy.slicing import documents_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Set
    from featward.manifests.document import AnyModel, Document
    from featward.manifests.findings import Finding

__all__ = ["Dirt", "Key", "PolicyIndex"]

_Object: TypeAlias = tuple[str, str | None, str]

# Of these the last good document stays where a newer one can't be read.
_PLATFORM = frozenset({"Environment", "BusinessUnit", "Namespace", "Workload"})
_HOLDING = _PLATFORM | {"FeatureSet"}


@dataclass(slots=True)
class Dirt:
    """What has to be looked at again for one workload; nothing: only what is put together from it."""

    platform: bool = False
    """Whether there may be such a workload."""
    sets: bool = False
    bindings: set[Key] = field(default_factory=set)
    everything: bool = False

    def add(self, other: Dirt) -> None:
        """Take in what another edit left behind."""
        self.platform |= other.platform
        self.sets |= other.sets
        self.bindings |= other.bindings
        self.everything |= other.everything


class PolicyIndex:
    """One for each replica of the operator.

    ``on_dirt`` is called for each workload that an edit may concern, before `put`, `drop` or `refuse` returns.
    """

    def __init__(self) -> None:
        self.catalogue = LiveCatalogue()
        self.on_dirt: Callable[[SpiffeId, Dirt], None] = lambda workload, dirt: None
        self._documents: dict[_Object, Document[AnyModel]] = {}
        self._refused: dict[_Object, tuple[Finding, ...]] = {}
        self._dependents = Dependents(self.catalogue)

    def put(self, document: Document[AnyModel]) -> frozenset[SpiffeId]:
        """Take in a new or edited document; the workloads whose snapshot may differ now."""
        key = _object(document)
        old, refused = self._documents.get(key), self._refused.pop(key, None)
        if refused:
            self._tell_malformed()
        if old is not None and (old.model, old.created) == (document.model, document.created):
            return self._touch(old) if refused else frozenset()
        return self._replace(key, old, document)

    def drop(self, kind: str, namespace: str | None, name: str) -> frozenset[SpiffeId]:
        """Forget an object that was deleted; the workloads whose snapshot may differ now."""
        key = (kind, namespace, name)
        if self._refused.pop(key, None):
            self._tell_malformed()
        old = self._documents.get(key)
        return self._replace(key, old, None) if old is not None else frozenset()

    def refuse(
        self, kind: str, namespace: str | None, name: str, findings: Iterable[Finding]
    ) -> frozenset[SpiffeId]:
        """An object is there that can't be read; the workloads whose snapshot may differ now."""
        key = (kind, namespace, name)
        self._refused[key] = tuple(findings)
        self._tell_malformed()
        old = self._documents.get(key)
        if old is None:
            return frozenset()
        return self._touch(old) if kind in _HOLDING else self._replace(key, old, None)

    def refused(self, kind: str, namespace: str | None, name: str) -> tuple[Finding, ...]:
        """Why an object can't be read; () where it can, or is not there."""
        return self._refused.get((kind, namespace, name), ())

    def follow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """From now on tell of edits that concern this workload and the sets that it calls."""
        self._dependents.follow(workload, outbound)

    def unfollow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """The opposite of one `follow`."""
        self._dependents.unfollow(workload, outbound)

    def follows(self, workload: SpiffeId) -> bool:
        """Whether there were more `follow` than `unfollow`."""
        return workload in self._dependents.followed

    def sets_called(self, outbound: Iterable[str]) -> list[Set]:
        """The sets that go by these names, [namespace/]name, by namespace and name."""
        return self._dependents.sets_called(outbound)

    def slice_of(self, workload: SpiffeId, outbound: Collection[str] = ()) -> Loaded:
        """The documents that the snapshot of one workload is made of, as a folder would hold them."""
        called = self.sets_called(outbound)
        documents = tuple(documents_for(self.catalogue, workload, called))
        kept = {_object(document) for document in documents}
        findings = sorted(one for key in self._refused.keys() & kept for one in self._refused[key])
        return Loaded(documents, tuple(findings), self.catalogue.malformed)

    def _replace(
        self, key: _Object, old: Document[AnyModel] | None, new: Document[AnyModel] | None
    ) -> frozenset[SpiffeId]:
        """Exchange a document, and tell of all that served or were granted to by it before and after."""
        dirt: defaultdict[SpiffeId, Dirt] = defaultdict(Dirt)
        below = Reach()
        if old is not None:
            below.add(self._dependents.reach(old))
            self._collect_sets(dirt, below, old)
            if old.kind == "FeatureBinding":
                self._collect_bindings(dirt, below)
            self._dependents.forget(old)
            self.catalogue.displace(old)
            del self._documents[key]
        if new is not None:
            self._documents[key] = new
            self.catalogue.place(new)
            self._dependents.remember(new)
            below.add(self._dependents.reach(new))
            self._collect_sets(dirt, below, new)
        for feature_set in below.sets:
            self.catalogue.serve(feature_set)
        document = new or old
        if document is not None:
            self._collect(dirt, below, document)
        return self._tell(dirt)

    def _touch(self, document: Document[AnyModel]) -> frozenset[SpiffeId]:
        """Tell of a document that is as it was, and stands in another light."""
        dirt: defaultdict[SpiffeId, Dirt] = defaultdict(Dirt)
        self._collect(dirt, self._dependents.reach(document), document)
        return self._tell(dirt)

    def _tell(self, dirt: dict[SpiffeId, Dirt]) -> frozenset[SpiffeId]:
        for workload, one in dirt.items():
            self.on_dirt(workload, one)
        return frozenset(dirt)

    def _collect(
        self, dirt: defaultdict[SpiffeId, Dirt], below: Reach, document: Document[AnyModel]
    ) -> None:
        """Whom it concerns, by who serves at this moment."""
        self._collect_sets(dirt, below, document)
        self._collect_bindings(dirt, below)
        platform = document.kind in _PLATFORM
        for workload in below.workloads:
            dirt[workload].platform |= platform
        if below.everything:
            for workload in {*self.catalogue.served_by, *self._dependents.followed}:
                dirt[workload].everything = True

    def _collect_sets(
        self, dirt: defaultdict[SpiffeId, Dirt], below: Reach, document: Document[AnyModel]
    ) -> None:
        platform = document.kind in _PLATFORM
        for key in below.sets:
            if (server := self.catalogue.server(key)) is not None:
                dirt[server].add(Dirt(platform=platform, sets=True))
            for caller in self._dependents.callers_of(key):
                dirt[caller].platform |= platform

    def _collect_bindings(self, dirt: defaultdict[SpiffeId, Dirt], below: Reach) -> None:
        # Far more bindings than sets, so each set's server is looked up once.
        of_sets: dict[Key, set[Key] | None] = {}
        for namespace, feature_set, name in below.bindings:
            key = (namespace, feature_set)
            if key not in of_sets:
                server = self.catalogue.server(key)
                of_sets[key] = dirt[server].bindings if server is not None else None
            if (found := of_sets[key]) is not None:
                found.add((namespace, name))

    def _tell_malformed(self) -> None:
        """Names that are there and can't be read are not called unknown."""
        self.catalogue.malformed = frozenset(
            (spoken_kind(kind), name) for kind, _, name in self._refused
        )


def _object(document: Document[AnyModel]) -> _Object:
    metadata = document.model.metadata
    return document.kind, getattr(metadata, "namespace", None), metadata.name
