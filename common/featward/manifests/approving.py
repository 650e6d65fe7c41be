"""The approval that a business unit gives to a binding, written for the binding as it now stands."""

import json

from featward.errors import FeatwardError
from featward.manifests.catalogue import Binding, Catalogue
from featward.manifests.digest import binding_digest
from featward.manifests.feature_binding import Subject
from featward.manifests.governance import GrantApproval
from featward.manifests.loading import load_texts
from featward.manifests.model import API_VERSION
from featward.manifests.standing import Wanted, consent_wanted

__all__ = ["approve", "consequences"]


def approve(catalogue: Catalogue, binding: Binding, *, reason: str, expires: str) -> GrantApproval:
    """The consent of the binding's business unit, until a day.

    Raises FeatwardError where the binding needs none, or where a value has not the form that it needs.
    """
    metadata = binding.model.metadata
    unit = catalogue.business_unit_of(metadata.namespace)
    if unit is None or not consent_wanted(catalogue, binding):
        raise FeatwardError(
            f"binding {binding.name} needs no consent: all that it grants is its team's to grant"
        )
    approval = {
        "apiVersion": API_VERSION,
        "kind": "GrantApproval",
        "metadata": {"name": f"{metadata.namespace}-{metadata.name}"},
        "spec": {
            "binding": {"namespace": metadata.namespace, "name": metadata.name},
            "bindingDigest": binding_digest(binding.model),
            "businessUnit": unit,
            "reason": reason,
            "expires": expires,
        },
    }
    # Read as a file would be, for the sentences that say what is wrong.
    loaded = load_texts([("the approval", json.dumps(approval))])
    if loaded.findings:
        raise FeatwardError(f"{loaded.findings[0].message}; {loaded.findings[0].remedy}")
    (document,) = loaded.documents
    if not isinstance(document.model, GrantApproval):
        raise AssertionError("what was written is a GrantApproval")
    return document.model


def consequences(binding: Binding, wanted: Wanted) -> list[str]:
    """What whoever consents should know, a sentence each."""
    who = ", ".join(_name(subject) for subject in wanted.subjects)
    said = [f"it grants across business units, to {who}"] if who else []
    if wanted.features:
        said.append(f"it grants above the ceiling: {', '.join(wanted.features)}")
    return [*said, f"its purpose: {binding.model.spec.purpose}"]


def _name(subject: Subject) -> str:
    if subject.service_account is not None:
        account = subject.service_account
        return f"service account {account.namespace}/{account.name}"
    if subject.workload is not None:
        return f"workload {subject.workload.business_unit}/{subject.workload.name}"
    return subject.spiffe_id or f"all of {subject.business_unit}"
