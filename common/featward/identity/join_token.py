"""The token that a workload shows at its first contact with the CA, as one opaque string.

It stands in the shared package because both ends need it: the CA prints it, and the sidecar's agent
reads it to learn which trust domain it belongs to, which root to expect (so that no first use is
trusted blindly), and the secret to show. Form: ``featward-join-1.<trust domain>.<root
SHA-256>.<secret>``, each part base64url without padding.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field

from featward.errors import FeatwardError, SpiffeIdError
from featward.identity.spiffe import TrustDomain

SECRET_BYTES = 32
_PREFIX = "featward-join-1"
_PART = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_LONGEST = 1024


class JoinTokenError(FeatwardError, ValueError):
    """The text is no join token. The message never repeats it: it may hold a secret."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a join token says; ``str()`` is the string to hand over, ``repr()`` hides the secret."""

    trust_domain: str
    # SHA-256 of the root certificate's DER.
    root_sha256: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "JoinToken":
        """Read the printed string; white space around it is ignored. Raises JoinTokenError."""
        parts = text.strip().split(".")
        if len(text) > _LONGEST or not parts[0].startswith("featward-join-"):
            raise JoinTokenError("this is no join token: one starts with featward-join-")
        if parts[0] != _PREFIX:
            raise JoinTokenError(
                f"this join token has another version than this program reads ({_PREFIX});"
                " upgrade it"
            )
        if len(parts) != 4:
            raise JoinTokenError(
                "the join token is not whole: it has four parts with dots between them"
            )
        domain, digest, secret = (_decode(part) for part in parts[1:])
        if len(digest) != 32 or len(secret) != SECRET_BYTES:
            raise JoinTokenError(
                "the join token is not whole: its digest or its secret has the wrong length"
            )
        return cls(_trust_domain(domain), digest, secret)

    @property
    def evidence(self) -> str:
        """The secret as ``Evidence.join_token`` carries it."""
        return _encode(self.secret)

    def __str__(self) -> str:
        parts = (self.trust_domain.encode(), self.root_sha256, self.secret)
        return ".".join((_PREFIX, *(_encode(part) for part in parts)))


def secret_of(evidence: str) -> bytes:
    """The secret inside ``Evidence.join_token``. Raises JoinTokenError."""
    secret = _decode(evidence)
    if len(secret) != SECRET_BYTES:
        raise JoinTokenError(
            f"the secret of a join token has {SECRET_BYTES} bytes, this one has {len(secret)}"
        )
    return secret


def _trust_domain(raw: bytes) -> str:
    try:
        return TrustDomain(raw.decode("ascii"))
    except (UnicodeDecodeError, SpiffeIdError):
        raise JoinTokenError("the join token names no valid trust domain") from None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    """Decode strictly: one spelling per value, so that a token can't be varied and still match."""
    if not _PART.fullmatch(part):
        raise JoinTokenError(
            "the join token is not whole: a part is empty or holds other than base64url characters"
        )
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise JoinTokenError("the join token is not whole: a part is no base64url") from None
    if _encode(raw) != part:
        raise JoinTokenError("the join token is not whole: a part is no canonical base64url")
    return raw
