"""Service accounts of Kubernetes: the cluster says whose a projected token is.

Everything in an identity comes from the API server's answer, and from what the manifests and the
store say of the namespace in it. Of the token itself only the issuer is read before, to know which
cluster to ask.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from featward.identity.spiffe import SpiffeId
from featward.logs import fields
from featward_ca.attest import Attested, Method
from featward_ca.attest.pins import business_unit, pinned
from featward_ca.attest.reviews import ServiceAccount, TokenReviewer
from featward_ca.attest.tokens import audience_of, glance, shown
from featward_ca.clock import Clock
from featward_ca.directory import Cluster, Directory, Workload, short_name
from featward_ca.errors import ConfigurationError, NotAttestedError
from featward_ca.recorded import nothing
from featward_ca.rotation.known import PLATFORM

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Operator:
    """The one service account that is the environment's operator."""

    cluster: str
    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Operator":
        """Read ``cluster/namespace/serviceaccount``. Raises ConfigurationError."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise ConfigurationError(
                f"{text!r} is no operator; write cluster/namespace/serviceaccount, such as"
                " eu1/featward/operator"
            )
        return cls(*parts)


class Kubernetes:
    """All clusters that this CA can ask."""

    def __init__(
        self,
        reviewers: Mapping[str, TokenReviewer],
        clock: Clock,
        operator: Operator | None = None,
    ) -> None:
        """`reviewers` by the cluster's name."""
        self._reviewers = reviewers
        self._clock = clock
        self._operator = operator

    async def attest(self, directory: Directory, token: str) -> Attested:
        """The workload of a token. Raises NotAttestedError, or LaterError when its cluster can't be
        asked.
        """
        audience = audience_of(directory.trust_domain)
        issuer = glance(token, audience, self._clock).issuer
        cluster = next((one for one in directory.clusters if one.issuer == issuer), None)
        if cluster is None:
            raise NotAttestedError(f"no cluster of the environment issues as {shown(issuer)}")
        reviewer = self._reviewers.get(cluster.name)
        if reviewer is None:
            raise NotAttestedError(
                f"this CA has no access to the cluster {cluster.name}; start it with --cluster"
                f" {cluster.name}=KUBECONFIG"
            )
        account = await reviewer.review(token, audience)
        _log.info(
            "token reviewed",
            extra=fields(
                cluster=cluster.name,
                namespace=account.namespace,
                service_account=account.name,
                pod=account.pod,
                pod_uid=account.pod_uid,
            ),
        )
        if self._operator == Operator(cluster.name, account.namespace, account.name):
            return _operator(directory, cluster)
        return await self._workload(directory, cluster, reviewer, account)

    async def close(self) -> None:
        """End all connections to clusters."""
        for reviewer in self._reviewers.values():
            await reviewer.close()

    async def _workload(
        self,
        directory: Directory,
        cluster: Cluster,
        reviewer: TokenReviewer,
        account: ServiceAccount,
    ) -> Attested:
        unit = await business_unit(directory, cluster, reviewer, account.namespace)
        workload = Workload(
            f"{cluster.name}/{account.namespace}/{account.name}",
            unit,
            SpiffeId.service_account(
                directory.trust_domain,
                short_name(directory.environment, unit),
                account.namespace,
                account.name,
            ),
        )
        claim = pinned(cluster.name, account.namespace, unit, self._clock)
        return Attested(workload, Method.KUBERNETES, claim, cluster=cluster.name)


def _operator(directory: Directory, cluster: Cluster) -> Attested:
    workload = Workload("featward/operator", PLATFORM, SpiffeId.operator(directory.trust_domain))
    return Attested(workload, Method.KUBERNETES, nothing, cluster=cluster.name)
