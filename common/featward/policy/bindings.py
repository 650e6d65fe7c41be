"""Compiles bindings: subjects to identities, services to features, both cut down to what may be granted."""

from collections.abc import Iterable

from featward.manifests.catalogue import Binding, Catalogue, Set
from featward.manifests.feature_binding import Subject
from featward.manifests.text import day_after, rate_parts, version_in
from featward.policy.v1 import snapshot_pb2 as v1

__all__ = ["compile_binding", "grantable"]


def grantable(catalogue: Catalogue, feature_set: Set, served: Iterable[str]) -> frozenset[str]:
    """The features of a set that may be granted: those that it kept in the snapshot, up to the ceiling."""
    business_unit = catalogue.business_unit_of(feature_set.model.metadata.namespace)
    highest = catalogue.ceiling_of(business_unit).max_sensitivity if business_unit else -1
    sensitivities = catalogue.listing_of(feature_set).features
    return frozenset(name for name in served if sensitivities[name] <= highest)


def compile_binding(
    catalogue: Catalogue, binding: Binding, feature_set: Set, allowed: frozenset[str]
) -> v1.Binding | None:
    """The binding, or None where it grants nothing: its range misses the version, or a ceiling took all of it.

    ``allowed`` is what `grantable` says of its feature set.
    """
    metadata, spec = binding.model.metadata, binding.model.spec
    features = _features(catalogue, binding, feature_set, allowed)
    if not features:
        return None
    return v1.Binding(
        namespace=metadata.namespace,
        name=metadata.name,
        subjects=_subjects(catalogue, binding),
        feature_set_namespace=metadata.namespace,
        feature_set_name=spec.feature_set.name,
        features=features,
        purpose=spec.purpose,
        cost=_cost(binding),
        rows_per_request=spec.limits.rows_per_request or 0,
        on_excess=_ON_EXCESS[spec.on_excess],
        expires=day_after(spec.expires),
    )


def _features(
    catalogue: Catalogue, binding: Binding, feature_set: Set, allowed: frozenset[str]
) -> list[str]:
    spec = binding.model.spec
    version_range = spec.feature_set.version
    if version_range is not None and not version_in(feature_set.model.spec.version, version_range):
        return []
    granted = set(spec.features)
    for service in spec.services:
        granted.update(catalogue.listing_of(feature_set).services[service])
    return sorted(granted & allowed)


def _subjects(catalogue: Catalogue, binding: Binding) -> list[v1.Subject]:
    subjects = {_subject(catalogue, subject) for subject in binding.model.spec.subjects}
    return [v1.Subject(kind=kind, value=value) for kind, value in sorted(subjects)]


def _subject(catalogue: Catalogue, subject: Subject) -> tuple[v1.SubjectKind, str]:
    if subject.business_unit is not None:
        return v1.SUBJECT_KIND_BUSINESS_UNIT, subject.business_unit
    kind = v1.SUBJECT_KIND_SPIFFE_ID if subject.spiffe_id is not None else v1.SUBJECT_KIND_WORKLOAD
    identity = catalogue.identity_of(subject)
    if identity is None:
        raise AssertionError("validation lets no subject through that is not declared")
    return kind, str(identity)


def _cost(binding: Binding) -> v1.Rate | None:
    limit = binding.model.spec.limits.cost
    if limit is None:
        return None
    amount, per_seconds = rate_parts(limit.rate)
    return v1.Rate(amount=amount, per_seconds=per_seconds, burst=limit.burst)


_ON_EXCESS = {"deny": v1.ON_EXCESS_DENY, "strip": v1.ON_EXCESS_STRIP}
