"""Evidence of OIDC issuers, with a real issuer as a process of its own."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from attestor_kit import AUDIENCE, by_jwt, renew, with_jwt
from ca_kit import FakeClock, OpenCore, a_request, issue
from featward.identity.v1 import identity_pb2
from featward_ca.attest import jwks
from featward_ca.directory import JwtIssuer
from featward_ca.errors import LaterError, NotAttestedError
from featward_ca.requests import keys_of as keys_of_requests
from featward_ca.settings import DAY
from featward_ca.store import audit
from oidc_kit import Issuer, running_issuer
from service_kit import Served, headers_of, refused, serving

NIGHTLY = {"sub": "job:1", "aud": AUDIENCE, "project": "pricing", "ref": "main"}
IDENTITY = "spiffe://prod.acme.example/bu/payments/ci/nightly"


@pytest.fixture
def clock() -> FakeClock:
    """The issuer is a real one, so the clock begins at the real time."""
    return FakeClock(time.time())


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    with running_issuer(tmp_path) as running:
        yield running


@pytest.fixture
async def served(
    open_core: OpenCore, clock: FakeClock, issuer: Issuer, tmp_path: Path
) -> AsyncIterator[Served]:
    core = await open_core(with_jwt(issuer.address, str(issuer.ca_file)))
    async with serving(core, clock, tmp_path) as running:
        yield running


async def reason_of_refusal(served: Served, token: str, workload: str = "") -> str:
    code, _ = await refused(by_jwt(served, token, workload=workload))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    return (await served.core.store.read(audit.entries))[-1].detail or ""


async def test_a_job_gets_the_identity_whose_claims_its_token_has(
    served: Served, issuer: Issuer
) -> None:
    answer = await by_jwt(served, issuer.token(NIGHTLY))
    assert answer.svid.spiffe_id == IDENTITY
    train = {"sub": "project:7", "aud": [AUDIENCE, "other"], "ref": "x"}
    answer = await by_jwt(served, issuer.token(train))
    assert answer.svid.spiffe_id.endswith("/bu/payments/ci/train")
    assert issuer.seen() == 1  # the keys are kept


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
async def test_keys_of_other_kinds_verify_too(
    served: Served, issuer: Issuer, algorithm: str
) -> None:
    issuer.key("two", algorithm)
    assert (await by_jwt(served, issuer.token(NIGHTLY, "two"))).svid.spiffe_id == IDENTITY


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"ref": "feature"}, "no Workload is attested"),
        ({"ref": ["main"]}, "no Workload is attested"),
        ({"aud": "featward.dev/ca/dev.acme.example"}, "not made for the audience"),
        ({"aud": None}, "not made for the audience"),
        ({"iss": "https://other.acme.example"}, "no issuer of the environment"),
        ({"exp": 1_000_000_000}, "ended"),
        ({"exp": True}, "exp is no time"),
        ({"nbf": 4_000_000_000}, "begins in"),
        ({"iat": 4_000_000_000}, "begins in"),
        ({"exp": 4_000_000_000}, "is the most"),
        ({"sub": 7}, "does not hold"),
    ],
)
async def test_a_token_with_other_claims_is_refused(
    served: Served, issuer: Issuer, claims: dict[str, object], why: str
) -> None:
    assert why in await reason_of_refusal(served, issuer.token(NIGHTLY | claims))


async def test_claims_that_fit_two_workloads_need_a_name(served: Served, issuer: Issuer) -> None:
    both = issuer.token(NIGHTLY | {"sub": "project:7"})
    assert "may be any of" in await reason_of_refusal(served, both)
    answer = await by_jwt(served, both, workload="prod.payments/train")
    assert answer.svid.spiffe_id.endswith("/ci/train")
    said = await reason_of_refusal(served, both, workload="prod.payments/pricing-api")
    assert "no Workload 'prod.payments/pricing-api'" in said


def forged(key: object, algorithm: str, claims: Mapping[str, object], **headers: str) -> str:
    times = {"iat": int(time.time()), "exp": int(time.time()) + 60}
    return jwt.encode({**times, **claims}, key, algorithm, headers)  # type: ignore[arg-type]  # any key


async def test_what_the_issuer_did_not_sign_is_refused(served: Served, issuer: Issuer) -> None:
    claims = NIGHTLY | {"iss": issuer.address}
    key = ec.generate_private_key(ec.SECP256R1())
    assert "does not hold" in await reason_of_refusal(
        served, forged(key, "ES256", claims, kid="one")
    )
    good = issuer.token(NIGHTLY)
    head, _, signature = good.split(".")
    body = json.dumps(claims | {"exp": int(time.time()) + 60}).encode()
    swapped = base64.urlsafe_b64encode(body).decode().rstrip("=")
    for token in (f"{head}.{swapped}.{signature}", f"{head}.{swapped}.AA"):
        assert "does not hold" in await reason_of_refusal(served, token)


async def test_no_algorithm_is_taken_from_the_token(served: Served, issuer: Issuer) -> None:
    claims = NIGHTLY | {"iss": issuer.address}
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = base64.b64encode(pem).decode()  # PyJWT refuses to sign with a PEM itself
    assert "does not hold" in await reason_of_refusal(
        served, forged(secret, "HS256", claims, kid="one")
    )
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').decode().rstrip("=")
    body = forged(secret, "HS256", claims).split(".")[1]
    assert "does not hold" in await reason_of_refusal(served, f"{head}.{body}.AA")


async def test_keys_that_are_too_weak_are_no_keys(served: Served, issuer: Issuer) -> None:
    issuer.key("one", "weak", alone=True)
    said = await reason_of_refusal(served, issuer.token(NIGHTLY))
    assert "has no key 'one'" in said


async def test_a_token_is_good_for_its_first_key_alone(served: Served, issuer: Issuer) -> None:
    token, key = issuer.token(NIGHTLY), ec.generate_private_key(ec.SECP256R1())
    for _ in range(2):
        answer = await by_jwt(served, token, a_request(key))
        assert answer.svid.spiffe_id == IDENTITY
    assert "used before" in await reason_of_refusal(served, token)
    # An ECDSA signature can be written in two ways; they are of one token.
    head, body, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = base64.urlsafe_b64encode(other).decode().rstrip("=")
    assert "used before" in await reason_of_refusal(served, f"{head}.{body}.{twin}")


async def test_a_used_token_is_forgotten_when_it_has_ended(
    served: Served, issuer: Issuer, clock: FakeClock
) -> None:
    token = issuer.token(NIGHTLY)
    await by_jwt(served, token)
    clock.advance(700)
    assert "ended" in await reason_of_refusal(served, token)


async def test_a_job_renews_by_its_svid_when_its_token_is_over(
    served: Served, issuer: Issuer, clock: FakeClock
) -> None:
    first = (await by_jwt(served, issuer.token(NIGHTLY))).svid
    clock.advance(1800)
    second = await renew(served, first)
    assert (second.spiffe_id, second.lineage) == (IDENTITY, first.lineage)


async def test_an_svid_is_renewed_once_with_evidence_or_without(
    served: Served, issuer: Issuer
) -> None:
    first = (await by_jwt(served, issuer.token(NIGHTLY))).svid
    again = NIGHTLY | {"jti": "2"}  # two tokens of one second would be one
    fresh = identity_pb2.Evidence(jwt=identity_pb2.JwtEvidence(token=issuer.token(again)))
    key = ec.generate_private_key(ec.SECP256R1())
    second = await renew(served, first, fresh, key=key)
    assert second.lineage == first.lineage
    assert (await renew(served, first, fresh, key=key)).chain == second.chain
    stream = served.stub.WatchIdentity(metadata=headers_of(first))
    await stream.read()
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
    code, said = await refused(stream.read())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "svid-cloned" in said


# The keys


def keys_of(issuer: Issuer, now: FakeClock, age: float = 3600) -> jwks.IssuerKeys:
    told = JwtIssuer("gitlab", issuer.address, str(issuer.ca_file), age)
    return jwks.IssuerKeys(told, now.now)


async def test_keys_are_kept_for_their_age_and_no_longer(issuer: Issuer, clock: FakeClock) -> None:
    keys = keys_of(issuer, clock)
    for _ in range(3):
        await keys.key("one")
    assert issuer.seen() == 1
    issuer.key("two", alone=True)
    clock.advance(3600)
    with pytest.raises(NotAttestedError):
        await keys.key("one")
    assert issuer.seen() == 2


async def test_a_new_key_is_found_and_invented_ones_cost_little(
    issuer: Issuer, clock: FakeClock
) -> None:
    keys = keys_of(issuer, clock)
    await keys.key("one")
    issuer.key("two")
    with pytest.raises(NotAttestedError):
        await keys.key("two")
    clock.advance(jwks.UNKNOWN_SECONDS)
    assert (await keys.key("two")).id == "two"
    for number in range(100):
        clock.advance(jwks.UNKNOWN_SECONDS / 101)
        with pytest.raises(NotAttestedError):
            await keys.key(f"invented-{number}")
    assert issuer.seen() == 2


async def test_without_its_keys_an_issuers_tokens_are_for_later(
    issuer: Issuer, clock: FakeClock
) -> None:
    keys = keys_of(issuer, clock)
    await keys.key("one")
    issuer.behave(down=True)
    clock.advance(3599)
    await keys.key("one")
    clock.advance(1)
    for _ in range(20):
        with pytest.raises(LaterError):
            await keys.key("one")
    assert issuer.seen("/.well-known/openid-configuration") == 2
    issuer.behave()
    clock.advance(jwks.RETRY_SECONDS)
    await keys.key("one")


async def test_a_key_set_of_any_size_is_not_read(issuer: Issuer, clock: FakeClock) -> None:
    issuer.behave(size=4_000_000)
    with pytest.raises(LaterError):
        await keys_of(issuer, clock).key("one")


async def test_a_token_without_kid_needs_an_issuer_with_one_key(
    issuer: Issuer, clock: FakeClock
) -> None:
    assert (await keys_of(issuer, clock).key(None)).id == "one"
    issuer.key("two")
    with pytest.raises(NotAttestedError):
        await keys_of(issuer, clock).key(None)


async def test_a_token_that_ends_while_it_is_used_is_bound_to_no_second_key(
    served: Served, issuer: Issuer, clock: FakeClock
) -> None:
    """Its use is forgotten when it ends, so from then on it must be good for nobody."""
    core, key = served.core, keys_of_requests([a_request()])[0]
    proof = await core.jwts.attest(core.situation.directory, issuer.token(NIGHTLY), "", key)
    clock.advance(DAY)
    with pytest.raises(NotAttestedError) as refusal:
        await issue(core, proof)
    assert refusal.value.reason == "the token has ended"


async def test_an_identity_by_a_jwt_ends_when_no_jwt_proves_it_any_more(
    served: Served, issuer: Issuer
) -> None:
    svid = (await by_jwt(served, issuer.token(NIGHTLY))).svid
    core = served.core
    core.take_over(replace(core.situation.directory, jwt_issuers=()))
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    await stream.read()
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
    code, said = await refused(stream.read())
    assert (code, "by no JWT any more" in said) == (grpc.StatusCode.FAILED_PRECONDITION, True)
