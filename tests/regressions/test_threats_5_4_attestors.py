"""Threats of docs/threat-model.md that the attestors stand against, with a real API server."""

import asyncio
import time
from pathlib import Path

import grpc
import pytest

from attestor_kit import AUDIENCE, a_ca, by_kubernetes, renew, with_cluster
from featward.identity.v1 import identity_pb2
from featward_ca.store import audit
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from service_kit import Served

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
# The API server may say for 10 s of a token what was true before, and so may we of a label.
KNOWN_SECONDS = 25.0
PAYMENTS = "spiffe://prod.acme.example/bu/payments/"


async def until_refused(served: Served, token: str) -> str:
    """Attest until it is refused; until then it may only give what it gave before."""
    end = time.monotonic() + KNOWN_SECONDS
    while time.monotonic() < end:
        try:
            answer = await by_kubernetes(served, token)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            return (await served.core.store.read(audit.entries))[-1].detail or ""
        assert answer.svid.spiffe_id.startswith(PAYMENTS)
        await asyncio.sleep(0.5)
    raise AssertionError(f"accepted for {KNOWN_SECONDS} s")


async def test_a_token_of_a_deleted_pod_is_refused(kubernetes: Kubernetes, tmp_path: Path) -> None:
    """Who stole it gets nothing any more, and neither does an SVID that it once gave."""
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    token = kubernetes.token(pod, AUDIENCE)
    async with a_ca(tmp_path, with_cluster(ISSUER), kubernetes.ca_kubeconfig()) as served:
        svid = (await by_kubernetes(served, token)).svid
        kubernetes.delete(pod)
        assert "refused the token" in await until_refused(served, token)
        evidence = identity_pb2.Evidence(kubernetes=identity_pb2.KubernetesEvidence(token=token))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await renew(served, svid, evidence)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_business_unit_admin_cannot_relabel_a_namespace_into_identities(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    """Who may edit a namespace of payments says that it is risk's, and gets no identity of risk."""
    namespace = kubernetes.namespace("prod.payments")
    token = kubernetes.token(kubernetes.pod(namespace), AUDIENCE)
    async with a_ca(tmp_path, with_cluster(ISSUER), kubernetes.ca_kubeconfig()) as served:
        await by_kubernetes(served, token)
        kubernetes.relabel(namespace, "prod.risk")
        other = kubernetes.token(kubernetes.pod(namespace, "admin"), AUDIENCE)
        assert "was prod.payments's and now says prod.risk" in await until_refused(served, token)
        assert "was prod.payments's" in await until_refused(served, other)
