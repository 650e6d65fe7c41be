"""What depends on what in a cluster: from a document to the sets, the bindings and the workloads that it may
change.

Tables that are kept up to date, so that following an edit costs what it reaches and nothing else.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.feature_set import FeatureSet
from featward.manifests.governance import GrantApproval, Override
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward.manifests.platform import BusinessUnit, Environment, Namespace, Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from featward.manifests.catalogue import Set
    from featward.manifests.document import AnyModel, Document
    from featward.manifests.feature_binding import Subject
    from featward.manifests.governance import OverrideTarget
    from featward.policy.live import LiveCatalogue

__all__ = ["Dependents", "Grant", "Key", "Reach", "set_of"]

Key: TypeAlias = tuple[str, str]
"""Namespace and name."""
Grant: TypeAlias = tuple[str, str, str]
"""A binding: its namespace, and the names of its set and its own."""
# What a binding or a workload stands on: ("ns", "pricing"), ("unit", "payments"), ("workload", "api").
_Token: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Reach:
    """What may change with one document; ``everything`` is for all that there is."""

    sets: set[Key] = field(default_factory=set)
    bindings: set[Grant] = field(default_factory=set)
    workloads: set[SpiffeId] = field(default_factory=set)
    everything: bool = False

    def add(self, other: Reach) -> None:
        """Unite them."""
        self.sets |= other.sets
        self.bindings |= other.bindings
        self.workloads |= other.workloads
        self.everything |= other.everything


class Dependents:
    """The tables beside one catalogue."""

    def __init__(self, catalogue: LiveCatalogue) -> None:
        self._catalogue = catalogue
        self._depending: defaultdict[_Token, set[Grant]] = defaultdict(set)
        self._sets_in: defaultdict[str, set[Key]] = defaultdict(set)
        self._sets_named: defaultdict[str, set[Key]] = defaultdict(set)
        self._sets_of_workload: defaultdict[str, set[Key]] = defaultdict(set)
        self._labelled: defaultdict[str | None, set[str]] = defaultdict(set)
        # Workloads that are followed, how often, and by which names each calls which set.
        self._followed: Counter[SpiffeId] = Counter()
        self._below: defaultdict[_Token, set[SpiffeId]] = defaultdict(set)
        self._calling: defaultdict[str, Counter[SpiffeId]] = defaultdict(Counter)

    @property
    def followed(self) -> Collection[SpiffeId]:
        """Every workload that is followed."""
        return self._followed.keys()

    def callers_of(self, key: Key) -> Iterator[SpiffeId]:
        """The followed workloads that call a set by one of its names."""
        for name in ("/".join(key), key[1]):
            yield from self._calling.get(name, ())

    def follow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """From now on tell of edits that concern this workload and the sets that it calls."""
        self._followed[workload] += 1
        for token in _above(workload):
            self._below[token].add(workload)
        for name in outbound:
            self._calling[name][workload] += 1

    def unfollow(self, workload: SpiffeId, outbound: Collection[str]) -> None:
        """The opposite of one `follow`."""
        self._followed[workload] -= 1
        if not self._followed[workload]:
            del self._followed[workload]
            for token in _above(workload):
                self._below[token].discard(workload)
        for name in outbound:
            calling = self._calling[name]
            calling[workload] -= 1
            if not calling[workload]:
                del calling[workload]
            if not calling:
                del self._calling[name]

    def sets_called(self, outbound: Iterable[str]) -> list[Set]:
        """The sets that go by these names, [namespace/]name, by namespace and name."""
        keys: set[Key] = set()
        for name in outbound:
            namespace, slash, own = name.partition("/")
            keys |= {(namespace, own)} if slash else self._sets_named.get(name, set())
        sets = self._catalogue.feature_sets
        return [sets[key] for key in sorted(keys) if key in sets]

    def reach(self, document: Document[AnyModel]) -> Reach:
        """What may change with a document, as the tables stand."""
        model: Any = document.model
        match model:
            case Environment():
                # It may be the one that namespaces without a label belong to.
                return Reach(sets={*self._catalogue.feature_sets}, everything=True)
            case BusinessUnit():
                return self._reach_unit(model.metadata.name)
            case Namespace():
                return self._reach_namespace(model.metadata.name)
            case Workload():
                token = ("workload", model.spec.name)
                sets = self._sets_of_workload.get(model.spec.name, ())
                return Reach(
                    {*sets}, {*self._depending.get(token, ())}, {*self._below.get(token, ())}
                )
            case FeatureSet():
                return Reach(sets={(model.metadata.namespace, model.metadata.name)})
            case FeatureBinding():
                # What is said of a set depends on whether it has bindings at all.
                few = len(self._catalogue.bindings_of.get(set_of(model), ())) <= 1
                return Reach(sets={set_of(model)} if few else set(), bindings={_grant(model)})
            case GrantApproval():
                named = model.spec.binding
                binding = self._catalogue.bindings.get((named.namespace, named.name))
                return Reach(bindings={_grant(binding.model)} if binding else set())
            case Override():
                return Reach(workloads={*self._overridden(model.spec.target)})
        raise AssertionError(f"no document is of kind {document.kind}")

    def _reach_unit(self, unit: str) -> Reach:
        short = unit.partition(".")[2]
        token = ("unit", short)
        below = Reach(
            bindings={*self._depending.get(token, ())}, workloads={*self._below.get(token, ())}
        )
        unlabelled = self._labelled.get(None, ()) if short == "default" else ()
        for namespace in {*self._labelled.get(unit, ()), *unlabelled}:
            below.add(self._reach_namespace(namespace))
        return below

    def _reach_namespace(self, name: str) -> Reach:
        token = ("ns", name)
        return Reach(
            {*self._sets_in.get(name, ())},
            {*self._depending.get(token, ())},
            {*self._below.get(token, ())},
        )

    def _overridden(self, target: OverrideTarget) -> Iterator[SpiffeId]:
        if target.environment is not None:
            environment = self._catalogue.environments.get(target.environment)
            domain = environment.model.spec.trust_domain if environment else None
            # Of those that are followed some are held, and serve nothing that could be looked up.
            for one in {*self._catalogue.served_by, *self._followed}:
                if one.trust_domain == domain:
                    yield one
            return
        key = None
        if target.feature_set is not None:
            key = (target.feature_set.namespace, target.feature_set.name)
        elif target.binding is not None:
            binding = self._catalogue.bindings.get((target.binding.namespace, target.binding.name))
            key = set_of(binding.model) if binding else None
        server = self._catalogue.server(key) if key else None
        if server is not None:
            yield server

    def remember(self, document: Document[AnyModel]) -> None:
        """Take a document into the tables."""
        for table, entry, value in self._entries(document):
            table[entry].add(value)

    def forget(self, document: Document[AnyModel]) -> None:
        """Take it out of them."""
        for table, entry, value in self._entries(document):
            table[entry].discard(value)
            if not table[entry]:
                del table[entry]

    def _entries(self, document: Document[AnyModel]) -> Iterator[tuple[Any, Any, Any]]:
        """Table, entry and value of all that leads to a document."""
        model: Any = document.model
        match model:
            case FeatureBinding():
                grant = _grant(model)
                for token in {("ns", grant[0]), *_tokens(model.spec.subjects)}:
                    yield self._depending, token, grant
            case FeatureSet():
                key = (model.metadata.namespace, model.metadata.name)
                yield self._sets_in, key[0], key
                yield self._sets_named, key[1], key
                if model.spec.serving.workload_name is not None:
                    yield self._sets_of_workload, model.spec.serving.workload_name, key
            case Namespace():
                label = model.metadata.labels.get(BUSINESS_UNIT_LABEL)
                yield self._labelled, label, model.metadata.name


def set_of(binding: FeatureBinding) -> Key:
    """The set that a binding grants from."""
    return binding.metadata.namespace, binding.spec.feature_set.name


def _grant(binding: FeatureBinding) -> Grant:
    return *set_of(binding), binding.metadata.name


def _tokens(subjects: Iterable[Subject]) -> Iterator[_Token]:
    for subject in subjects:
        if subject.service_account is not None:
            yield "ns", subject.service_account.namespace
        elif subject.workload is not None:
            yield "workload", subject.workload.name
            yield "unit", subject.workload.business_unit.partition(".")[2]
        elif subject.business_unit is not None:
            yield "unit", subject.business_unit.partition(".")[2]
        elif subject.spiffe_id is not None:
            # What is none, the rules on grants report.
            with contextlib.suppress(SpiffeIdError):
                yield from _above(SpiffeId.parse(subject.spiffe_id))


def _above(identity: SpiffeId) -> Iterator[_Token]:
    """The documents that say whether there is such a workload."""
    if identity.business_unit is not None:
        yield "unit", identity.business_unit
    match identity.path.split("/")[3:]:
        case ["svc" | "ci", name]:
            yield "workload", name
        case ["ns", namespace, *_]:
            yield "ns", namespace
