"""A GrantApproval: whether it is the consent to a binding as that stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward.crds.status import ApprovalStatus
from featward.manifests.digest import binding_digest
from featward.manifests.text import day_after
from featward_operator.conditions import answer, conditions, differs, news, ready
from featward_operator.controllers import Result
from featward_operator.governance import findings_of, validity
from featward_operator.reconcile.known import about, notice
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from featward.kubernetes.resource import Key
    from featward.manifests.catalogue import Approval, Catalogue
    from featward_operator.conditions import Answer
    from featward_operator.reconcile.known import Known

__all__ = ["reconcile"]

KIND = "GrantApproval"


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status and events of one approval."""
    observed = known.observed(KIND, key)
    if observed is None:
        return Result()
    before, document = observed.status, known.catalogue.approvals.get(key[1])
    findings = findings_of(known.world.index, KIND, document, now, key[1])
    counting = [validity(known.catalogue, findings)]
    again_at = None
    if document is not None:
        counting.append(_in_force(known.catalogue, document, now))
        end = float(day_after(document.model.spec.expires))
        again_at = end if end > now else None
    answers = [ready(counting, "it holds"), *counting]
    status = ApprovalStatus(
        observed_generation=observed.generation,
        conditions=conditions(answers, before, observed.generation, now),
    )
    what = about(KIND, key, observed)
    events = tuple(
        notice(what, Event.APPROVAL_VOIDED, one.message)
        for one in news(answers, before)
        if (one.type, one.reason) == (Type.IN_FORCE, Reason.DIGEST_DIFFERS)
    )
    return Result(status=differs(status, before), events=events, requeue_at=again_at)


def _in_force(catalogue: Catalogue, approval: Approval, now: float) -> Answer:
    spec = approval.model.spec
    named = (spec.binding.namespace, spec.binding.name)
    called = "/".join(named)
    binding = catalogue.bindings.get(named)
    if binding is None:
        said = f"there is no binding {called}"
        return answer(Type.IN_FORCE, Reason.BINDING_NOT_FOUND, said)
    owner = catalogue.business_unit_of(named[0])
    if owner != spec.business_unit:
        said = (
            f"binding {called} belongs to {owner or 'no business unit'}, not {spec.business_unit}"
        )
        return answer(Type.IN_FORCE, Reason.WRONG_BUSINESS_UNIT, said)
    if now >= day_after(spec.expires):
        return answer(Type.IN_FORCE, Reason.EXPIRED, f"it held until {spec.expires}")
    if (digest := binding_digest(binding.model)) != spec.binding_digest:
        said = f"binding {called} was edited after it was approved: its digest is {digest}"
        return answer(Type.IN_FORCE, Reason.DIGEST_DIFFERS, said)
    return answer(Type.IN_FORCE, Reason.MATCHES, f"it approves binding {called} as that stands")
