"""All rules, by the kind of document that they look at; a snapshot is compiled only from what passes them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.loading import Loaded
from featward.manifests.rules.attestation import environment_proof, workload_proof
from featward.manifests.rules.federation import federation
from featward.manifests.rules.governance import consent, renewal
from featward.manifests.rules.grants import grants
from featward.manifests.rules.labels import labels
from featward.manifests.rules.lifetimes import lifetimes
from featward.manifests.rules.overrides import overrides
from featward.manifests.rules.references import (
    duplicates,
    namespace_owner,
    trust_domain,
    unit_environment,
    workload_owner,
)
from featward.manifests.rules.serving import served_together, serving

__all__ = ["RULES", "judge", "validate", "validate_catalogue"]

# Each takes a document of its kind, which no type here can say.
RULES: dict[str, tuple[Callable[[Catalogue, Any, int], Iterator[Finding]], ...]] = {
    "Environment": (trust_domain, federation, environment_proof, labels),
    "BusinessUnit": (unit_environment, lifetimes, labels),
    "Namespace": (namespace_owner, labels),
    "Workload": (workload_owner, workload_proof, labels),
    "FeatureSet": (serving, labels),
    "FeatureBinding": (grants, renewal, labels),
    "GrantApproval": (consent, labels),
    "Override": (overrides, labels),
}


def validate(loaded: Loaded, now: int | None = None) -> tuple[Finding, ...]:
    """What is wrong between the documents, by file and line; ``now`` (Unix seconds) decides about dates."""
    return validate_catalogue(Catalogue(loaded.documents, loaded.malformed), now)


def validate_catalogue(catalogue: Catalogue, now: int | None = None) -> tuple[Finding, ...]:
    """The same for documents that are in a catalogue already."""
    moment = int(time.time()) if now is None else now
    found = list(duplicates(catalogue))
    for document in catalogue.documents():
        found += judge(catalogue, document, moment)
    for sets in catalogue.served_by.values():
        found += served_together(sets)
    return tuple(sorted(found))


def judge(catalogue: Catalogue, document: Document[AnyModel], now: int) -> Iterator[Finding]:
    """What is wrong with one document of the catalogue, whatever else its workload serves."""
    for rule in RULES[document.kind]:
        yield from rule(catalogue, document, now)
