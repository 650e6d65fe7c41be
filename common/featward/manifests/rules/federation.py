"""Rules on `federatesWith`: each trust domain once, and none of our own, between which nothing is accepted."""

from collections.abc import Iterator

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.federation import Federation
from featward.manifests.findings import Finding
from featward.manifests.platform import Environment
from featward.strictyaml import Path

__all__ = ["federation"]


def federation(
    catalogue: Catalogue, environment: Document[Environment], now: int
) -> Iterator[Finding]:
    """Every relation of one environment."""
    own = {other.model.spec.trust_domain: name for name, other in catalogue.environments.items()}
    seen: set[str] = set()
    for number, relation in enumerate(environment.model.spec.federates_with):
        path: Path = ("spec", "federatesWith", number)
        yield from _foreign(environment, (*path, "trustDomain"), relation, own, seen)
        yield from _endpoint(environment, (*path, "endpointSpiffeId"), relation)
        seen.add(relation.trust_domain)


def _foreign(
    environment: Document[Environment],
    path: Path,
    relation: Federation,
    own: dict[str, str],
    seen: set[str],
) -> Iterator[Finding]:
    domain = relation.trust_domain
    if domain in own:
        message = (
            f"trust domain {domain} is environment {own[domain]}'s, and nothing of one environment is "
            "accepted in another"
        )
        yield environment.finding("not-foreign", path, message, "remove it")
    elif domain in seen:
        message = f"environment {environment.model.metadata.name} federates with {domain} twice"
        yield environment.finding("not-foreign", path, message, "leave one")


def _endpoint(
    environment: Document[Environment], path: Path, relation: Federation
) -> Iterator[Finding]:
    if relation.endpoint_spiffe_id is None:
        return
    try:
        SpiffeId.parse(relation.endpoint_spiffe_id)
    except SpiffeIdError as error:
        yield environment.finding("invalid-value", path, str(error), "correct it")
