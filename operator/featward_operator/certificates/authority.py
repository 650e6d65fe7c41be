"""The authority that the API server trusts for the webhook and for nothing else, and how a Secret holds it."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["BACKDATED", "Authority", "Kept", "SecretError", "make_authority", "pem_blocks"]

BACKDATED = 300.0
"""Certificates begin so many seconds ago, for clocks that are behind ours."""

_CERTIFICATE, _KEY = "crt", "key"
_END = b"-----END CERTIFICATE-----"


class SecretError(Exception):
    """The Secret does not hold what we wrote; somebody has edited it."""


@dataclass(frozen=True)
class Authority:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    @cached_property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)

    @cached_property
    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("expected a key on an elliptic curve")
        return key

    @property
    def not_before(self) -> float:
        return self.parsed.not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        return self.parsed.not_valid_after_utc.timestamp()

    def check(self) -> None:
        """Raises ValueError where certificate and key can't be read, or are no pair."""
        if self.parsed.public_key() != self.signing_key.public_key():
            raise ValueError("the key is not that of the certificate")


@dataclass(frozen=True)
class Kept:
    """What the Secret holds."""

    current: Authority
    """Signs the leaves."""
    next: Authority | None = None
    """Will, when the API server has known it long enough."""
    previous: bytes | None = None
    """The certificate of the one before, while leaves of it may be in use."""
    since: float = 0.0
    """Unix seconds: with a next one, since when the API server has known it, 0 for not yet; with a previous
    one, since when it signs no more."""

    @property
    def bundle(self) -> bytes:
        """All that the API server must trust, in PEM."""
        following = self.next.certificate if self.next else b""
        return self.current.certificate + following + (self.previous or b"")

    def to_secret(self) -> dict[str, str]:
        """The Secret's data."""
        data = {"since": repr(self.since).encode()}
        for name, authority in (("current", self.current), ("next", self.next)):
            if authority:
                data |= {
                    f"{name}.{_CERTIFICATE}": authority.certificate,
                    f"{name}.{_KEY}": authority.key,
                }
        if self.previous:
            data[f"previous.{_CERTIFICATE}"] = self.previous
        return {key: base64.b64encode(value).decode() for key, value in data.items()}

    @classmethod
    def from_secret(cls, data: Mapping[str, str]) -> Self:
        """Read the Secret's data. Raises SecretError."""
        try:
            told = {key: base64.b64decode(value, validate=True) for key, value in data.items()}
            current = _authority(told, "current")
            if current is None:
                raise SecretError("there is no current.crt with its current.key")
            previous = told.get(f"previous.{_CERTIFICATE}")
            if previous:
                x509.load_pem_x509_certificate(previous)
            return cls(current, _authority(told, "next"), previous, float(told.get("since", b"0")))
        except (ValueError, binascii.Error) as error:
            raise SecretError(str(error)) from error


def _authority(told: Mapping[str, bytes], name: str) -> Authority | None:
    certificate, key = told.get(f"{name}.{_CERTIFICATE}"), told.get(f"{name}.{_KEY}")
    if not certificate or not key:
        return None
    authority = Authority(certificate, key)
    authority.check()
    return authority


def make_authority(now: float, life: float) -> Authority:
    """A new one that ends ``life`` seconds from ``now`` (Unix seconds)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "featward webhook")])
    moment = datetime.fromtimestamp(now, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(seconds=BACKDATED))
        .not_valid_after(moment + timedelta(seconds=life))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signed = builder.sign(key, hashes.SHA256())
    return Authority(
        signed.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem_blocks(bundle: bytes) -> frozenset[bytes]:
    """The certificates of a bundle, each in its PEM without surrounding space."""
    blocks = (block.strip() for block in bundle.split(_END))
    return frozenset(block + b"\n" + _END for block in blocks if block)
