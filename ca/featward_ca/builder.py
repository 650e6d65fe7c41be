"""Writes the certificates of roots and authorities. Makes no decisions and checks nothing: the
linter does. Workloads' certificates are written in engine/issue.

The result is the to-be-signed part alone. It is obtained by signing once with a key that lives for
this process and belongs to nobody, so that no real key is needed before the linter has agreed.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from featward_ca.profile import PATH_LENGTHS, Order, SubjectName


def build(
    order: Order, issuer: x509.Certificate | None, throwaway: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """The ordered certificate as `issuer` would sign it (None: as the key itself would), signed
    by `throwaway`. The order is a root's or an authority's.
    """
    assert order.subject is not None, "leaves alone have no name, and are made in engine/issue"  # noqa: S101  # narrows a type
    subject = name(order.subject)
    issuer_key = _issuer_key(issuer) if issuer else order.public_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(order.public_key)
        .serial_number(order.serial)
        .not_valid_before(_time(order.not_before))
        .not_valid_after(_time(order.not_after))
    )
    for extension, critical in _extensions(order, issuer_key):
        builder = builder.add_extension(extension, critical)
    return builder.sign(throwaway, hashes.SHA256())


def name(subject: SubjectName) -> x509.Name:
    """The X.509 name of an authority: ``O=featward, OU=<owner>, CN=<id>``."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "featward"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, subject.owner),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name),
        ]
    )


def _extensions(
    order: Order, issuer_key: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=PATH_LENGTHS[order.purpose]), True),
        (_KEY_USAGE, True),
        (x509.SubjectKeyIdentifier.from_public_key(order.public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]


def _issuer_key(issuer: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "our authorities have P-256 keys"  # noqa: S101  # narrows a type
    return key


def _time(moment: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC)


_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
