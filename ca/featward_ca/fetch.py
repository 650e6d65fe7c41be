"""`featward ca fetch-svid`: attests a workload that has no sidecar and leaves its identity in
files.

The key is made here and never leaves the machine. The connection is the engine's, so the CA is
known by the root digest in the token, or by the kernel on a UNIX socket, before the secret is sent.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward.identity.join_token import JoinToken
from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_ca.errors import CaError
from featward_engine import ConfigError, Credentials, Dialer

_TIMEOUT = 20.0
# grpc would send the socket's path with percent signs, which strict HTTP/2 servers refuse as an
# authority.
_OPTIONS = [("grpc.default_authority", "localhost")]


_HINTS = {
    grpc.StatusCode.UNAUTHENTICATED: (
        "; a join token is good for one use and for as long as it was made for, so make another one:"
        " featward ca token create --workload prod.payments/pricing-api"
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        "; its workload may be banned, which featward ca ban list shows"
    ),
}


class FetchError(CaError):
    """No SVID was got; the text says at which step and why."""


@dataclass(frozen=True)
class Files:
    """What was written, and for whom."""

    spiffe_id: str
    not_after: int
    key: Path
    svid: Path
    bundle: Path


def fetch_svid(address: str, token: JoinToken, out: Path) -> Files:
    """Attest at ``host:port`` or ``unix:PATH`` and write key.pem, svid.pem and bundle.pem.
    Raises FetchError, and leaves no folder behind then that was not there. The token is good for one
    use, so what can be wrong with ``out`` is found before it is shown.
    """
    with _folder(out):
        return _fetch(address, token, out)


def _fetch(address: str, token: JoinToken, out: Path) -> Files:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )
    evidence = identity_pb2.Evidence(join_token=token.evidence)
    request = identity_pb2.AttestRequest(
        evidence=evidence, csr=csr.public_bytes(serialization.Encoding.DER)
    )
    with _dialled(address, token) as (socket, dialer):
        try:
            answer = asyncio.run(_attest(socket, request))
        except grpc.aio.AioRpcError as error:
            why = dialer.last_error() or error.details() or error.code().name
            hint = _HINTS.get(error.code(), "")
            raise FetchError(f"the CA at {address} gave no SVID: {why}{hint}") from error
    _check(answer, token, key)
    return _write(answer, key, out)


async def _attest(socket: str, request: identity_pb2.AttestRequest) -> identity_pb2.AttestResponse:
    async with grpc.aio.insecure_channel(f"unix:{socket}", _OPTIONS) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        answer: identity_pb2.AttestResponse = await stub.Attest(request, timeout=_TIMEOUT)
        return answer


@contextlib.contextmanager
def _dialled(address: str, token: JoinToken) -> Iterator[tuple[str, Dialer]]:
    with tempfile.TemporaryDirectory(prefix="featward-") as folder:
        config = {
            "address": _absolute(address),
            "socket": str(Path(folder, "ca.sock")),
            "expect": str(SpiffeId.ca(token.trust_domain)),
            "root_sha256": token.root_sha256.hex(),
            "client_certificate": False,
        }
        try:
            dialer = Dialer(Credentials(token.trust_domain), json.dumps(config).encode())
            socket = dialer.start()
        except ConfigError as error:
            raise FetchError(str(error)) from error
        try:
            yield socket, dialer
        finally:
            dialer.stop()


def _absolute(address: str) -> str:
    path = address.removeprefix("unix:")
    return address if path == address else f"unix:{Path(path).absolute()}"


def _check(
    answer: identity_pb2.AttestResponse, token: JoinToken, key: ec.EllipticCurvePrivateKey
) -> None:
    """Refuse an answer for another key, or whose roots lack the one that the token names."""
    if not any(hashlib.sha256(root).digest() == token.root_sha256 for root in answer.trust.roots):
        raise FetchError("the CA announces other roots than the one in the join token")
    leaf = x509.load_der_x509_certificate(answer.svid.chain[0])
    if leaf.public_key() != key.public_key():
        raise FetchError("the CA's SVID is for another key than ours")


def _write(
    answer: identity_pb2.AttestResponse, key: ec.EllipticCurvePrivateKey, out: Path
) -> Files:
    files = Files(
        answer.svid.spiffe_id,
        answer.svid.not_after,
        out / "key.pem",
        out / "svid.pem",
        out / "bundle.pem",
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _replace(files.key, private, 0o600)
    _replace(files.svid, _pem(answer.svid.chain), 0o644)
    _replace(files.bundle, _pem(answer.trust.roots), 0o644)
    return files


@contextlib.contextmanager
def _folder(out: Path) -> Iterator[None]:
    """The folder, which is removed again if nothing comes of it and it was made here."""
    made = [one for one in (out, *out.parents) if not one.exists()]
    try:
        _prepare(out)
        yield
    except CaError:
        for one in made:
            with contextlib.suppress(OSError):  # somebody has put something into it meanwhile
                one.rmdir()
        raise


def _prepare(out: Path) -> None:
    """Make the folder, and a file in it for as long as a moment."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        why = "it is a file" if out.is_file() else error.strerror or str(error)
        raise FetchError(
            f"--out {out} can't hold the files: {why}; name a folder that you may write to (the token"
            " was not used)"
        ) from error


def _replace(file: Path, content: bytes, mode: int) -> None:
    """Write under another name and rename, so that a reader sees the old file or the new one."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
    fresh.replace(file)


def _pem(certificates: Iterable[bytes]) -> bytes:
    loaded = (x509.load_der_x509_certificate(der) for der in certificates)
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in loaded)
