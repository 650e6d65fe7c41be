"""The Dialer under open gRPC channels: whom it trusts, and how it changes its certificate."""

import asyncio
import json
import socket
from pathlib import Path

import grpc
import grpc.aio
import pytest

from certificates import CA, PRICING, SCORING, Environment
from echo import channel, dialling, echo_server, listening, talk, who
from featward_engine import ConfigError, Credentials, Dialer


@pytest.fixture
def environment() -> Environment:
    return Environment()


def serial(credentials: Credentials) -> str:
    return str(json.loads(credentials.identity() or b"")["serial"])


async def test_a_new_identity_goes_under_open_channels_without_failing_a_call(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    serials = [serial(client)]
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        conversation = talk(opened)
        seen: list[str] = []
        done = asyncio.Event()

        async def call_on_and_on() -> None:
            while not done.is_set():
                seen.append((await who(opened))["featward-peer-serial"])

        callers = [asyncio.create_task(call_on_and_on()) for _ in range(4)]
        for _ in range(5):
            await conversation.write(b"still here")
            assert await conversation.read() == b"still here"
            environment.payments.identify(client, PRICING)
            serials.append(serial(client))
            async with asyncio.timeout(10):
                while serials[-1] not in seen:
                    await asyncio.wait(callers, timeout=0.01, return_when=asyncio.FIRST_EXCEPTION)
                    assert not any(caller.done() for caller in callers)
        done.set()
        await asyncio.gather(*callers)
        assert await _last_words(conversation) is grpc.StatusCode.DATA_LOSS
        assert set(seen) == set(serials)
        # Every call that starts after the change carries the new certificate.
        assert (await who(opened))["featward-peer-serial"] == serials[-1]
    assert json.loads(listener.handshakes()) == {"accepted": len(serials)}


async def _last_words(conversation: "grpc.aio.StreamStreamCall[bytes, bytes]") -> grpc.StatusCode:
    await conversation.write(b"bye")
    assert await conversation.read() == b"bye"
    await conversation.done_writing()
    return await conversation.code()


async def test_a_server_of_another_identity_is_not_trusted_and_gets_nothing(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.payments, PRICING)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (
            dialer,
            opened,
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await who(opened)
        assert dict(caught.value.trailing_metadata())["featward-cause"] == "not-trusted"
        assert "wrong-identity" in (dialer.last_error() or "")
    assert "accepted" not in json.loads(listener.handshakes())


async def test_nobody_there_is_unreachable_and_forgotten_once_a_call_gets_through(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    async with (
        echo_server(tmp_path) as (forward, _),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (
            dialer,
            opened,
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await who(opened)
        assert dict(caught.value.trailing_metadata())["featward-cause"] == "unreachable"
        assert address in (dialer.last_error() or "")
        async with listening(server, forward=forward, listen=address):
            assert (await who(opened))["featward-peer-spiffe-id"] == PRICING
            assert dialer.last_error() is None


async def test_a_port_without_tls_is_said_to_be_one(
    environment: Environment, tmp_path: Path
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    client = environment.process(environment.payments, PRICING)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        address = "{}:{}".format(*plain.sockets[0].getsockname())
        far = {"address": address, "socket": tmp_path / "out.sock", "expect": CA}
        async with dialling(client, **far) as (dialer, opened):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await who(opened)
            assert dict(caught.value.trailing_metadata())["featward-cause"] == "unreachable"
            assert dialer.last_error() == (
                "what listens there does not speak TLS; name the port that does"
            )


async def test_without_an_identity_calls_fail_as_such_until_there_is_one(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.credentials()
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await who(opened)
        assert dict(caught.value.trailing_metadata())["featward-cause"] == "no-identity"
        environment.payments.identify(client, PRICING)
        assert (await who(opened))["featward-peer-spiffe-id"] == PRICING


def first_contact(environment: Environment, address: str, folder: Path) -> dict[str, object]:
    return {
        "address": address,
        "socket": folder / "out.sock",
        "expect": CA,
        "root_sha256": environment.root_sha256,
        "client_certificate": False,
    }


async def test_first_contact_by_the_digest_of_the_root(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    config = {"client_certificate": "optional", "send_root": True}
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward, **config) as (_, address),
        dialling(
            Credentials("prod.acme.example"), **first_contact(environment, address, tmp_path)
        ) as (dialer, opened),
    ):
        await who(opened)
        assert dialer.last_error() is None


@pytest.mark.parametrize("stolen", ["payments", "other root"])
async def test_first_contact_refuses_impostors(
    environment: Environment, tmp_path: Path, stolen: str
) -> None:
    theirs = environment if stolen == "payments" else Environment()
    signer = theirs.payments if stolen == "payments" else theirs.platform
    impostor = Credentials("prod.acme.example")
    impostor.set_trust(theirs.roots, [(signer.spki_sha256, "/featward/")], 1)
    signer.identify(impostor, CA, claimed_issuer=environment.platform)
    config = {"client_certificate": "optional", "send_root": True}
    async with (
        listening(impostor, forward=tmp_path / "none.sock", **config) as (listener, address),
        dialling(
            Credentials("prod.acme.example"), **first_contact(environment, address, tmp_path)
        ) as (dialer, opened),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)
        assert "not trusted" in (dialer.last_error() or "")
    assert "accepted" not in json.loads(listener.handshakes())


async def test_a_unix_address_is_passed_through(environment: Environment, tmp_path: Path) -> None:
    front = f"unix:{tmp_path / 'front.sock'}"
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(environment.credentials(), forward=forward, listen=front),
        dialling(environment.credentials(), address=front, socket=tmp_path / "out.sock") as (
            _,
            opened,
        ),
    ):
        assert "featward-peer-uid" in await who(opened)


async def test_a_server_s_new_certificate_does_not_disturb_open_channels(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.risk, SCORING)
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=SCORING) as (
            _,
            opened,
        ),
    ):
        await who(opened)
        environment.risk.identify(server, SCORING)
        await who(opened)
    assert json.loads(listener.handshakes()) == {"accepted": 1}


async def test_a_server_near_the_end_of_its_certificate_s_life_is_dialled_anew(
    environment: Environment, tmp_path: Path
) -> None:
    # 80 % of this life is over a second from now.
    server = environment.process(environment.platform, CA, life=(-11, 4))
    client = environment.process(environment.payments, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        await who(opened)
        environment.platform.identify(server, CA)
        while json.loads(listener.handshakes()) == {"accepted": 1}:
            await who(opened)
        for _ in range(3):
            await who(opened)
        assert json.loads(listener.handshakes()) == {"accepted": 2}


def test_the_socket_is_private_and_a_stale_one_is_replaced(
    environment: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "out.sock"
    config = json.dumps({"address": "127.0.0.1:1", "socket": str(path), "expect": CA}).encode()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    dialer = Dialer(environment.credentials(), config)
    assert dialer.start() == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="somebody else listens"):
        Dialer(environment.credentials(), config).start()
    dialer.stop()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        dialer.start()
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "change",
    [
        {"expect": None},
        {"expect": "spiffe://prod.acme.example"},
        {"socket": "relative.sock"},
        {"address": "nowhere"},
        {"root_sha256": "ab"},
        {"root_sha256": "g" * 64},
        {"expects": CA},
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    environment: Environment, change: dict[str, object]
) -> None:
    config = {"address": "127.0.0.1:1", "socket": "/x/out.sock", "expect": CA, **change}
    with pytest.raises(ConfigError):
        Dialer(environment.credentials(), json.dumps(config).encode())


async def test_many_channels_share_a_dialer(environment: Environment, tmp_path: Path) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    path = tmp_path / "out.sock"
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=path, expect=CA) as (_, opened),
        channel(path) as second,
    ):
        await asyncio.gather(*(who(one) for one in (opened, second) for _ in range(50)))
    assert json.loads(listener.handshakes()) == {"accepted": 2}
