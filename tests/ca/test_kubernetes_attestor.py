"""Evidence of Kubernetes, with a real API server that reviews real tokens."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import grpc
import pytest

from attestor_kit import AUDIENCE, by_kubernetes, renew, with_cluster
from ca_kit import OpenCore
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.kubernetes import Operator
from featward_ca.attest.reviews import ServiceAccount, account_of
from featward_ca.clock import Clock, SystemClock
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError, NotAttestedError
from featward_ca.store import audit
from kubernetes_kit import ISSUER, Kubernetes, Pod
from kubernetes_programs import BUILD_SECONDS
from service_kit import Served, headers_of, refused, serving

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


class Opening(Protocol):
    def __call__(
        self,
        directory: Directory | None = None,
        kubeconfig: str = "",
        operator: Operator | None = None,
    ) -> AbstractAsyncContextManager[Served]: ...


@pytest.fixture
def clock() -> Clock:
    """The API server's tokens are of now."""
    return SystemClock()


@pytest.fixture
def opened(open_core: OpenCore, clock: Clock, kubernetes: Kubernetes, tmp_path: Path) -> Opening:
    """Serves a CA that can ask the cluster eu1."""

    @asynccontextmanager
    async def open_one(
        directory: Directory | None = None,
        kubeconfig: str = "",
        operator: Operator | None = None,
    ) -> AsyncIterator[Served]:
        core = await open_core(directory or with_cluster(ISSUER))
        login = kubeconfig or str(kubernetes.ca_kubeconfig())
        core.ask_clusters([ClusterApi("eu1", login)], operator)
        async with serving(core, clock, tmp_path) as running:
            yield running

    return open_one


@pytest.fixture
async def served(opened: Opening) -> AsyncIterator[Served]:
    async with opened() as running:
        yield running


async def why(served: Served, token: str, code: grpc.StatusCode = UNAUTHENTICATED) -> str:
    """The reason in the audit table for refusing a token."""
    found, _ = await refused(by_kubernetes(served, token))
    assert found is code
    return (await served.core.store.read(audit.entries))[-1].detail or ""


