"""Rules on consent and recertification: approvals that approve nothing, and bindings to look at again."""

from collections.abc import Iterator

from featward.manifests.catalogue import Approval, Binding, Catalogue
from featward.manifests.digest import binding_digest
from featward.manifests.findings import Finding
from featward.manifests.standing import (
    Recertification,
    consent_wanted,
    is_suspended_by_date,
    recertification,
)
from featward.manifests.text import day_after
from featward.strictyaml import Path

__all__ = ["consent", "renewal"]


def renewal(catalogue: Catalogue, binding: Binding, now: int) -> Iterator[Finding]:
    """What a binding that still holds needs, to go on."""
    if now < day_after(binding.model.spec.expires):
        yield from _recertification(catalogue, binding, now)
        yield from _outlived(catalogue, binding, now)


def consent(catalogue: Catalogue, approval: Approval, now: int) -> Iterator[Finding]:
    """That an approval approves what there is."""
    spec = approval.model.spec
    binding = catalogue.bindings.get((spec.binding.namespace, spec.binding.name))
    called = f"{spec.binding.namespace}/{spec.binding.name}"
    if binding is None:
        if ("feature binding", spec.binding.name) not in catalogue.malformed:
            message = f"binding {called} is not declared, so there is nothing to approve"
            remedy = "remove the approval, or correct the name"
            yield approval.finding("approval-without-binding", ("spec", "binding"), message, remedy)
        return
    owner = catalogue.business_unit_of(spec.binding.namespace)
    if owner is not None and owner != spec.business_unit:
        message = f"{spec.business_unit} consents, but binding {called} is of {owner}"
        remedy = f"only {owner} can consent to what its teams grant"
        yield approval.finding("approval-void", ("spec", "businessUnit"), message, remedy)
    elif (digest := binding_digest(binding.model)) != spec.binding_digest:
        message = f"binding {called} was edited after it was approved: its digest is {digest}"
        remedy = f"read it again, then renew the approval with featward approve {called}"
        yield approval.finding("approval-void", ("spec", "bindingDigest"), message, remedy)


def _recertification(catalogue: Catalogue, binding: Binding, now: int) -> Iterator[Finding]:
    day, path = binding.model.spec.recertify_by, ("spec", "recertifyBy")
    match recertification(binding, now):
        case Recertification.DUE:
            message = f"the grant has to be looked at again by {day}"
            remedy = "see that its purpose still stands, then write a later day"
            yield binding.finding("recertification-due", path, message, remedy)
        case Recertification.OVERDUE:
            suspended = is_suspended_by_date(catalogue, binding)
            message = f"the grant was to be looked at again by {day}"
            message += ", and grants nothing until it is" if suspended else ""
            remedy = "see that its purpose still stands and write a later day, or remove it"
            yield binding.finding("recertification-overdue", path, message, remedy)


def _outlived(catalogue: Catalogue, binding: Binding, now: int) -> Iterator[Finding]:
    """At the approval, for that is what has to be renewed."""
    approval = catalogue.approval_of(binding)
    if approval is None or now < day_after(approval.model.spec.expires):
        return
    if consent_wanted(catalogue, binding):
        path: Path = ("spec", "expires")
        message = (
            f"the consent to binding {binding.name} held until {approval.model.spec.expires}, and the binding "
            "needs it: it grants nothing"
        )
        remedy = f"renew it with featward approve {binding.name}, or take out of the binding what needs consent"
        yield approval.finding("approval-expired", path, message, remedy)
