"""An environment whose workloads prove themselves by tokens, and calls that show them."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import TRUST_DOMAIN, a_directory, a_request
from featward.identity.v1 import identity_pb2
from featward_ca import directory
from featward_ca.attest.tokens import audience_of
from featward_ca.directory import Cluster, Directory, JwtIssuer, JwtRule
from service_kit import Metadata, Served, headers_of

__all__ = [
    "AUDIENCE",
    "by_jwt",
    "by_kubernetes",
    "renew",
    "with_cluster",
    "with_jwt",
]

AUDIENCE = audience_of(TRUST_DOMAIN)


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
