"""The Listener before a real gRPC server: who gets through, and what the server is told."""

import asyncio
import json
import os
import socket
import ssl
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509

from certificates import CA, DOMAIN, PRICING, SCORING, Authority, Environment, spki_sha256
from echo import channel, dialling, echo_server, listening, talk, unary, who
from featward_engine import ConfigError, Listener

FORGED = (
    ("featward-peer-spiffe-id", CA),
    ("featward-peer-expired", "1"),
    ("featward-peer-uid", "0"),
    ("featward-peer-address", "192.0.2.1"),
    ("featward-peer-key", "0" * 64),
    ("featward-peer-key-bin", b"0" * 32),
    ("featward-peer-anything", "x"),
    ("harmless", "y"),
)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def handshakes(listener: Listener) -> dict[str, int]:
    counts: dict[str, int] = json.loads(listener.handshakes())
    return counts


async def refusal(
    environment: Environment, folder: Path, identity: str, signer: Authority, **options: object
) -> tuple[str, str]:
    """Call with this identity; the call must fail. Why, for the listener and for the caller."""
    server = environment.process(environment.platform, CA)
    client = environment.credentials()
    signer.identify(client, identity, **options)
    async with (
        echo_server(folder) as (forward, _),
        listening(server, forward=forward) as (listener, address),
    ):
        far = {"address": address, "socket": folder / "out.sock", "expect": CA}
        async with dialling(client, **far) as (dialer, opened):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await who(opened)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "refused" in (dialer.last_error() or "")
            told = dict(caught.value.trailing_metadata())
            assert told["featward-cause"] == "refused"
    (counted,) = handshakes(listener)
    return counted, str(told["featward-alert"])


async def test_the_server_is_told_who_calls_and_forged_headers_are_dropped(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.credentials()
    leaf = environment.payments.identify(client, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
    ):
        far = {"address": address, "socket": tmp_path / "out.sock", "expect": CA}
        async with dialling(client, **far) as (dialer, opened):
            call = unary(opened, "/echo/Who")(b"", timeout=10, metadata=FORGED)
            seen = [tuple(pair) for pair in json.loads(await call)]
            assert (await call.trailing_metadata())["tail"] == "wagging"
            assert dialer.last_error() is None
        ours = json.loads(client.identity() or b"")
        assert sorted(pair for pair in seen if pair[0].startswith("featward-")) == [
            ("featward-peer-address", "127.0.0.1"),
            ("featward-peer-authority", environment.payments.spki_sha256.hex()),
            ("featward-peer-key", spki_sha256(leaf).hex()),
            ("featward-peer-serial", ours["serial"]),
            ("featward-peer-spiffe-id", PRICING),
            ("featward-peer-trust-domain", DOMAIN),
        ]
        assert ("harmless", "y") in seen
    assert handshakes(listener) == {"accepted": 1}


async def test_streams_and_their_last_words_are_carried_both_ways(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (_, address),
    ):
        far = {"address": address, "socket": tmp_path / "out.sock", "expect": CA}
        async with dialling(client, **far) as (_, opened):
            conversation = talk(opened)
            for message in (b"one", b"x" * 1_000_000, b"three"):
                await conversation.write(message)
                assert await conversation.read() == message
            await conversation.done_writing()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await conversation.read()
            assert caught.value.code() is grpc.StatusCode.DATA_LOSS
            assert caught.value.details() == "said all"


async def test_a_cancelled_call_is_cancelled_at_the_server(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, echo),
        listening(server, forward=forward) as (_, address),
    ):
        far = {"address": address, "socket": tmp_path / "out.sock", "expect": CA}
        async with dialling(client, **far) as (_, opened):
            call = unary(opened, "/echo/Wait")(b"", timeout=30)
            waiting = asyncio.ensure_future(call.wait_for_connection())
            await echo.waiting.wait()
            call.cancel()
            await echo.cancelled.wait()
            waiting.cancel()


async def test_another_root_is_refused(environment: Environment, tmp_path: Path) -> None:
    other = Authority.root().intermediate("prod.payments")
    found = await refusal(environment, tmp_path, PRICING, other)
    assert found == ("unknown-authority", "UnknownCA")


async def test_an_expired_certificate_is_refused(environment: Environment, tmp_path: Path) -> None:
    signer = environment.payments
    found = await refusal(environment, tmp_path, PRICING, signer, life=(-3600, -60))
    assert found == ("expired", "CertificateExpired")


async def test_an_expired_certificate_within_the_grace_is_marked(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING, life=(-3600, -60))
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward, expired_grace_seconds=3600) as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        assert (await who(opened))["featward-peer-expired"] == "1"


async def test_a_certificate_is_optional_where_the_server_says_so(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    far = {"socket": tmp_path / "out.sock", "expect": CA, "client_certificate": False}
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward, client_certificate="optional") as (_, address),
        dialling(environment.credentials(), address=address, **far) as (_, opened),
    ):
        call = unary(opened, "/echo/Who")(b"", timeout=10, metadata=FORGED)
        told = {name for name, _ in json.loads(await call) if name.startswith("featward-peer-")}
        assert told == {"featward-peer-address", "featward-peer-trust-domain"}