async def test_a_pod_gets_the_identity_of_its_service_account(
    served: Served, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
    answer = await by_kubernetes(served, token)
    prefix = "spiffe://prod.acme.example/bu/payments"
    assert answer.svid.spiffe_id == f"{prefix}/ns/{namespace}/sa/pricing-api"
    found = await served.admin.ListClients(authority_pb2.ListClientsRequest())
    assert [one.method for one in found.clients] == ["kubernetes"]
    # What was accepted is asked again, and the same token is good for another key.
    again = await by_kubernetes(served, token)
    assert (again.svid.spiffe_id, again.svid.lineage == answer.svid.lineage) == (
        answer.svid.spiffe_id,
        False,
    )


async def test_a_namespace_without_a_label_is_the_default_units(
    served: Served, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace()
    answer = await by_kubernetes(
        served, kubernetes.token(kubernetes.pod(namespace, "a.b"), AUDIENCE)
    )
    assert answer.svid.spiffe_id.endswith(f"/bu/payments/ns/{namespace}/sa/a.b")


async def test_the_manifests_know_better_than_a_label(
    opened: Opening, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    directory = with_cluster(ISSUER, namespaces={namespace: "prod.risk"})
    async with opened(directory) as served:
        token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
        assert (await by_kubernetes(served, token)).svid.spiffe_id.startswith(
            "spiffe://prod.acme.example/bu/risk/"
        )


@pytest.mark.parametrize("unit", ["prod.nobody", "dev.payments"])
async def test_a_namespace_of_no_business_unit_gets_nothing(
    served: Served, kubernetes: Kubernetes, unit: str
) -> None:
    pod = kubernetes.pod(kubernetes.namespace(unit))
    assert "no business unit of prod" in await why(served, kubernetes.token(pod, AUDIENCE))


async def test_a_cluster_attests_for_its_business_units_alone(
    opened: Opening, kubernetes: Kubernetes
) -> None:
    pods = {
        unit: kubernetes.pod(kubernetes.namespace(f"prod.{unit}")) for unit in ("payments", "risk")
    }
    async with opened(with_cluster(ISSUER, units=("prod.risk",))) as served:
        await by_kubernetes(served, kubernetes.token(pods["risk"], AUDIENCE))
        said = await why(served, kubernetes.token(pods["payments"], AUDIENCE))
        assert "may not attest for prod.payments" in said


async def test_a_token_for_somebody_else_is_not_even_reviewed(
    served: Served, kubernetes: Kubernetes
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    before = kubernetes.reviews()
    for audience in (ISSUER, "featward.dev/ca/dev.acme.example"):
        assert "not made for the audience" in await why(served, kubernetes.token(pod, audience))
    for token in ("", "a.b.c", "x" * 20_000, "e30.e30.AA"):
        await why(served, token)
    assert kubernetes.reviews() == before


async def test_a_token_that_is_bound_to_no_pod_is_refused(
    served: Served, kubernetes: Kubernetes
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    said = await why(served, kubernetes.token(pod, AUDIENCE, bound=False))
    assert "bound to no pod" in said


async def test_a_token_of_an_unknown_issuer_is_not_reviewed(
    opened: Opening, kubernetes: Kubernetes
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    async with opened(with_cluster("https://other.acme.example")) as served:
        assert "no cluster" in await why(served, kubernetes.token(pod, AUDIENCE))
    async with opened(with_cluster(ISSUER, name="us1")) as served:
        assert "--cluster us1=" in await why(served, kubernetes.token(pod, AUDIENCE))


async def test_the_operator_is_one_service_account(opened: Opening, kubernetes: Kubernetes) -> None:
    namespace = kubernetes.namespace("prod.payments")
    pods = [kubernetes.pod(namespace, name) for name in ("operator", "other")]
    async with opened(operator=Operator("eu1", namespace, "operator")) as served:
        answers = [await by_kubernetes(served, kubernetes.token(pod, AUDIENCE)) for pod in pods]
        assert [answer.svid.spiffe_id.partition("example")[2] for answer in answers] == [
            "/featward/operator",
            f"/bu/payments/ns/{namespace}/sa/other",
        ]
    # The same names in another cluster are nobody.
    async with opened(operator=Operator("us1", namespace, "operator")) as served:
        answer = await by_kubernetes(served, kubernetes.token(pods[0], AUDIENCE))
        assert "/bu/payments/" in answer.svid.spiffe_id


async def test_the_operator_may_look_after_rotation_and_no_more(
    opened: Opening, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    pod = kubernetes.pod(namespace, "operator")
    async with opened(operator=Operator("eu1", namespace, "operator")) as served:
        svid = (await by_kubernetes(served, kubernetes.token(pod, AUDIENCE))).svid
        shown = await served.remote.Show(authority_pb2.ShowRequest(), metadata=headers_of(svid))
        assert shown.environment == "prod"
        request = move(namespace, "prod.risk")
        code, _ = await refused(served.remote.MoveNamespace(request, metadata=headers_of(svid)))
        assert code is grpc.StatusCode.PERMISSION_DENIED


def test_an_operator_has_three_names() -> None:
    for text in ("featward/operator", "eu1//operator", "a/b/c/d"):
        with pytest.raises(ConfigurationError, match="eu1/featward/operator"):
            Operator.parse(text)


USER = {
    "username": "system:serviceaccount:pricing:api",
    "extra": {
        "authentication.kubernetes.io/pod-name": ["api-1"],
        "authentication.kubernetes.io/pod-uid": ["7"],
    },
}
GOOD = {"authenticated": True, "audiences": [AUDIENCE], "user": USER}


def test_an_account_is_read_from_the_reviews_answer() -> None:
    assert account_of(GOOD, AUDIENCE) == ServiceAccount("pricing", "api", "api-1", "7")


@pytest.mark.parametrize(
    "change",
    [
        {"authenticated": "true"},
        {"authenticated": False},
        {"audiences": None},
        {"audiences": []},
        {"audiences": [f"{AUDIENCE}.evil.example"]},
        {"user": None},
        {"user": {"username": "system:serviceaccount:pricing:api"}},
        {"user": {**USER, "username": "alice"}},
        {"user": {**USER, "username": "x:serviceaccount:pricing:api"}},
        {"user": {**USER, "username": "system:serviceaccount:pricing:api:x"}},
        {"user": {**USER, "username": "system:serviceaccount:pricing"}},
    ],
)
def test_an_answer_that_leaves_anything_open_is_a_refusal(change: dict[str, object]) -> None:
    """An old API server, or one whose authenticator is somebody's webhook, may answer so."""
    with pytest.raises(NotAttestedError):
        account_of(GOOD | change, AUDIENCE)


# Getting in


async def test_a_service_account_may_be_the_cas_login(
    opened: Opening, kubernetes: Kubernetes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    ca = kubernetes.pod(namespace, "featward-ca")
    kubernetes.grant("featward-ca", "ServiceAccount", namespace)
    file = tmp_path / "ca.token"
    file.write_text(kubernetes.token(ca, ISSUER))
    login = str(kubernetes.kubeconfig_with_token("ca", file))
    pod = kubernetes.pod(namespace)
    async with opened(kubeconfig=login) as served:
        await by_kubernetes(served, kubernetes.token(pod, AUDIENCE))
        # The file is read anew each time.
        file.write_text("expired.to.ken")
        code, said = await refused(by_kubernetes(served, kubernetes.token(pod, AUDIENCE)))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "can't be judged now" in said
        assert "eu1" not in said
    assert any("answers 401" in str(vars(one)) for one in caplog.records)


async def test_a_login_that_may_not_review_is_no_ones_fault_but_ours(
    opened: Opening, kubernetes: Kubernetes, caplog: pytest.LogCaptureFixture
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    login = str(kubernetes.kubeconfig("nobody", inline=True))
    async with opened(kubeconfig=login) as served:
        code, _ = await refused(by_kubernetes(served, kubernetes.token(pod, AUDIENCE)))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert any("answers 403" in str(vars(one)) for one in caplog.records)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"users": [{"name": "t", "user": {"exec": {"command": "aws"}}}]},
            "exec, which is for people",
        ),
        ({"clusters": [{"name": "t", "cluster": {"server": "http://x"}}]}, "does not verify"),
        (
            {
                "clusters": [
                    {
                        "name": "t",
                        "cluster": {"server": "https://x", "insecure-skip-tls-verify": True},
                    }
                ]
            },
            "does not verify",
        ),
        ({"current-context": "other"}, "contexts has no other"),
        ({"contexts": None}, "no kubeconfig"),
    ],
)
def test_a_kubeconfig_that_is_for_people_or_verifies_nothing_is_refused(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    config: dict[str, object] = {
        "current-context": "t",
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        "clusters": [{"name": "t", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "t", "user": {"token": "x"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config | change))
    with pytest.raises(ConfigurationError, match=why):
        ClusterApi("eu1", str(file))


def test_in_cluster_needs_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="not in a pod"):
        ClusterApi("eu1", "in-cluster")


async def test_a_cluster_that_is_away_is_for_later(
    opened: Opening, kubernetes: Kubernetes, tmp_path: Path
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    login = json.loads(kubernetes.ca_kubeconfig().read_text())
    login["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "away"
    file.write_text(json.dumps(login))
    async with opened(kubeconfig=str(file)) as served:
        code, _ = await refused(by_kubernetes(served, kubernetes.token(pod, AUDIENCE)))
        assert code is grpc.StatusCode.UNAVAILABLE
        # The login is read anew when its file changes.
        login["clusters"][0]["cluster"]["server"] = kubernetes.server
        file.write_text(json.dumps(login))
        await by_kubernetes(served, kubernetes.token(pod, AUDIENCE))


# What strangers can make us do


def bogus(kubernetes: Kubernetes, pod: Pod, number: int) -> str:
    """A token like a good one, with another signature."""
    head, body, _ = kubernetes.token(pod, AUDIENCE).split(".")
    return f"{head}.{body}." + base64.urlsafe_b64encode(b"%032d" % number).decode().rstrip("=")


async def test_the_same_bogus_token_at_once_and_again_is_one_review(
    served: Served, kubernetes: Kubernetes
) -> None:
    token = bogus(kubernetes, kubernetes.pod(kubernetes.namespace("prod.payments")), 1)
    before = kubernetes.reviews()
    await asyncio.gather(*(why(served, token) for _ in range(30)))
    assert "remembered" in await why(served, token)
    assert kubernetes.reviews() == before + 1


async def test_bogus_tokens_do_not_push_out_a_good_one(
    served: Served, kubernetes: Kubernetes
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    token = kubernetes.token(pod, AUDIENCE)
    attempts = [why(served, bogus(kubernetes, pod, number)) for number in range(40)]
    answer, _ = await asyncio.gather(by_kubernetes(served, token), asyncio.gather(*attempts))
    assert answer.svid.spiffe_id.endswith("/sa/pricing-api")


# Moving a namespace


def move(namespace: str, unit: str, **options: object) -> authority_pb2.MoveNamespaceRequest:
    return authority_pb2.MoveNamespaceRequest(
        cluster="eu1",
        namespace=namespace,
        business_unit=unit,
        **options,  # type: ignore[arg-type]  # fields of the message
    )


async def test_a_namespace_stays_whose_it_was_until_it_is_moved(
    served: Served, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
    mine = (await by_kubernetes(served, token)).svid
    other = kubernetes.token(kubernetes.pod(kubernetes.namespace("prod.payments")), AUDIENCE)
    await by_kubernetes(served, other)

    dry = await served.admin.MoveNamespace(move(namespace, "prod.risk", dry_run=True))
    assert (dry.before, dry.changed) == ("prod.payments", False)
    assert [one.lineage for one in dry.affected] == [mine.lineage]
    moved = await served.admin.MoveNamespace(move(namespace, "prod.risk"))
    assert (moved.before, moved.changed) == ("prod.payments", True)
    # Until the label says so too, it is nobody's.
    assert "featward ca namespace move" in await why(served, token)
    again = await served.admin.MoveNamespace(move(namespace, "prod.risk"))
    assert (again.changed, list(again.affected)) == (False, [])

    rows = [
        row for row in await served.core.store.read(audit.entries) if row.kind == "move-namespace"
    ]
    assert [(row.outcome, row.subject, row.detail) for row in rows if row.outcome == "done"] == [
        ("done", f"eu1/{namespace}", "dry run: from prod.payments to prod.risk"),
        ("done", f"eu1/{namespace}", "from prod.payments to prod.risk"),
        ("done", f"eu1/{namespace}", "from prod.risk to prod.risk"),
    ]


async def test_a_namespace_is_moved_to_what_there_is_alone(
    opened: Opening, kubernetes: Kubernetes
) -> None:
    async with opened(with_cluster(ISSUER, units=("prod.risk",))) as served:
        wrong = {
            "NOT_FOUND": [
                authority_pb2.MoveNamespaceRequest(
                    cluster="x", namespace="a", business_unit="prod.risk"
                ),
                move("a", "prod.x"),
            ],
            "INVALID_ARGUMENT": [
                move("a%", "prod.risk"),
                move("", "prod.risk"),
                move("a", "prod.payments"),
            ],
        }
        for code, requests in wrong.items():
            for request in requests:
                assert (await refused(served.admin.MoveNamespace(request)))[0].name == code
        assert (await served.admin.MoveNamespace(move("a", "prod.risk"))).before == ""


# Renewals


async def test_a_pod_that_renews_by_its_token_stays_one_client(
    served: Served, kubernetes: Kubernetes
) -> None:
    pods = [kubernetes.pod(kubernetes.namespace("prod.payments")) for _ in range(2)]
    tokens = [kubernetes.token(pod, AUDIENCE) for pod in pods]
    first, stranger = [(await by_kubernetes(served, token)).svid for token in tokens]
    evidence = identity_pb2.Evidence(kubernetes=identity_pb2.KubernetesEvidence(token=tokens[0]))
    second = await renew(served, first, evidence)
    third = await renew(served, second, evidence)
    assert {second.lineage, third.lineage} == {first.lineage}
    # A connection that shows somebody else's SVID proves nothing about this client.
    assert (await renew(served, stranger, evidence)).lineage not in (
        first.lineage,
        stranger.lineage,
    )


async def test_a_pod_shows_its_token_at_every_renewal(
    served: Served, kubernetes: Kubernetes
) -> None:
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    first = (await by_kubernetes(served, kubernetes.token(pod, AUDIENCE))).svid
    code, said = await refused(renew(served, first))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "attested by kubernetes shows its evidence" in said


async def test_a_pod_of_another_business_unit_or_cluster_than_before_is_another_client(
    served: Served, kubernetes: Kubernetes
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
    evidence = identity_pb2.Evidence(kubernetes=identity_pb2.KubernetesEvidence(token=token))
    first = (await by_kubernetes(served, token)).svid
    core = served.core
    core.take_over(with_cluster(ISSUER, namespaces={namespace: "prod.risk"}))
    await served.admin.MoveNamespace(move(namespace, "prod.risk"))
    moved = await renew(served, first, evidence)
    core.take_over(with_cluster(ISSUER, name="us1", namespaces={namespace: "prod.risk"}))
    await core.kubernetes.close()
    core.ask_clusters([ClusterApi("us1", str(kubernetes.ca_kubeconfig()))])
    elsewhere = await renew(served, moved, evidence)
    assert moved.spiffe_id == elsewhere.spiffe_id != first.spiffe_id
    assert len({first.lineage, moved.lineage, elsewhere.lineage}) == 3
