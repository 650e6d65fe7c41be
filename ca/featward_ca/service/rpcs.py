"""The table of calls: for each, who may make it, how often, and how the audit table names it.

A service whose method has no row here does not start, so a new call can't be open by being
forgotten.
"""

from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor

from featward_ca.errors import ConfigurationError
from featward_ca.service.peers import PeerKind


@dataclass(frozen=True)
class Limit:
    """Per caller: calls at once out of nothing, calls a second after that. `at_once`: of all
    callers together.
    """

    burst: float
    per_second: float
    at_once: int


@dataclass(frozen=True)
class Rpc:
    """One row."""

    callers: frozenset[PeerKind]
    limit: Limit
    audit_kind: str


# Callers without a certificate share one allowance. A restart of a thousand workloads has to get
# through it; guessing a secret of 256 bits does not, at any rate.
_ATTEST = Limit(burst=2000, per_second=500, at_once=256)
# Every workload holds one stream and opens it anew at most when its connection is cut.
_WATCH = Limit(burst=64, per_second=4, at_once=20_000)
_ADMIN = Limit(burst=200, per_second=50, at_once=32)

_IDENTITY = "/featward.identity.v1.IdentityService"
_AUTHORITY = "/featward.authority.v1.AuthorityService"

RPCS = {
    f"{_IDENTITY}/Attest": Rpc(frozenset({PeerKind.ANONYMOUS, PeerKind.UNIX}), _ATTEST, "attest"),
    f"{_IDENTITY}/WatchIdentity": Rpc(
        frozenset({PeerKind.UNIX, PeerKind.SVID, PeerKind.EXPIRED_SVID}), _WATCH, "renew"
    ),
    f"{_AUTHORITY}/CreateJoinToken": Rpc(frozenset({PeerKind.ADMIN}), _ADMIN, "create-join-token"),
    f"{_AUTHORITY}/Show": Rpc(frozenset({PeerKind.ADMIN}), _ADMIN, "show"),
}


def rows_of(service: ServiceDescriptor, rpcs: dict[str, Rpc] = RPCS) -> dict[str, Rpc]:
    """The row of every method of a service, by method name. Raises ConfigurationError when one
    is missing.
    """
    names = [method.name for method in service.methods]
    missing = [name for name in names if f"/{service.full_name}/{name}" not in rpcs]
    if missing:
        raise ConfigurationError(
            f"the table of calls has no row for {', '.join(missing)} of {service.full_name}"
        )
    return {name: rpcs[f"/{service.full_name}/{name}"] for name in names}
