"""What tests of federation are made of: a certificate of the Web, bundle servers of others, and a CA in this
process that federates."""

import datetime
import ipaddress
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certificates import Authority
from workload_kit import go_program

__all__ = [
    "PARTNER",
    "Web",
    "certificate_pem",
    "environment_document",
    "go",
    "go_endpoint",
    "serving",
    "spiffe_relation",
    "web_relation",
]

PARTNER = "partner.example"
HOST = "127.0.0.1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Web:
    """A certificate authority of the Web, and a server's certificate of it for 127.0.0.1."""

    roots: Path
    chain: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, days: float = 30, now: float | None = None) -> "Web":
        """Files in this folder; those of before are replaced in one step each. It ends so many days from `now`,
        by the day's clock where nothing is said.
        """
        today = datetime.datetime.fromtimestamp(now or time.time(), datetime.UTC)
        folder.mkdir(exist_ok=True)
        root, key = Authority.root("a root of the Web"), ec.generate_private_key(ec.SECP256R1())
        begin = today - datetime.timedelta(days=60)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bundles")]))
            .issuer_name(root.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(today + datetime.timedelta(days=days))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), False
            )
            .sign(root.key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        made = cls(folder / "roots.pem", folder / "chain.pem", folder / "key.pem")
        contents = (certificate_pem(root.certificate), certificate_pem(leaf), secret)
        for file, content in zip((made.roots, made.chain, made.key), contents, strict=True):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.replace(file)
        return made


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """As files hold it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


@contextmanager
def go_endpoint(
    profile: str,
    roots: Path,
    chain: Path,
    key: Path,
    *,
    sequence: int = 1,
    hint: int = 1,
    domain: str = PARTNER,
) -> Iterator[str]:
    """go-spiffe serves a bundle; yields its URL."""
    arguments = [profile, domain, str(roots), str(chain), str(key), str(sequence), str(hint)]
    pipe = subprocess.PIPE
    command = [go_program("federate"), "serve", *arguments]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = process.stdout.readline().strip()
        assert port, "go-spiffe does not serve"
        try:
            yield f"https://{HOST}:{port}/"
        finally:
            process.stdin.close()
            process.wait(10)


@asynccontextmanager
async def serving(proof: Web, handler: Handler) -> AsyncIterator[str]:
    """A server of the Web; yields its URL."""
    app = web.Application()
    app.add_routes([web.get("/", handler)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(proof.chain, proof.key)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def go(*arguments: str | Path, given: str = "") -> Any:
    """What go-spiffe answers, as JSON. Raises CalledProcessError where it refuses."""
    command = [go_program("federate"), *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def web_relation(url: str, domain: str = PARTNER) -> dict[str, str]:
    """An entry of federatesWith."""
    return {"trustDomain": domain, "url": url, "profile": "https_web"}


def spiffe_relation(
    url: str, endpoint: str, bootstrap: bytes, domain: str = PARTNER
) -> dict[str, str]:
    """The same for the other profile."""
    return {
        "trustDomain": domain,
        "url": url,
        "profile": "https_spiffe",
        "endpointSpiffeId": endpoint,
        "bootstrapBundle": bootstrap.decode(),
    }


def environment_document(
    name: str, trust_domain: str, *relations: dict[str, str], svid_ttl: str = "1h"
) -> str:
    """An Environment that federates with these."""
    spec = {"trustDomain": trust_domain, "svidTTL": svid_ttl, "federatesWith": list(relations)}
    head = {"apiVersion": "featward.dev/v1alpha1", "kind": "Environment"}
    return yaml.safe_dump({**head, "metadata": {"name": name}, "spec": spec})
