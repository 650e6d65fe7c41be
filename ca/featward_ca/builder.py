"""Writes certificates from a profile and an order. Makes no decisions and checks nothing: the
linter does.

The result is the to-be-signed part alone. It is obtained by signing once with a key that lives for
this process and belongs to nobody, so that no real key is needed before the linter has agreed.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from featward_ca.profile import PROFILES, Order, Profile, SubjectName


def build(
    order: Order, issuer: x509.Certificate | None, throwaway: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """The ordered certificate as `issuer` would sign it (None: as the key itself would), signed
    by `throwaway`.
    """
    profile = PROFILES[order.purpose]
    subject = name(order.subject) if order.subject else x509.Name([])
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
    for extension, critical in _extensions(profile, order, issuer_key):
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
    profile: Profile, order: Order, issuer_key: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(profile.is_authority, profile.path_length), True),
        (_key_usage(profile), True),
        (x509.SubjectKeyIdentifier.from_public_key(order.public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]
    if profile.extended_key_usage:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        extensions.append((x509.ExtendedKeyUsage(usages), False))
    if order.spiffe_id:
        # RFC 5280 4.2.1.6: critical, because the subject is empty.
        names = [x509.UniformResourceIdentifier(str(order.spiffe_id))]
        extensions.append((x509.SubjectAlternativeName(names), True))
    return extensions


def _key_usage(profile: Profile) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not profile.is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=profile.is_authority,
        crl_sign=profile.is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(issuer: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "our authorities have P-256 keys"  # noqa: S101  # narrows a type
    return key


def _time(moment: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC)
