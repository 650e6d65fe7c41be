"""Strangers at the CA's Listener who open calls and say nothing hold little of it, and not for long."""

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived

from ca_kit import TRUST_DOMAIN
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward.identity.join_token import JoinToken
from featward.identity.v1 import identity_pb2_grpc
from featward_ca.clock import SystemClock
from featward_ca.fetch import fetch_svid
from featward_ca.server import Addresses, running
from featward_ca.settings import ServeSettings
from featward_engine import Credentials, Dialer

MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast, attest: {unix: {user: "%d"}}}
"""
# What the Listener gives one source, and how long a call's message may take to begin.
OF_ONE_SOURCE = 256
MORE = 20
SECONDS = 10
HEAD = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    (":path", "/featward.identity.v1.IdentityService/Attest"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
OPTIONS = [("grpc.default_authority", "localhost")]
Stub: Any = identity_pb2_grpc.IdentityServiceStub
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


@pytest.fixture
async def ca(tmp_path: Path) -> AsyncIterator[Addresses]:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS % os.getuid())
    settings = ServeSettings(
        environment="prod",
        data=tmp_path / "data",
        manifests=manifests,
        kek_file=tmp_path / "kek",
        listen="127.0.0.1:0",
        workload_socket=tmp_path / "w.sock",
        admin_socket=tmp_path / "admin.sock",
        health="127.0.0.1:0",
    )
    async with running(settings, SystemClock()) as addresses:
        yield addresses


class Silent:
    """One call whose message never comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http2 = H2Connection(H2Configuration(client_side=True))
        self._http2.initiate_connection()
        self._http2.send_headers(1, HEAD)
        writer.write(self._http2.data_to_send())

    async def end(self) -> str:
        """gRPC's status; empty where the connection was closed instead."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(4096):
                for event in self._http2.receive_data(data):
                    if isinstance(event, ResponseReceived):
                        return dict(event.headers).get(b"grpc-status", b"").decode()
                self._writer.write(self._http2.data_to_send())
        return ""

    def close(self) -> None:
        self._writer.close()


async def silent(address: str) -> Silent:
    if address.startswith("unix:"):
        return Silent(*await asyncio.open_unix_connection(address.removeprefix("unix:")))
    host, port = address.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return Silent(*await asyncio.open_connection(host, int(port), ssl=context))


@contextlib.asynccontextmanager
async def crowd(address: str, number: int) -> AsyncIterator[list[Silent]]:
    gate = asyncio.Semaphore(32)

    async def one() -> Silent:
        async with gate:
            return await silent(address)

    opened = await asyncio.gather(*(one() for _ in range(number)))
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


@contextlib.asynccontextmanager
async def watching(address: str, credentials: Credentials, folder: Path) -> AsyncIterator[Any]:
    """A stub over the engine's Dialer, with whatever certificate these credentials hold."""
    socket = str(folder / "out.sock")
    told = {
        "address": address,
        "socket": socket,
        "expect": f"spiffe://{TRUST_DOMAIN}/featward/ca",
        "client_certificate": not address.startswith("unix:"),
        "platform_by_root": True,
    }
    dialer = Dialer(credentials, json.dumps(told).encode())
    try:
        async with grpc.aio.insecure_channel(f"unix:{dialer.start()}", OPTIONS) as channel:
            yield Stub(channel)
    finally:
        await asyncio.to_thread(dialer.stop)


async def fetched(ca: Addresses, out: Path) -> None:
    """Attest over the network with a new join token."""
    async with grpc.aio.insecure_channel(f"unix:{ca.admin_socket}") as channel:
        request = authority_pb2.CreateJoinTokenRequest(workload="prod.payments/pricing-api")
        answer = await AdminStub(channel).CreateJoinToken(request)
    await asyncio.to_thread(fetch_svid, ca.listen, JoinToken.parse(answer.token), out)


def holder(out: Path) -> Credentials:
    """Credentials of who was given these files."""
    der = serialization.Encoding.DER
    read = {
        name: [
            one.public_bytes(der)
            for one in x509.load_pem_x509_certificates((out / f"{name}.pem").read_bytes())
        ]
        for name in ("svid", "bundle")
    }
    key = serialization.load_pem_private_key((out / "key.pem").read_bytes(), None)
    none = serialization.NoEncryption()
    credentials = Credentials(TRUST_DOMAIN)
    credentials.set_trust(read["bundle"], [], 1)
    pkcs8 = key.private_bytes(der, serialization.PrivateFormat.PKCS8, none)
    credentials.set_external_identity(read["svid"], pkcs8)
    return credentials


async def test_strangers_that_say_nothing_keep_no_workload_from_its_stream(
    ca: Addresses, tmp_path: Path
) -> None:
    await fetched(ca, tmp_path / "before")
    credentials = holder(tmp_path / "before")
    async with (
        crowd(ca.listen, OF_ONE_SOURCE + MORE) as strangers,
        watching(ca.listen, credentials, tmp_path) as stub,
    ):
        stream = stub.WatchIdentity()
        assert (await asyncio.wait_for(stream.read(), 5)).trust.trust_domain == TRUST_DOMAIN
        async with asyncio.timeout(SECONDS + 5):
            ends = await asyncio.gather(*(stranger.end() for stranger in strangers))
        assert sorted(ends) == [""] * MORE + ["4"] * OF_ONE_SOURCE
        stream.cancel()
    async with (
        aiohttp.ClientSession(f"http://{ca.health}") as http,
        http.get("/metrics") as answer,
    ):
        outcome = 'listener="listen",outcome="too-many-of-one-source"'
        assert f"featward_ca_connections_total{{{outcome}}} {MORE}.0" in await answer.text()
    await fetched(ca, tmp_path / "after")


async def test_a_user_s_call_that_says_nothing_ends_and_its_stream_goes_on(
    ca: Addresses, tmp_path: Path
) -> None:
    address = ca.workload_socket
    assert address is not None
    async with (
        crowd(address, 3) as silent_calls,
        watching(address, Credentials(TRUST_DOMAIN), tmp_path) as stub,
    ):
        stream = stub.WatchIdentity()
        assert (await stream.read()).trust.trust_domain == TRUST_DOMAIN
        async with asyncio.timeout(SECONDS + 5):
            assert await asyncio.gather(*(call.end() for call in silent_calls)) == ["4"] * 3
        await asyncio.sleep(0.5)
        assert not stream.done()
        stream.cancel()
