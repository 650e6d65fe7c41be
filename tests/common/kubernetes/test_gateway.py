"""The gateway before a real API server: who we are to it, what it refuses, and how long anything may take."""

import json
import time
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest

from cluster.faults import FaultProxy, always
from featward.kubernetes.errors import ApiError, LoginError
from featward.kubernetes.gateway import IN_CLUSTER, MERGE_PATCH, Gateway
from featward.kubernetes.resource import CONFIG_MAPS, NAMESPACES, PODS, Resource
from kubernetes_kit import ISSUER, Kubernetes

AGENT = "featward-tests"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


async def who(gateway: Gateway) -> str:
    """Whom the server takes us for."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str((await gateway.ask("POST", REVIEW, body))["status"]["userInfo"]["username"])


def token(kubernetes: Kubernetes, namespace: str, account: str) -> str:
    return kubernetes.token(kubernetes.pod(namespace, account), ISSUER)


async def test_files_and_inline_certificates_log_in(kubernetes: Kubernetes) -> None:
    for inline in (False, True):
        path = kubernetes.kubeconfig("somebody", inline=inline)
        async with await Gateway.open(str(path), agent=AGENT) as gateway:
            assert await who(gateway) == "somebody"


async def test_a_token_is_read_again_after_a_minute(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    file, clock = tmp_path / "token", Clock()
    file.write_text(token(kubernetes, namespace, "before"))
    path = kubernetes.kubeconfig_with_token("replaced", file)
    async with await Gateway.open(str(path), agent=AGENT, clock=clock) as gateway:
        file.write_text(token(kubernetes, namespace, "after"))
        clock.at += 59
        assert await who(gateway) == f"system:serviceaccount:{namespace}:before"
        clock.at += 2
        assert await who(gateway) == f"system:serviceaccount:{namespace}:after"


async def test_a_token_that_is_refused_is_read_again_at_once(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path
) -> None:
    file, clock = tmp_path / "token", Clock()
    file.write_text("not.a.token")
    path = kubernetes.kubeconfig_with_token("refused", file)
    async with await Gateway.open(str(path), agent=AGENT, clock=clock) as gateway:
        with pytest.raises(ApiError) as refused:
            await who(gateway)
        assert refused.value.status == 401
        file.write_text(token(kubernetes, namespace, "valid"))
        assert await who(gateway) == f"system:serviceaccount:{namespace}:valid"


async def test_a_replaced_certificate_is_used_after_a_minute(kubernetes: Kubernetes) -> None:
    path, clock = kubernetes.kubeconfig("first", inline=True), Clock()
    async with await Gateway.open(str(path), agent=AGENT, clock=clock) as gateway:
        assert await who(gateway) == "first"
        path.write_text(kubernetes.kubeconfig("second", inline=True).read_text())
        clock.at += 61
        assert await who(gateway) == "second"


async def test_a_login_that_is_gone_or_broken_leaves_the_last_one(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    path, clock = kubernetes.kubeconfig("lasting", inline=True), Clock()
    broken = json.loads(path.read_text())
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    broken["clusters"][0]["cluster"] = {
        "server": kubernetes.server,
        "certificate-authority": str(authority),
    }
    async with await Gateway.open(str(path), agent=AGENT, clock=clock) as gateway:
        path.write_text(json.dumps(broken))
        clock.at += 61
        assert await who(gateway) == "lasting"
        path.unlink()
        clock.at += 61
        assert await who(gateway) == "lasting"
    path.write_text(json.dumps(broken))
    with pytest.raises(LoginError, match="can't be used"):
        await Gateway.open(str(path), agent=AGENT)


async def test_the_pods_account_logs_in_and_no_proxy_is_asked(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, clock = tmp_path / "token", Clock()
    file.write_text(token(kubernetes, namespace, "operator") + "\n")
    package = "kubernetes.aio.config.incluster_config"
    monkeypatch.setattr(f"{package}.SERVICE_TOKEN_FILENAME", str(file))
    monkeypatch.setattr(f"{package}.SERVICE_CERT_FILENAME", str(kubernetes.authority.file))
    host, _, port = kubernetes.server.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with await Gateway.open(IN_CLUSTER, agent=AGENT, clock=clock) as gateway:
        assert await who(gateway) == f"system:serviceaccount:{namespace}:operator"
        file.write_text(token(kubernetes, namespace, "replaced"))
        clock.at += 61
        assert await who(gateway) == f"system:serviceaccount:{namespace}:replaced"


async def test_without_a_word_the_login_is_the_one_of_kubectl(
    kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubernetes.kubeconfig("person")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{path}")
    async with await Gateway.open(agent=AGENT) as gateway:
        assert await who(gateway) == "person"


async def test_nobody_is_anonymous_and_every_server_is_verified(
    kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = json.loads(kubernetes.kubeconfig("good").read_text())
    anonymous = {**good, "users": [{"name": "t", "user": {}}]}
    cluster = good["clusters"][0]["cluster"]
    unverified = cluster | {"insecure-skip-tls-verify": True}
    plain = cluster | {"server": "http://127.0.0.1:8001"}
    wrong = {
        "holds neither a token nor a certificate": anonymous,
        "does not verify": {**good, "clusters": [{"name": "t", "cluster": unverified}]},
        "begin with https://": {**good, "clusters": [{"name": "t", "cluster": plain}]},
        "gives no login": {"kind": "Config"},
    }
    file = tmp_path / "wrong.kubeconfig"
    for said, config in wrong.items():
        file.write_text(json.dumps(config))
        with pytest.raises(LoginError, match=said):
            await Gateway.open(str(file), agent=AGENT)
    for said, text in {"gives no login": "{", "there is no kubeconfig": None}.items():
        file.unlink(missing_ok=True)
        if text:
            file.write_text(text)
        with pytest.raises(LoginError, match=said):
            await Gateway.open(str(file), agent=AGENT)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(LoginError, match="gives no login"):
        await Gateway.open(IN_CLUSTER, agent=AGENT)


async def test_a_refusal_says_what_the_server_says(gateway: Gateway, namespace: str) -> None:
    with pytest.raises(ApiError) as refused:
        await gateway.ask("GET", CONFIG_MAPS.path(namespace, "absent"))
    assert (refused.value.status, refused.value.reason) == (404, "NotFound")
    assert "absent" in refused.value.detail
    assert refused.value.is_ours


async def test_a_server_that_does_not_answer_is_left_in_time(
    gateway: Gateway, proxy: FaultProxy
) -> None:
    proxy.hold()
    began = time.monotonic()
    with pytest.raises(ApiError) as silent:
        await gateway.ask("GET", "/version", seconds=0.5)
    assert silent.value.reason == "Silent"
    assert time.monotonic() - began < 3
    proxy.cut()
    with pytest.raises(ApiError) as cut:
        await gateway.ask("GET", "/version")
    assert (cut.value.status, cut.value.reason) == (0, "Unreachable")
    assert not cut.value.is_ours


ENDLESS = b"x" * ((64 << 20) + 1)


@pytest.mark.parametrize(
    ("body", "reason"), [(b"<html>", "Garbled"), (ENDLESS, "TooLarge")], ids=["page", "endless"]
)
async def test_an_answer_that_is_none_is_an_error(
    gateway: Gateway, proxy: FaultProxy, body: bytes, reason: str
) -> None:
    proxy.answer(always, 200, body)
    with pytest.raises(ApiError) as refused:
        await gateway.ask("GET", "/version")
    assert refused.value.reason == reason


async def test_a_page_of_a_balancer_is_a_refusal(gateway: Gateway, proxy: FaultProxy) -> None:
    proxy.answer(always, 503, b"<html>", {"Retry-After": "soon"})
    with pytest.raises(ApiError) as refused:
        await gateway.ask("GET", "/version")
    assert (refused.value.status, refused.value.retry_after) == (503, None)


async def test_two_managers_own_what_they_apply(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    def body(**data: str) -> dict[str, object]:
        metadata = {"name": "shared", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    await gateway.apply(CONFIG_MAPS, body(ours="1", common="ours"), manager="featward-operator")
    with pytest.raises(ApiError) as conflict:
        await gateway.apply(CONFIG_MAPS, body(common="theirs"), manager="helm", force=False)
    assert conflict.value.is_conflict
    await gateway.apply(CONFIG_MAPS, body(theirs="1"), manager="helm", force=False)
    applied = await gateway.apply(CONFIG_MAPS, body(ours="2"), manager="featward-operator")
    assert applied["data"] == {"ours": "2", "theirs": "1"}


async def test_a_field_that_the_server_does_not_know_is_refused(
    gateway: Gateway, namespace: str
) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "misspelt", "namespace": namespace},
        "dtaa": {},
    }
    with pytest.raises(ApiError, match="dtaa") as refused:
        await gateway.apply(CONFIG_MAPS, body, manager="featward-operator")
    assert refused.value.is_ours, "the same would be refused again"


async def test_labels_are_merged_by_a_patch(gateway: Gateway, namespace: str) -> None:
    path = NAMESPACES.path(name=namespace)
    patch = {"metadata": {"labels": {"colour": "blue"}}}
    patched = await gateway.ask("PATCH", path, patch, content=MERGE_PATCH)
    assert patched["metadata"]["labels"]["colour"] == "blue"


async def test_every_request_is_counted_and_says_who_asks(
    proxy: FaultProxy, namespace: str
) -> None:
    counted: Counter[tuple[str, str]] = Counter()

    def observe(code: str, method: str, host: str) -> None:
        assert host.startswith("127.0.0.1:")
        counted[code, method] += 1

    told = str(proxy.kubeconfig)
    async with await Gateway.open(told, agent=AGENT, observe=observe) as gateway:
        await gateway.ask("GET", "/version")
        with pytest.raises(ApiError):
            await gateway.ask("GET", CONFIG_MAPS.path(namespace, "absent"))
        proxy.cut()
        with pytest.raises(ApiError):
            await gateway.ask("DELETE", CONFIG_MAPS.path(namespace, "absent"))
    assert counted == {("200", "GET"): 1, ("404", "GET"): 1, ("<error>", "DELETE"): 1}
    assert {seen.headers["User-Agent"] for seen in proxy.requests} == {AGENT}


async def test_a_stream_ends_after_its_time(gateway: Gateway, namespace: str) -> None:
    query = (("watch", "true"), ("resourceVersion", "0"))
    began, lines = time.monotonic(), []
    stream = gateway.stream(CONFIG_MAPS.path(namespace), query, idle=10, total=1.0)
    async with aclosing(stream):
        async for line in stream:
            lines.append(json.loads(line))
    assert 0.9 <= time.monotonic() - began < 5
    assert all(line["type"] == "ADDED" for line in lines)


async def test_a_line_without_end_is_an_error(gateway: Gateway, proxy: FaultProxy) -> None:
    proxy.answer(always, 200, b"x" * ((16 << 20) + 1))
    with pytest.raises(ApiError, match="Garbled"):
        async for _ in gateway.stream("/version", (), idle=10, total=30):
            pass


def test_paths_are_those_of_the_server() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("ml", "feast-0") == "/api/v1/namespaces/ml/pods/feast-0"
    assert NAMESPACES.path("ml", "ml") == "/api/v1/namespaces/ml"
    roles = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert roles.path(name="a:b/../c") == f"{path}/a%3Ab%2F..%2Fc"
    assert str(roles) == "clusterroles.rbac.authorization.k8s.io"
