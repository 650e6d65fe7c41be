"""The operator's own identities, one of each environment, and whether they are there.

Who attests and renews them fills in the credentials; who serves shows them.
"""

from collections.abc import Iterable

from featward.identity.spiffe import SpiffeId
from featward_engine import Credentials
from featward_operator.settings import EnvironmentSettings

__all__ = ["Identities"]


class Identities:
    """By trust domain, in the order of the settings: a caller that names none is shown the first."""

    def __init__(self, environments: Iterable[EnvironmentSettings]) -> None:
        self.settings = {one.trust_domain: one for one in environments}
        self.credentials = {domain: Credentials(domain) for domain in self.settings}

    @property
    def trust_domains(self) -> frozenset[str]:
        """Those of the environments that this operator works for."""
        return frozenset(self.credentials)

    def wanted(self, trust_domain: str) -> SpiffeId:
        """Who the operator has to be in an environment: its CA gives this to one service account only."""
        return SpiffeId.operator(trust_domain)

    def missing(self) -> list[str]:
        """The names of environments in which there is no identity yet."""
        return [
            self.settings[domain].name
            for domain, one in self.credentials.items()
            if one.identity() is None
        ]
