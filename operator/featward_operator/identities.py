"""The operator's own identities, one of each environment: attested, renewed, shown by who serves or calls."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from featward.client.identity import WorkloadIdentity
from featward.identity.spiffe import SpiffeId
from featward_engine import Credentials
from featward_operator.settings import EnvironmentSettings, FolderSettings

__all__ = ["Identities"]

_TOKEN, _ROOTS = "token", "root.sha256"


class Identities:
    """By trust domain, in the order of the settings: a caller that names none is shown the first."""

    def __init__(
        self, environments: Iterable[EnvironmentSettings], folders: FolderSettings
    ) -> None:
        self.settings = {one.trust_domain: one for one in environments}
        self.credentials = {domain: Credentials(domain) for domain in self.settings}
        self._evidence, self._run = Path(folders.evidence), Path(folders.run)
        self.workloads = {domain: self._workload(domain) for domain in self.settings}
        """Whose channels show the identity of an environment. Only while `keep` runs."""

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

    async def keep(self) -> None:
        """Have all of them until cancelled. A CA that is away is waited for, and holds up no other."""
        for domain in self.workloads:
            self._sockets(domain).mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            await asyncio.gather(*(one.run() for one in self.workloads.values()))
        finally:
            for one in self.workloads.values():
                await one.close()

    def _workload(self, domain: str) -> WorkloadIdentity:
        environment = self.settings[domain]
        folder = self._evidence / environment.name
        return WorkloadIdentity(
            self.credentials[domain],
            environment.ca,
            domain,
            (folder / _TOKEN).read_text,
            lambda: (folder / _ROOTS).read_text().split(),
            self._sockets(domain),
        )

    def _sockets(self, domain: str) -> Path:
        return self._run / "identity" / self.settings[domain].name
