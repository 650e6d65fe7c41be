"""Who is calling, read from the headers that our own Listener sets after it has dropped the
caller's.

Only a Listener reaches the socket that these services listen on (it is 0600 and its path is known
to nobody else), so the headers are as good as the handshake or the kernel's peer credentials that
they report.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from featward.identity.spiffe import SpiffeId
from featward_ca.store.svids import Held

_PREFIX = "featward-peer-"
# Whoever has an IPv6 address has the 2^64 of its network too.
_IPV6_SOURCE = 64


class PeerKind(StrEnum):
    """The ways in."""

    ANONYMOUS = "anonymous"
    UNIX = "unix"
    SVID = "svid"
    # An SVID that has expired, within the grace in which it may still be renewed.
    EXPIRED_SVID = "expired-svid"
    ADMIN = "admin"
    # The environment's operator: an SVID, and more.
    OPERATOR = "operator"


@dataclass(frozen=True)
class Peer:
    """One caller; `held` for SVIDs, `uid` for the workload socket, `address` where it came over a
    network and the Listener said so.
    """

    kind: PeerKind
    held: Held | None = None
    uid: int | None = None
    address: str = ""
    operator: bool = False

    def __str__(self) -> str:
        if self.held:
            return self.held.spiffe_id
        return f"uid {self.uid}" if self.uid is not None else self.kind

    @property
    def kinds(self) -> frozenset[PeerKind]:
        """All that it may call as."""
        return frozenset({self.kind, PeerKind.OPERATOR} if self.operator else {self.kind})

    @property
    def source(self) -> str | None:
        """Whose allowance its calls use up; None: it can't be told from others of its kind."""
        if self.kind is not PeerKind.ANONYMOUS:
            return self.held.serial if self.held else str(self)
        return network(self.address) if self.address else None


ADMIN = Peer(PeerKind.ADMIN)


def peer_of(metadata: Iterable[tuple[str, str | bytes]], trust_domain: str) -> Peer:
    """The caller of a request with these headers, at the CA of this trust domain."""
    said = {
        key.removeprefix(_PREFIX): str(value) for key, value in metadata if key.startswith(_PREFIX)
    }
    address = said.get("address", "")
    if "spiffe-id" in said:
        key = bytes.fromhex(said["key"])
        held = Held(said["serial"].lower(), said["spiffe-id"], key)
        if said.get("expired") == "1":
            return Peer(PeerKind.EXPIRED_SVID, held, address=address)
        operator = held.spiffe_id == str(SpiffeId.operator(trust_domain))
        return Peer(PeerKind.SVID, held, address=address, operator=operator)
    if "uid" in said:
        return Peer(PeerKind.UNIX, uid=int(said["uid"]))
    return Peer(PeerKind.ANONYMOUS, address=address)


def network(address: str) -> str:
    """What one caller has: an IPv4 address, or a whole IPv6 network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), _IPV6_SOURCE), strict=False))
