"""The Dialer as a tunnel of bytes: HTTP/1.1 to a server that proves a SPIFFE ID, with nothing in between."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from certificates import CA, DOMAIN, PRICING, Authority, Environment, der
from featward_engine import ConfigError, Credentials, Dialer

PARTNER = "partner.example"
SERVER = f"spiffe://{PARTNER}/bundle/server"


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def partner() -> Authority:
    return Authority.root(PARTNER)


class Server:
    """A TLS server by OpenSSL that sends back what it reads, in capitals."""

    def __init__(self) -> None:
        self.protocols: list[str | None] = []
        self.ended = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        self.protocols.append(tls.selected_alpn_protocol())
        try:
            while text := await reader.read(65536):
                writer.write(text.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.ended.set()


@asynccontextmanager
async def serving(
    folder: Path, authority: Authority, identity: str
) -> AsyncIterator[tuple[Server, str]]:
    chain, key = authority.write_identity(folder, identity)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = Server()
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield server, f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def tunnel(credentials: Credentials, **config: object) -> AsyncIterator[tuple[Dialer, str]]:
    dialer = Dialer(credentials, json.dumps({"carry": "bytes", **config}, default=str).encode())
    path = dialer.start()
    try:
        yield dialer, path
    finally:
        await asyncio.to_thread(dialer.stop)


def federated(environment: Environment, partner: Authority, sequence: int = 2) -> Credentials:
    credentials = environment.credentials()
    foreign = [(PARTNER, [der(partner.certificate)])]
    credentials.set_trust(environment.roots, environment.scopes, sequence, foreign=foreign)
    return credentials


def far(address: str, folder: Path, expect: str = SERVER) -> dict[str, object]:
    return {
        "address": address,
        "socket": folder / "out.sock",
        "expect": expect,
        "client_certificate": False,
    }


async def test_bytes_go_both_ways_to_a_server_of_a_foreign_domain(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    credentials = federated(environment, partner)
    async with (
        serving(tmp_path, partner.intermediate("any"), SERVER) as (server, address),
        tunnel(credentials, **far(address, tmp_path)) as (dialer, path),
    ):
        text = b"x" * 300_000
        for _ in range(2):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(text)
            assert await reader.readexactly(len(text)) == text.upper()
            writer.close()
            await writer.wait_closed()
        assert dialer.last_error() is None
    assert server.protocols == ["http/1.1", "http/1.1"]


@pytest.mark.parametrize(
    ("expect", "why"), [(CA, "wrong-identity"), (f"spiffe://{PARTNER}/other", "wrong-identity")]
)
async def test_a_server_of_another_identity_gets_nothing(
    environment: Environment, partner: Authority, tmp_path: Path, expect: str, why: str
) -> None:
    async with (
        serving(tmp_path, partner.intermediate("any"), SERVER) as (server, address),
        tunnel(federated(environment, partner), **far(address, tmp_path, expect)) as (dialer, path),
    ):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"secret")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert why in (dialer.last_error() or "")
        writer.close()
    assert server.protocols == []


async def test_a_domain_that_is_not_federated_is_not_trusted(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path, partner.intermediate("any"), SERVER) as (_, address),
        tunnel(environment.credentials(), **far(address, tmp_path)) as (dialer, path),
    ):
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        assert "wrong-trust-domain" in (dialer.last_error() or "")
        writer.close()


async def test_a_tunnel_is_cut_when_its_far_end_is_banned(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    credentials = federated(environment, partner)
    foreign = [(PARTNER, [der(partner.certificate)])]
    async with (
        serving(tmp_path, partner.intermediate("any"), SERVER) as (server, address),
        tunnel(credentials, **far(address, tmp_path)) as (dialer, path),
    ):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"still")
        assert await reader.readexactly(5) == b"STILL"
        bans = [("identity", SERVER, 0)]
        credentials.set_trust(environment.roots, environment.scopes, 3, bans=bans, foreign=foreign)
        async with asyncio.timeout(1):
            assert await reader.read() == b""
            await server.ended.wait()
        assert "banned" in (dialer.last_error() or "")
        writer.close()


async def test_a_unix_address_is_passed_through_as_bytes(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "far.sock")
    config = {"address": f"unix:{tmp_path / 'far.sock'}", "socket": tmp_path / "out.sock"}
    async with server, tunnel(Credentials(DOMAIN), **config) as (_, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"ping")
        assert await reader.read() == b"ping"
        writer.close()


async def test_stopping_ends_open_tunnels(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    async with serving(tmp_path, partner.intermediate("any"), SERVER) as (server, address):
        async with tunnel(federated(environment, partner), **far(address, tmp_path)) as (_, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"on")
            assert await reader.readexactly(2) == b"ON"
        assert await reader.read() == b""
        await server.ended.wait()
        writer.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"carry": "letters"},
        {"platform_by_root": True, "root_sha256": "00" * 32},
        {"expect": None},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    config = {"address": "127.0.0.1:1", "socket": str(tmp_path / "out.sock"), "expect": PRICING}
    with pytest.raises(ConfigError):
        Dialer(Credentials(DOMAIN), json.dumps({**config, **wrong}).encode())
