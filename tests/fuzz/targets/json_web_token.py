"""Tokens of service accounts and of OIDC issuers, as far as they are looked at before anybody is asked.

The first byte says how the rest is used: as a whole token, or as header and claims in JSON, with a newline
between, which are encoded first, so that what comes after base64 is reached as well.
"""

import base64

from featward_ca.attest.tokens import LEEWAY, audience_of, check_times, glance
from featward_ca.errors import NotAttestedError

_AUDIENCE = audience_of("prod.acme.example")
_NOW = 1_795_305_600.0


class _Clock:
    """Stands still, so that the same input always takes the same way."""

    def now(self) -> float:
        return _NOW

    async def sleep_until(self, _moment: float) -> None:
        raise AssertionError("nothing waits here")


def one(data: bytes) -> None:
    """It is refused with NotAttestedError, or it names an issuer, is for us and is of now."""
    token = _encoded(data[1:]) if data[:1] == b"\x01" else data[1:].decode("latin-1")
    try:
        seen = glance(token, _AUDIENCE, _Clock())
    except NotAttestedError as error:
        _check_line(error.reason)
        return
    assert seen.issuer == seen.claims["iss"]
    assert isinstance(seen.header, dict)
    said = seen.claims["aud"]
    assert _AUDIENCE in (said if isinstance(said, list) else [said])
    assert check_times(seen.claims, _NOW) > _NOW
    assert seen.claims["exp"] + LEEWAY > _NOW


def _check_line(reason: str) -> None:
    """It goes into the audit table and the log, which are read line by line."""
    assert reason.isprintable(), "a stranger's bytes in a line of ours"


def _encoded(text: bytes) -> str:
    header, _, claims = text.partition(b"\n")
    parts = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (header, claims))
    return ".".join([*parts, "AAAA"])
