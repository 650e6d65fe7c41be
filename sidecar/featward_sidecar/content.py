"""What is handed to apps: identity, key and whom to trust, all of one moment, checked before anybody sees it.

A value and a check, and nothing that happens. The check reads the content as a client would, because a client
that gets something unreadable may be broken for good (py-spiffe is), while one that gets nothing comes back.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward_engine import EngineError, judge
from featward_sidecar.certificates import CertificateError, check_authority, check_leaf, split
from featward_sidecar.errors import ContentError

__all__ = ["Bundle", "Content", "check", "judged_identity"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The root certificates (DER) of a trust domain."""

    trust_domain: str
    roots: tuple[bytes, ...]

    @property
    def concatenated(self) -> bytes:
        return b"".join(self.roots)


@dataclass(frozen=True, slots=True)
class Content:
    """Swapped whole; two that are equal need no second delivery."""

    spiffe_id: str
    chain: tuple[bytes, ...]
    """Leaf first, DER, without the root."""
    key: bytes = field(repr=False)
    """PKCS #8, DER, not encrypted."""
    own: Bundle
    federated: tuple[Bundle, ...]
    """Sorted by trust domain, so that the same trust looks the same."""
    not_after: float
    """When the leaf ends, Unix seconds."""


def check(content: Content, now: float) -> None:
    """Raise ContentError unless every client would take it."""
    try:
        _check_form(content)
        identity = judged_identity(content.chain, content.own, now)
    except (CertificateError, SpiffeIdError, EngineError) as error:
        raise ContentError(f"the identity can't be handed to apps: {error}") from error
    if identity != content.spiffe_id:
        raise ContentError(f"the leaf is of {identity}, not of {content.spiffe_id}")


def judged_identity(chain: Sequence[bytes], own: Bundle, now: float) -> str:
    """The identity that a verifier sees in this chain. Raises ContentError where it refuses it."""
    question = {
        "trust_domain": own.trust_domain,
        "roots": [root.hex() for root in own.roots],
        "scopes": None,
        "chain": [each.hex() for each in chain],
        "at": int(now),
    }
    judged = json.loads(judge(json.dumps(question).encode()))
    if not judged["accepted"]:
        raise ContentError(f"a verifier would refuse the SVID: {judged['detail']}")
    return str(judged["spiffe_id"])


def _check_form(content: Content) -> None:
    if split(b"".join(content.chain)) != list(content.chain) or not content.chain:
        raise CertificateError("its chain does not come apart as it was put together")
    check_leaf(content.chain[0])
    for authority in content.chain[1:]:
        check_authority(authority)
    if len(split(content.key)) != 1:
        raise CertificateError("the key is not one PKCS #8 structure")
    for bundle in (content.own, *content.federated):
        if not bundle.roots or split(bundle.concatenated) != list(bundle.roots):
            raise CertificateError(f"the bundle of {bundle.trust_domain} is empty or unreadable")
    if SpiffeId.parse(content.spiffe_id).trust_domain != content.own.trust_domain:
        raise CertificateError(f"{content.spiffe_id} is not of {content.own.trust_domain}")
