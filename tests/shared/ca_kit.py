"""What the CA's tests are made of: a clock that stands still, a directory, requests, proofs."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca import directory
from featward_ca.attest import Attested, Method
from featward_ca.core import Core
from featward_ca.directory import Directory
from featward_ca.issuer import IssuedSvid
from featward_ca.recorded import Request, nothing
from featward_ca.replicas import DEAD_LOOKS
from featward_ca.requests import Key, keys_of, spki
from featward_ca.settings import DAY, HOUR
from featward_ca.store import clients, replica_rows
from featward_ca.store.clients import Told

OpenCore = Callable[..., Awaitable[Core]]
KEK = b"k" * 44
TRUST_DOMAIN = "prod.acme.example"


class FakeClock:
    """Stands still until `advance`; sleepers wake in order."""

    def __init__(self, now: float = 1_795_305_600.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep_until(self, moment: float) -> None:
        if moment <= self._now:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._count), future))
        await future

    def advance(self, seconds: float) -> None:
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


def a_directory(**changes: object) -> Directory:
    """Environment prod with two business units and three workloads."""
    workloads = [
        directory.workload("prod", TRUST_DOMAIN, "prod.payments", "pricing-api", None),
        directory.workload("prod", TRUST_DOMAIN, "prod.payments", "feast", "4242"),
        directory.workload("prod", TRUST_DOMAIN, "prod.risk", "scoring", None),
    ]
    values: dict[str, object] = {
        "environment": "prod",
        "trust_domain": TRUST_DOMAIN,
        "svid_lifetime": HOUR,
        "business_units": {"prod.payments": 7 * DAY, "prod.risk": 7 * DAY},
        "workloads": {workload.name: workload for workload in workloads},
    }
    return Directory(**(values | changes))  # type: ignore[arg-type]


def a_request(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A certificate request for a fresh key, or for this one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def key_of(key: ec.EllipticCurvePrivateKey) -> Key:
    """The public half as a request for it would show it."""
    return Key(spki(key.public_key()))


def attested(core: Core, workload: str) -> Attested:
    """Proof without evidence, for tests of what comes after it."""
    return Attested(core.situation.directory.workload(workload), Method.UNIX, nothing)


async def issue(core: Core, who: str | Attested, csr: bytes | None = None) -> IssuedSvid:
    """An SVID for a workload that is taken at its word."""
    proof = attested(core, who) if isinstance(who, str) else who
    (key,) = keys_of([csr or a_request()])
    return await core.issuer.issue(Request("attest", "test"), proof, key, core.situation.lifetimes)


async def acknowledge(core: Core, issued: IssuedSvid, sequence: int | None = None) -> None:
    """The client of an SVID says that it uses it, and the newest trust or this one."""
    said = core.trust.current.sequence if sequence is None else sequence
    now, replica = core.clock.now(), core.store.replica
    told = [Told(issued.row.lineage, True, said, issued.row.serial)]
    await core.store.run(lambda connection: clients.tell(connection, told, replica, now))


async def outlive_the_dead(core: Core) -> None:
    """Look so often that a replica without heartbeat is given up; the embedded store has none."""
    for _ in range(DEAD_LOOKS + 1):
        await core.replicas.beat()


async def killed(core: Core) -> None:
    """Nobody will hear of this CA any more: its replica is as good as buried."""
    name = core.store.replica
    await core.store.run(lambda connection: replica_rows.remove(connection, [name]))
