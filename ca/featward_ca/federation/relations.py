"""With whom an environment federates, as plain values read from its manifests and checked.

A bundle is bound to a trust domain here and nowhere else, by what the platform team wrote down: no
bundle says itself whose it is (SPIFFE Federation, section 7.3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.manifests.federation import Federation
from featward_ca.errors import ConfigurationError, FederationError
from featward_ca.federation.bundle import ForeignBundle, parse

__all__ = ["Endpoint", "Relation", "relations"]


@dataclass(frozen=True)
class Endpoint:
    """Who a server of the profile `https_spiffe` has to be, and by which bundle it is known at
    first.
    """

    spiffe_id: SpiffeId
    bootstrap: ForeignBundle


@dataclass(frozen=True)
class Relation:
    """One foreign trust domain. `endpoint`: None where a certificate of the Web proves the server."""

    trust_domain: str
    url: str
    endpoint: Endpoint | None = None

    @property
    def profile(self) -> str:
        """The standard's name for how the server proves itself."""
        return "https_spiffe" if self.endpoint else "https_web"


def relations(own: Iterable[str], given: Iterable[Federation]) -> Mapping[str, Relation]:
    """By trust domain. `own`: the trust domains of all environments. Raises ConfigurationError."""
    ours, found = set(own), {}
    for one in given:
        if one.trust_domain in ours:
            raise ConfigurationError(
                f"federatesWith names {one.trust_domain}, the trust domain of an environment of"
                " your own; nothing of one environment is accepted in another, so remove it"
            )
        if one.trust_domain in found:
            raise ConfigurationError(f"federatesWith names {one.trust_domain} twice; leave one")
        found[one.trust_domain] = Relation(one.trust_domain, one.url, _endpoint(one, ours))
    return found


def _endpoint(given: Federation, ours: set[str]) -> Endpoint | None:
    if given.endpoint_spiffe_id is None or given.bootstrap_bundle is None:
        return None
    try:
        spiffe_id = SpiffeId.parse(given.endpoint_spiffe_id)
        bootstrap = parse(given.bootstrap_bundle.encode())
    except (SpiffeIdError, FederationError) as error:
        raise ConfigurationError(
            f"federatesWith of {given.trust_domain} can't be used: {error}"
        ) from error
    if spiffe_id.trust_domain in ours:
        raise ConfigurationError(
            f"federatesWith of {given.trust_domain} names the endpoint {spiffe_id}, which is one of"
            " your own environments; bundles come from servers of other trust domains"
        )
    return Endpoint(spiffe_id, bootstrap)
