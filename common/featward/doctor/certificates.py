"""What a certificate says, as a person wants to read it. Nothing is judged here.

Apart from the engine's judgement, which accepts or refuses: a certificate that is refused has to be shown all
the more.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from featward.errors import DoctorError

__all__ = ["Shown", "from_pem_file", "same_key", "show", "split", "tidy"]

LARGEST_FILE = 1 << 20
"""Bytes of a file of certificates; bundles have a few kilobytes."""

LONGEST_TEXT = 300
"""Characters of any text that the far end chose."""


def tidy(text: object) -> str:
    """A text of the far end, so that it can be printed: no control characters, and not without end."""
    plain = "".join(each if each.isprintable() else "?" for each in str(text))
    return plain if len(plain) <= LONGEST_TEXT else f"{plain[:LONGEST_TEXT]}…"


@dataclass(frozen=True)
class Shown:
    """One certificate. Times are Unix seconds; names are tidied."""

    der: bytes = field(repr=False)
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    key: str = ""
    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    is_authority: bool = False
    root_of: str | None = None
    """The trust domain that featward's form of a root names: `OU=root, CN=<trust domain>`."""
    unreadable: str | None = None
    """Why nothing of it can be shown."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def is_self_issued(self) -> bool:
        return self.unreadable is None and bool(self.subject) and self.subject == self.issuer

    @property
    def trust_domain(self) -> str | None:
        """Of the SPIFFE ID in it, or what it is the root of."""
        for uri in self.uris:
            if uri.startswith("spiffe://"):
                return uri.removeprefix("spiffe://").partition("/")[0]
        return self.root_of


def show(der: bytes) -> Shown:
    """All that can be read of it; what can't be read at all is `unreadable`."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        uris, dns = _names(certificate)
        return Shown(
            der=der,
            subject=tidy(certificate.subject.rfc4514_string()),
            issuer=tidy(certificate.issuer.rfc4514_string()),
            serial=format(certificate.serial_number, "x"),
            not_before=certificate.not_valid_before_utc.timestamp(),
            not_after=certificate.not_valid_after_utc.timestamp(),
            key=_key(certificate),
            uris=uris,
            dns=dns,
            is_authority=_is_authority(certificate),
            root_of=_root_of(certificate.subject),
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as why:
        return Shown(der=der, unreadable=tidy(why))


def _names(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return (), ()
    uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    dns = extension.value.get_values_for_type(x509.DNSName)
    return tuple(map(tidy, uris)), tuple(map(tidy, dns))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _root_of(subject: x509.Name) -> str | None:
    units = subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    is_root = common and any(each.value == "root" for each in units)
    return tidy(common[0].value) if is_root else None


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").removeprefix("_")


def same_key(chain_leaf: bytes, pkcs8: bytes) -> bool:
    """Whether the private key (PKCS #8, DER) is the certificate's. Raises ValueError for no key at all."""
    private = serialization.load_der_private_key(pkcs8, None)
    ours = x509.load_der_x509_certificate(chain_leaf).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    encoding = serialization.Encoding.DER
    return private.public_key().public_bytes(encoding, form) == ours.public_bytes(encoding, form)


def split(concatenated: bytes) -> tuple[bytes, ...]:
    """Certificates that follow one another, as the Workload API carries them. Raises ValueError."""
    found, at = [], 0
    while at < len(concatenated):
        end = _end(concatenated, at)
        found.append(concatenated[at:end])
        at = end
    return tuple(found)


def _end(data: bytes, at: int) -> int:
    """Where the DER SEQUENCE that begins here ends."""
    if len(data) < at + 2 or data[at] != 0x30:
        raise ValueError("it is no sequence of certificates in DER")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise ValueError("its last certificate is cut off")
    return start + length


def from_pem_file(file: Path) -> tuple[bytes, ...]:
    """The certificates of a PEM file. Raises DoctorError for none, and for what can't be read."""
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise DoctorError(f"{file} is larger than {LARGEST_FILE} bytes: it is no bundle")
        return der_of(x509.load_pem_x509_certificates(text))
    except OSError as error:
        raise DoctorError(f"{file} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DoctorError(f"{file} holds no certificates in PEM: {error}") from error


def der_of(certificates: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    """Their bytes."""
    return tuple(each.public_bytes(serialization.Encoding.DER) for each in certificates)
