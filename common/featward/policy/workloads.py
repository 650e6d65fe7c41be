"""Whom a snapshot is for: the environment it belongs to, how the snapshot begins, and whom it may call.

Apart from the compiler because a cluster's slices begin in the same way and need the same refusals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from featward.errors import UnknownWorkloadError
from featward.manifests.catalogue import Set
from featward.policy.v1.snapshot_pb2 import Remote, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featward.identity.spiffe import SpiffeId
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.document import Document
    from featward.manifests.findings import Finding
    from featward.manifests.platform import Environment

__all__ = [
    "FIRST_VERSION",
    "FORMAT",
    "AddressOf",
    "beginning",
    "called_by",
    "environment_of",
    "remote",
    "written_address",
]

FORMAT = 1
# The first engine, which reads whatever says nothing that only later ones know.
FIRST_VERSION = "0.1.0"

AddressOf: TypeAlias = Callable[[Set], str | None]
"""Where the sidecar of a feature set's server listens, ``host:port``; None where nobody knows."""


def environment_of(
    catalogue: Catalogue, workload: SpiffeId, findings: Sequence[Finding] = ()
) -> Document[Environment]:
    """The environment of a workload that is declared, or in a declared namespace.

    Raises UnknownWorkloadError, with these findings, for any other.
    """
    for environment in catalogue.environments.values():
        if environment.model.spec.trust_domain == workload.trust_domain:
            _check_known(catalogue, environment.model.metadata.name, workload, findings)
            return environment
    domains = sorted(one.model.spec.trust_domain for one in catalogue.environments.values())
    raise UnknownWorkloadError(
        f"{workload} is of no environment in the manifests, which have {', '.join(domains) or 'none'}",
        findings,
    )


def _check_known(
    catalogue: Catalogue, environment: str, workload: SpiffeId, findings: Sequence[Finding]
) -> None:
    unit = f"{environment}.{workload.business_unit}"
    if workload.business_unit is None or not catalogue.knows_business_unit(unit):
        raise UnknownWorkloadError(f"{workload} is of no business unit in the manifests", findings)
    match workload.path.split("/")[3:]:
        case ["svc", name] if (unit, name) not in catalogue.workloads:
            message = f"{workload} is no declared Workload of business unit {unit}"
        case ["ns", namespace, *_] if catalogue.business_unit_of(namespace) != unit:
            message = f"{workload} is in no namespace of business unit {unit}"
        case _:
            return
    raise UnknownWorkloadError(message, findings)


def beginning(environment: Document[Environment], workload: SpiffeId) -> Snapshot:
    """The snapshot of a workload that serves nothing and calls nobody."""
    return Snapshot(
        format=FORMAT,
        engine_version=FIRST_VERSION,
        environment=environment.model.metadata.name,
        trust_domain=environment.model.spec.trust_domain,
        workload=str(workload),
    )


def called_by(feature_set: Set) -> frozenset[str]:
    """The names by which clients call a set: ``namespace/name``, and ``name`` where it is the only one."""
    return frozenset({feature_set.name, feature_set.model.metadata.name})


def written_address(feature_set: Set) -> str | None:
    """The address that the manifest gives."""
    return feature_set.model.spec.serving.address


def remote(
    catalogue: Catalogue, feature_set: Set, trust_domain: str, address_of: AddressOf
) -> Remote | None:
    """Where a set is served, None where nobody knows or it is of another environment."""
    server, address = catalogue.server_of(feature_set), address_of(feature_set)
    if server is None or address is None or server.trust_domain != trust_domain:
        return None
    metadata = feature_set.model.metadata
    return Remote(
        namespace=metadata.namespace, name=metadata.name, address=address, spiffe_id=str(server)
    )
