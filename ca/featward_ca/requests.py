"""Certificate requests as strangers send them: bounded, verified, and reduced to their public key.

Nothing else of a request is looked at: subject, names and extensions are the CA's to decide. The
requests of workloads are read by the engine, many in one call; `public_key_of` is for the few keys
that Python's own builder needs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca import reading
from featward_ca.errors import MalformedRequestError
from featward_engine import check_requests

# A request for a P-256 key has about 200 bytes; four kilobytes leave room for extensions that we
# ignore.
CSR_BYTES = 4096
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# The x coordinate of P-256's base point: the public key of the private keys 1 and n-1, which
# everybody knows.
_BASE_POINT_X = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296


@dataclass(frozen=True)
class Key:
    """The P-256 key that a request proved to hold."""

    # SubjectPublicKeyInfo, DER, with the uncompressed point.
    spki: bytes = field(repr=False)

    @property
    def sha256(self) -> bytes:
        """The digest under which the store knows it."""
        return hashlib.sha256(self.spki).digest()


def keys_of(csrs: Sequence[bytes]) -> list[Key]:
    """The keys of all requests of one message. Raises MalformedRequestError for the first that is
    refused.
    """
    keys = []
    for answer in check_requests(list(csrs)):
        if isinstance(answer, str):
            raise MalformedRequestError(answer)
        keys.append(Key(answer))
    return keys


def public_key_of(csr: bytes) -> ec.EllipticCurvePublicKey:
    """The key that a request proves to hold. Raises MalformedRequestError."""
    if not 0 < len(csr) <= CSR_BYTES:
        raise MalformedRequestError(
            f"a certificate request has 1 to {CSR_BYTES} bytes, this one has {len(csr)}"
        )
    request = reading.request(csr)
    try:
        digest, signed = request.signature_hash_algorithm, request.is_signature_valid
    except reading.UNREADABLE:
        digest, signed = None, False
    checked = check_key(request.public_key())
    if not isinstance(digest, _HASHES) or not signed:
        raise MalformedRequestError(
            "the certificate request is not signed by its own key with SHA-256 or better"
        )
    return checked


def check_key(key: object) -> ec.EllipticCurvePublicKey:
    """Refuse what is not a P-256 key, or one whose private half is known. Raises
    MalformedRequestError.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedRequestError("the key of a certificate request must be ECDSA on P-256")
    if key.public_numbers().x == _BASE_POINT_X:
        raise MalformedRequestError(
            "the private half of this key is publicly known; make a new key"
        )
    return key


def spki_sha256(key: ec.EllipticCurvePublicKey | Key) -> bytes:
    """SHA-256 of the key's SubjectPublicKeyInfo, always with the uncompressed point."""
    return hashlib.sha256(spki(key)).digest()


def authority_id(key: ec.EllipticCurvePublicKey) -> str:
    """How the authority with this key is named: the beginning of its key's digest, in hex."""
    return spki_sha256(key).hex()[:16]


def spki(key: ec.EllipticCurvePublicKey | Key) -> bytes:
    """The key's SubjectPublicKeyInfo in DER."""
    if isinstance(key, Key):
        return key.spki
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
