"""What Python may say of trust and identity beyond our own CA's: bans, foreign domains, other issuers' keys."""

import asyncio
import datetime
import json
import time
from hashlib import sha256
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certificates import CA, DOMAIN, PRICING, Authority, Environment, der
from echo import channel, dialling, echo_server, listening, talk, who
from featward_engine import ConfigError, Credentials, IdentityError, judge

PARTNER = "partner.example"
BUYER = f"spiffe://{PARTNER}/bu/payments/svc/pricing"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def pkcs8(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture
def environment() -> Environment:
    return Environment()


async def test_a_ban_ends_a_live_stream_within_a_second_and_keeps_the_caller_out(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA)
    client = environment.process(environment.payments, PRICING)
    serial = json.loads(client.identity() or b"")["serial"]
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (listener, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        conversation = talk(opened)
        await conversation.write(b"x")
        assert await conversation.read() == b"x"
        bans = [("serial", serial, 0)]
        server.set_trust(environment.roots, environment.scopes, 2, bans=bans)
        async with asyncio.timeout(1):
            assert await conversation.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)
        assert json.loads(listener.handshakes())["banned"] >= 1
        # Another certificate of the same workload is not meant.
        environment.payments.identify(client, PRICING)
        async with channel(tmp_path / "out.sock") as again:
            assert (await who(again))["featward-peer-spiffe-id"] == PRICING


@pytest.mark.parametrize(
    "ban",
    [("serial", "", 0), ("identity", "nobody", 0), ("authority", "ff", 0), ("planet", "x", 0)],
)
def test_a_ban_that_cannot_be_meant_changes_nothing(
    environment: Environment, ban: tuple[str, str, int]
) -> None:
    credentials = environment.credentials()
    with pytest.raises(IdentityError, match="bad-trust"):
        credentials.set_trust(environment.roots, environment.scopes, 2, bans=[ban])
    assert credentials.sequence() == 1


async def test_a_foreign_identity_is_told_to_the_server_as_what_it_is(
    environment: Environment, tmp_path: Path
) -> None:
    theirs = Authority.root(PARTNER)
    server = environment.process(environment.platform, CA)
    foreign = [(PARTNER, [der(theirs.certificate)])]
    server.set_trust(environment.roots, environment.scopes, 2, foreign=foreign)
    buyer = Credentials(PARTNER)
    buyer.set_trust([der(theirs.certificate)], None, 1, foreign=[(DOMAIN, environment.roots)])
    theirs.intermediate("any").identify(buyer, BUYER)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (_, address),
        dialling(buyer, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        assert (await who(opened))["featward-peer-spiffe-id"] == BUYER


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["RSA", "P-384", "Ed25519"],
)
async def test_an_identity_of_another_issuer_is_shown_with_its_own_kind_of_key(
    environment: Environment, tmp_path: Path, key: Key
) -> None:
    """As from a SPIRE whose CA is self-signed: a leaf alone, and no scope table."""
    leaf = certify(environment.root, CA, key)
    server = Credentials(DOMAIN)
    server.set_trust(environment.roots, None, 1)
    assert server.set_external_identity([der(leaf)], pkcs8(key)) == CA
    assert json.loads(server.identity() or b"")["authority"] is None
    client = Credentials(DOMAIN)
    client.set_trust(environment.roots, None, 1)
    environment.payments.identify(client, PRICING)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (_, opened),
    ):
        assert (await who(opened))["featward-peer-spiffe-id"] == PRICING


def certify(authority: Authority, identity: str, key: Key) -> x509.Certificate:
    template = authority.leaf(identity, ec.generate_private_key(ec.SECP256R1()).public_key())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for extension in template.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(authority.key, hashes.SHA256())


def test_the_wrong_key_is_refused_and_never_quoted(environment: Environment) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    leaf = certify(environment.root, PRICING, key)
    credentials = environment.credentials()
    for wrong in (pkcs8(other), pkcs8(key)[:-1], b"", b"secret text"):
        with pytest.raises(IdentityError, match="key-mismatch") as caught:
            credentials.set_external_identity([der(leaf)], wrong)
        assert "secret" not in str(caught.value)
    assert credentials.identity() is None


