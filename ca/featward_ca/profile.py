"""The kinds of certificate that this CA makes, as data: which fields roots and authorities have,
and what may be ordered of each kind. Workloads' certificates are built in engine/issue.

The builder writes a certificate from a profile and an order; the linter holds its own opinion of
the result and does not read the profile's extension fields, so that a slip here is found there.
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


@dataclass(frozen=True)
class Profile:
    """The fields that all certificates of one purpose share."""

    purpose: Purpose
    is_authority: bool
    # How many authorities may follow below it; None: it is no authority.
    path_length: int | None = None
    extended_key_usage: bool = False


PROFILES = {
    Purpose.ROOT: Profile(Purpose.ROOT, is_authority=True, path_length=1),
    Purpose.AUTHORITY: Profile(Purpose.AUTHORITY, is_authority=True, path_length=0),
    Purpose.SVID: Profile(Purpose.SVID, is_authority=False, extended_key_usage=True),
    # Proves that the whole path of issuing works; it has expired before it is signed, so it is good
    # for nothing.
    Purpose.CANARY: Profile(Purpose.CANARY, is_authority=False, extended_key_usage=True),
}


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
