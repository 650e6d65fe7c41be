"""Roots, authorities and leaves for tests: good ones, and those that a thief would make."""

import datetime
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from featward_engine import Credentials

DOMAIN = "prod.acme.example"
CA = f"spiffe://{DOMAIN}/featward/ca"
PRICING = f"spiffe://{DOMAIN}/bu/payments/svc/pricing"
SCORING = f"spiffe://{DOMAIN}/bu/risk/svc/scoring"

PublicKey = ec.EllipticCurvePublicKey


def _name(unit: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "featward"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _at(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


def der(certificate: x509.Certificate) -> bytes:
    """The certificate's bytes."""
    return certificate.public_bytes(serialization.Encoding.DER)


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """The digest of a certificate's own public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    key = certificate.public_key()
    return sha256(key.public_bytes(serialization.Encoding.DER, form)).digest()


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def root(cls, common: str = DOMAIN) -> "Authority":
        """A self-signed root."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("root", common)
        return cls(_authority(name, key.public_key(), name, key, None), key)

    def intermediate(self, unit: str) -> "Authority":
        """An issuing authority below this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject
        return Authority(_authority(_name(unit, "a1"), key.public_key(), issuer, self.key, 0), key)

    @property
    def spki_sha256(self) -> bytes:
        """The digest by which the scope table names this authority."""
        return spki_sha256(self.certificate)

    def leaf(
        self,
        identity: str,
        key: PublicKey,
        *,
        life: tuple[float, float] = (-60, 3600),
        more_uris: tuple[str, ...] = (),
        claimed_issuer: "Authority | None" = None,
    ) -> x509.Certificate:
        """An SVID; ``claimed_issuer`` forges the authority key identifier."""
        uris = [x509.UniformResourceIdentifier(uri) for uri in (identity, *more_uris)]
        claimed = (claimed_issuer or self).key.public_key()
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_at(life[0]))
            .not_valid_after(_at(life[1]))
            .add_extension(x509.SubjectAlternativeName(uris), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(claimed), critical=False
            )
        )
        return builder.sign(self.key, hashes.SHA256())

    def identify(
        self, credentials: Credentials, identity: str, **options: object
    ) -> x509.Certificate:
        """Give these credentials an identity, as the CA and the agent do together; its leaf."""
        pending = credentials.new_identity()
        key = x509.load_der_x509_csr(pending.csr).public_key()
        assert isinstance(key, PublicKey)
        leaf = self.leaf(identity, key, **options)  # type: ignore[arg-type]
        credentials.set_identity(pending, [der(leaf), der(self.certificate)])
        return leaf

    def write_identity(
        self, folder: Path, identity: str, *above: x509.Certificate, **options: object
    ) -> tuple[Path, Path]:
        """A chain and its key as PEM files, for clients that are not ours."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.leaf(identity, key.public_key(), **options)  # type: ignore[arg-type]
        chain = folder / "chain.pem"
        pem = serialization.Encoding.PEM
        certificates = (leaf, self.certificate, *above)
        chain.write_bytes(b"".join(one.public_bytes(pem) for one in certificates))
        secret = folder / "key.pem"
        pkcs8 = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
        return chain, secret


def _authority(
    subject: x509.Name,
    key: PublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int | None,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_at(-3600 * 24))
        .not_valid_after(_at(3600 * 24))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


class Environment:
    """A root with two business units and the platform, and the trust in them."""

    def __init__(self, domain: str = DOMAIN) -> None:
        self.domain = domain
        self.root = Authority.root(domain)
        self.payments = self.root.intermediate("prod.payments")
        self.risk = self.root.intermediate("prod.risk")
        self.platform = self.root.intermediate("platform")

    @property
    def roots(self) -> list[bytes]:
        """What ``set_trust`` takes."""
        return [der(self.root.certificate)]

    @property
    def root_sha256(self) -> str:
        """What a join token carries."""
        return sha256(self.roots[0]).hexdigest()

    @property
    def scopes(self) -> list[tuple[bytes, str]]:
        """What ``set_trust`` takes."""
        return [
            (self.payments.spki_sha256, "/bu/payments/"),
            (self.risk.spki_sha256, "/bu/risk/"),
            (self.platform.spki_sha256, "/featward/"),
        ]

    def credentials(self) -> Credentials:
        """Credentials with trust and without identity."""
        credentials = Credentials(self.domain)
        credentials.set_trust(self.roots, self.scopes, 1)
        return credentials

    def process(self, authority: Authority, identity: str, **options: object) -> Credentials:
        """Credentials as a process of ours holds them."""
        credentials = self.credentials()
        authority.identify(credentials, identity, **options)
        return credentials
