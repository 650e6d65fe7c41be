"""How things stand between objects: what is wrong with one, what holds a workload, what a binding amounts to.

Pure, and by the same rules as `featward check` and the compiler, so that a status never promises what a sidecar
does not do. Nobody is asked here; what depends on the day says when to ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featward.manifests.findings import Scope, Severity
from featward.manifests.rules.grants import too_long_until
from featward.manifests.rules.serving import observed_until, served_together
from featward.manifests.standing import (
    RECERTIFY_DAYS,
    Recertification,
    Wanted,
    consent_wanted,
    is_suspended_by_date,
    recertification,
)
from featward.manifests.text import day_after, version_in
from featward.manifests.validation import judge
from featward.policy.bindings import compile_binding, grantable
from featward.policy.overrides import Chosen, overrides_in_force
from featward.policy.v1 import snapshot_pb2 as v1
from featward_operator.conditions import Answer, answer
from featward_operator.vocabulary import Reason, Type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Approval, Binding, Catalogue, Set
    from featward.manifests.document import AnyModel, Document
    from featward.manifests.findings import Finding
    from featward.policy.index import PolicyIndex
    from featward_operator.pods import PodIndex

__all__ = [
    "EXPIRY_DAYS",
    "Grant",
    "claims_lost",
    "findings_of",
    "grant",
    "held_by",
    "overrides_of",
    "validity",
]

EXPIRY_DAYS = 14
"""For so many days before its last day is over a binding is due: whoever renews it needs no more."""

_DAY = 86_400
# Said by a condition of their own, or by the object that they are about.
_ELSEWHERE = {
    "above-ceiling",
    "approval-expired",
    "approval-void",
    "expired",
    "feature-claimed-twice",
    "grant-across-business-units",
    "override-too-long",
    "recertification-overdue",
    "service-claimed-twice",
}
_REASONS = {
    "unknown-namespace": Reason.UNKNOWN_NAMESPACE,
    "namespace-without-business-unit": Reason.NO_BUSINESS_UNIT,
    "unknown-business-unit": Reason.NO_BUSINESS_UNIT,
}


def findings_of(
    index: PolicyIndex, kind: str, document: Document[AnyModel] | None, now: float, *name: str
) -> tuple[Finding, ...]:
    """What is wrong with an object: that it can't be read, or all that the rules say of it now.

    ``name`` is its namespace, where it lives in one, and its name.
    """
    *namespace, own = name
    if refused := index.refused(kind, namespace[0] if namespace else None, own):
        return refused
    return tuple(judge(index.catalogue, document, int(now))) if document is not None else ()


def validity(
    catalogue: Catalogue, findings: Collection[Finding], namespace: str | None = None
) -> Answer:
    """Whether the object with these findings can be used; ``namespace`` is where it lives."""
    wrong = [one for one in findings if _counts(one)]
    if wrong:
        reasons = [_REASONS.get(one.code, Reason.INVALID) for one in wrong]
        # What is wrong with the object itself comes before whose it is.
        reason = Reason.INVALID if Reason.INVALID in reasons else reasons[0]
        return answer(Type.VALID, reason, _told(wrong))
    if namespace is not None and catalogue.business_unit_of(namespace) is None:
        return answer(
            Type.VALID,
            Reason.NO_BUSINESS_UNIT,
            f"namespace {namespace} belongs to no business unit that there is: label it "
            "featward.dev/business-unit: <environment>.<unit>",
        )
    strange = [one for one in findings if one.code == "unknown-label"]
    if strange:
        return answer(Type.VALID, Reason.UNKNOWN_LABEL, _told(strange))
    return answer(Type.VALID, Reason.VALID, "nothing is wrong with it")


def _counts(finding: Finding) -> bool:
    return finding.blocks or (finding.severity is Severity.ERROR and finding.code not in _ELSEWHERE)


def _told(findings: list[Finding]) -> str:
    first, more = findings[0], len(findings) - 1
    where = f" at {first.path}" if first.path else ""
    said = f"{first.code}{where}: {first.message}; {first.remedy}"
    return f"{said} (and {more} more)" if more else said


def claims_lost(catalogue: Catalogue, feature_set: Set, server: SpiffeId | None) -> list[Finding]:
    """What of the set an older set of its workload has."""
    sets = catalogue.served_by.get(server, ()) if server is not None else ()
    return [
        one
        for one in served_together(sets)
        if one.code in ("feature-claimed-twice", "service-claimed-twice")
        and one.name == feature_set.name
    ]


def held_by(index: PolicyIndex, server: SpiffeId, now: float) -> list[Finding]:
    """Why edits of a workload wait: what is wrong with one of its sets, or with what they stand on."""
    catalogue = index.catalogue
    sets = catalogue.served_by.get(server, ())
    found = [one for one in served_together(sets) if one.blocks]
    for document in _above(catalogue, sets):
        metadata: Any = document.model.metadata
        namespace = getattr(metadata, "namespace", None)
        found += index.refused(document.kind, namespace, metadata.name)
        found += [one for one in judge(catalogue, document, int(now)) if one.blocks]
    return [one for one in found if one.scope is not Scope.BINDING]


def _above(catalogue: Catalogue, sets: Iterable[Set]) -> Iterator[Document[AnyModel]]:
    """The sets, and the documents that say whose they are, each once."""
    yield from sets
    seen = set()
    for feature_set in sets:
        namespace = feature_set.model.metadata.namespace
        unit = catalogue.business_unit_of(namespace)
        for document in (
            catalogue.namespaces.get(namespace),
            catalogue.business_units.get(unit) if unit else None,
            catalogue.environment_of(unit) if unit else None,
        ):
            if document is not None and str(document) not in seen:
                seen.add(str(document))
                yield document


@dataclass(frozen=True, slots=True)
class Overrides:
    """What holds by hand: for a set, and which bindings are closed."""

    chosen: Chosen
    ends: tuple[float, ...]

    def closes(self, binding: Binding) -> bool:
        """Whether a binding is closed, by itself or with its set."""
        metadata, spec = binding.model.metadata, binding.model.spec
        return (metadata.namespace, metadata.name) in self.chosen.bindings or self.chosen.closes(
            metadata.namespace, spec.feature_set.name
        )


def overrides_of(catalogue: Catalogue, namespace: str, now: float) -> Overrides:
    """Those of the environment of a namespace."""
    unit = catalogue.business_unit_of(namespace)
    in_force = overrides_in_force(catalogue, now)
    name = unit.partition(".")[0] if unit else ""
    return Overrides(Chosen(in_force, name, lowered=False), tuple(float(o.until) for o in in_force))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a binding amounts to at a moment."""

    granting: Answer
    approved: Answer
    due: Answer
    overdue: Answer
    identities: frozenset[str]
    features: int
    approval: str | None
    again_at: float | None
    """When a date changes some of it, in Unix seconds; None where none does."""


