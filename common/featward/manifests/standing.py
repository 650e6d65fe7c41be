"""How a binding stands: what in it needs its business unit's consent, and until when it holds.

The rules report it, the compiler acts on it and `featward explain` tells it, so all three ask here. Nothing
here depends on the time: what ends is given its last second, and the engine looks at the clock.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Approval, Binding, Catalogue, Set
from featward.manifests.feature_binding import Subject
from featward.manifests.text import day_after

__all__ = [
    "RECERTIFY_DAYS",
    "End",
    "Recertification",
    "Wanted",
    "consent_wanted",
    "crosses",
    "end_of",
    "granted_features",
    "is_suspended_by_date",
    "receiving_unit",
    "recertification",
    "withholds",
]

RECERTIFY_DAYS = 30
"""For so many days before ``recertifyBy`` is over, a binding is due: most teams meet once in them."""


class Recertification(StrEnum):
    """Whether a binding's owner has to look at it again."""

    DUE = "due"
    OVERDUE = "overdue"


class End(NamedTuple):
    """When a binding ends, and what ends it."""

    second: int
    """The first Unix second at which it grants nothing any more."""
    by: str
    """``expires``, ``recertifyBy``, or ``approval``."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a binding needs its business unit's consent; false where nothing does."""

    subjects: tuple[Subject, ...] = ()
    """Of other business units."""
    features: tuple[str, ...] = ()
    """Above the ceiling, by name."""

    def __bool__(self) -> bool:
        return bool(self.subjects or self.features)


def recertification(binding: Binding, now: float) -> Recertification | None:
    """Whether the binding is due or overdue at this moment; None for one without ``recertifyBy``."""
    day = binding.model.spec.recertify_by
    if day is None or now < day_after(day) - RECERTIFY_DAYS * 86_400:
        return None
    return Recertification.OVERDUE if now >= day_after(day) else Recertification.DUE


def receiving_unit(catalogue: Catalogue, subject: Subject, granting: str) -> str | None:
    """The business unit that a subject belongs to; None where it is not declared, or of no unit of ours."""
    if subject.service_account is not None:
        return catalogue.business_unit_of(subject.service_account.namespace)
    if subject.workload is not None:
        return subject.workload.business_unit
    if subject.business_unit is not None:
        return subject.business_unit
    environment = catalogue.environment_of(granting)
    if environment is None or subject.spiffe_id is None:
        return None
    try:
        identity = SpiffeId.parse(subject.spiffe_id)
    except SpiffeIdError:
        return None  # which the rules on grants report
    if identity.trust_domain != environment.model.spec.trust_domain:
        return None
    return f"{environment.model.metadata.name}.{identity.business_unit}"


def crosses(catalogue: Catalogue, subject: Subject, granting: str) -> bool:
    """Whether granting to the subject needs consent, because it belongs to another business unit."""
    receiving = receiving_unit(catalogue, subject, granting)
    return receiving is not None and receiving != granting


def granted_features(catalogue: Catalogue, binding: Binding, feature_set: Set) -> set[str]:
    """The features that a binding names, by themselves or by a service."""
    services = catalogue.listing_of(feature_set).services
    named = set(binding.model.spec.features)
    return named.union(*(services.get(one, ()) for one in binding.model.spec.services))


def consent_wanted(catalogue: Catalogue, binding: Binding) -> Wanted:
    """What in the binding grants across business units or above the ceiling, consented to or not."""
    unit = catalogue.business_unit_of(binding.model.metadata.namespace)
    feature_set = catalogue.feature_set_of(binding)
    if unit is None or feature_set is None:
        return Wanted()
    subjects = binding.model.spec.subjects
    highest = catalogue.ceiling_of(unit).max_sensitivity
    sensitivities = catalogue.listing_of(feature_set).features
    named = sorted(granted_features(catalogue, binding, feature_set))
    return Wanted(
        tuple(subject for subject in subjects if crosses(catalogue, subject, unit)),
        tuple(name for name in named if sensitivities.get(name, 0) > highest),
    )


def withholds(catalogue: Catalogue, binding: Binding, caller: SpiffeId, features: set[str]) -> bool:
    """Whether the binding would grant some of these features to the caller, were it consented to."""
    wanted, feature_set = consent_wanted(catalogue, binding), catalogue.feature_set_of(binding)
    if feature_set is None or not wanted or catalogue.approval_of(binding) is not None:
        return False
    named = granted_features(catalogue, binding, feature_set) & features
    meant = [one for one in binding.model.spec.subjects if _means(catalogue, one, caller)]
    # Of the caller's own unit, only what is above the ceiling waits.
    waiting = named if all(one in wanted.subjects for one in meant) else named & {*wanted.features}
    return bool(meant and waiting)


def _means(catalogue: Catalogue, subject: Subject, caller: SpiffeId) -> bool:
    if subject.business_unit is None:
        return catalogue.identity_of(subject) == caller
    environment = catalogue.environment_of(subject.business_unit)
    return (
        environment is not None
        and environment.model.spec.trust_domain == caller.trust_domain
        and subject.business_unit.partition(".")[2] == caller.business_unit
    )


def is_suspended_by_date(catalogue: Catalogue, binding: Binding) -> bool:
    """Whether the binding stops granting when it is overdue: its unit's ceiling asks for it."""
    unit = catalogue.business_unit_of(binding.model.metadata.namespace)
    return unit is not None and catalogue.ceiling_of(unit).suspend_overdue


def end_of(catalogue: Catalogue, binding: Binding, approval: Approval | None) -> End:
    """When the binding ends, and what ends it; of equal days its own ``expires``.

    ``approval`` is the one that it rests on, None where it needs none. The binding ends with it as a whole:
    a part of it that went on would make the documents of one day mean something else on another.
    """
    spec = binding.model.spec
    ends = [End(day_after(spec.expires), "expires")]
    if spec.recertify_by is not None and is_suspended_by_date(catalogue, binding):
        ends.append(End(day_after(spec.recertify_by), "recertifyBy"))
    if approval is not None:
        ends.append(End(day_after(approval.model.spec.expires), "approval"))
    return min(ends, key=lambda end: end.second)
