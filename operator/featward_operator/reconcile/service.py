"""The Service on which servers of a service account are called, beside the one that the app has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featward.manifests.text import day_after
from featward_operator.addresses import PORT
from featward_operator.injection.names import (
    PLAIN_PORT,
    SERVER,
    SERVER_PORT,
    server_label,
    service_name,
)
from featward_operator.reconcile.children import Body, metadata_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from featward.manifests.catalogue import Set

__all__ = ["account_of", "service", "takes_unidentified"]

_PLAIN = 15080


def account_of(feature_set: Set) -> str | None:
    """The service account that serves a set, None for a Workload outside of clusters."""
    serving = feature_set.model.spec.serving
    if serving.gateway is not None:
        return f"{feature_set.model.metadata.name}-gateway"
    return serving.workload.service_account if serving.workload is not None else None


def takes_unidentified(sets: Iterable[Set], now: float) -> bool:
    """Whether one of these sets lets callers without identity in today."""
    for one in sets:
        unidentified = one.model.spec.enforcement.unidentified
        if unidentified.allow and unidentified.until and now < day_after(unidentified.until):
            return True
    return False


def service(
    namespace: str, account: str, sets: Sequence[tuple[str, str]], *, plain: bool = False
) -> Body:
    """The Service of a service account that serves these sets (name, uid)."""
    ports = [{"name": SERVER_PORT, "port": PORT, "targetPort": SERVER_PORT, "appProtocol": "tls"}]
    if plain:
        more = {"name": PLAIN_PORT, "port": _PLAIN, "targetPort": PLAIN_PORT}
        ports.append({**more, "appProtocol": "http"})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(namespace, service_name(account), sets),
        "spec": {
            "selector": {SERVER: server_label(account)},
            "ports": [{**one, "protocol": "TCP"} for one in ports],
        },
    }
