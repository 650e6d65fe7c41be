"""step-ca, the peer: its folder, its single-use tokens and its process.

Set up as its own documentation does it: a P-256 intermediate under a P-256 root, one JWK provisioner,
and its default database (badger), which stores every token and every certificate durably before it
answers, and so is as durable as ours. Its certificates name a SPIFFE ID and nothing else, as ours do.
"""

import base64
import datetime
import json
import secrets
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from issuers.world import TRUST_DOMAIN, pem
from sidebyside.proxies import pinned
from sidebyside.world import running

PROVISIONER = "bench"
SPIFFE_ID = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/bench"
# One key asks for all: what the server does with a request does not depend on whose it is.
_REQUESTS = 64
_TOKEN_LIFE = 3000


@dataclass(frozen=True)
class Step:
    """A folder with everything that step-ca needs."""

    folder: Path
    port: int
    key: ec.EllipticCurvePrivateKey

    @property
    def roots(self) -> Path:
        """Whom its clients trust."""
        return self.folder / "root.crt"

    @contextmanager
    def started(self, program: Path, core: int | None) -> Iterator[Popen[bytes]]:
        """step-ca, while the block runs."""
        command = [str(program), str(self.folder / "ca.json")]
        with running(pinned(command, core), self.folder / "step.log", self.port) as process:
            yield process

    def bodies(self, count: int) -> Path:
        """What is posted to /1.0/sign, one body a line, each with a token of its own."""
        path = self.folder / f"bodies-{secrets.token_hex(4)}.jsonl"
        requests = [_csr(ec.generate_private_key(ec.SECP256R1())) for _ in range(_REQUESTS)]
        with path.open("w") as lines:
            for number in range(count):
                body = {"csr": requests[number % _REQUESTS], "ott": self._token()}
                lines.write(json.dumps(body) + "\n")
        return path

    def enrol(self, clients: int, chains: Path, key_file: Path) -> None:
        """Certificates for so many clients that renew; the server has to run."""
        key = ec.generate_private_key(ec.SECP256R1())
        key_file.write_bytes(pem(key))
        request, context = _csr(key), ssl.create_default_context(cafile=str(self.roots))
        with chains.open("w") as file:
            for _ in range(clients):
                body = json.dumps({"csr": request, "ott": self._token()}).encode()
                url = f"https://127.0.0.1:{self.port}/1.0/sign"
                asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(asked, context=context) as answer:  # noqa: S310  # our own https
                    said = json.load(answer)
                file.write(said["crt"] + said["ca"])

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "aud": f"https://127.0.0.1:{self.port}/1.0/sign",
            "iss": PROVISIONER,
            "sub": SPIFFE_ID,
            "sans": [SPIFFE_ID],
            "nbf": now - 10,
            "iat": now,
            "exp": now + _TOKEN_LIFE,
            "jti": secrets.token_hex(16),
        }
        head = {"alg": "ES256", "kid": PROVISIONER, "typ": "JWT"}
        signed = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def set_up(folder: Path, port: int) -> Step:
    """Write certificates, keys and configuration."""
    folder.mkdir()
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _authority("bench root", root_key, "bench root", root_key, 1)
    intermediate = _authority("bench intermediate", key, "bench root", root_key, 0)
    form = serialization.Encoding.PEM
    (folder / "root.crt").write_bytes(root.public_bytes(form))
    (folder / "intermediate.crt").write_bytes(intermediate.public_bytes(form))
    (folder / "intermediate.key").write_bytes(pem(key))
    step = Step(folder, port, ec.generate_private_key(ec.SECP256R1()))
    (folder / "ca.json").write_text(json.dumps(_configuration(step)))
    return step


def _configuration(step: Step) -> dict[str, object]:
    numbers = step.key.public_key().public_numbers()
    jwk = {
        "use": "sig",
        "kty": "EC",
        "kid": PROVISIONER,
        "crv": "P-256",
        "alg": "ES256",
        "x": _part(numbers.x.to_bytes(32, "big")),
        "y": _part(numbers.y.to_bytes(32, "big")),
    }
    claims = {"maxTLSCertDuration": "24h", "defaultTLSCertDuration": "1h"}
    provisioner = {"type": "JWK", "name": PROVISIONER, "key": jwk, "claims": claims}
    folder = step.folder
    return {
        "root": str(folder / "root.crt"),
        "crt": str(folder / "intermediate.crt"),
        "key": str(folder / "intermediate.key"),
        "address": f"127.0.0.1:{step.port}",
        "dnsNames": ["127.0.0.1"],
        "logger": {"format": "json"},
        "db": {"type": "badgerv2", "dataSource": str(folder / "db")},
        "authority": {"provisioners": [provisioner]},
        "tls": {"minVersion": 1.3, "maxVersion": 1.3},
    }


def _authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    below: int,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=5))
    builder = builder.not_valid_after(now + datetime.timedelta(days=2))
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=below), critical=True
    )
    builder = builder.add_extension(identifier, critical=False)
    return builder.add_extension(authority, critical=False).sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _csr(key: ec.EllipticCurvePrivateKey) -> str:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(SPIFFE_ID)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
