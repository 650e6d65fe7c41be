"""The documents that one workload's snapshot is made of, out of a whole catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from featward.manifests.catalogue import Binding, Catalogue, Set
    from featward.manifests.document import AnyModel, Document
    from featward.manifests.feature_binding import Subject

__all__ = ["documents_for"]


def documents_for(
    catalogue: Catalogue, workload: SpiffeId, called: Iterable[Set]
) -> Iterator[Document[AnyModel]]:
    """Every environment, and of the rest what the workload serves, what is granted from it and to whom, who may
    exist there, and the sets that it calls; kind by kind, each once.

    All environments, because a namespace without a label belongs to one where there is no other.
    """
    served = catalogue.served_by.get(workload, [])
    bindings = [binding for one in served for binding in catalogue.bindings_of.get(_key(one), ())]
    wanted = _Wanted(catalogue)
    wanted.identity(workload)
    sets = {one.name: one for one in (*served, *called)}
    for one in sets.values():
        wanted.namespace(one.model.metadata.namespace)
        wanted.served_by(one)
    for binding in bindings:
        for subject in binding.model.spec.subjects:
            wanted.subject(subject)
    yield from catalogue.environments.values()
    yield from wanted.documents()
    yield from sets.values()
    yield from bindings
    yield from _decided(catalogue, served, bindings)


def _decided(
    catalogue: Catalogue, served: Iterable[Set], bindings: Iterable[Binding]
) -> Iterator[Document[AnyModel]]:
    """What was decided above the team: consent to these bindings, and overrides."""
    names = {_key(binding) for binding in bindings}
    for name in sorted(names):
        yield from catalogue.approvals_of.get(name, ())
    sets = {_key(one) for one in served}
    for override in catalogue.overrides.values():
        target = override.model.spec.target
        for named, among in ((target.feature_set, sets), (target.binding, names)):
            if named is not None and (named.namespace, named.name) in among:
                yield override
        if target.environment is not None:
            yield override


class _Wanted:
    """Namespaces, business units and workloads by name, as far as they are declared."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._namespaces: set[str] = set()
        self._units: set[str] = set()
        self._workloads: set[tuple[str, str]] = set()

    def namespace(self, name: str) -> None:
        self._namespaces.add(name)
        self._unit(self._catalogue.business_unit_of(name))

    def served_by(self, feature_set: Set) -> None:
        name = feature_set.model.spec.serving.workload_name
        unit = self._catalogue.business_unit_of(feature_set.model.metadata.namespace)
        if name is not None and unit is not None:
            self._workload(unit, name)

    def subject(self, subject: Subject) -> None:
        if subject.service_account is not None:
            self.namespace(subject.service_account.namespace)
        elif subject.workload is not None:
            self._workload(subject.workload.business_unit, subject.workload.name)
        elif subject.business_unit is not None:
            self._unit(subject.business_unit)
        elif subject.spiffe_id is not None:
            try:
                self.identity(SpiffeId.parse(subject.spiffe_id))
            except SpiffeIdError:
                return  # which the rules on grants report

    def identity(self, identity: SpiffeId) -> None:
        units = [
            f"{name}.{identity.business_unit}"
            for name, one in self._catalogue.environments.items()
            if one.model.spec.trust_domain == identity.trust_domain
        ]
        match identity.path.split("/")[3:]:
            case ["svc" | "ci", name]:
                for unit in units:
                    self._workload(unit, name)
            case ["ns", namespace, *_]:
                self.namespace(namespace)
        for unit in units:
            self._unit(unit)

    def documents(self) -> Iterator[Document[AnyModel]]:
        catalogue = self._catalogue
        for unit in sorted(self._units):
            if unit in catalogue.business_units:
                yield catalogue.business_units[unit]
        for name in sorted(self._namespaces):
            if name in catalogue.namespaces:
                yield catalogue.namespaces[name]
        for key in sorted(self._workloads):
            if key in catalogue.workloads:
                yield catalogue.workloads[key]

    def _workload(self, unit: str, name: str) -> None:
        self._workloads.add((unit, name))
        self._unit(unit)

    def _unit(self, unit: str | None) -> None:
        if unit is not None:
            self._units.add(unit)


def _key(document: Set | Binding) -> tuple[str, str]:
    return document.model.metadata.namespace, document.model.metadata.name
