"""The checker: reads a certificate as a stranger would and says everything that is wrong with it.

It knows the rules from the X.509-SVID standard and RFC 5280 and repeats them on purpose instead of
asking the builder or the profile, so that one mistake in either is caught by the other. `lint` is
the only maker of `Linted`, and a key signs nothing but a `Linted`: what was not linted can't be
signed.
"""

import hashlib
from collections.abc import Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward_ca.errors import LintError, TokenSpentError
from featward_ca.profile import Order, Purpose

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_MINTED_HERE = object()

_AUTHORITY_EXTENSIONS = {
    ExtensionOID.BASIC_CONSTRAINTS: True,
    ExtensionOID.KEY_USAGE: True,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
}
_LEAF_EXTENSIONS = _AUTHORITY_EXTENSIONS | {
    ExtensionOID.EXTENDED_KEY_USAGE: False,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: True,
}
_EXTENSIONS = {
    Purpose.ROOT: _AUTHORITY_EXTENSIONS,
    Purpose.AUTHORITY: _AUTHORITY_EXTENSIONS,
    Purpose.SVID: _LEAF_EXTENSIONS,
    Purpose.CANARY: _LEAF_EXTENSIONS,
}
_KEY_USAGES = {
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
}


class Linted:
    """Leave to sign one to-be-signed certificate once, with one authority's key."""

    def __init__(self, minted_here: object, tbs: bytes, signer_spki_sha256: bytes) -> None:
        if minted_here is not _MINTED_HERE:
            raise TokenSpentError("only the linter may give leave to sign")
        self.tbs_bytes = tbs
        self.tbs_sha256 = hashlib.sha256(tbs).digest()
        self._signer = signer_spki_sha256
        # A list, because popping it is atomic: two threads can't both be first.
        self._unspent = [tbs]

    def redeem(self, signer: ec.EllipticCurvePublicKey) -> bytes:
        """The bytes to sign, once, for the authority that they were linted for. Raises
        TokenSpentError.
        """
        if _spki_sha256(signer) != self._signer:
            raise TokenSpentError("this permission to sign was given for another authority")
        try:
            return self._unspent.pop()
        except IndexError:
            raise TokenSpentError("this permission to sign was used before") from None


def lint(
    certificate: x509.Certificate, order: Order, issuer: x509.Certificate | None, scope: str | None
) -> Linted:
    """Check a certificate, signed by a throw-away key, against its order. Raises LintError with
    all findings.

    `issuer` is None for a root. `scope` is the SPIFFE path prefix that the issuer may sign, for
    leaves.
    """
    findings = [
        *_frame(certificate, order, issuer),
        *_validity(certificate, order, issuer),
        *_key(certificate, order, issuer),
        *_extensions(certificate, order, issuer),
        *(_svid(certificate, order, scope) if _is_leaf(order) else _authority(certificate, order)),
    ]
    if findings:
        raise LintError(f"the checker refused a {order.purpose} certificate: {'; '.join(findings)}")
    signer = issuer.public_key() if issuer else certificate.public_key()
    return Linted(_MINTED_HERE, certificate.tbs_certificate_bytes, _spki_sha256(signer))


