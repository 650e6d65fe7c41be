"""What certificates are for, and what may be ordered of each kind. The builder writes those of roots and
authorities, engine/issue those of workloads.

The linter holds its own opinion of the result and does not read what the builder goes by, so that a
slip here is found there.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec

from featward.identity.spiffe import SpiffeId


class Purpose(StrEnum):
    """What a certificate is for; the label of metrics and of the audit table."""

    ROOT = "root"
    AUTHORITY = "authority"
    SVID = "svid"
    CANARY = "canary"


# How many authorities may follow below one.
PATH_LENGTHS = {Purpose.ROOT: 1, Purpose.AUTHORITY: 0}


@dataclass(frozen=True)
class SubjectName:
    """The Subject of an authority: O=featward, its owner and its own name."""

    owner: str
    common_name: str


@dataclass(frozen=True)
class Order:
    """One certificate to be made: whose key, which identity or name, from when until when (Unix
    seconds).
    """

    purpose: Purpose
    public_key: ec.EllipticCurvePublicKey = field(repr=False)
    serial: int
    not_before: int
    not_after: int
    spiffe_id: SpiffeId | None = None
    subject: SubjectName | None = None
