"""A thief holds the key of a business unit's authority, as the CA keeps it, and calls running sidecars with it.

The stolen unit is prod.risk; the names it writes are of prod.payments, whose client has a grant and whose
server is called, so that whatever is accepted shows as an answer.
"""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import Authority
from featward_ca.keys import EncryptedKeyStore, key_encryption_key
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import State
from featward_ca.store.read_only import read_only
from featward_demo.calls import Answer, Identity, mutual, plain
from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from mesh import QUESTION, SET, Mesh, running

# The record is written beside the requests.
RECORDED_SECONDS = 5
OWN, STOLEN, PLATFORM, ROOT = "prod.payments", "prod.risk", "platform", "root"
DOMAIN = "spiffe://prod.acme.example"
CLIENT, SERVER = f"{DOMAIN}/bu/payments/svc/pricing-api", f"{DOMAIN}/bu/payments/svc/feast"
# The same names, and the stolen unit's own, in another environment.
ELSEWHERE = [
    "spiffe://dev.acme.example/bu/payments/svc/pricing-api",
    "spiffe://dev.acme.example/bu/risk/svc/scoring",
]
RISK = {
    "apiVersion": "featward.dev/v1alpha1",
    "kind": "BusinessUnit",
    "metadata": {"name": STOLEN},
    "spec": {},
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """A server and a client of one business unit, beside another one."""
    with running(tmp_path_factory.mktemp("t"), feast) as mesh:
        mesh.manifests.mkdir()
        mesh.write("risk.yaml", RISK)
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        yield mesh


@pytest.fixture(scope="module")
def keys(mesh: Mesh) -> dict[str, Authority]:
    """Every authority of the CA by its owner, opened as who has its folder and its key-encryption key can."""
    kek, _ = key_encryption_key(mesh.ca.folder / "kek", mesh.ca.data, first_start=False)
    found = {}
    with read_only(mesh.ca.data / "ca.sqlite3") as connection:
        for row in authority_rows.of_state(connection, State.ACTIVE):
            store = EncryptedKeyStore(kek)
            assert row.key is not None
            store.load(row.key)
            (key,) = store._keys.values()
            assert row.certificate is not None
            found[row.owner] = Authority(x509.load_der_x509_certificate(row.certificate), key)
    return found


@pytest.fixture
def vacant(mesh: Mesh) -> Iterator[int]:
    """The server's port, where nobody listens for the time of a test."""
    assert mesh.server.listen is not None
    mesh.server.stop()
    yield mesh.server.listen
    mesh.run(mesh.server)


def test_the_key_of_its_own_unit_makes_an_identity_that_is_answered(
    mesh: Mesh, keys: dict[str, Authority], tmp_path: Path
) -> None:
    """So that what is refused below is refused for its signer alone."""
    assert _call(mesh, keys, tmp_path, OWN, CLIENT, None).status == 200


@pytest.mark.parametrize("name", [CLIENT, SERVER, f"{DOMAIN}/featward/operator", *ELSEWHERE])
@pytest.mark.parametrize("claimed", [None, OWN, PLATFORM, ROOT])
def test_a_stolen_authority_calls_a_running_sidecar_as_nobody_else(
    mesh: Mesh, keys: dict[str, Authority], tmp_path: Path, name: str, claimed: str | None
) -> None:
    before = _refused(mesh)
    answer = _call(mesh, keys, tmp_path, STOLEN, name, claimed)
    assert (answer.status, bool(answer.failure)) == (None, True)
    cause = "wrong-trust-domain" if name in ELSEWHERE else "out-of-scope"
    assert _refused(mesh, len(before) + 1)[len(before) :] == [cause]


def test_a_stolen_authority_gains_nothing_by_one_of_its_own_below_it(
    mesh: Mesh, keys: dict[str, Authority], tmp_path: Path
) -> None:
    below = keys[STOLEN].intermediate(OWN)
    files = below.write_identity(
        tmp_path, CLIENT, keys[STOLEN].certificate, claimed_issuer=keys[OWN]
    )
    assert _with(mesh, keys, tmp_path, files).status is None


@pytest.mark.parametrize(
    ("signer", "claimed"), [(OWN, None), (STOLEN, None), (STOLEN, OWN)], ids=str
)
def test_a_stolen_authority_serves_no_running_sidecar_as_another_units_server(
    mesh: Mesh,
    keys: dict[str, Authority],
    vacant: int,
    tmp_path: Path,
    signer: str,
    claimed: str | None,
) -> None:
    files = _forged(keys, tmp_path, signer, SERVER, claimed)
    with _serving(vacant, *files) as asked:
        answer = plain(mesh.clients["pricing-api"].outbound[SET], QUESTION)
    if signer == OWN:
        assert (answer.status, len(asked)) == (200, 1)
        return
    assert asked == []
    assert (answer.status, answer.reason) == (502, "server-not-trusted")


def _call(
    mesh: Mesh,
    keys: dict[str, Authority],
    folder: Path,
    signer: str,
    name: str,
    claimed: str | None,
) -> Answer:
    return _with(mesh, keys, folder, _forged(keys, folder, signer, name, claimed))


def _forged(
    keys: dict[str, Authority], folder: Path, signer: str, name: str, claimed: str | None
) -> tuple[Path, Path]:
    issuer = keys[claimed] if claimed else None
    return keys[signer].write_identity(folder, name, claimed_issuer=issuer)


def _with(mesh: Mesh, keys: dict[str, Authority], folder: Path, files: tuple[Path, Path]) -> Answer:
    chain, key = files
    bundle = folder / "bundle.pem"
    bundle.write_bytes(keys[ROOT].certificate.public_bytes(Encoding.PEM))
    assert mesh.server.listen is not None
    return mutual(mesh.server.listen, bundle, Identity("", key, chain, bundle), QUESTION)


def _refused(mesh: Mesh, least: int = 0) -> list[str]:
    """Why handshakes were refused, from the server's record; `least`: wait for so many."""
    end = time.monotonic() + RECORDED_SECONDS
    while True:
        lines = map(json.loads, mesh.server.record.read_text().splitlines())
        found = [line["reason"] for line in lines if line["kind"] == "handshake"]
        if len(found) >= least or time.monotonic() > end:
            return found
        time.sleep(0.05)


@contextmanager
def _serving(port: int, chain: Path, key: Path) -> Iterator[list[str]]:
    """The thief's feature server; every path that was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["http/1.1"])
    with ThreadingHTTPServer((HOST, port), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
