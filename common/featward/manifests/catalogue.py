"""All documents of a folder by name, and what a name stands for: who serves, who is meant, whose it is.

Validation asks it and reports what has no answer; the compiler asks the same questions and so can't come to
another one. Of two documents with one name the first is kept; validation reports the second.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

from featward.identity.spiffe import SpiffeId
from featward.manifests.digest import binding_digest
from featward.manifests.document import AnyModel, Document
from featward.manifests.feature_binding import FeatureBinding, Subject
from featward.manifests.feature_set import FeatureSet
from featward.manifests.governance import GrantApproval, Override
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward.manifests.platform import BusinessUnit, Ceiling, Environment, Namespace, Workload

__all__ = ["Approval", "Binding", "Catalogue", "Listing", "Set"]

Set: TypeAlias = Document[FeatureSet]
Binding: TypeAlias = Document[FeatureBinding]
Approval: TypeAlias = Document[GrantApproval]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a feature set lists, by name: sensitivities of features, features of services."""

    features: dict[str, int]
    services: dict[str, tuple[str, ...]]


class Catalogue:
    """The documents by name. Questions about what is not declared are answered with None."""

    def __init__(
        self, documents: Iterable[Document[AnyModel]], malformed: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.environments: dict[str, Document[Environment]] = {}
        self.business_units: dict[str, Document[BusinessUnit]] = {}
        self.namespaces: dict[str, Document[Namespace]] = {}
        self.workloads: dict[tuple[str, str], Document[Workload]] = {}
        self.feature_sets: dict[tuple[str, str], Set] = {}
        self.bindings: dict[tuple[str, str], Binding] = {}
        self.approvals: dict[str, Approval] = {}
        self.overrides: dict[str, Document[Override]] = {}
        # Each second document of a name, with the first.
        self.duplicates: list[tuple[Document[AnyModel], Document[AnyModel]]] = []
        # What ("feature set", "driver-stats") is declared by a malformed document, and so is not here.
        self.malformed = frozenset(malformed)
        self._listings: dict[str, Listing] = {}
        for document in documents:
            self._add(document)

    def documents(self) -> Iterator[Document[AnyModel]]:
        """Every document that is the first of its name, kind by kind."""
        return chain.from_iterable(
            table.values()
            for table in (
                self.environments,
                self.business_units,
                self.namespaces,
                self.workloads,
                self.feature_sets,
                self.bindings,
                self.approvals,
                self.overrides,
            )
        )

    def environment_of(self, business_unit: str) -> Document[Environment] | None:
        """The environment that a business unit's name begins with."""
        return self.environments.get(business_unit.partition(".")[0])

    def knows_business_unit(self, name: str) -> bool:
        """Whether it is declared, or the default one of a declared environment."""
        if name in self.business_units:
            return True
        return name.endswith(".default") and self.environment_of(name) is not None

    def business_unit_of(self, namespace: str) -> str | None:
        """Whom a declared namespace belongs to, by its label or, with one environment only, by default."""
        document = self.namespaces.get(namespace)
        if document is None:
            return None
        label = document.model.metadata.labels.get(BUSINESS_UNIT_LABEL)
        if label is not None:
            return label if self.knows_business_unit(label) else None
        return f"{next(iter(self.environments))}.default" if len(self.environments) == 1 else None

    def ceiling_of(self, business_unit: str) -> Ceiling:
        """What the unit's teams may grant at most."""
        document = self.business_units.get(business_unit)
        return document.model.spec.ceiling if document else Ceiling()

    def feature_set_of(self, binding: Binding) -> Set | None:
        """The feature set that a binding grants from; always one of its own namespace."""
        model = binding.model
        return self.feature_sets.get((model.metadata.namespace, model.spec.feature_set.name))

    def listing_of(self, feature_set: Set) -> Listing:
        """What a set lists; worked out once, for there are far more bindings than sets."""
        if feature_set.name not in self._listings:
            spec = feature_set.model.spec
            self._listings[feature_set.name] = Listing(
                {feature.name: feature.sensitivity for feature in spec.features},
                {service.name: service.features for service in spec.services},
            )
        return self._listings[feature_set.name]

    def server_of(self, feature_set: Set) -> SpiffeId | None:
        """The identity of the workload, or of the gateway, that serves a feature set."""
        namespace = feature_set.model.metadata.namespace
        workload = feature_set.model.spec.serving.workload
        if workload is None:
            return self.service_account(namespace, f"{feature_set.model.metadata.name}-gateway")
        if workload.service_account is not None:
            return self.service_account(namespace, workload.service_account)
        business_unit = self.business_unit_of(namespace)
        return (
            self.workload(business_unit, workload.name) if business_unit and workload.name else None
        )

    def service_account(self, namespace: str, name: str) -> SpiffeId | None:
        """The identity of a service account of a declared namespace."""
        business_unit = self.business_unit_of(namespace)
        environment = self.environment_of(business_unit) if business_unit else None
        if business_unit is None or environment is None:
            return None
        unit = business_unit.partition(".")[2]
        return SpiffeId.service_account(environment.model.spec.trust_domain, unit, namespace, name)

    def workload(self, business_unit: str, name: str) -> SpiffeId | None:
        """The identity of a declared workload."""
        environment = self.environment_of(business_unit)
        if environment is None or (business_unit, name) not in self.workloads:
            return None
        spec = self.workloads[business_unit, name].model.spec
        make = SpiffeId.ci_job if spec.role == "ci" else SpiffeId.workload
        return make(environment.model.spec.trust_domain, business_unit.partition(".")[2], name)

    def identity_of(self, subject: Subject) -> SpiffeId | None:
        """The one identity that a subject names; None for a business unit, and for what is not declared."""
        if subject.service_account is not None:
            return self.service_account(
                subject.service_account.namespace, subject.service_account.name
            )
        if subject.workload is not None:
            return self.workload(subject.workload.business_unit, subject.workload.name)
        return SpiffeId.parse(subject.spiffe_id) if subject.spiffe_id is not None else None

    @cached_property
    def served_by(self) -> dict[SpiffeId, list[Set]]:
        """The feature sets of each serving workload, as claims count: the older first, then by namespace and
        name. All that is read from files is of one age.
        """
        served: defaultdict[SpiffeId, list[Set]] = defaultdict(list)
        by_age = sorted(self.feature_sets.items(), key=lambda item: (item[1].created, item[0]))
        for _, feature_set in by_age:
            server = self.server_of(feature_set)
            if server is not None:
                served[server].append(feature_set)
        return dict(served)

    @cached_property
    def bindings_of(self) -> dict[tuple[str, str], list[Binding]]:
        """The bindings that grant from each feature set, by name."""
        found: defaultdict[tuple[str, str], list[Binding]] = defaultdict(list)
        for (namespace, _), binding in sorted(self.bindings.items()):
            found[namespace, binding.model.spec.feature_set.name].append(binding)
        return dict(found)

    @cached_property
    def approvals_of(self) -> dict[tuple[str, str], list[Approval]]:
        """The approvals that name each binding, by namespace and name, valid or not."""
        found: defaultdict[tuple[str, str], list[Approval]] = defaultdict(list)
        for _, approval in sorted(self.approvals.items()):
            named = approval.model.spec.binding
            found[named.namespace, named.name].append(approval)
        return dict(found)

    def approval_of(self, binding: Binding) -> Approval | None:
        """The consent to a binding as it is now written: of its own business unit, the one that lasts longest.

        Whether it still lasts is for the engine to say, by date.
        """
        metadata = binding.model.metadata
        named = self.approvals_of.get((metadata.namespace, metadata.name), ())
        if not named:
            return None
        unit, digest = self.business_unit_of(metadata.namespace), binding_digest(binding.model)
        given = [
            one
            for one in named
            if (one.model.spec.business_unit, one.model.spec.binding_digest) == (unit, digest)
        ]
        return max(given, key=lambda one: one.model.spec.expires, default=None)

    def _add(self, document: Document[Any]) -> None:
        table, key = self._slot(document.model)
        first = table.setdefault(key, document)
        if first is not document:
            self.duplicates.append((document, first))

    def _slot(self, model: AnyModel) -> tuple[dict[Any, Any], Any]:
        match model:
            case Environment():
                return self.environments, model.metadata.name
            case BusinessUnit():
                return self.business_units, model.metadata.name
            case Namespace():
                return self.namespaces, model.metadata.name
            case Workload():
                return self.workloads, (model.spec.business_unit, model.spec.name)
            case FeatureSet():
                return self.feature_sets, (model.metadata.namespace, model.metadata.name)
            case FeatureBinding():
                return self.bindings, (model.metadata.namespace, model.metadata.name)
            case GrantApproval():
                return self.approvals, model.metadata.name
            case Override():
                return self.overrides, model.metadata.name
