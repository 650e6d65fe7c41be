"""Two trust domains federate for real: two CAs that fetch each other's bundle, and a caller of one that a
feature server of the other lets in for what a binding says of its full SPIFFE ID, and for nothing else."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from featward_demo.authority import Authority
from featward_demo.command_line import ask
from featward_demo.documents import NAMESPACE, NEXT_QUARTER, day
from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST, ports
from featward_demo.sidecar import Sidecar
from federation_kit import Web, environment_document, go, web_relation
from mesh import GRANTED, QUESTION, SET, Mesh, running

OURS, THEIRS = "prod.acme.example", "partner.example"
SERVER = f"spiffe://{OURS}/bu/payments/svc/feast"
# The same business unit's name as ours has, which must not help them.
CALLER, STRANGER = (f"spiffe://{THEIRS}/bu/payments/svc/{name}" for name in ("caller", "stranger"))


class Partner:
    """The other organisation: its CA, and a sidecar beside each of two apps."""

    def __init__(self, folder: Path, relation: dict[str, str], options: list[str]) -> None:
        self._folder = folder
        self._ports = ports(None)
        self.manifests = folder / "manifests"
        self.manifests.mkdir(parents=True)
        self._write(relation)
        log = folder / "logs" / "ca.log"
        ca_ports = (next(self._ports), next(self._ports))
        data = folder / "ca"
        self.ca = Authority("live", data, self.manifests, log, *ca_ports, True, options)
        self.apps = {name: self._sidecar(name) for name in ("caller", "stranger")}

    def start(self) -> None:
        self.ca.restart()
        for sidecar in self.apps.values():
            assert sidecar.token is not None
            self.ca.token(sidecar.workload, sidecar.token)
            sidecar.start()

    def stop(self) -> None:
        for sidecar in self.apps.values():
            sidecar.stop()
        self.ca.stop()

    def ask(self, name: str, url: str) -> dict[str, Any]:
        """What an app of theirs is answered by our server, with go-spiffe and their sidecar's socket."""
        socket = f"unix://{self.apps[name].workload_socket}"
        answer: dict[str, Any] = go("post", socket, SERVER, url, given=json.dumps(QUESTION))
        return answer

    def _write(self, relation: dict[str, str]) -> None:
        head = {"apiVersion": "featward.dev/v1alpha1"}
        documents = [
            head | {"kind": "BusinessUnit", "metadata": {"name": "live.payments"}},
            *(
                head
                | {
                    "kind": "Workload",
                    "metadata": {"name": name},
                    "spec": {"businessUnit": "live.payments", "name": name},
                }
                for name in ("caller", "stranger")
            ),
        ]
        environment = environment_document("live", THEIRS, relation, svid_ttl="30s")
        text = "---\n".join([environment, *(yaml.safe_dump(one) for one in documents)])
        (self.manifests / "platform.yaml").write_text(text)

    def _sidecar(self, name: str) -> Sidecar:
        return Sidecar(
            workload=f"live.payments/{name}",
            ca=self.ca.address,
            manifests=self.manifests,
            token=self._folder / "tokens" / name,
            folder=self._folder / "sidecars" / name,
            log=self._folder / "logs" / f"{name}.log",
            health=next(self._ports),
            workload_socket=self._folder / f"{name}.sock",
        )


