"""A mesh of one's own for a test that hurts it: one CA, one sidecar before a real Feast, clients beside it.

The parts are the demo's, so that a test starts what a user starts. Feast itself is shared, since nothing here
changes it.
"""

import json
import os
import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from featward_demo.authority import Authority
from featward_demo.documents import NAMESPACE, NEXT_QUARTER, day, import_feature_set, set_mode
from featward_demo.feast_server import FeastServer
from featward_demo.load import Load
from featward_demo.ports import HOST, ports
from featward_demo.sidecar import Sidecar

SET = "driver-stats"
GRANTED = "driver_hourly_stats:conv_rate"
QUESTION = {"features": [GRANTED], "entities": {"driver_id": [1001, 1002]}}


@dataclass
class Mesh:
    """One environment `prod` with the workloads `feast` and those asked for, all of BU `prod.payments`."""

    folder: Path
    feast: FeastServer
    svid_ttl: str
    short_lives: bool
    clients: dict[str, Sidecar] = field(default_factory=dict)
    # Clients that the CA knows by the user that they run as, not by a join token.
    by_kernel: Container[str] = ()

    def __post_init__(self) -> None:
        self._ports = ports(None)
        self.manifests = self.folder / "manifests"
        self._socket = self.folder / "ca" / "w.sock"
        log = self.folder / "logs" / "ca.log"
        ca_ports = (next(self._ports), next(self._ports))
        self.ca = Authority(
            "prod", self.folder / "ca", self.manifests, log, *ca_ports, short_lives=self.short_lives
        )
        self.ca.options = ["--workload-socket", str(self._socket)]
        self.server = self._sidecar("feast", listen=next(self._ports), plain=next(self._ports))

    def start(self, clients: Iterable[str], mode: str = "enforce") -> None:
        """The CA, the sidecar before Feast, and the manifests that grant one feature to each client."""
        clients = list(clients)
        self._write_manifests(clients)
        self.ca.start()
        self.ca.ready()
        self.set_mode(mode)
        self.run(self.server)

    def set_mode(self, mode: str) -> None:
        """Put the feature set into a mode, as its owner does by an edit."""
        set_mode(self.manifests / f"{SET}.yaml", mode, unidentified=mode == "observe")

    def write(self, name: str, *documents: dict[str, Any]) -> None:
        """Write one file of manifests, in one step that no reader sees half of."""
        fresh = self.manifests / f".{name}"
        fresh.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        os.replace(fresh, self.manifests / name)

    def client(self, name: str) -> Sidecar:
        """A running sidecar beside a client, with an outbound port for the feature set."""
        if name not in self.clients:
            client = self._sidecar(name, outbound={SET: next(self._ports)})
            if name in self.by_kernel:
                client = replace(client, ca=f"unix:{self._socket}", token=None)
            self.clients[name] = client
            self.run(client)
        return self.clients[name]

    def run(self, sidecar: Sidecar) -> None:
        """Start a sidecar, with a fresh token if it needs one, and wait until it is ready."""
        if sidecar.token is not None:
            self.ca.token(sidecar.workload, sidecar.token)
        sidecar.start()
        sidecar.ready()

    @contextmanager
    def no_request_lost(self) -> Iterator[Load]:
        """Steady load of `pricing-api` meanwhile: every request is answered, every handshake is done, and no
        gate is forced.
        """
        load = Load(self.clients["pricing-api"].outbound[SET], QUESTION)
        load.start()
        try:
            yield load
        finally:
            load.stop()
        assert not load.failures, list(load.failures)
        assert load.answered > 500
        records = [json.loads(line) for line in self.server.record.read_text().splitlines()]
        assert [one for one in records if one["kind"] == "handshake"] == []
        assert self.query("SELECT * FROM rotation_event WHERE what = 'forced'") == []

    def query(self, query: str) -> list[Any]:
        """Read the CA's store beside it, whether it lives or not."""
        address = f"file:{self.ca.data}/ca.sqlite3?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as store:
            return store.execute(query).fetchall()

    def states(self, owner: str) -> list[str]:
        """Those of an owner's authorities, oldest first."""
        rows = self.query("SELECT owner, state FROM authority ORDER BY generation")
        return [state for of, state in rows if of == owner]

    def stop(self) -> None:
        """End every program."""
        for sidecar in (*self.clients.values(), self.server):
            sidecar.stop()
        self.ca.stop()

    def _write_manifests(self, clients: list[str]) -> None:
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.write("platform.yaml", *self._platform(["feast", *clients]))
        address = f"{HOST}:{self.server.listen}"
        import_feature_set(SET, self.feast.repository, self.manifests, address, self.feast.port)
        self.write("bindings.yaml", binding("clients", clients))

    def _platform(self, workloads: Iterable[str]) -> Iterator[dict[str, Any]]:
        spec = {"trustDomain": "prod.acme.example", "svidTTL": self.svid_ttl}
        yield _document("Environment", "prod", spec)
        yield _document("BusinessUnit", "prod.payments", {})
        labels = {"featward.dev/business-unit": "prod.payments"}
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        }
        user = {"attest": {"unix": {"user": str(os.getuid())}}}
        for name in workloads:
            told = user if name in self.by_kernel else {}
            yield _document(
                "Workload", name, {"businessUnit": "prod.payments", "name": name, **told}
            )

    def _sidecar(self, name: str, **listening: Any) -> Sidecar:
        return Sidecar(
            workload=f"prod.payments/{name}",
            ca=self.ca.address,
            manifests=self.manifests,
            token=self.folder / "tokens" / name,
            folder=self.folder / "sidecars" / name,
            log=self.folder / "logs" / f"{name}.log",
            health=next(self._ports),
            **listening,
        )


@contextmanager
def running(
    folder: Path, feast: FeastServer, svid_ttl: str = "1h", short_lives: bool = False
) -> Iterator[Mesh]:
    """A mesh that is stopped at the end, whatever happened in between."""
    mesh = Mesh(folder, feast, svid_ttl, short_lives)
    try:
        yield mesh
    finally:
        mesh.stop()


def binding(
    name: str, clients: Iterable[str], features: Iterable[str] = (GRANTED,)
) -> dict[str, Any]:
    """A FeatureBinding that grants these features to these workloads of `prod.payments`."""
    subjects = [
        {"workload": {"businessUnit": "prod.payments", "name": client}} for client in clients
    ]
    spec: dict[str, Any] = {
        "subjects": subjects,
        "featureSet": {"name": SET},
        "features": list(features),
        "purpose": "test",
        "expires": day(NEXT_QUARTER),
    }
    return _document("FeatureBinding", name, spec, namespace=NAMESPACE)


def _document(kind: str, name: str, spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    head = {"apiVersion": "featward.dev/v1alpha1", "kind": kind}
    return {**head, "metadata": {"name": name, **metadata}, "spec": spec}
