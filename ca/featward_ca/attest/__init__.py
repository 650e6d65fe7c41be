"""How a caller proves which workload it is: one module per kind of evidence.

Each turns evidence into an `Attested`, made only from what it verified itself, never from what the
request says about the caller. What the evidence costs (a token, a serial's one renewal) is paid by
`claim`, in the transaction that stores the intent to sign.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from featward_ca.directory import Workload
from featward_ca.store.store import Connection
from featward_ca.store.svids import OWN_METHOD, TOKEN_METHOD


class Method(StrEnum):
    """What a lineage began with."""

    JOIN_TOKEN = TOKEN_METHOD
    UNIX = "unix"
    # The CA's own SVID.
    SELF = OWN_METHOD


class Claim(Protocol):
    """Pays for the evidence, or raises RequestError, which undoes the whole transaction."""

    def __call__(self, connection: Connection, /) -> None: ...


@dataclass(frozen=True)
class Attested:
    """A proven workload. `lineage` and `renewed_from` are set when an SVID was the proof."""

    workload: Workload
    method: Method
    claim: Claim
    lineage: str | None = None
    renewed_from: str | None = None
