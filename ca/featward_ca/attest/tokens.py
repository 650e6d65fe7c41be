"""A first look at a token: is it worth asking anybody about it?

Nothing read here is believed. It only says whom to ask, and spares everybody the question where the
answer can't be yes; who the caller is comes from the answer.
"""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from featward_ca.clock import Clock
from featward_ca.errors import NotAttestedError

# A service account's token has some 1,000 characters, one of a CI system up to 3,000.
LONGEST_TOKEN = 16 * 1024
# Said to a stranger, who need not learn the names of our clusters and issuers; the log says them.
CANNOT_JUDGE = "the token can't be judged now; try again"
# Whoever made the token may have a clock that differs from ours by so many seconds.
LEEWAY = 30.0
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# So deep is no token, and the parser of a deeper one would use up the stack.
_DEEPEST = 32
_SHOWN = 80


@dataclass(frozen=True)
class Glance:
    """What a token says of itself. `header` and `claims` are a stranger's."""

    issuer: str
    header: dict[str, Any]
    claims: dict[str, Any]


def audience_of(trust_domain: str) -> str:
    """For whom a token has to be made: this CA, and no other environment's."""
    return f"featward.dev/ca/{trust_domain}"


def glance(token: str, audience: str, clock: Clock) -> Glance:
    """What a token says of itself. Raises NotAttestedError where it can't be good for anybody."""
    if len(token) > LONGEST_TOKEN or not _SHAPE.fullmatch(token):
        raise NotAttestedError(f"the token is no JWT of at most {LONGEST_TOKEN} characters")
    head, body, _ = token.split(".")
    header, claims = _object(head), _object(body)
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise NotAttestedError("the token names no issuer")
    if audience not in _audiences(claims):
        raise NotAttestedError(f"the token is not made for the audience {audience}")
    check_times(claims, clock.now())
    return Glance(issuer, header, claims)


def check_times(claims: dict[str, Any], now: float) -> float:
    """When the token ends, with the leeway. Raises NotAttestedError for one that never ends, has
    ended or has not begun.
    """
    end = _moment(claims, "exp")
    if end is None:
        raise NotAttestedError("the token has no exp: it would be good for ever")
    if now >= end + LEEWAY:
        raise NotAttestedError(f"the token ended {now - end:.0f} s ago")
    for name in ("nbf", "iat"):
        start = _moment(claims, name)
        if start is not None and now < start - LEEWAY:
            raise NotAttestedError(f"the token begins in {start - now:.0f} s ({name})")
    return end + LEEWAY


def shown(text: object) -> str:
    """A stranger's word in a line of our log."""
    return repr(str(text)[:_SHOWN])


def _moment(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a number of hundreds of digits
        pass
    raise NotAttestedError(f"the token's {name} is no time")


def _audiences(claims: dict[str, Any]) -> list[Any]:
    said = claims.get("aud")
    return said if isinstance(said, list) else [said]


def _object(part: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if raw.count(b"{") + raw.count(b"[") > _DEEPEST * _DEEPEST:
            raise ValueError("too many parts")
        read = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise NotAttestedError("a part of the token is no JSON in base64url") from error
    if not isinstance(read, dict):
        raise NotAttestedError("a part of the token is no JSON object")
    return read
