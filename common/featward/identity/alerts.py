"""What a Listener of ours says of a client's certificate that it refuses, by the one word that TLS has for it.

A refusal in the handshake is of the certificate alone, whatever would have been asked; and what the CA refuses,
nobody accepts who trusts that CA.
"""

from dataclasses import dataclass

__all__ = ["Refused", "refused_by"]


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is one word for programs, `words` say it to people."""

    reason: str
    words: str


_ALERTS = {
    "CertificateRevoked": Refused(
        "banned",
        "it, its identity or its authority is banned; `featward ca ban list` says why and until when, "
        "`featward ca ban remove` lifts it",
    ),
    "AccessDenied": Refused(
        "authority-revoked",
        "the authority that signed it was revoked (`featward ca authority list`)",
    ),
    "UnknownCA": Refused(
        "unknown-root",
        "its root is not trusted: it was replaced, or this is another environment's",
    ),
    "CertificateExpired": Refused(
        "expired",
        "it has ended too long ago to be renewed, or the clocks of the two machines differ",
    ),
}


def refused_by(alert: str) -> Refused | None:
    """What an alert, by the engine's name for it (``featward-alert``), says of a certificate; None: nothing."""
    return _ALERTS.get(alert)
