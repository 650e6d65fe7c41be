"""Defects of other issuers that our attestors must not have; one test each, named after the defect."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from attestor_kit import (
    AUDIENCE,
    Front,
    a_ca,
    by_jwt,
    by_kubernetes,
    reason_of_refusal,
    with_cluster,
    with_jwt,
)
from featward_ca.attest.reviews import AT_ONCE
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from oidc_kit import Issuer, running_issuer

CLAIMS = {"sub": "project:7", "aud": AUDIENCE}


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    with running_issuer(tmp_path) as running:
        yield running


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def body_of(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    read: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


async def test_the_identity_comes_only_from_what_the_token_review_returned(tmp_path: Path) -> None:
    """A TokenReview says whose the token is; its own words are a stranger's."""
    claims = {
        "iss": ISSUER,
        "aud": [AUDIENCE],
        "exp": int(time.time()) + 600,
        "sub": "system:serviceaccount:scoring:admin",
        "kubernetes.io": {"namespace": "scoring", "serviceaccount": {"name": "admin"}},
    }
    front = Front()
    pod = "authentication.kubernetes.io/pod-"
    front.answer = {
        "authenticated": True,
        "audiences": [AUDIENCE],
        "user": {
            "username": "system:serviceaccount:pricing:api",
            "extra": {f"{pod}name": ["api-1"], f"{pod}uid": ["7"]},
        },
    }
    directory = with_cluster(ISSUER, namespaces={"scoring": "prod.risk"})
    async with front.running(tmp_path), a_ca(tmp_path, directory, front.kubeconfig) as served:
        token = f"{encoded({'alg': 'RS256'})}.{encoded(claims)}.AAAA"
        answer = await by_kubernetes(served, token)
    path = answer.svid.spiffe_id.removeprefix("spiffe://prod.acme.example")
    assert path == "/bu/payments/ns/pricing/sa/api"


@pytest.mark.timeout(BUILD_SECONDS)
async def test_a_body_that_the_cluster_did_not_sign_is_refused(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    """The same with a real API server, which refuses the token whose body was changed."""
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    head, _, signature = (token := kubernetes.token(pod, AUDIENCE)).split(".")
    changed = body_of(token) | {"sub": f"system:serviceaccount:{pod.namespace}:admin"}
    async with a_ca(tmp_path, with_cluster(ISSUER), kubernetes.ca_kubeconfig()) as served:
        forged = f"{head}.{encoded(changed)}.{signature}"
        assert "refused the token" in await reason_of_refusal(served, by_kubernetes(served, forged))


async def test_the_identity_comes_only_from_what_the_jwt_signature_covers(
    issuer: Issuer, tmp_path: Path
) -> None:
    """Claims in the header, and a body under another token's signature, count for nothing."""
    async with a_ca(tmp_path, with_jwt(issuer.address, str(issuer.ca_file))) as served:
        mine = issuer.token(CLAIMS | {"sub": "project:8"}, sub="project:7", project="pricing")
        assert "no Workload" in await reason_of_refusal(served, by_jwt(served, mine))
        head, _, signature = mine.split(".")
        swapped = f"{head}.{encoded(body_of(mine) | {'sub': 'project:7'})}.{signature}"
        assert "does not hold" in await reason_of_refusal(served, by_jwt(served, swapped))
        good = await by_jwt(served, issuer.token(CLAIMS))
        assert good.svid.spiffe_id.endswith("/ci/train")


async def test_a_jwt_without_exp_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    """A verifier that checks exp where it is there takes a token for ever where it is not."""
    async with a_ca(tmp_path, with_jwt(issuer.address, str(issuer.ca_file))) as served:
        token = issuer.token(CLAIMS | {"exp": None})
        assert "no exp" in await reason_of_refusal(served, by_jwt(served, token))


async def test_no_address_in_a_token_is_ever_fetched(issuer: Issuer, tmp_path: Path) -> None:
    """Not one in its header (jku, x5u), not its issuer, not one that the issuer leads on to."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with running_issuer(elsewhere) as other:
        other.key("two")
        # The CA would trust both, so that nothing but the rule keeps it away.
        both = tmp_path / "both.pem"
        both.write_bytes(issuer.ca_file.read_bytes() + other.ca_file.read_bytes())
        paths = ("/elsewhere", "/keys", "/.well-known/openid-configuration")
        async with a_ca(tmp_path, with_jwt(issuer.address, str(both))) as served:
            strange = [
                other.token(CLAIMS),
                other.token(
                    CLAIMS | {"iss": issuer.address}, "two", jku=f"{other.address}/elsewhere"
                ),
                other.token(
                    CLAIMS | {"iss": issuer.address}, "two", x5u=f"{other.address}/elsewhere"
                ),
            ]
            for token in strange:
                await reason_of_refusal(served, by_jwt(served, token))
        misbehaviours: list[dict[str, object]] = [
            {"redirect": f"{other.address}/elsewhere"},
            {"redirect": "/elsewhere"},
            {"discovery": {"jwks_uri": f"{other.address}/elsewhere"}},
            {"discovery": {"jwks_uri": "http://127.0.0.1/elsewhere"}},
            {"discovery": {"issuer": other.address}},
        ]
        for number, behaviour in enumerate(misbehaviours):
            issuer.behave(**behaviour)
            folder = tmp_path / str(number)
            folder.mkdir()
            async with a_ca(folder, with_jwt(issuer.address, str(both))) as served:
                with pytest.raises(Exception, match="can't be judged now"):
                    await by_jwt(served, issuer.token(CLAIMS))
        assert [other.seen(path) for path in paths] == [0, 0, 0]
        assert issuer.seen("/elsewhere") == 0


@pytest.mark.timeout(BUILD_SECONDS)
async def test_bogus_tokens_cost_one_bounded_review_each(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    """200 of them at once, and again: 8 reviews are under way at most, and each is reviewed once."""
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    head, body, _ = kubernetes.token(pod, AUDIENCE).split(".")
    tokens = [f"{head}.{body}.{encoded(number)}AAAA" for number in range(200)]
    front = Front(kubernetes)
    async with (
        front.running(tmp_path),
        a_ca(tmp_path, with_cluster(ISSUER), front.kubeconfig) as served,
    ):
        for _ in range(2):
            attempts = [reason_of_refusal(served, by_kubernetes(served, token)) for token in tokens]
            await asyncio.gather(*attempts)
    assert set(front.reviewed) == set(tokens)
    assert set(front.reviewed.values()) == {1}
    assert 1 < front.most_at_once <= AT_ONCE
