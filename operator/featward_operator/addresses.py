"""Where the sidecars of a cluster's feature sets are called."""

from featward.manifests.catalogue import Set
from featward.policy.workloads import AddressOf
from featward_operator.injection.names import service_name

__all__ = ["PORT", "addresses_in"]

PORT = 15443
"""Of the Service that the operator makes for each server, whatever port its pods listen on."""


def addresses_in(cluster_domain: str) -> AddressOf:
    """What the manifest says, else the server's second Service; None for a server that is no pod."""

    def address_of(feature_set: Set) -> str | None:
        metadata, serving = feature_set.model.metadata, feature_set.model.spec.serving
        if serving.address is not None:
            return serving.address
        account = f"{metadata.name}-gateway"
        if serving.workload is not None:
            if serving.workload.service_account is None:
                return None
            account = serving.workload.service_account
        return f"{service_name(account)}.{metadata.namespace}.svc.{cluster_domain}:{PORT}"

    return address_of