def check_signed(
    certificate: x509.Certificate, linted: Linted, signer: ec.EllipticCurvePublicKey
) -> None:
    """Check that the signed bytes are the linted ones and that the signature holds. Raises
    LintError.
    """
    tbs = certificate.tbs_certificate_bytes
    if hashlib.sha256(tbs).digest() != linted.tbs_sha256:
        raise LintError("the signed certificate differs from the one that was checked")
    try:
        signer.verify(certificate.signature, tbs, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise LintError("the signature over the certificate does not verify") from error


def _is_leaf(order: Order) -> bool:
    return order.purpose in (Purpose.SVID, Purpose.CANARY)


def _frame(
    certificate: x509.Certificate, order: Order, issuer: x509.Certificate | None
) -> Iterator[str]:
    if certificate.version is not x509.Version.v3:
        yield "it is not X.509 version 3"
    if certificate.serial_number != order.serial:
        yield "its serial number is not the one that was drawn"
    # Boulder's floor is 64 random bits; ours are 128, and below 65 the generator is broken.
    if not 64 < certificate.serial_number.bit_length() <= 128:
        yield "its serial number has not 65 to 128 bits"
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        yield "its signature algorithm is not ECDSA with SHA-256"
    expected = (issuer or certificate).subject.public_bytes()
    if certificate.issuer.public_bytes() != expected:
        yield "its issuer is not the authority's subject"


def _validity(
    certificate: x509.Certificate, order: Order, issuer: x509.Certificate | None
) -> Iterator[str]:
    start = certificate.not_valid_before_utc.timestamp()
    end = certificate.not_valid_after_utc.timestamp()
    if (start, end) != (order.not_before, order.not_after):
        yield "its validity is not the ordered one"
    if end <= start:
        yield "it ends before it starts"
    if issuer and end > issuer.not_valid_after_utc.timestamp():
        yield "it outlives its authority"
    if issuer and start < issuer.not_valid_before_utc.timestamp():
        yield "it starts before its authority"


def _key(
    certificate: x509.Certificate, order: Order, issuer: x509.Certificate | None
) -> Iterator[str]:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        yield "its key is not on P-256"
    elif _spki_sha256(key) != _spki_sha256(order.public_key):
        yield "its key is not the requested one"
    if issuer and _spki_sha256(key) == _spki_sha256(issuer.public_key()):
        yield "its key is the authority's own"


def _extensions(
    certificate: x509.Certificate, order: Order, issuer: x509.Certificate | None
) -> Iterator[str]:
    found = {extension.oid: extension.critical for extension in certificate.extensions}
    if found != _EXTENSIONS[order.purpose]:
        yield "its extensions, or which of them are critical, are not those of its purpose"
        return
    own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    if _extension(certificate, x509.SubjectKeyIdentifier).digest != own.digest:
        yield "its subject key identifier is not its key's"
    authority = _extension(certificate, x509.AuthorityKeyIdentifier)
    expected = _extension(issuer or certificate, x509.SubjectKeyIdentifier).digest
    if authority.key_identifier != expected or authority.authority_cert_issuer is not None:
        yield "its authority key identifier is not its issuer's"


def _authority(certificate: x509.Certificate, order: Order) -> Iterator[str]:
    if _usages(certificate) != {"key_cert_sign", "crl_sign"}:
        yield "its key usage is not that of an authority"
    constraints = _optional(certificate, x509.BasicConstraints)
    depth = 1 if order.purpose is Purpose.ROOT else 0
    if constraints is None or not constraints.ca or constraints.path_length != depth:
        yield f"its basic constraints are not those of an authority with a path length of {depth}"
    if not certificate.subject.rdns:
        yield "its subject is empty"


def _svid(certificate: x509.Certificate, order: Order, scope: str | None) -> Iterator[str]:
    """X509-SVID.md: 2 (one URI), 3.1 (path, empty subject), 4.1 (cA), 4.3 (key usage), 4.4 (both
    EKUs).
    """
    if certificate.subject.rdns:
        yield "its subject is not empty"
    if _usages(certificate) != {"digital_signature"}:
        yield "its key usage is not digitalSignature alone"
    constraints = _optional(certificate, x509.BasicConstraints)
    if constraints is None or constraints.ca or constraints.path_length is not None:
        yield "its basic constraints are not those of a leaf"
    usage = _optional(certificate, x509.ExtendedKeyUsage)
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if usage is None or set(usage) != both or len(list(usage)) != len(both):
        yield "its extended key usage is not serverAuth and clientAuth"
    yield from _identity(certificate, order, scope)


def _identity(certificate: x509.Certificate, order: Order, scope: str | None) -> Iterator[str]:
    names = list(_optional(certificate, x509.SubjectAlternativeName) or ())
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        yield "it has not exactly one name, a URI"
        return
    try:
        spiffe_id = SpiffeId.parse(names[0].value)
    except SpiffeIdError as error:
        yield f"its name is no SPIFFE ID ({error})"
        return
    if spiffe_id != order.spiffe_id:
        yield "its SPIFFE ID is not the attested one"
    if scope is None or not scope.endswith("/") or not spiffe_id.path.startswith(scope):
        yield f"its SPIFFE path is outside of what the authority may sign ({scope})"


def _usages(certificate: x509.Certificate) -> set[str]:
    usage = _optional(certificate, x509.KeyUsage)
    return {bit for bit in _KEY_USAGES if usage is not None and getattr(usage, bit)}


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension:
    return certificate.extensions.get_extension_for_class(kind).value


def _optional(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return _extension(certificate, kind)
    except x509.ExtensionNotFound:
        return None


def _spki_sha256(key: object) -> bytes:
    """Computed here and not taken from `requests`, like everything the linter relies on."""
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # _key has refused others
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).digest()
