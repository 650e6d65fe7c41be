"""The table of calls: for each, who may make it, how often, and how the audit table names it.

A service whose method has no row here does not start, so a new call can't be open by being
forgotten. Nor does one whose method has no handler.
"""

from collections.abc import Collection
from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor

from featward_ca.errors import ConfigurationError
from featward_ca.service.peers import PeerKind


@dataclass(frozen=True)
class Rate:
    """Calls at once out of nothing, and calls a second after that."""

    burst: float
    per_second: float


@dataclass(frozen=True)
class Limit:
    """`each`: of one caller; `at_once`: under way, of all callers; `together`: the rate of all
    callers; `each_svid_at_once`: under way with one SVID. (A uid may be all workloads of a machine;
    the Listener bounds its connections.)
    """

    each: Rate
    at_once: int
    together: Rate | None = None
    each_svid_at_once: int | None = None


@dataclass(frozen=True)
class Rpc:
    """One row. `changes`: more than the caller's own SVID, so a row of the audit table goes
    before it and another after it; what only reads is counted.
    """

    callers: frozenset[PeerKind]
    limit: Limit
    audit_kind: str
    changes: bool = False


# Guessing a secret of 256 bits does not get through any rate, so the limits are about load. One
# source may be a network of a thousand workloads behind one address that all restart.
_ATTEST = Limit(Rate(200, 50), at_once=256, together=Rate(2000, 600))
# Every workload holds one stream and opens it anew at most when its connection is cut; the one that
# was cut may be noticed later.
_WATCH = Limit(Rate(64, 4), at_once=50_000, each_svid_at_once=4)
_LOOK = Limit(Rate(200, 50), at_once=32)
_STEP = Limit(Rate(60, 5), at_once=4)
_RARE = Limit(Rate(30, 2), at_once=2)

_ADMIN = frozenset({PeerKind.ADMIN})
_OPERATOR = frozenset({PeerKind.ADMIN, PeerKind.OPERATOR})
_STRANGERS = frozenset({PeerKind.ANONYMOUS, PeerKind.UNIX})
_HOLDERS = frozenset({PeerKind.UNIX, PeerKind.SVID, PeerKind.EXPIRED_SVID})

_IDENTITY = "featward.identity.v1.IdentityService"
_AUTHORITY = "featward.authority.v1.AuthorityService"

RPCS = {
    f"{_IDENTITY}/Attest": Rpc(_STRANGERS, _ATTEST, "attest"),
    f"{_IDENTITY}/WatchIdentity": Rpc(_HOLDERS, _WATCH, "renew"),
    f"{_AUTHORITY}/CreateJoinToken": Rpc(_ADMIN, _LOOK, "create-join-token", changes=True),
    f"{_AUTHORITY}/Show": Rpc(_OPERATOR, _LOOK, "show"),
    f"{_AUTHORITY}/ListClients": Rpc(_OPERATOR, _LOOK, "list-clients"),
    f"{_AUTHORITY}/ListBans": Rpc(_ADMIN, _LOOK, "list-bans"),
    f"{_AUTHORITY}/WhyExpiry": Rpc(_ADMIN, _LOOK, "why-expiry"),
    f"{_AUTHORITY}/ListRequests": Rpc(_ADMIN, _LOOK, "list-requests"),
    f"{_AUTHORITY}/Prepare": Rpc(_OPERATOR, _STEP, "prepare", changes=True),
    f"{_AUTHORITY}/Activate": Rpc(_OPERATOR, _STEP, "activate", changes=True),
    f"{_AUTHORITY}/Taint": Rpc(_OPERATOR, _STEP, "taint", changes=True),
    f"{_AUTHORITY}/Revoke": Rpc(_OPERATOR, _STEP, "revoke", changes=True),
    f"{_AUTHORITY}/Rotate": Rpc(_OPERATOR, _STEP, "rotate", changes=True),
    f"{_AUTHORITY}/ControlRotation": Rpc(_OPERATOR, _STEP, "control-rotation", changes=True),
    f"{_AUTHORITY}/Compromise": Rpc(_ADMIN, _RARE, "compromise", changes=True),
    f"{_AUTHORITY}/Halt": Rpc(_ADMIN, _RARE, "halt", changes=True),
    f"{_AUTHORITY}/Resume": Rpc(_ADMIN, _RARE, "resume", changes=True),
    f"{_AUTHORITY}/AddBan": Rpc(_ADMIN, _RARE, "ban", changes=True),
    f"{_AUTHORITY}/RemoveBan": Rpc(_ADMIN, _RARE, "unban", changes=True),
    f"{_AUTHORITY}/MoveNamespace": Rpc(_ADMIN, _RARE, "move-namespace", changes=True),
    f"{_AUTHORITY}/ImportCertificates": Rpc(_ADMIN, _RARE, "import", changes=True),
    f"{_AUTHORITY}/Backup": Rpc(_ADMIN, _RARE, "backup", changes=True),
}


def rows_of(
    service: ServiceDescriptor,
    handled: Collection[str],
    rpcs: dict[str, Rpc] = RPCS,
) -> dict[str, Rpc]:
    """The row of every method of a service, by method name; `handled` are those with a handler.
    Raises ConfigurationError when a row or a handler is missing.
    """
    names = [method.name for method in service.methods]
    paths = {name: f"{service.full_name}/{name}" for name in names}
    if missing := [name for name in names if paths[name] not in rpcs]:
        raise ConfigurationError(
            f"the table of calls has no row for {', '.join(missing)} of {service.full_name}"
        )
    if unhandled := [name for name in names if name not in handled]:
        raise ConfigurationError(f"{', '.join(unhandled)} of {service.full_name} has no handler")
    return {name: rpcs[path] for name, path in paths.items()}
