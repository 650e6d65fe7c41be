"""The CA's gRPC services in the test's own process, called with the headers that a Listener would
set.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca_kit import TRUST_DOMAIN, a_request
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_ca.clock import Clock
from featward_ca.core import Core
from featward_ca.serials import serial_text
from featward_ca.service.admin import handlers as admin_handlers
from featward_ca.service.guard import Guard
from featward_ca.service.identity import IdentityService
from featward_ca.service.peers import ADMIN
from featward_ca.service.sockets import listen
from featward_ca.service.streams import Streams

NAME = "prod.payments/pricing-api"
UNIX_HEADERS = (
    ("featward-peer-uid", "4242"),
    ("featward-peer-gid", "1"),
    ("featward-peer-pid", "2"),
)
IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
AUTHORITY = authority_pb2.DESCRIPTOR.services_by_name["AuthorityService"]

Stub: Any = identity_pb2_grpc.IdentityServiceStub
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
Metadata = tuple[tuple[str, str], ...]


@dataclass
class Served:
    """A served core: its stubs and its streams."""

    core: Core
    stub: identity_pb2_grpc.IdentityServiceStub
    admin: authority_pb2_grpc.AuthorityServiceStub
    # The same service where it is reached with an SVID.
    remote: authority_pb2_grpc.AuthorityServiceStub
    streams: Streams
    service: IdentityService

    async def token(self, workload: str = NAME) -> str:
        request = authority_pb2.CreateJoinTokenRequest(workload=workload)
        answer = await self.admin.CreateJoinToken(request)
        return str(answer.token).rpartition(".")[2]

    async def attest(self, csr: bytes | None = None) -> identity_pb2.AttestResponse:
        evidence = identity_pb2.Evidence(join_token=await self.token())
        request = identity_pb2.AttestRequest(evidence=evidence, csr=csr or a_request())
        answer: identity_pb2.AttestResponse = await self.stub.Attest(request)
        return answer


@asynccontextmanager
async def serving(core: Core, clock: Clock, folder: Path) -> AsyncIterator[Served]:
    """A CA behind its sockets, in this folder."""
    guard, streams = Guard(TRUST_DOMAIN, clock, core.metrics, core.issuance), Streams()
    service = IdentityService(core, streams)
    looked_after = admin_handlers(core, streams)
    sockets = folder / "i.sock", folder / "a.sock"
    servers = [
        await listen(
            sockets[0],
            [guard.service(IDENTITY, service.handlers), guard.service(AUTHORITY, looked_after)],
        ),
        await listen(sockets[1], [guard.service(AUTHORITY, looked_after, ADMIN)]),
    ]
    async with (
        grpc.aio.insecure_channel(f"unix:{sockets[0]}") as identity,
        grpc.aio.insecure_channel(f"unix:{sockets[1]}") as admin,
    ):
        yield Served(core, Stub(identity), AdminStub(admin), AdminStub(identity), streams, service)
    for server in servers:
        await server.stop(0)
    await service.drain()


def headers_of(svid: identity_pb2.Svid, expired: bool = False) -> Metadata:
    """What a Listener says of a peer with this SVID."""
    leaf = x509.load_der_x509_certificate(svid.chain[0])
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    headers: Metadata = (
        ("featward-peer-spiffe-id", svid.spiffe_id),
        ("featward-peer-serial", serial_text(leaf.serial_number)),
        ("featward-peer-key", sha256(key).hexdigest()),
    )
    return (*headers, ("featward-peer-expired", "1")) if expired else headers


async def refused(call: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call  # type: ignore[misc]
    return error.value.code(), error.value.details() or ""
