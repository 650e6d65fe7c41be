"""How a caller proves which workload it is: one module per kind of evidence.

Each turns evidence into an `Attested`, made only from what it verified itself, never from what the
request says about the caller. What the evidence costs (a token, a serial's one renewal) is paid by
`claim`, in the transaction that stores the intent to sign.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from featward_ca.directory import Workload
from featward_ca.recorded import nothing
from featward_ca.store.store import Connection
from featward_ca.store.svids import JWT_METHOD, OWN_METHOD, TOKEN_METHOD


class Method(StrEnum):
    """What a lineage began with."""

    JOIN_TOKEN = TOKEN_METHOD
    UNIX = "unix"
    KUBERNETES = "kubernetes"
    JWT = JWT_METHOD
    # The CA's own SVID.
    SELF = OWN_METHOD


class Claim(Protocol):
    """Pays for the evidence, or raises RequestError, which undoes the whole transaction."""

    def __call__(self, connection: Connection, /) -> None: ...


@dataclass(frozen=True)
class Attested:
    """A proven workload. `lineage` is set where the client is one that we know, `renewed_from` where
    an SVID was renewed that may be renewed once: that is paid for by the row which is stored, and
    `outrun` raises why it could not be. `cluster`: that of a service account.
    """

    workload: Workload
    method: Method
    claim: Claim
    lineage: str | None = None
    renewed_from: str | None = None
    cluster: str | None = None
    outrun: Claim = nothing
