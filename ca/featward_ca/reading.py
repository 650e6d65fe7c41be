"""Reads certificates and requests that were made elsewhere, whole and at once.

The library reads the parts of a certificate when they are asked for, and what it then raises has no
base of its own: a certificate of version 9 or with an extension twice is neither a ValueError nor any
other error that somebody expects in the middle of something. So all parts are asked for here.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from featward_ca.errors import MalformedRequestError

# All that the library raises for bytes that are not what they should be.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def certificate(raw: bytes) -> x509.Certificate:
    """A certificate in DER, or the first one in PEM. Raises MalformedRequestError."""
    try:
        pem = raw.lstrip().startswith(b"-----")
        read = (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(raw)
        _ask_for_all(read)
    except UNREADABLE as error:
        raise MalformedRequestError("the certificate is no readable X.509 in DER or PEM") from error
    return read


def request(raw: bytes) -> x509.CertificateSigningRequest:
    """A certificate request in DER, or the first one in PEM. Raises MalformedRequestError."""
    try:
        pem = raw.lstrip().startswith(b"-----")
        read = (x509.load_pem_x509_csr if pem else x509.load_der_x509_csr)(raw)
        _ = read.public_key(), read.subject, read.signature_hash_algorithm
    except UNREADABLE as error:
        raise MalformedRequestError(
            "the certificate request is no readable PKCS #10 in DER or PEM"
        ) from error
    return read


def _ask_for_all(read: x509.Certificate) -> None:
    _ = read.version, read.serial_number, read.subject, read.issuer, read.extensions
    _ = read.not_valid_before_utc, read.not_valid_after_utc
    _ = read.public_key(), read.signature_algorithm_oid, read.signature_hash_algorithm