def grant(catalogue: Catalogue, pods: PodIndex, binding: Binding, now: float) -> Grant:
    """Work it out."""
    wanted, approval = consent_wanted(catalogue, binding), catalogue.approval_of(binding)
    approved = _approved(catalogue, binding, wanted, approval, now)
    overrides = overrides_of(catalogue, binding.model.metadata.namespace, now)
    overdue = _overdue(catalogue, binding, now)
    message = _compiled(catalogue, binding)
    granting = _granting(catalogue, binding, message, wanted, approved, overdue)
    if granting.is_so and overrides.closes(binding):
        granting = answer(Type.GRANTING, Reason.CLOSED, "an Override closes it for now")
    holds = message if granting.is_so else None
    return Grant(
        granting,
        approved,
        _due(binding, now),
        overdue,
        frozenset(_identities(catalogue, pods, holds)) if holds is not None else frozenset(),
        len(holds.features) if holds is not None else 0,
        approval.model.metadata.name
        if approval is not None and wanted and approved.is_so
        else None,
        _again_at(catalogue, binding, approval, overrides, now),
    )


def _approved(
    catalogue: Catalogue, binding: Binding, wanted: Wanted, approval: Approval | None, now: float
) -> Answer:
    if not wanted:
        return answer(Type.APPROVED, Reason.NOT_NEEDED, "all that it grants is its team's to grant")
    if approval is not None:
        name, last = approval.model.metadata.name, approval.model.spec.expires
        if now >= day_after(last):
            return answer(Type.APPROVED, Reason.APPROVAL_EXPIRED, f"{name} held until {last}")
        return answer(Type.APPROVED, Reason.APPROVED, f"{name} consents until {last}")
    metadata = binding.model.metadata
    void = catalogue.approvals_of.get((metadata.namespace, metadata.name), ())
    ask = f"ask for it with featward approve {binding.name}"
    if void:
        said = f"{void[0].model.metadata.name} is not of this binding as it stands; {ask}"
        return answer(Type.APPROVED, Reason.APPROVAL_VOID, said)
    return answer(Type.APPROVED, Reason.APPROVAL_MISSING, f"{_why(wanted)}; {ask}")


def _why(wanted: Wanted) -> str:
    said = ["grants across business units"] if wanted.subjects else []
    said += [f"grants {', '.join(wanted.features)} above the ceiling"] if wanted.features else []
    return f"it {' and '.join(said)}"


def _overdue(catalogue: Catalogue, binding: Binding, now: float) -> Answer:
    spec = binding.model.spec
    if now >= day_after(spec.expires):
        return answer(Type.OVERDUE, Reason.EXPIRED, f"it held until {spec.expires}")
    if recertification(binding, now) is not Recertification.OVERDUE:
        return answer(Type.OVERDUE, Reason.NOT_OVERDUE, "no day has passed")
    said = f"it was to be looked at again by {spec.recertify_by}"
    if is_suspended_by_date(catalogue, binding):
        return answer(Type.OVERDUE, Reason.SUSPENDED, f"{said}, and grants nothing until it is")
    return answer(Type.OVERDUE, Reason.RECERTIFICATION_OVERDUE, said)


