"""The doctor as a person calls it, and servers of this process for it to look at."""

import datetime
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from certificates import PRICING, Authority
from featward.cli import root

__all__ = [
    "Server",
    "Talk",
    "Visit",
    "doctor",
    "https",
    "identity",
    "leaf",
    "root_file",
    "written",
]

PEM = serialization.Encoding.PEM
_numbers = itertools.count()
Talk = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Visit:
    """What one run of the command said."""

    code: int
    text: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.code in (0, 1), self.errors
        told: dict[str, Any] = json.loads(self.text)
        return told

    @property
    def codes(self) -> set[str]:
        """All that was found, whatever its weight."""
        report = self.report
        chains = [each["findings"] for each in report["identities"]]
        return {each["code"] for found in (report["findings"], *chains) for each in found}


def doctor(target: object, *options: object, output: str = "json") -> Visit:
    """Run it."""
    command = ["doctor", target, "--output", output, "--timeout", "2", *options]
    done = CliRunner().invoke(root.build(), [str(each) for each in command], env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Visit(done.exit_code, done.stdout, done.stderr)


class Server:
    """A server on loopback that talks to each caller in a thread of its own, until it is closed."""

    def __init__(self, talk: Talk) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._talk = talk
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                end.settimeout(20)
                self._open.append(end)
                threading.Thread(target=self._one, args=(end,), daemon=True).start()

    def _one(self, end: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), end:
            self._talk(end)

    def close(self) -> None:
        # close() alone does not wake accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def root_file(folder: Path, *authorities: Authority) -> Path:
    file = folder / f"bundle{next(_numbers)}.pem"
    file.write_bytes(b"".join(each.certificate.public_bytes(PEM) for each in authorities))
    return file


def identity(
    folder: Path, authority: Authority, name: str = PRICING, **more: Any
) -> tuple[Path, Path]:
    """Chain and key in a folder of their own."""
    own = folder / f"identity{next(_numbers)}"
    own.mkdir()
    return authority.write_identity(own, name, **more)


def https(
    files: tuple[Path, Path], *, clients: Path | None = None, newest: bool = True, ahead: float = 0
) -> Talk:
    """A server that answers each request with 404 and the time; `clients` makes it want certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED

    def talk(end: socket.socket) -> None:
        with context.wrap_socket(end, server_side=True) as tls:
            asked = tls.recv(65_536)
            assert asked.startswith(b"GET / HTTP/1.1\r\n")
            now = formatdate(time.time() + ahead, usegmt=True)
            tls.sendall(
                f"HTTP/1.1 404 Not Found\r\nDate: {now}\r\ncontent-length: 0\r\n\r\n".encode()
            )

    return talk


def leaf(
    authority: Authority,
    key: ec.EllipticCurvePrivateKey,
    uris: list[str],
    *,
    is_authority: bool = False,
) -> x509.Certificate:
    """A leaf with faults that the kit's has no options for."""
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    usage = x509.KeyUsage(True, False, False, False, False, is_authority, False, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority.key, hashes.SHA256())
    )


def written(
    folder: Path, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate
) -> tuple[Path, Path]:
    own = folder / f"made{next(_numbers)}"
    own.mkdir()
    (own / "chain.pem").write_bytes(b"".join(each.public_bytes(PEM) for each in chain))
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (own / "key.pem").write_bytes(key.private_bytes(PEM, form, bare))
    return own / "chain.pem", own / "key.pem"
