"""From an order to a signed certificate in two steps, so that nothing unchecked can be signed.

`prepare` builds the certificate, has the linter check it and returns a one-shot `Prepared`. Between
the two the caller stores its intent. `sign` spends the permission, puts the certificate together
around the very bytes that were linted, and compares the result with them once more. Neither touches
the store or the network.
"""

import secrets
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca import builder, linter
from featward_ca.keys import KeyStore
from featward_ca.profile import Order

# AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 3.2), which has no parameters.
_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


@dataclass(frozen=True)
class Signer:
    """Who signs: a certificate, None for a root that signs itself, and its key's public half."""

    certificate: x509.Certificate | None
    public_key: ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Prepared:
    """A checked certificate that waits for its one signature."""

    order: Order
    signer: Signer
    linted: linter.Linted = field(repr=False)

    @property
    def tbs_sha256(self) -> bytes:
        """Digest of the bytes that will be signed."""
        return self.linted.tbs_sha256


class Issuance:
    """Prepares and signs with the keys of one key store."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._throwaway = ec.generate_private_key(ec.SECP256R1())

    def prepare(self, order: Order, signer: Signer) -> Prepared:
        """Build and lint. Raises LintError."""
        draft = builder.build(order, signer.certificate, self._throwaway)
        return Prepared(order, signer, linter.lint(draft, order, signer.certificate, scope=None))

    def sign(self, prepared: Prepared) -> x509.Certificate:
        """Sign what was prepared, once. Raises TokenSpentError, or LintError if the result is
        not what was linted.
        """
        key = prepared.signer.public_key
        tbs = prepared.linted.tbs_bytes
        signature = self._keys.sign(key, prepared.linted)
        certificate = x509.load_der_x509_certificate(_assemble(tbs, signature))
        linter.check_signed(certificate, prepared.linted, key)
        return certificate


def new_serial() -> int:
    """128 random bits; the linter refuses the one in 2^63 that is too small."""
    return secrets.randbits(128)


def der(certificate: x509.Certificate) -> bytes:
    """The certificate's DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _assemble(tbs: bytes, signature: bytes) -> bytes:
    """RFC 5280 4.1: SEQUENCE { tbsCertificate, signatureAlgorithm, BIT STRING signature }."""
    bits = _tagged(0x03, b"\x00" + signature)
    return _tagged(0x30, tbs + _ECDSA_WITH_SHA256 + bits)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
