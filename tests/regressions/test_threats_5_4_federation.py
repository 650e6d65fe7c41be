"""Federation, from the list of threats: what a foreign trust domain could do to us, and does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from ca_kit import KEK, a_directory
from certificates import CA, DOMAIN, PRICING, Authority, Environment, der
from echo import dialling, echo_server, listening, talk, who
from featward.identity.v1 import identity_pb2
from featward_ca.clock import SystemClock
from featward_ca.core import Core
from featward_ca.federation.bundle import document
from featward_ca.federation.relations import Relation
from featward_ca.keys import EncryptedKeyStore
from featward_ca.own_identity import OwnIdentity
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store
from featward_ca.trust import ForeignRoots, Trust
from featward_engine import Credentials
from featward_sidecar.trust import bundles, use_trust

PARTNER, OTHER = "partner.example", "other.example"
BUYER = f"spiffe://{PARTNER}/bu/payments/svc/pricing"


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def partner() -> Authority:
    return Authority.root(PARTNER)


@pytest.fixture
def other() -> Authority:
    return Authority.root(OTHER)


def told(environment: Environment, *foreign: ForeignRoots, sequence: int = 2) -> identity_pb2.Trust:
    """What the CA announces to sidecars."""
    scopes = tuple(environment.scopes)
    roots = tuple(environment.roots)
    return Trust(sequence, DOMAIN, roots, scopes, foreign=foreign).message()


def roots_of(domain: str, *roots: Authority) -> ForeignRoots:
    return ForeignRoots(domain, 1, tuple(der(root.certificate) for root in roots))


def caller(environment: Environment, issuer: Authority, domain: str, identity: str) -> Credentials:
    """Who shows a chain of this issuer, whatever it is worth."""
    credentials = Credentials(domain)
    own = [der(issuer.certificate)]
    # It believes the server that it calls, and its own issuer.
    foreign = [] if domain == DOMAIN else [(DOMAIN, environment.roots)]
    trusted = [*environment.roots, *own] if domain == DOMAIN else own
    credentials.set_trust(trusted, None, 1, foreign=foreign)
    issuer.intermediate("any").identify(credentials, identity)
    return credentials


@asynccontextmanager
async def serving(
    environment: Environment, trust: identity_pb2.Trust, folder: Path
) -> AsyncIterator[tuple[Credentials, str]]:
    """A server of ours that was told this."""
    server = environment.process(environment.platform, CA)
    use_trust(server, trust)
    async with (
        echo_server(folder) as (forward, _),
        listening(server, forward=forward) as (_, address),
    ):
        yield server, address


async def accepted(credentials: Credentials, address: str, folder: Path) -> str | None:
    """The identity that the server saw; None where it refused the handshake."""
    config = {"address": address, "socket": folder / "out.sock", "expect": CA}
    async with dialling(credentials, **config) as (_, opened):
        try:
            return (await who(opened))["featward-peer-spiffe-id"]
        except grpc.aio.AioRpcError as error:
            code = error.code()
    assert code is grpc.StatusCode.UNAVAILABLE
    return None


async def test_a_foreign_bundle_judges_only_its_own_domain(
    environment: Environment, partner: Authority, other: Authority, tmp_path: Path
) -> None:
    trust = told(environment, roots_of(PARTNER, partner), roots_of(OTHER, other))
    async with serving(environment, trust, tmp_path) as (_, address):

        async def sees(issuer: Authority, domain: str, identity: str) -> str | None:
            shown = caller(environment, issuer, domain, identity)
            return await accepted(shown, address, tmp_path)

        assert await sees(partner, PARTNER, BUYER) == BUYER
        # Neither an identity of ours, of the platform or of another foreign domain ...
        for identity in (PRICING, CA, f"spiffe://{DOMAIN}/featward/operator"):
            assert await sees(partner, DOMAIN, identity) is None
        assert await sees(partner, OTHER, f"spiffe://{OTHER}/bu/payments/svc/pricing") is None
        # ... nor does our own root speak for the foreign domain.
        assert await sees(environment.root, PARTNER, BUYER) is None


async def test_a_foreign_domain_that_publishes_our_authority_as_its_root_makes_it_no_root(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    """A business unit's authority could sign identities of the foreign domain with it."""
    trust = told(environment, roots_of(PARTNER, partner, environment.payments))
    async with serving(environment, trust, tmp_path) as (_, address):
        stolen = Credentials(PARTNER)
        stolen.set_trust(
            [der(environment.payments.certificate)], None, 1, foreign=[(DOMAIN, environment.roots)]
        )
        environment.payments.identify(stolen, BUYER)
        assert await accepted(stolen, address, tmp_path) is None
        good = caller(environment, partner, PARTNER, BUYER)
        assert await accepted(good, address, tmp_path) == BUYER


async def test_a_removed_domain_is_refused_on_live_and_on_new_connections_within_a_second(
    environment: Environment, partner: Authority, tmp_path: Path
) -> None:
    trust = told(environment, roots_of(PARTNER, partner))
    async with serving(environment, trust, tmp_path) as (server, address):
        buyer = caller(environment, partner, PARTNER, BUYER)
        config = {"address": address, "socket": tmp_path / "live.sock", "expect": CA}
        async with dialling(buyer, **config) as (_, opened):
            conversation = talk(opened)
            await conversation.write(b"x")
            assert await conversation.read() == b"x"
            use_trust(server, told(environment, sequence=3))
            async with asyncio.timeout(1):
                assert await conversation.code() is grpc.StatusCode.UNAVAILABLE
        assert await accepted(buyer, address, tmp_path) is None


def test_apps_get_each_foreign_bundle_under_its_own_name(
    environment: Environment, partner: Authority, other: Authority
) -> None:
    own, foreign = bundles(told(environment, roots_of(PARTNER, partner), roots_of(OTHER, other)))
    assert (own.trust_domain, list(own.roots)) == (DOMAIN, environment.roots)
    assert {(one.trust_domain, one.roots) for one in foreign} == {
        (PARTNER, (der(partner.certificate),)),
        (OTHER, (der(other.certificate),)),
    }


async def test_our_ca_answers_no_foreign_caller(partner: Authority, tmp_path: Path) -> None:
    """Foreign roots are for sidecars; the CA's own Listeners do not judge by them."""
    relation = Relation(PARTNER, "https://127.0.0.1:1/")
    situation = Situation.of(a_directory(relations={PARTNER: relation}), unsafe_short_lives=False)
    store = open_store(f"sqlite:///{tmp_path}/ca.sqlite3")
    core = await Core.open(store, EncryptedKeyStore(KEK), situation, SystemClock())
    raw = document(Trust(1, PARTNER, (der(partner.certificate),), ()), 300)
    assert await core.foreign.take(PARTNER, raw)
    await core.authorities.load()
    await core.announce()
    (told_of,) = core.trust.current.foreign
    assert (told_of.trust_domain, told_of.roots) == (PARTNER, (der(partner.certificate),))
    credentials = Credentials(DOMAIN)
    await OwnIdentity(core, credentials).renew()
    buyer = Credentials(PARTNER)
    foreign = [(DOMAIN, list(core.trust.current.roots))]
    buyer.set_trust([der(partner.certificate)], None, 1, foreign=foreign)
    partner.intermediate("any").identify(buyer, BUYER)
    async with (
        echo_server(tmp_path) as (forward, _),
        listening(credentials, forward=forward) as (listener, address),
    ):
        assert await accepted(buyer, address, tmp_path) is None
        assert json.loads(listener.handshakes())["wrong-trust-domain"] >= 1
    await core.close()
