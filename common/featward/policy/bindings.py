"""Compiles bindings: subjects to identities, services to features, both cut down to what may be granted."""

from collections.abc import Iterable
from dataclasses import dataclass

from featward.manifests.catalogue import Binding, Catalogue, Set
from featward.manifests.feature_binding import Subject
from featward.manifests.standing import crosses, end_of, granted_features
from featward.manifests.text import rate_parts, version_in
from featward.policy.v1 import snapshot_pb2 as v1

__all__ = ["Grantable", "compile_binding", "grantable"]


@dataclass(frozen=True, slots=True)
class Grantable:
    """What bindings of one feature set may grant."""

    business_unit: str
    features: frozenset[str]
    """Those that the set kept in the snapshot."""
    without_consent: frozenset[str]
    """All that it lists up to the ceiling, kept or not: what needs consent follows from the manifest alone."""


def grantable(catalogue: Catalogue, feature_set: Set, served: Iterable[str]) -> Grantable:
    """The features of a set that may be granted, worked out once for all its bindings."""
    business_unit = catalogue.business_unit_of(feature_set.model.metadata.namespace) or ""
    highest = catalogue.ceiling_of(business_unit).max_sensitivity if business_unit else -1
    sensitivities = catalogue.listing_of(feature_set).features
    low = frozenset(name for name, level in sensitivities.items() if level <= highest)
    return Grantable(business_unit, frozenset(served), low)


def compile_binding(
    catalogue: Catalogue, binding: Binding, feature_set: Set, allowed: Grantable
) -> v1.Binding | None:
    """The binding, or None where it grants nothing: its range misses the version, or all of it needs a consent
    that nobody gave.

    ``allowed`` is what `grantable` says of its feature set.
    """
    metadata, spec = binding.model.metadata, binding.model.spec
    features = _features(catalogue, binding, feature_set)
    own = [one for one in spec.subjects if not crosses(catalogue, one, allowed.business_unit)]
    subjects: Iterable[Subject] = spec.subjects
    approval = None
    if len(own) < len(spec.subjects) or not features <= allowed.without_consent:
        approval = catalogue.approval_of(binding)
        if approval is None:
            features, subjects = features & allowed.without_consent, own
    features &= allowed.features
    written = _subjects(catalogue, subjects)
    if not features or not written:
        return None
    return v1.Binding(
        namespace=metadata.namespace,
        name=metadata.name,
        subjects=written,
        feature_set_namespace=metadata.namespace,
        feature_set_name=spec.feature_set.name,
        features=sorted(features),
        purpose=spec.purpose,
        cost=_cost(binding),
        rows_per_request=spec.limits.rows_per_request or 0,
        on_excess=_ON_EXCESS[spec.on_excess],
        expires=end_of(catalogue, binding, approval).second,
    )


def _features(catalogue: Catalogue, binding: Binding, feature_set: Set) -> set[str]:
    """The features that the binding names, none where it is not for this version of the set."""
    version_range = binding.model.spec.feature_set.version
    if version_range is not None and not version_in(feature_set.model.spec.version, version_range):
        return set()
    return granted_features(catalogue, binding, feature_set)


def _subjects(catalogue: Catalogue, subjects: Iterable[Subject]) -> list[v1.Subject]:
    """Those that are declared. Where one is not, its document or its namespace's says so, and it is nobody."""
    spelt_out = {_subject(catalogue, subject) for subject in subjects}
    return [v1.Subject(kind=kind, value=value) for kind, value in sorted(filter(None, spelt_out))]


def _subject(catalogue: Catalogue, subject: Subject) -> tuple[v1.SubjectKind, str] | None:
    if subject.business_unit is not None:
        return v1.SUBJECT_KIND_BUSINESS_UNIT, subject.business_unit
    kind = v1.SUBJECT_KIND_SPIFFE_ID if subject.spiffe_id is not None else v1.SUBJECT_KIND_WORKLOAD
    identity = catalogue.identity_of(subject)
    return None if identity is None else (kind, str(identity))


def _cost(binding: Binding) -> v1.Rate | None:
    limit = binding.model.spec.limits.cost
    if limit is None:
        return None
    amount, per_seconds = rate_parts(limit.rate)
    return v1.Rate(amount=amount, per_seconds=per_seconds, burst=limit.burst)


_ON_EXCESS = {"deny": v1.ON_EXCESS_DENY, "strip": v1.ON_EXCESS_STRIP}