def _due(binding: Binding, now: float) -> Answer:
    spec = binding.model.spec
    if now < day_after(spec.expires):
        if recertification(binding, now) is Recertification.DUE:
            said = f"it is to be looked at again by {spec.recertify_by}: write a later day then"
            return answer(Type.DUE, Reason.RECERTIFICATION_DUE, said)
        if now >= day_after(spec.expires) - EXPIRY_DAYS * _DAY:
            said = f"its last day is {spec.expires}"
            return answer(Type.DUE, Reason.EXPIRY_DUE, said)
    return answer(Type.DUE, Reason.NOT_DUE, "nothing is due")


def _compiled(catalogue: Catalogue, binding: Binding) -> v1.Binding | None:
    """As the compiler writes it into snapshots; None for one that grants nothing."""
    feature_set = catalogue.feature_set_of(binding)
    if feature_set is None:
        return None
    kept = set(catalogue.listing_of(feature_set).features)
    server = catalogue.server_of(feature_set)
    for older in catalogue.served_by.get(server, ()) if server is not None else ():
        if older is feature_set:
            break
        kept.difference_update(catalogue.listing_of(older).features)
    allowed = grantable(catalogue, feature_set, kept)
    return compile_binding(catalogue, binding, feature_set, allowed)


def _granting(
    catalogue: Catalogue,
    binding: Binding,
    message: v1.Binding | None,
    wanted: Wanted,
    approved: Answer,
    overdue: Answer,
) -> Answer:
    if overdue.reason in (Reason.EXPIRED, Reason.SUSPENDED):
        return answer(Type.GRANTING, overdue.reason, overdue.message)
    if approved.reason is Reason.APPROVAL_EXPIRED:
        return answer(Type.GRANTING, Reason.APPROVAL_EXPIRED, approved.message)
    feature_set, version = catalogue.feature_set_of(binding), binding.model.spec.feature_set.version
    if feature_set is not None and version is not None:
        there = feature_set.model.spec.version
        if not version_in(there, version):
            said = f"it is for versions {version} of the set, which is {there}"
            return answer(Type.GRANTING, Reason.VERSION_MISMATCH, said)
    if message is not None:
        left_out = wanted and not approved.is_so
        said = f"in part: {approved.message}" if left_out else "it grants all that it names"
        return answer(Type.GRANTING, Reason.IN_FORCE, said)
    if wanted and not approved.is_so:
        return answer(Type.GRANTING, approved.reason, approved.message)
    said = "nobody whom it names is known, or nothing that it names is its set's to grant"
    return answer(Type.GRANTING, Reason.NOTHING_GRANTABLE, said)


def _identities(catalogue: Catalogue, pods: PodIndex, message: v1.Binding) -> Iterator[str]:
    """Whom it grants to now. Of a whole business unit those who are there."""
    for subject in message.subjects:
        if subject.kind != v1.SUBJECT_KIND_BUSINESS_UNIT:
            yield subject.value
            continue
        for unit, name in catalogue.workloads:
            if unit == subject.value:
                yield str(catalogue.workload(unit, name))
        for namespace in catalogue.namespaces:
            if catalogue.business_unit_of(namespace) == subject.value:
                for account in pods.accounts(namespace):
                    yield str(catalogue.service_account(namespace, account))


def _again_at(
    catalogue: Catalogue,
    binding: Binding,
    approval: Approval | None,
    overrides: Overrides,
    now: float,
) -> float | None:
    spec = binding.model.spec
    end = day_after(spec.expires)
    dates: list[float] = [end, end - EXPIRY_DAYS * _DAY, *overrides.ends]
    if spec.recertify_by is not None:
        last = day_after(spec.recertify_by)
        dates += [last, last - RECERTIFY_DAYS * _DAY]
    if approval is not None:
        dates.append(day_after(approval.model.spec.expires))
    if (too_long := too_long_until(catalogue, binding)) is not None:
        dates.append(too_long)
    return min((date for date in dates if date > now), default=None)


def set_again_at(catalogue: Catalogue, feature_set: Set, now: float) -> float | None:
    """When a date changes how a set stands."""
    spec = feature_set.model.spec
    metadata = feature_set.model.metadata
    dates: list[float] = [*overrides_of(catalogue, metadata.namespace, now).ends]
    if (observed := observed_until(catalogue, feature_set)) is not None:
        dates.append(observed)
    if spec.enforcement.unidentified.until is not None:
        dates.append(day_after(spec.enforcement.unidentified.until))
    dates += [day_after(one.until) for one in spec.accepted]
    return min((date for date in dates if date > now), default=None)
