"""Several OIDC issuers and several clusters at one CA, each good for its own tokens and rules alone; and the
bounds of what one cluster's reviews may cost.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from attestor_kit import (
    AUDIENCE,
    Front,
    a_ca,
    by_jwt,
    by_kubernetes,
    reason_of_refusal,
    with_cluster,
)
from ca_kit import TRUST_DOMAIN, a_directory
from featward_ca import directory
from featward_ca.attest import reviews
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.directory import Cluster, Directory, JwtIssuer, JwtRule
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from oidc_kit import Issuer, running_issuer
from service_kit import Served, refused

JOB = {"sub": "job:1", "aud": AUDIENCE}
OTHER = "https://us1.acme.example"
NOBODY = {"authenticated": False, "error": "not of this cluster"}


@pytest.fixture
def issuers(tmp_path: Path) -> Iterator[tuple[Issuer, Issuer]]:
    """Two, whose keys have the same name."""
    for name in ("gitlab", "github"):
        (tmp_path / name).mkdir()
    with running_issuer(tmp_path / "gitlab") as one, running_issuer(tmp_path / "github") as other:
        yield one, other


def with_issuers(*named: tuple[str, Issuer]) -> Directory:
    """A job of each issuer, by the same claim."""
    base, rule = a_directory(), (("sub", "job:1"),)
    unit = ("prod", TRUST_DOMAIN, "prod.payments")
    jobs = [
        directory.workload(*unit, f"job-{name}", None, jwt=JwtRule(name, rule), role="ci")
        for name, _ in named
    ]
    known = [JwtIssuer(name, one.address, str(one.ca_file), 3600) for name, one in named]
    return replace(
        base,
        workloads={**base.workloads, **{job.name: job for job in jobs}},
        jwt_issuers=tuple(known),
    )


async def test_a_token_of_one_issuer_satisfies_no_rule_of_another(
    issuers: tuple[Issuer, Issuer], tmp_path: Path
) -> None:
    gitlab, github = issuers
    async with a_ca(tmp_path, with_issuers(("gitlab", gitlab), ("github", github))) as served:
        calls = [
            by_jwt(served, issuer.token(JOB | {"jti": str(n)}))
            for issuer in issuers
            for n in range(5)
        ]
        names = [
            answer.svid.spiffe_id.rpartition("/")[2] for answer in await asyncio.gather(*calls)
        ]
        assert names == ["job-gitlab"] * 5 + ["job-github"] * 5
        named = by_jwt(served, gitlab.token(JOB), workload="prod.payments/job-github")
        assert "no Workload" in await reason_of_refusal(served, named)
        # What one has signed in the name of the other.
        posing = by_jwt(served, gitlab.token(JOB | {"iss": github.address}))
        assert "does not hold" in await reason_of_refusal(served, posing)


@pytest.mark.timeout(BUILD_SECONDS)
async def test_each_cluster_is_asked_about_its_own_tokens_and_attests_its_own_units(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    namespace = kubernetes.namespace()
    token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
    clusters = (
        Cluster("eu1", ISSUER, frozenset({"prod.payments"})),
        Cluster("us1", OTHER, frozenset({"prod.risk"})),
    )
    units = {namespace: "prod.payments", "scores": "prod.risk"}
    front = Front()
    trusting = a_directory(clusters=clusters, namespaces=units)
    async with front.running(tmp_path), a_ca(tmp_path, trusting) as served:
        apis = [("eu1", kubernetes.ca_kubeconfig()), ("us1", front.kubeconfig)]
        served.core.ask_clusters([ClusterApi(name, str(login)) for name, login in apis])
        answer = await by_kubernetes(served, token)
        assert answer.svid.spiffe_id.endswith(f"/bu/payments/ns/{namespace}/sa/pricing-api")
        assert not front.reviewed
        posing, asked = named(token, OTHER), kubernetes.reviews()
        front.answer = NOBODY
        said = await reason_of_refusal(served, by_kubernetes(served, posing))
        assert "not of this cluster" in said
        assert (front.reviewed[posing], kubernetes.reviews()) == (1, asked)
        # The other cluster may call its service accounts what it likes, in its own units alone.
        front.answer = accepted("scores")
        answer = await by_kubernetes(served, named(token, OTHER, jti="a"))
        assert answer.svid.spiffe_id.endswith("/bu/risk/ns/scores/sa/pricing-api")
        front.answer = accepted(namespace)
        said = await reason_of_refusal(served, by_kubernetes(served, named(token, OTHER, jti="b")))
        assert "prod.payments" in said


def accepted(namespace: str) -> dict[str, object]:
    """What an API server says of a token that is good."""
    prefix = "authentication.kubernetes.io/pod"
    user = {
        "username": f"system:serviceaccount:{namespace}:pricing-api",
        "extra": {f"{prefix}-name": ["p"], f"{prefix}-uid": ["u"]},
    }
    return {"authenticated": True, "audiences": [AUDIENCE], "user": user}


def named(token: str, issuer: str, **claims: object) -> str:
    """The token with another issuer's name in it, so that its signature is good for nobody."""
    head, body, signature = token.split(".")
    read = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return f"{head}.{encoded(read | claims | {'iss': issuer})}.{signature}"


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def bogus(number: int) -> str:
    """A token that is worth a review, and none of anybody."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600, "number": number}
    return f"{encoded({'alg': 'none'})}.{encoded(claims)}.AAAA"


@asynccontextmanager
async def refusing(front: Front, folder: Path) -> AsyncIterator[Served]:
    """A CA whose one cluster accepts nothing."""
    front.answer = NOBODY
    async with (
        front.running(folder),
        a_ca(folder, with_cluster(ISSUER), front.kubeconfig) as served,
    ):
        yield served


async def test_the_memory_of_refused_tokens_is_bounded_and_loses_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "REMEMBERED", 3)
    front = Front()
    async with refusing(front, tmp_path) as served:
        tokens = [bogus(number) for number in range(4)]
        # The fourth pushes the first out, and the others are known when they come again.
        for token in (*tokens, *tokens[::-1]):
            await reason_of_refusal(served, by_kubernetes(served, token))
    assert [front.reviewed[token] for token in tokens] == [2, 1, 1, 1]


async def test_the_queue_for_reviews_is_bounded_and_who_comes_then_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviews, "AT_ONCE", 2)
    monkeypatch.setattr(reviews, "LONGEST_QUEUE", 3)
    # All twelve are there before the first is answered, on a busy machine too.
    monkeypatch.setattr("attestor_kit._REVIEW_SECONDS", 1.0)
    front = Front()
    async with refusing(front, tmp_path) as served:
        calls = [refused(by_kubernetes(served, bogus(number))) for number in range(12)]
        codes = [code for code, _ in await asyncio.gather(*calls)]
        assert codes.count(grpc.StatusCode.UNAUTHENTICATED) == 5
        assert codes.count(grpc.StatusCode.UNAVAILABLE) == 7
        assert (sum(front.reviewed.values()), front.most_at_once) == (5, 2)
        # There is room again as soon as they are answered.
        await reason_of_refusal(served, by_kubernetes(served, bogus(12)))
