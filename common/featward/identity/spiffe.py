"""SPIFFE IDs and trust domains as values of their own, so that no text is taken for an identity unchecked.

The grammar is the SPIFFE-ID standard's, without its leniency: a trust domain in upper case is refused instead
of folded, because identities are compared byte by byte everywhere else. The path builders are the only place
in Python that knows how featward lays out its workloads' paths.
"""

import re
from dataclasses import dataclass
from typing import Self

from featward.errors import SpiffeIdError

__all__ = ["SpiffeId", "TrustDomain"]

# SPIFFE-ID.md sections 2.1 to 2.4: host up to 255 bytes, whole ID up to 2048.
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")
_LONGEST = 2048
_SCHEME = "spiffe://"


class TrustDomain(str):
    """The root of one environment's identities: ``prod.acme.example``. A checked text, and still a text."""

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        if not _TRUST_DOMAIN.fullmatch(name):
            raise SpiffeIdError(
                f"trust domain {name[:80]!r} is not valid: use 1 to 255 of a-z, 0-9, '.', '-' and '_'"
            )
        return super().__new__(cls, name)


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """One workload's name: ``spiffe://prod.acme.example/bu/payments/ns/pricing/sa/pricing-api``.

    >>> SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/api").business_unit
    'payments'
    """

    trust_domain: TrustDomain
    path: str

    def __post_init__(self) -> None:
        _check_path(self.path)
        if len(str(self)) > _LONGEST:
            raise SpiffeIdError(
                f"SPIFFE ID of {len(str(self))} bytes is too long: at most {_LONGEST}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a full ID; raises SpiffeIdError with the reason."""
        if not text.startswith(_SCHEME):
            raise SpiffeIdError(f"{text[:200]!r} is not a SPIFFE ID: it must begin with spiffe://")
        host, slash, path = text[len(_SCHEME) :].partition("/")
        return cls.of(host, slash + path)

    @classmethod
    def of(cls, trust_domain: str, path: str) -> Self:
        """Put an ID together from its two parts; raises SpiffeIdError with the reason."""
        return cls(TrustDomain(trust_domain), path)

    @classmethod
    def service_account(
        cls, trust_domain: str, business_unit: str, namespace: str, name: str
    ) -> Self:
        """The identity of a Kubernetes service account; ``business_unit`` is the short name, ``payments``."""
        return cls.of(trust_domain, f"/bu/{business_unit}/ns/{namespace}/sa/{name}")

    @classmethod
    def workload(cls, trust_domain: str, business_unit: str, name: str) -> Self:
        """The identity of a workload outside Kubernetes."""
        return cls.of(trust_domain, f"/bu/{business_unit}/svc/{name}")

    @classmethod
    def ci_job(cls, trust_domain: str, business_unit: str, name: str) -> Self:
        """The identity of a CI job."""
        return cls.of(trust_domain, f"/bu/{business_unit}/ci/{name}")

    @classmethod
    def ca(cls, trust_domain: str) -> Self:
        """The identity of the environment's CA."""
        return cls.of(trust_domain, "/featward/ca")

    @classmethod
    def operator(cls, trust_domain: str) -> Self:
        """The identity of the environment's operator."""
        return cls.of(trust_domain, "/featward/operator")

    @property
    def business_unit(self) -> str | None:
        """The short name of the business unit that owns this workload; None for featward's own parts."""
        segments = self.path.split("/")
        return segments[2] if len(segments) > 3 and segments[1] == "bu" else None

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise SpiffeIdError(
            "SPIFFE ID has no path: a workload's ID must name one, such as /bu/payments/svc/api"
        )
    for segment in path[1:].split("/"):
        if segment in ("", ".", "..") or not _SEGMENT.fullmatch(segment):
            raise SpiffeIdError(
                f"SPIFFE ID path {path[:200]!r} has the segment {segment[:80]!r}: "
                "use a-z, A-Z, 0-9, '.', '-' and '_', and no empty, '.' or '..' segment"
            )
