"""An environment whose workloads prove themselves by tokens, and calls that show them."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import KEK, TRUST_DOMAIN, a_directory, a_request
from featward.identity.v1 import identity_pb2
from featward_ca import directory
from featward_ca.attest.cluster_api import ClusterApi
from featward_ca.attest.tokens import audience_of
from featward_ca.clock import SystemClock
from featward_ca.core import Core
from featward_ca.directory import Cluster, Directory, JwtIssuer, JwtRule
from featward_ca.keys import EncryptedKeyStore
from featward_ca.situation import Situation
from featward_ca.store import audit
from featward_ca.store.engines import open_store
from kubernetes_kit import Kubernetes
from oidc_kit import tls_files
from service_kit import Metadata, Served, headers_of, refused, serving

__all__ = [
    "AUDIENCE",
    "Front",
    "a_ca",
    "by_jwt",
    "by_kubernetes",
    "reason_of_refusal",
    "renew",
    "with_cluster",
    "with_jwt",
]

AUDIENCE = audience_of(TRUST_DOMAIN)
_REVIEW_SECONDS = 0.05


def with_cluster(
    issuer: str, *, units: tuple[str, ...] = ("*",), name: str = "eu1", **changes: object
) -> Directory:
    """Environment prod with one Kubernetes cluster."""
    cluster = Cluster(name, issuer, frozenset(units))
    return a_directory(**({"clusters": (cluster,), "default_unit": "prod.payments"} | changes))


def with_jwt(issuer: str, ca_file: str, max_key_age: float = 3600) -> Directory:
    """Environment prod with one OIDC issuer and two jobs: `nightly` of branch main, `train` of
    project 7.
    """
    base = a_directory()
    rules = {
        "nightly": (("project", "pricing"), ("ref", "main")),
        "train": (("sub", "project:7"),),
    }
    jobs = [
        directory.workload(
            "prod",
            TRUST_DOMAIN,
            "prod.payments",
            name,
            None,
            jwt=JwtRule("gitlab", claims),
            role="ci",
        )
        for name, claims in rules.items()
    ]
    issuers = (JwtIssuer("gitlab", issuer, ca_file, max_key_age),)
    workloads = {**base.workloads, **{job.name: job for job in jobs}}
    return replace(base, workloads=workloads, jwt_issuers=issuers)


async def by_kubernetes(
    served: Served, token: str, csr: bytes | None = None
) -> identity_pb2.AttestResponse:
    """Attest by a service account's token."""
    evidence = identity_pb2.Evidence(kubernetes=identity_pb2.KubernetesEvidence(token=token))
    return await _attest(served, evidence, csr)


async def by_jwt(
    served: Served, token: str, csr: bytes | None = None, workload: str = ""
) -> identity_pb2.AttestResponse:
    """Attest by a JWT."""
    jwt = identity_pb2.JwtEvidence(token=token, workload=workload)
    return await _attest(served, identity_pb2.Evidence(jwt=jwt), csr)


async def renew(
    served: Served,
    old: identity_pb2.Svid,
    evidence: identity_pb2.Evidence | None = None,
    *,
    headers: Metadata | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    lineage: str = "",
) -> identity_pb2.Svid:
    """Renew an SVID on a stream of its own, with evidence or by itself; `headers` are what the
    Listener says of the connection, by default that it shows the SVID.
    """
    stream = served.stub.WatchIdentity(metadata=headers or headers_of(old))
    await stream.read()
    request = identity_pb2.WatchIdentityRequest(
        csrs=[a_request(key)], evidence=evidence, lineage=lineage
    )
    await stream.write(request)
    answer = await stream.read()
    while not answer.svids:
        answer = await stream.read()
    await stream.done_writing()
    svid: identity_pb2.Svid = answer.svids[0]
    return svid


async def _attest(
    served: Served, evidence: identity_pb2.Evidence, csr: bytes | None
) -> identity_pb2.AttestResponse:
    request = identity_pb2.AttestRequest(evidence=evidence, csr=csr or a_request())
    answer: identity_pb2.AttestResponse = await served.stub.Attest(request)
    return answer


class Front:
    """An API server's reviews through a server of ours, which counts them or answers by itself.

    `answer` is the status of every review from now on; None: the real server's.
    """

    def __init__(self, kubernetes: Kubernetes | None = None) -> None:
        self._kubernetes = kubernetes
        self.answer: dict[str, object] | None = None
        self.reviewed: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self.kubeconfig = Path()

    async def _review(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.reviewed[review["spec"]["token"]] += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            # Or requests would hardly ever meet.
            await asyncio.sleep(_REVIEW_SECONDS)
            if self.answer is not None:
                return web.json_response({"status": self.answer}, status=201)
            assert self._kubernetes is not None
            call = self._kubernetes.ask
            status, answer = await asyncio.to_thread(call, "POST", request.path, review)
            return web.json_response(answer, status=status)
        finally:
            self._at_once -= 1

    async def _namespace(self, request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"labels": {}}})

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator["Front"]:
        """Serve over TLS for as long as the context lasts; `kubeconfig` leads there."""
        ca_file = tls_files(folder)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(ca_file, folder / "tls.key")
        application = web.Application()
        application.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._review)
        application.router.add_get("/api/v1/namespaces/{name}", self._namespace)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        cluster = {
            "server": f"https://localhost:{runner.addresses[0][1]}",
            "certificate-authority": str(ca_file),
        }
        config = {
            "current-context": "t",
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
            "clusters": [{"name": "t", "cluster": cluster}],
            "users": [{"name": "t", "user": {"token": "t"}}],
        }
        self.kubeconfig = folder / "front.kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))
        try:
            yield self
        finally:
            await runner.cleanup()


@asynccontextmanager
async def a_ca(
    folder: Path, directory: Directory, kubeconfig: Path | None = None
) -> AsyncIterator[Served]:
    """A CA of now, by the real clock, that asks the cluster eu1."""
    situation, clock = Situation.of(directory, unsafe_short_lives=False), SystemClock()
    store = open_store(f"sqlite:///{folder}/ca.sqlite3")
    core = await Core.open(store, EncryptedKeyStore(KEK), situation, clock)
    try:
        if kubeconfig is not None:
            core.ask_clusters([ClusterApi("eu1", str(kubeconfig))])
        async with serving(core, clock, folder) as served:
            yield served
    finally:
        await core.close()


async def reason_of_refusal(served: Served, attempt: Awaitable[object]) -> str:
    """Why the CA did not accept evidence, which its audit table alone knows."""
    code, _ = await refused(attempt)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    return (await served.core.store.read(audit.entries))[-1].detail or ""
