"""Who is calling, read from the headers that our own Listener sets after it has dropped the
caller's.

Only a Listener reaches the socket that these services listen on (it is 0600 and its path is known
to nobody else), so the headers are as good as the handshake or the kernel's peer credentials that
they report.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_PREFIX = "featward-peer-"


class PeerKind(StrEnum):
    """The ways in."""

    ANONYMOUS = "anonymous"
    UNIX = "unix"
    SVID = "svid"
    # An SVID that has expired, within the grace in which it may still be renewed.
    EXPIRED_SVID = "expired-svid"
    ADMIN = "admin"


@dataclass(frozen=True)
class Peer:
    """One caller; `spiffe_id` and `serial` for SVIDs, `uid` for the workload socket."""

    kind: PeerKind
    spiffe_id: str = ""
    serial: str = ""
    uid: int | None = None

    def __str__(self) -> str:
        return self.spiffe_id or (f"uid {self.uid}" if self.uid is not None else self.kind)


ADMIN = Peer(PeerKind.ADMIN)


def peer_of(metadata: Iterable[tuple[str, str | bytes]]) -> Peer:
    """The caller of a request with these headers."""
    said = {
        key.removeprefix(_PREFIX): str(value) for key, value in metadata if key.startswith(_PREFIX)
    }
    if "spiffe-id" in said:
        kind = PeerKind.EXPIRED_SVID if said.get("expired") == "1" else PeerKind.SVID
        return Peer(kind, said["spiffe-id"], said["serial"].lower())
    if "uid" in said:
        return Peer(PeerKind.UNIX, uid=int(said["uid"]))
    return Peer(PeerKind.ANONYMOUS)
