"""A FeatureBinding: what it grants, to how many, on whose consent, and what its owner has to do by when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from featward.crds.status import BindingStatus
from featward.manifests.digest import binding_digest
from featward_operator.conditions import answer, conditions, differs, news, ready
from featward_operator.controllers import Result
from featward_operator.governance import findings_of, grant, validity
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key
    from featward_operator.conditions import Answer
    from featward_operator.controllers import Notice
    from featward_operator.reconcile.known import Known
    from featward_operator.world import Observed

__all__ = ["Remember", "reconcile"]

KIND = "FeatureBinding"
_EVENTS = {
    (Type.VALID, Reason.INVALID): Event.INVALID,
    (Type.VALID, Reason.UNKNOWN_NAMESPACE): Event.INVALID,
    (Type.VALID, Reason.NO_BUSINESS_UNIT): Event.INVALID,
    (Type.APPROVED, Reason.APPROVAL_VOID): Event.APPROVAL_VOIDED,
    (Type.DUE, Reason.RECERTIFICATION_DUE): Event.RECERTIFICATION_DUE,
    (Type.OVERDUE, Reason.EXPIRED): Event.BINDING_EXPIRED,
    (Type.OVERDUE, Reason.SUSPENDED): Event.BINDING_SUSPENDED,
    (Type.OVERDUE, Reason.RECERTIFICATION_OVERDUE): Event.RECERTIFICATION_OVERDUE,
}


@dataclass(frozen=True, slots=True)
class Remember:
    """Whom the binding grants to, for its set's reconciler; nothing is asked of the server."""

    covered: dict[Key, frozenset[str]]
    key: Key
    identities: frozenset[str] | None
    """None for a binding that is gone."""

    async def carry_out(self, gateway: Gateway) -> None:
        """Note it."""
        if self.identities is None:
            self.covered.pop(self.key, None)
        else:
            self.covered[self.key] = self.identities


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status and events of one binding."""
    observed = known.observed(KIND, key)
    if observed is None:
        return Result(actions=(Remember(known.covered, key, None),))
    before, catalogue = observed.status, known.catalogue
    document = catalogue.bindings.get(key)
    valid = validity(catalogue, findings_of(known.world.index, KIND, document, now, *key), key[0])
    if document is None:
        said = "it can't be read"
        answers = [valid, answer(Type.GRANTING, Reason.NOTHING_GRANTABLE, said)]
        status = BindingStatus(
            observed_generation=observed.generation,
            conditions=conditions([ready(answers, ""), *answers], before, observed.generation, now),
            identities_covered=0,
            granted_features=0,
        )
        return Result(
            actions=(Remember(known.covered, key, frozenset()),),
            status=differs(status, before),
            events=tuple(_events(answers, key, observed)),
        )
    found = grant(catalogue, known.world.pods, document, now)
    granting = found.granting
    if not valid.is_so and granting.is_so:
        # What is wrong with it keeps it out of every snapshot.
        granting = answer(Type.GRANTING, Reason.NOTHING_GRANTABLE, valid.message)
    is_granting = granting.is_so
    identities = found.identities if is_granting else frozenset()
    suspended = _suspended(known, key[0])
    counting = [valid, granting, found.approved]
    whole = ready(counting, "it grants all that it names")
    if suspended.is_so:
        # Its grants are not asked for where nothing is protected.
        whole = ready([_no(suspended)], "")
    answers = [whole, *counting, found.due, found.overdue, suspended]
    status = BindingStatus(
        observed_generation=observed.generation,
        conditions=conditions(answers, before, observed.generation, now),
        identities_covered=len(identities),
        granted_features=found.features if is_granting else 0,
        digest=binding_digest(document.model),
        approval=found.approval,
    )
    return Result(
        actions=(Remember(known.covered, key, identities),),
        status=differs(status, before),
        events=tuple(_events(news(answers, before), key, observed)),
        requeue_at=found.again_at,
    )


def _suspended(known: Known, namespace: str) -> Answer:
    if known.is_suspended(namespace):
        said = f"namespace {namespace} has featward.dev/protection: suspended"
        return answer(Type.SUSPENDED, Reason.PROTECTION_SUSPENDED, said)
    return answer(Type.SUSPENDED, Reason.NONE, "protection is not suspended")


def _no(suspended: Answer) -> Answer:
    return type(suspended)(suspended.type, "False", suspended.reason, suspended.message)


def _events(
    answers: Iterator[Answer] | list[Answer], key: Key, observed: Observed
) -> Iterator[Notice]:
    for one in answers:
        event = _EVENTS.get((one.type, one.reason))
        if event is not None:
            yield notice(about(KIND, key, observed), event, one.message)
