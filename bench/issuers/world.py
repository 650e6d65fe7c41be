"""What all runs share: manifests, a CA whose clients have been enrolled already, certificate requests.

The clients are enrolled on the store itself before the CA is started, by the CA's own code: ten
thousand join tokens would come through the network at the rate that strangers are allowed, and that
is not what is measured. All clients have one key, which is as good as ten thousand to the server.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca.attest import Attested, Method
from featward_ca.clock import SystemClock
from featward_ca.core import Core
from featward_ca.issuer import IssuedSvid, Wanted
from featward_ca.keys import EncryptedKeyStore, key_encryption_key
from featward_ca.manifests import read_directory
from featward_ca.recorded import Request, nothing
from featward_ca.requests import keys_of
from featward_ca.settings import ServeSettings
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store

TRUST_DOMAIN = "prod.acme.example"
UNIT = "prod.payments"
# Every client is one process of one of so many workloads.
WORKLOADS = 100
CSRS = 512
_AT_ONCE = 200


@dataclass(frozen=True)
class World:
    """The folder of a run."""

    folder: Path

    @property
    def manifests(self) -> Path:
        """What the CA reads."""
        return self.folder / "manifests"

    @property
    def csrs(self) -> Path:
        """Certificate requests of fresh keys; PEM."""
        return self.folder / "csrs.pem"

    @property
    def clients(self) -> Path:
        """Leaf and intermediate of each client; PEM."""
        return self.folder / "clients.pem"

    @property
    def client_key(self) -> Path:
        """The key of all clients."""
        return self.folder / "client.key"

    @property
    def roots(self) -> Path:
        """Whom the clients trust."""
        return self.folder / "roots.pem"

    @property
    def kek(self) -> Path:
        """The CA's key-encryption key."""
        return self.folder / "ca.kek"

    def fresh_data(self, name: str) -> Path:
        """A copy of the data directory with all clients enrolled, each with its first SVID."""
        data = self.folder / name
        shutil.copytree(self.folder / "enrolled", data)
        return data


def build(folder: Path, clients: int) -> World:
    """Write everything that a run needs."""
    world = World(folder)
    world.manifests.mkdir()
    (world.manifests / "bench.yaml").write_text("\n---\n".join(map(json.dumps, _documents())))
    _write(world.csrs, (_csr(_new_key()) for _ in range(CSRS)))
    asyncio.run(_enrol(world, clients))
    return world


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key for a file that is gone with the run."""
    form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(form, kind, serialization.NoEncryption())


async def _enrol(world: World, clients: int) -> None:
    data = world.folder / "enrolled"
    data.mkdir(mode=0o700)
    settings = ServeSettings(
        environment="prod",
        data=data,
        manifests=world.manifests,
        kek_file=world.kek,
        listen="",
        workload_socket=None,
        admin_socket=data / "admin.sock",
        health=None,
    )
    kek, _ = key_encryption_key(world.kek, data, first_start=True)
    situation = Situation.of(read_directory(world.manifests, "prod"), unsafe_short_lives=False)
    keys, clock = EncryptedKeyStore(kek), SystemClock()
    core = await Core.open(open_store(settings.store), keys, situation, clock)
    try:
        key = _new_key()
        world.client_key.write_bytes(pem(key))
        issued = await _issue(core, _csr(key).public_bytes(serialization.Encoding.DER), clients)
        _write(world.roots, map(x509.load_der_x509_certificate, core.trust.current.roots))
    finally:
        await core.close()
    chains = (x509.load_der_x509_certificate(der) for one in issued for der in one.chain)
    _write(world.clients, chains)


async def _issue(core: Core, csr: bytes, clients: int) -> list[IssuedSvid]:
    (key,) = keys_of([csr])
    directory, lifetimes = core.situation.directory, core.situation.lifetimes
    issued: list[IssuedSvid] = []
    while missing := clients - len(issued):
        orders = []
        for number in range(min(_AT_ONCE, missing)):
            workload = directory.workload(f"{UNIT}/app-{number % WORKLOADS:02d}")
            attested = Attested(workload, Method.JOIN_TOKEN, nothing)
            orders.append(Wanted(Request("attest", "bench"), attested, key))
        for made in await core.issuer.issue_many(orders, lifetimes):
            if not isinstance(made, IssuedSvid):
                raise SystemExit(f"a client could not be enrolled: {made}")
            issued.append(made)
    return issued


def _documents() -> list[dict[str, object]]:
    apps = [
        _document(
            "Workload", f"app-{number:02d}", {"businessUnit": UNIT, "name": f"app-{number:02d}"}
        )
        for number in range(WORKLOADS)
    ]
    # The one that comes by the CA's socket, where the kernel says who it is.
    attest = {"unix": {"user": str(os.getuid())}}
    node: dict[str, object] = {"businessUnit": UNIT, "name": "node", "attest": attest}
    return [
        _document("Environment", "prod", {"trustDomain": TRUST_DOMAIN}),
        _document("BusinessUnit", UNIT, {}),
        _document("Workload", "node", node),
        *apps,
    ]


def _document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    meta = {"name": name}
    return {"apiVersion": "featward.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _csr(key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256())


def _write(
    path: Path, objects: Iterator[x509.Certificate] | Iterator[x509.CertificateSigningRequest]
) -> None:
    form = serialization.Encoding.PEM
    path.write_bytes(b"".join(one.public_bytes(form) for one in objects))
