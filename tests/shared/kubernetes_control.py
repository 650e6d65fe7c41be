"""What an API server and its etcd are started with, and the authority whose certificates all parts show."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["SERVICES", "SERVICE_ADDRESS", "Authority", "apiserver_arguments", "etcd_arguments"]

SERVICES = "10.0.0.0/24"
"""Where the addresses of Services are taken from; the first is the API server's."""
SERVICE_ADDRESS = "10.0.0.1"
_NAMES = ("localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


class Authority:
    """Issues every certificate of a cluster, into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
        builder = _certificate(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        self.file = self._write("ca", builder.sign(self._key, hashes.SHA256()))
        self.file.with_suffix(".key").write_bytes(_pem(self._key))

    def issue(
        self, name: str, user: str, group: str | None = None, *, addresses: Sequence[str] = ()
    ) -> Path:
        """A certificate and key for a user of a group, or for a server of these IP addresses; returns
        the file of the certificate, beside which the key is.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        words = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            words.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        builder = _certificate(x509.Name(words), self._name, key.public_key())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if addresses else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if addresses:
            names: list[x509.GeneralName] = [x509.IPAddress(ip_address(one)) for one in addresses]
            names += [x509.DNSName(one) for one in _NAMES]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = self._write(name, builder.sign(self._key, hashes.SHA256()))
        certificate.with_suffix(".key").write_bytes(_pem(key))
        return certificate

    def signing_key(self, name: str) -> Path:
        """A key that is in no certificate."""
        file = self._folder / f"{name}.key"
        file.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
        return file

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        file = self._folder / f"{name}.crt"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return file


def etcd_arguments(folder: Path, client: str, peer: str) -> list[str]:
    """It keeps its data there and listens at these two URLs."""
    return [
        f"--data-dir={folder / 'etcd'}",
        "--log-level=warn",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def apiserver_arguments(
    folder: Path, authority: Authority, etcd: str, host: str, port: int, issuer: str
) -> list[str]:
    """It listens on one address and is known at that of loopback and of its Service, too; its key for
    tokens is `sa.key` in the folder.
    """
    addresses = sorted({host, "127.0.0.1", SERVICE_ADDRESS})
    certificate = authority.issue("apiserver", "kube-apiserver", addresses=addresses)
    signing = authority.signing_key("sa")
    return [
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        f"--bind-address={host}",
        f"--advertise-address={host}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={certificate.with_suffix('.key')}",
        f"--client-ca-file={authority.file}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={SERVICES}",
        f"--service-account-issuer={issuer}",
        f"--service-account-key-file={signing}",
        f"--service-account-signing-key-file={signing}",
    ]


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=2))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The API server takes the public half of no other form.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
