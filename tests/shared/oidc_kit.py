"""Starts `oidc_issuer` and asks it for tokens."""

import http.client
import json
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Issuer", "running_issuer", "tls_files"]

_PROGRAM = Path(__file__).with_name("oidc_issuer.py")


class Issuer:
    """The running issuer; `ca_file` judges its TLS."""

    def __init__(self, address: str, ca_file: Path) -> None:
        self.address = address
        self.ca_file = ca_file
        self._tls = ssl.create_default_context(cafile=ca_file)

    def key(self, kid: str, algorithm: str = "ES256", *, alone: bool = False) -> None:
        """Make a key and publish it, beside the others or in their place."""
        self._call("/test/key", {"kid": kid, "alg": algorithm, "alone": alone})

    def token(self, claims: dict[str, Any], kid: str = "one", **headers: Any) -> str:
        """A token with these claims beside iss, iat and exp; None leaves one out."""
        asked = {"claims": claims, "kid": kid, "headers": headers}
        return str(self._call("/test/token", asked)["token"])

    def behave(self, **behaviour: Any) -> None:
        """What is wrong with it from now on: down, discovery, redirect, size."""
        self._call("/test/behave", behaviour)

    def seen(self, path: str = "/keys") -> int:
        """How often it was asked for a path."""
        return int(self._call("/test/seen").get(path, 0))

    def _call(self, path: str, body: object = None) -> Any:
        parts = urlsplit(self.address)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, context=self._tls, timeout=10
        )
        try:
            connection.request("POST" if body is not None else "GET", path, json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            return json.loads(response.read())
        finally:
            connection.close()


@contextmanager
def running_issuer(folder: Path) -> Iterator[Issuer]:
    """An issuer with one key, `one`, for as long as the context lasts."""
    ca_file = tls_files(folder)
    command = [sys.executable, str(_PROGRAM), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            issuer = Issuer(json.loads(process.stdout.readline())["address"], ca_file)
            issuer.key("one")
            yield issuer
        finally:
            process.terminate()


def tls_files(folder: Path) -> Path:
    """A certificate of localhost, which is its own authority, and `tls.key` beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Of two authorities with one name OpenSSL would try one alone.
    unique = f"localhost {secrets.token_hex(8)}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unique)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    file = folder / "tls.crt"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file
