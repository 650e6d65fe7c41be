"""The API servers of the clusters that the CA reads its manifests from and writes to."""

from collections.abc import Mapping

from featward.kubernetes.errors import LoginError
from featward.kubernetes.gateway import Gateway
from featward_ca.errors import ConfigurationError
from featward_engine import __version__


class Gateways:
    """One for each cluster, opened when it is first asked for."""

    def __init__(self, logins: Mapping[str, str]) -> None:
        """`logins` are those of ``--cluster``: a kubeconfig, or ``in-cluster``, by the cluster's name."""
        self._logins = logins
        self._opened: dict[str, Gateway] = {}

    async def of(self, cluster: str, option: str) -> Gateway:
        """The cluster's, which an option named. Raises ConfigurationError."""
        if cluster in self._opened:
            return self._opened[cluster]
        where = self._logins.get(cluster)
        if where is None:
            raise ConfigurationError(
                f"{option} is about the cluster {cluster}, and there is no --cluster"
                f" {cluster}=KUBECONFIG; add it, in a pod of that cluster as --cluster"
                f" {cluster}=in-cluster"
            )
        try:
            gateway = await Gateway.open(where, agent=f"featward-ca/{__version__}")
        except LoginError as error:
            raise ConfigurationError(f"--cluster {cluster}={where}: {error}") from error
        self._opened[cluster] = gateway
        return gateway

    async def close(self) -> None:
        """End all connections."""
        for gateway in self._opened.values():
            await gateway.close()