async def test_no_certificate_is_refused_where_one_is_required(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    far = {"socket": tmp_path / "out.sock", "expect": CA, "client_certificate": False}
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(environment.credentials(), address=address, **far) as (_, opened),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="CertificateRequired"):
            await who(opened)
    assert set(handshakes(listener)) == {"no-certificate"}


def _foreign_handshake(address: str, context: ssl.SSLContext, name: str | None = None) -> str:
    """Shake hands by Python's own TLS and read until the server ends it; what happened."""
    host, port = address.rsplit(":", 1)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                tls.recv(1)
                assert tls.session is None or not tls.session.has_ticket
                return tls.version() or ""
        except (ssl.SSLError, ConnectionError) as error:
            return str(error)


async def test_foreign_tls_gets_1_3_without_tickets_and_never_1_2(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    chain, key = environment.payments.write_identity(tmp_path, PRICING)
    new = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    new.load_cert_chain(chain, key)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_cert_chain(chain, key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
    ):
        assert await asyncio.to_thread(_foreign_handshake, address, new) == "TLSv1.3"
        assert "PROTOCOL_VERSION" in await asyncio.to_thread(_foreign_handshake, address, old)
    assert handshakes(listener) == {"accepted": 1, "protocol": 1}


async def test_two_uris_in_a_certificate_are_refused(
    environment: Environment, tmp_path: Path
) -> None:
    # Our own credentials would not take such a chain, so a foreign client shows it.
    server = environment.process(environment.platform, CA)
    chain, key = environment.payments.write_identity(tmp_path, PRICING, more_uris=(SCORING,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(chain, key)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
    ):
        assert "ALERT" in (await asyncio.to_thread(_foreign_handshake, address, context)).upper()
    assert handshakes(listener) == {"bad-svid": 1}


async def test_another_trust_domain_below_our_root_is_refused(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    foreign = PRICING.replace(DOMAIN, "staging.acme.example")
    chain, key = environment.payments.write_identity(tmp_path, foreign)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(chain, key)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
    ):
        assert "ALERT" in (await asyncio.to_thread(_foreign_handshake, address, context)).upper()
    assert handshakes(listener) == {"wrong-trust-domain": 1}


STAGING = "staging.acme.example"


def _shown(address: str, name: str | None) -> str:
    """The SPIFFE ID that a client without certificate is shown which asks for this name."""
    host, port = address.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)[0]


async def test_a_listener_shows_the_identity_that_the_server_name_asks_for(
    environment: Environment, tmp_path: Path
) -> None:
    other = Environment(STAGING)
    there = CA.replace(DOMAIN, STAGING)
    servers = environment.process(environment.platform, CA), other.process(other.platform, there)
    forward = tmp_path / "echo.sock"
    async with listening(*servers, client_certificate="optional", forward=forward) as (
        listener,
        address,
    ):
        for name, shown in [
            (DOMAIN, CA),
            (STAGING, there),
            (f"policy.{STAGING}", there),
            (f"Policy.{STAGING.upper()}", there),
            (f"policy.policy.{STAGING}", CA),
            ("elsewhere.example", CA),
            (None, CA),
        ]:
            assert await asyncio.to_thread(_shown, address, name) == shown, name
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(100):
                pass
    assert handshakes(listener) == {"accepted": 7, "protocol": 1}


async def test_each_caller_is_told_apart_by_the_environment_that_it_came_to(
    environment: Environment, tmp_path: Path
) -> None:
    other = Environment(STAGING)
    there = CA.replace(DOMAIN, STAGING)
    servers = environment.process(environment.platform, CA), other.process(other.platform, there)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(*servers, forward=forward) as (listener, address),
    ):
        for kind, expect in [(environment, CA), (other, there)]:
            identity = PRICING.replace(DOMAIN, kind.domain)
            client = kind.process(kind.payments, identity)
            far = {"address": address, "socket": tmp_path / f"{kind.domain}.sock", "expect": expect}
            async with dialling(client, **far) as (_, opened):
                seen = await who(opened)
            assert seen["featward-peer-spiffe-id"] == identity
            assert seen["featward-peer-trust-domain"] == kind.domain
    assert handshakes(listener) == {"accepted": 2}


async def test_a_peer_of_one_environment_is_nobody_in_another(
    environment: Environment, tmp_path: Path
) -> None:
    other = Environment(STAGING)
    there = CA.replace(DOMAIN, STAGING)
    servers = environment.process(environment.platform, CA), other.process(other.platform, there)
    chain, key = other.payments.write_identity(tmp_path, PRICING.replace(DOMAIN, STAGING))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(chain, key)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(*servers, forward=forward) as (listener, address),
    ):
        # By its own name it is somebody; by the other, or by none, its root is nobody's.
        for name, version in [(STAGING, "TLSv1.3"), (DOMAIN, "ALERT"), (None, "ALERT")]:
            said = await asyncio.to_thread(_foreign_handshake, address, context, name)
            assert version.upper() in said.upper(), name
    counts = handshakes(listener)
    assert counts.pop("accepted") == 1
    assert sum(counts.values()) == 2


