"""Workloads' certificates as pyca/cryptography writes them: a second opinion of what the engine makes, and
what a thief of an authority's key would make.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from featward_ca.profile import Order

__all__ = ["a_leaf"]


def a_leaf(
    order: Order, issuer: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """The ordered certificate in the issuer's name, signed by `key`, whoever's that is."""
    issuer_key = issuer.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_KEY_USAGE, True),
        (x509.SubjectKeyIdentifier.from_public_key(order.public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
        (x509.ExtendedKeyUsage(_USES), False),
        # RFC 5280 4.2.1.6: critical, because the subject is empty.
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(order.spiffe_id))]), True),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(order.public_key)
        .serial_number(order.serial)
        .not_valid_before(_time(order.not_before))
        .not_valid_after(_time(order.not_after))
    )
    for extension, critical in extensions:
        made = made.add_extension(extension, critical)
    return made.sign(key, hashes.SHA256())


def _time(moment: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC)


_USES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
