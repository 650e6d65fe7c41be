"""Who is refused although everything about their certificates is in order.

Bans travel with the trust, so that every sidecar enforces them on new and on live connections
within a second, and stay in the store until they are lifted: an expired one is kept, as a record of
it, and announced no more.
"""

import string
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2
from featward_ca.errors import MalformedRequestError, NotPermittedError
from featward_ca.serials import read_serial
from featward_ca.store.svids import Held

_HEX = frozenset(string.hexdigits)
_SHA256_DIGITS = 64


class BanKind(StrEnum):
    """What is refused."""

    # All SVIDs of a workload, and every attestation.
    IDENTITY = "identity"
    # One SVID.
    SERIAL = "serial"
    # Everything below one key.
    AUTHORITY = "authority"


@dataclass(frozen=True)
class Ban:
    """One ban. `value`: a SPIFFE ID, a serial, or the SHA-256 of a key's SPKI, both in lower-case
    hex; `expires_at` is None until it is lifted.
    """

    kind: BanKind
    value: str
    expires_at: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it is in force."""
        return self.expires_at is None or now < self.expires_at

    @property
    def ends(self) -> int:
        """As the protocol and the engine say it: Unix seconds, 0 for until it is lifted."""
        return 0 if self.expires_at is None else -int(-self.expires_at // 1)

    def message(self) -> identity_pb2.Ban:
        """The protocol's form."""
        match self.kind:
            case BanKind.IDENTITY:
                return identity_pb2.Ban(spiffe_id=self.value, expires_at=self.ends)
            case BanKind.SERIAL:
                return identity_pb2.Ban(serial=self.value, expires_at=self.ends)
            case BanKind.AUTHORITY:
                key = bytes.fromhex(self.value)
                return identity_pb2.Ban(authority_spki_sha256=key, expires_at=self.ends)


class Bans:
    """Those in force in this process, for what the CA itself refuses."""

    def __init__(self) -> None:
        self.current: tuple[Ban, ...] = ()
        self._identities: dict[str, Ban] = {}
        self._serials: dict[int, Ban] = {}

    def replace(self, bans: Iterable[Ban]) -> None:
        """Use these and no others from now on."""
        self.current = tuple(bans)
        self._identities = {ban.value: ban for ban in self.current if ban.kind is BanKind.IDENTITY}
        self._serials = {
            int(ban.value, 16): ban for ban in self.current if ban.kind is BanKind.SERIAL
        }

    def check(self, spiffe_id: str, held: Held | None, now: float) -> None:
        """Raise NotPermittedError for an identity that gets no SVID, and for who shows one of these
        SVIDs. Authorities that are banned do not get as far as this: the Listener refuses them.
        """
        ban = self._identities.get(spiffe_id)
        if ban and ban.holds(now):
            raise NotPermittedError(f"{spiffe_id} is banned")
        if held and self.takes(held, now):
            raise NotPermittedError(f"the SVID {held.serial} of {spiffe_id} is banned")

    def takes(self, held: Held, now: float) -> bool:
        """Whether this very SVID is banned. The Listener sees the one that a connection began with,
        and a stream may have come to another one since.
        """
        ban = self._serials.get(int(held.serial, 16))
        return ban is not None and ban.holds(now)


def read_value(kind: BanKind, text: str, trust_domain: str) -> str:
    """What is to be banned, in the one form that it is stored in. Raises MalformedRequestError."""
    match kind:
        case BanKind.IDENTITY:
            return _identity(text, trust_domain)
        case BanKind.SERIAL:
            return f"{read_serial(text):x}"
        case BanKind.AUTHORITY:
            digits = text.lower()
            if len(digits) == _SHA256_DIGITS and _HEX.issuperset(digits):
                return digits
            raise MalformedRequestError(
                f"{text!r} is no authority: expected its id, or the SHA-256 of its SPKI in hex"
            )


def _identity(text: str, trust_domain: str) -> str:
    try:
        spiffe_id = SpiffeId.parse(text)
    except SpiffeIdError as error:
        raise MalformedRequestError(f"{text!r} is no SPIFFE ID: {error}") from error
    if spiffe_id in (SpiffeId.ca(trust_domain), SpiffeId.operator(trust_domain)):
        raise MalformedRequestError(
            f"{spiffe_id} is a part of featward: without it nobody is served any more; replace it,"
            " or rotate the platform authority"
        )
    return str(spiffe_id)