@pytest.fixture
def web(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The certificate of both bundle endpoints, which both machines trust."""
    made = Web.make(folder / "web")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.roots))
    return made


@pytest.fixture
def endpoints() -> tuple[str, str]:
    """Where our bundle is to be fetched, and theirs."""
    free = ports(None)
    return f"{HOST}:{next(free)}", f"{HOST}:{next(free)}"


@pytest.fixture
def mesh(folder: Path, feast: FeastServer, web: Web, endpoints: tuple[str, str]) -> Iterator[Mesh]:
    """Our side: a CA and a feature server."""
    with running(folder / "ours", feast, "30s", short_lives=True) as mesh:
        mesh.ca.options = serving(web, endpoints[0])
        mesh.start(["local"])
        yield mesh


@pytest.fixture
def partner(folder: Path, mesh: Mesh, web: Web, endpoints: tuple[str, str]) -> Iterator[Partner]:
    relation = web_relation(f"https://{endpoints[0]}/", OURS)
    made = Partner(folder / "theirs", relation, serving(web, endpoints[1]))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def serving(web: Web, listen: str) -> list[str]:
    files = ["--bundle-certificate", str(web.chain), "--bundle-key", str(web.key)]
    return ["--bundle-listen", listen, *files]


def test_a_foreign_caller_is_let_in_by_its_full_name_and_by_nothing_else(
    mesh: Mesh, partner: Partner, endpoints: tuple[str, str]
) -> None:
    url = f"https://{HOST}:{mesh.server.listen}/get-online-features"
    eventually(lambda: _fetched(partner.ca.data) == OURS)
    # Nobody here has heard of them.
    assert refused_handshake(partner, url)
    federate(mesh, web_relation(f"https://{endpoints[1]}/", THEIRS))
    mesh.write("bindings.yaml", binding("partner", {"spiffeId": CALLER}))
    eventually(lambda: _fetched(mesh.ca.data) == THEIRS)
    eventually(lambda: answered(partner, "caller", url) == 200)
    answer = json.loads(partner.ask("caller", url)["body"])
    assert GRANTED.split(":")[1] in answer["metadata"]["feature_names"]
    # The rest of their domain is known, and granted nothing: not by a business unit of the same name either.
    before = _policy(mesh)
    mesh.write(
        "bindings.yaml",
        binding("partner", {"spiffeId": CALLER}),
        binding("unit", {"businessUnit": "prod.payments"}),
    )
    eventually(lambda: _policy(mesh) != before)
    status = partner.ask("stranger", url)
    assert status["status"] == 403
    assert json.loads(status["body"])["reason"] == "not-granted"
    assert _recorded(mesh, STRANGER) == {"deny"}
    assert "allow" in _recorded(mesh, CALLER)
    # The end of the relation is the end of it, whatever bindings say.
    federate(mesh)
    eventually(lambda: refused_handshake(partner, url))
    assert _fetched(mesh.ca.data) is None


def federate(mesh: Mesh, *relations: dict[str, str]) -> None:
    """Edit our Environment."""
    file = mesh.manifests / "platform.yaml"
    _, *rest = yaml.safe_load_all(file.read_text())
    environment = yaml.safe_load(environment_document("prod", OURS, *relations, svid_ttl="30s"))
    mesh.write("platform.yaml", environment, *rest)


def binding(name: str, subject: dict[str, Any]) -> dict[str, Any]:
    spec = {
        "subjects": [subject],
        "featureSet": {"name": SET},
        "features": [GRANTED],
        "purpose": "test",
        "expires": day(NEXT_QUARTER),
    }
    metadata = {"name": name, "namespace": NAMESPACE}
    head = {"apiVersion": "featward.dev/v1alpha1", "kind": "FeatureBinding"}
    return {**head, "metadata": metadata, "spec": spec}


def answered(partner: Partner, name: str, url: str) -> int | None:
    """The status; None where the handshake was refused."""
    try:
        return int(partner.ask(name, url)["status"])
    except subprocess.CalledProcessError as error:
        why = str(error.stderr)
    # Other failures are the test's own.
    if not any(word in why for word in ("tls: ", "x509", "EOF", "reset")):
        pytest.fail(why)
    return None


def refused_handshake(partner: Partner, url: str) -> bool:
    return answered(partner, "caller", url) is None


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _fetched(data: Path) -> str | None:
    """The foreign trust domain that a CA has a bundle of."""
    foreign = ask("ca", "status", "--data", data)["foreign"]
    return next((one["trust_domain"] for one in foreign if one["fetched_at"]), None)


def _policy(mesh: Mesh) -> str:
    return str(mesh.server.status()["policy"]["digest"])


def _recorded(mesh: Mesh, peer: str) -> set[str]:
    lines = (json.loads(line) for line in mesh.server.record.read_text().splitlines())
    return {line["outcome"] for line in lines if line.get("peer") == peer and "outcome" in line}
