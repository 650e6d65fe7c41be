"""Defects of other issuers in handshakes and in what a stranger's bytes cost; one test each, named after
the defect. Those about calls, logs and tokens have modules of their own beside this one.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import TRUST_DOMAIN, a_request
from certificates import CA, PRICING, Authority, Environment, der
from echo import echo_server, listening
from featward_engine import check_requests, judge

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
PEM = serialization.Encoding.PEM


def _client(address: str, folder: Path, *more: str) -> list[str]:
    files = ["-cert", f"{folder}/chain.pem", "-key", f"{folder}/key.pem"]
    files += ["-cert_chain", f"{folder}/above.pem"]
    return ["openssl", "s_client", "-connect", address, "-tls1_3", "-alpn", "h2", *files, *more]


async def _talk(command: list[str]) -> str:
    """What openssl says of one connection on which HTTP/2 is begun, until the far end is silent."""
    pipe = asyncio.subprocess.PIPE
    both = asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=both)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(PREFACE)
    said = b""
    try:
        while chunk := await asyncio.wait_for(process.stdout.read(4096), 2):
            said += chunk
    except TimeoutError:
        process.kill()
    await process.wait()
    return said.decode(errors="replace")


@contextmanager
def _ticketing_server(folder: Path) -> Iterator[str]:
    """A server that gives tickets: s_server with the same identity."""
    files = ["-cert", f"{folder}/chain.pem", "-key", f"{folder}/key.pem"]
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_3", *files]
    pipe = subprocess.PIPE  # it ends when its input does
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("ACCEPT"))
        yield line.split()[1]
        process.kill()


async def test_a_revoked_authority_ends_live_connections_and_no_session_can_be_resumed(
    tmp_path: Path,
) -> None:
    """Resumption skipped the chain: who had connected before the revocation connected after it."""
    environment = Environment()
    environment.payments.write_identity(tmp_path, PRICING)
    above = environment.payments.certificate.public_bytes(PEM)
    await asyncio.to_thread((tmp_path / "above.pem").write_bytes, above)
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    with _ticketing_server(tmp_path) as other:
        await _talk(_client(other, tmp_path, "-sess_out", theirs))
    server = environment.process(environment.platform, CA)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward, client_certificate="required") as (listener, address),
    ):
        said = await _talk(_client(address, tmp_path, "-sess_out", ours))
        assert "New, TLSv1.3" in said
        assert not await asyncio.to_thread(Path(ours).exists), "a ticket was given"
        resumed = _client(address, tmp_path, "-sess_in", theirs)
        assert "New, TLSv1.3" in await _talk(resumed)
        pipe = asyncio.subprocess.PIPE
        live = await asyncio.create_subprocess_exec(
            *_client(address, tmp_path, "-quiet"), stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert live.stdin is not None
        assert live.stdout is not None
        live.stdin.write(PREFACE)
        await live.stdout.readexactly(9)
        assert json.loads(listener.handshakes()) == {"accepted": 3}
        server.set_trust(environment.roots, environment.scopes[1:], 2)
        await asyncio.wait_for(live.wait(), 1)
        for command in (_client(address, tmp_path), resumed):
            assert "alert" in await _talk(command)
        assert json.loads(listener.handshakes()) == {"accepted": 3, "out-of-scope": 2}


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes(3, "big")
    return bytes([tag, 0x83]) + size + body


def _rsa_request(bits: int, exponent_bits: int) -> bytes:
    """A PKCS #10 request for an RSA key that nobody made, as large as an attacker likes."""
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    number = b"\0" + b"\xc5" * (bits // 8)
    key = _der(0x30, _der(2, number), _der(2, b"\0" + b"\xc5" * (exponent_bits // 8)))
    spki = _der(0x30, algorithm, _der(3, b"\0", key))
    info = _der(0x30, b"\2\1\0", _der(0x30), spki, _der(0xA0))
    sha256_rsa = bytes.fromhex("300d06092a864886f70d01010b0500")
    return _der(0x30, info, sha256_rsa, _der(3, b"\0", b"\x11" * (bits // 8)))


def _seconds(work: Callable[[], object]) -> float:
    """The least of several, because others use the machine too."""
    times = []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(10):
            work()
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_large_key_or_chain_or_csr_costs_nothing() -> None:
    """Keys of 16,384 bits and chains of hundreds kept whole processors busy. Here what is refused
    costs no more than what is accepted.
    """
    normal = a_request()
    accepted = _seconds(lambda: check_requests([normal]))
    requests = [_rsa_request(16_384, 24), _rsa_request(8_192, 8_192), _rsa_request(12_000, 17)]
    requests += [b"\x30" * 1_000_000, b"\x30\x84" + b"\xff" * 4_000, normal + b"\0" * 1_000_000]
    for request in requests:
        assert isinstance(check_requests([request])[0], str)
        assert _seconds(lambda r=request: check_requests([r])) < 2 * accepted  # type: ignore[misc]

    environment = Environment()
    leaf = environment.payments.leaf(PRICING, ec.generate_private_key(ec.SECP256R1()).public_key())
    signer = der(environment.payments.certificate)
    assert _judged(environment, der(leaf), signer)["accepted"]
    long = [der(leaf), *[der(Authority.root().certificate)] * 100]
    assert _judged(environment, *long)["cause"] == "bad-svid"
    # As much as bytes of which nothing can be read.
    noise = [der(leaf), *[b"\1" * len(long[1])] * 100]
    bytes_alone = _seconds(lambda: _judged(environment, *noise))
    assert _seconds(lambda: _judged(environment, *long)) < 2 * bytes_alone


def _judged(environment: Environment, *chain: bytes) -> dict[str, Any]:
    question = {
        "trust_domain": TRUST_DOMAIN,
        "roots": [root.hex() for root in environment.roots],
        "scopes": [[digest.hex(), prefix] for digest, prefix in environment.scopes],
        "chain": [one.hex() for one in chain],
        "at": time.time(),
    }
    answer: dict[str, Any] = json.loads(judge(json.dumps(question).encode()))
    return answer
