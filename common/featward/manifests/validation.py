"""All rules across documents, in one list; a snapshot is compiled only from what passes them."""

import time
from collections.abc import Callable, Iterator

from featward.manifests.catalogue import Catalogue
from featward.manifests.findings import Finding
from featward.manifests.loading import Loaded
from featward.manifests.rules.attestation import attestation
from featward.manifests.rules.federation import federation
from featward.manifests.rules.governance import governance
from featward.manifests.rules.grants import grants
from featward.manifests.rules.labels import labels
from featward.manifests.rules.lifetimes import lifetimes
from featward.manifests.rules.overrides import overrides
from featward.manifests.rules.references import references
from featward.manifests.rules.serving import serving

__all__ = ["RULES", "validate", "validate_catalogue"]

RULES: tuple[Callable[[Catalogue, int], Iterator[Finding]], ...] = (
    references,
    labels,
    federation,
    attestation,
    lifetimes,
    serving,
    grants,
    governance,
    overrides,
)


def validate(loaded: Loaded, now: int | None = None) -> tuple[Finding, ...]:
    """What is wrong between the documents, by file and line; ``now`` (Unix seconds) decides about dates."""
    return validate_catalogue(Catalogue(loaded.documents, loaded.malformed), now)


def validate_catalogue(catalogue: Catalogue, now: int | None = None) -> tuple[Finding, ...]:
    """The same for documents that are in a catalogue already."""
    moment = int(time.time()) if now is None else now
    return tuple(sorted(finding for rule in RULES for finding in rule(catalogue, moment)))