async def test_a_change_of_trust_in_one_environment_cuts_off_its_own_peers_only(
    environment: Environment, tmp_path: Path
) -> None:
    other = Environment(STAGING)
    there = CA.replace(DOMAIN, STAGING)
    servers = environment.process(environment.platform, CA), other.process(other.platform, there)
    ours = environment.process(environment.payments, PRICING)
    theirs = other.process(other.payments, PRICING.replace(DOMAIN, STAGING))
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(*servers, forward=forward) as (_, address),
        dialling(ours, address=address, socket=tmp_path / "a.sock", expect=CA) as (_, stays),
        dialling(theirs, address=address, socket=tmp_path / "b.sock", expect=there) as (_, goes),
    ):
        kept, cut = talk(stays), talk(goes)
        for call in (kept, cut):
            await call.write(b"one")
            assert await call.read() == b"one"
        servers[1].set_trust(other.roots, other.scopes[1:], 2)
        with pytest.raises(grpc.aio.AioRpcError):
            await cut.read()
        await kept.write(b"two")
        assert await kept.read() == b"two"


async def test_a_trust_domain_is_served_once(environment: Environment, tmp_path: Path) -> None:
    config = json.dumps({"listen": "127.0.0.1:0", "forward": str(tmp_path / "x")}).encode()
    with pytest.raises(ConfigError, match="each trust domain once"):
        Listener(environment.credentials(), config, [environment.credentials()])


async def test_a_caller_on_the_unix_front_is_known_by_its_process(
    environment: Environment, tmp_path: Path
) -> None:
    front = tmp_path / "front.sock"
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(environment.credentials(), forward=forward, listen=f"unix:{front}"),
        channel(front) as opened,
    ):
        assert front.stat().st_mode & 0o777 == 0o666
        answer = await unary(opened, "/echo/Who")(b"", timeout=10, metadata=FORGED)
        seen = {name: value for name, value in json.loads(answer) if name.startswith("featward-")}
        assert seen == {
            "featward-peer-uid": str(os.getuid()),
            "featward-peer-gid": str(os.getgid()),
            "featward-peer-pid": str(os.getpid()),
        }
    assert not front.exists()


async def test_a_live_connection_ends_when_its_authority_leaves_the_table(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, echo),
        listening(server, forward=forward) as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        call = unary(opened, "/echo/Wait")(b"", timeout=30)
        answer = asyncio.ensure_future(_code(call))
        await echo.waiting.wait()
        server.set_trust(environment.roots, environment.scopes[1:], 2)
        assert await answer is not grpc.StatusCode.OK
        await echo.cancelled.wait()


async def _code(call: "grpc.aio.UnaryUnaryCall[bytes, bytes]") -> grpc.StatusCode:
    return await call.code()


async def test_a_server_that_is_down_is_unavailable(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    async with (
        listening(server, forward=tmp_path / "nobody.sock") as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="cannot be reached") as caught:
            await who(opened)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_stopping_waits_for_calls_under_way(environment: Environment, tmp_path: Path) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        conversation = talk(opened)
        await conversation.write(b"one")
        assert await conversation.read() == b"one"
        stopping = asyncio.create_task(asyncio.to_thread(listener.stop, 10.0))
        await conversation.write(b"two")
        assert await conversation.read() == b"two"
        assert not stopping.done()
        await conversation.done_writing()
        assert await conversation.code() is grpc.StatusCode.DATA_LOSS
        await stopping
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)


@pytest.mark.parametrize(
    "change",
    [
        {"forwards": "/x"},
        {"forward": "relative.sock"},
        {"listen": "nowhere"},
        {"listen": "unix:relative"},
        {"client_certificate": "maybe"},
        {"expired_grace_seconds": -1},
        {"limits": {"idle_seconds": 0}},
        {"limits": {"connections": 0}},
        {"limits": {"strems": 5}},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    environment: Environment, change: dict[str, object]
) -> None:
    config = {"listen": "127.0.0.1:0", "forward": "/x/y.sock", **change}
    with pytest.raises(ConfigError):
        Listener(environment.credentials(), json.dumps(config).encode())


def test_an_address_in_use_and_a_second_start_are_refused(environment: Environment) -> None:
    config = {"listen": "127.0.0.1:0", "forward": "/x/y.sock"}
    first = Listener(environment.credentials(), json.dumps(config).encode())
    address = first.start()
    with pytest.raises(ConfigError, match="started"):
        first.start()
    config["listen"] = address
    with pytest.raises(ConfigError, match="cannot listen on"):
        Listener(environment.credentials(), json.dumps(config).encode()).start()
    first.stop(0.0)