def test_an_exported_identity_is_a_chain_and_the_key_of_its_leaf(environment: Environment) -> None:
    credentials = environment.credentials()
    assert credentials.export_identity() is None
    environment.payments.identify(credentials, PRICING)
    exported = credentials.export_identity()
    assert exported is not None
    chain, key = exported
    leaf = x509.load_der_x509_certificate(chain[0])
    loaded = serialization.load_der_private_key(key, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.public_key() == leaf.public_key()
    assert chain[1:] == [der(environment.payments.certificate)]
    assert leaf.serial_number == int(json.loads(credentials.identity() or b"")["serial"], 16)


def test_a_foreign_key_is_exported_as_it_came(environment: Environment) -> None:
    key = rsa.generate_private_key(65537, 2048)
    leaf = certify(environment.root, PRICING, key)
    credentials = environment.credentials()
    credentials.set_external_identity([der(leaf)], pkcs8(key))
    assert credentials.export_identity() == ([der(leaf)], pkcs8(key))


async def test_a_ca_with_an_authority_of_tomorrow_is_reached_by_the_root(
    environment: Environment, tmp_path: Path
) -> None:
    newest = environment.root.intermediate("platform")
    server = environment.process(newest, CA)
    client = environment.process(environment.payments, PRICING)
    far = {"socket": tmp_path / "out.sock", "expect": CA}
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(server, forward=forward) as (_, address),
    ):
        async with dialling(client, address=address, **far) as (dialer, opened):
            with pytest.raises(grpc.aio.AioRpcError):
                await who(opened)
            assert "out-of-scope" in (dialer.last_error() or "")
        far["platform_by_root"] = True
        async with dialling(client, address=address, **far) as (dialer, opened):
            assert (await who(opened))["featward-peer-spiffe-id"] == PRICING
            assert dialer.last_error() is None


async def test_a_refusal_for_time_shows_both_clocks(
    environment: Environment, tmp_path: Path
) -> None:
    server = environment.process(environment.platform, CA, life=(-3600, -60))
    client = environment.process(environment.payments, PRICING)
    client.set_clock_offset(600.0)
    async with (
        listening(server, forward=tmp_path / "none.sock") as (_, address),
        dialling(client, address=address, socket=tmp_path / "out.sock", expect=CA) as (
            dialer,
            opened,
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)
        error = dialer.last_error() or ""
        assert "clock-skew" in error
        assert "600.0 s ahead of the CA's" in error
        client.set_clock_offset(None)
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)
        error = dialer.last_error() or ""
        assert "(expired)" in error
        assert "clock" not in error


def test_a_tool_gets_the_engine_s_own_judgement(environment: Environment) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = environment.payments.leaf(PRICING, key.public_key())
    question = {
        "trust_domain": DOMAIN,
        "roots": [root.hex() for root in environment.roots],
        "scopes": [[digest.hex(), prefix] for digest, prefix in environment.scopes],
        "chain": [der(leaf).hex(), der(environment.payments.certificate).hex()],
        "at": time.time(),
    }
    answer = json.loads(judge(json.dumps(question).encode()))
    assert answer["accepted"] is True
    assert answer["spiffe_id"] == PRICING
    assert answer["authority"] == environment.payments.spki_sha256.hex()
    question["bans"] = [["identity", PRICING, 0]]
    answer = json.loads(judge(json.dumps(question).encode()))
    assert (answer["accepted"], answer["cause"]) == (False, "banned")
    question["bans"] = []
    question["scopes"] = [[sha256(b"other").hexdigest(), "/bu/payments/"]]
    answer = json.loads(judge(json.dumps(question).encode()))
    assert (answer["accepted"], answer["cause"]) == (False, "out-of-scope")
    with pytest.raises(ConfigError):
        judge(b"{}")
