"""A catalogue that follows edits: what stands for what is kept up to date, document by document.

A folder's catalogue is made at once and works its tables out when they are asked for. A cluster's changes all
the time, and an edit must not cost a walk over everything that there is.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from featward.manifests.catalogue import Catalogue
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.feature_set import FeatureSet
from featward.manifests.governance import GrantApproval
from featward.manifests.platform import Environment, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Approval, Binding, Set
    from featward.manifests.document import Document

__all__ = ["LiveCatalogue"]

_T = TypeVar("_T")


class LiveCatalogue(Catalogue):
    """The documents by name, one of each name: an API server has no two."""

    def __init__(self) -> None:
        super().__init__(())
        self.served_by = {}
        self.bindings_of = {}
        self.approvals_of = {}
        self._servers: dict[tuple[str, str], SpiffeId] = {}
        # Two objects may say that they are one workload: the older is.
        self._claiming: defaultdict[tuple[str, str], list[Document[Workload]]] = defaultdict(list)

    def place(self, document: Document[Any]) -> None:
        """Take a document in; one of its name must not be there."""
        model = document.model
        table, key = self._slot(model)
        match model:
            case Workload():
                insort(self._claiming[key], document, key=_by_age)
                table[key] = self._claiming[key][0]
                return
            case FeatureBinding():
                _insert(self.bindings_of, _set_key(model), document, _by_name)
            case GrantApproval():
                _insert(self.approvals_of, _binding_key(model), document, _by_name)
        table[key] = document
        if isinstance(model, Environment):
            self._order_environments()

    def displace(self, document: Document[Any]) -> None:
        """Take it out again."""
        model = document.model
        table, key = self._slot(model)
        del table[key]
        match model:
            case Workload():
                self._claiming[key].remove(document)
                if self._claiming[key]:
                    table[key] = self._claiming[key][0]
                else:
                    del self._claiming[key]
            case FeatureBinding():
                _remove(self.bindings_of, _set_key(model), document, _by_name)
            case GrantApproval():
                _remove(self.approvals_of, _binding_key(model), document, _by_name)
            case FeatureSet():
                self._listings.pop(document.name, None)
                self._unserve(key, document)

    def server(self, key: tuple[str, str]) -> SpiffeId | None:
        """Who serves the set of this name, as it was last asked with `serve`."""
        return self._servers.get(key)

    def serve(self, key: tuple[str, str]) -> None:
        """Find out anew who serves the set of this name."""
        document = self.feature_sets.get(key)
        if document is None:
            return
        server = self.server_of(document)
        if server == self._servers.get(key):
            return
        self._unserve(key, document)
        if server is not None:
            self._servers[key] = server
            _insert(self.served_by, server, document, _by_age)

    def _unserve(self, key: tuple[str, str], document: Set) -> None:
        server = self._servers.pop(key, None)
        if server is not None:
            _remove(self.served_by, server, document, _by_age)

    def _order_environments(self) -> None:
        """By age, then by name: of two with one trust domain the older has it, on every replica."""
        ordered = sorted(self.environments.items(), key=lambda item: _by_age(item[1]))
        self.environments.clear()
        self.environments.update(ordered)


def _set_key(model: FeatureBinding) -> tuple[str, str]:
    return model.metadata.namespace, model.spec.feature_set.name


def _binding_key(model: GrantApproval) -> tuple[str, str]:
    return model.spec.binding.namespace, model.spec.binding.name


def _by_name(document: Binding | Approval) -> str:
    return document.model.metadata.name


def _by_age(document: Document[Any]) -> tuple[float, tuple[str, ...]]:
    metadata = document.model.metadata
    return document.created, (getattr(metadata, "namespace", ""), metadata.name)


def _insert(table: dict[Any, list[_T]], key: object, one: _T, order: Callable[[Any], Any]) -> None:
    insort(table.setdefault(key, []), one, key=order)


def _remove(table: dict[Any, list[_T]], key: object, one: _T, order: Callable[[Any], Any]) -> None:
    listed = table[key]
    del listed[bisect_left(listed, order(one), key=order)]
    if not listed:
        del table[key]
