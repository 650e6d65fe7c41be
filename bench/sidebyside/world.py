"""What all proxies of a run share: a CA, bindings, request and answer bodies, an upstream.

Every proxy proves the same server identity, meets the same client and is asked for the same
features, so that what differs between two measurements is the proxy.
"""

import getpass
import json
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = Path(__file__).parent.parent / "templates"
FEATURES = [f"driver_hourly_stats:f{index:02d}_conv_rate" for index in range(20)]
CLIENT = "spiffe://prod.acme.example/bu/ads/svc/bidder"
SERVER_WORKLOAD = "prod.ads/feast"
OTHER_IDENTITIES = 999
FEATURES_PER_IDENTITY = 100


@dataclass(frozen=True)
class World:
    """The folder of a run and the ports in it."""

    folder: Path
    ca: int
    proxy: int
    upstream: int
    authz: int

    @property
    def manifests(self) -> Path:
        """The manifests that the CA and the enforcing sidecar read."""
        return self.folder / "manifests"

    @property
    def shadow_manifests(self) -> Path:
        """The same with the feature set in shadow, where the answer is not filtered."""
        return self.folder / "manifests-shadow"

    def token(self, workload: str) -> Path:
        """A fresh join token of a workload, in a file."""
        command = ["featward", "ca", "token", "create", "--workload", workload]
        command += ["--admin-socket", str(self.folder / "admin.sock")]
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        path = self.folder / f"{workload.replace('/', '.')}.token"
        path.write_text(made.stdout)
        return path


@contextmanager
def built(folder: Path) -> Iterator[World]:
    """Write everything, start the CA, and fetch certificates for the server and the client."""
    world = World(folder, *free_ports(4))
    _write_bodies(folder)
    _write_bindings(world)
    with running(_ca(world), folder / "ca.log", port=world.ca):
        for workload, name in ((SERVER_WORKLOAD, "server"), ("prod.ads/bidder", "client")):
            _fetch_svid(world, workload, folder / name)
        yield world


@contextmanager
def upstream(world: World, rows: int) -> Iterator[subprocess.Popen[bytes]]:
    """nginx with the answer of so many rows."""
    text = (TEMPLATES / "nginx.conf").read_text()
    text = text.replace("@FOLDER@", str(world.folder)).replace("@PORT@", str(world.upstream))
    path = world.folder / "nginx.conf"
    path.write_text(text.replace("@ROWS@", str(rows)).replace("@USER@", getpass.getuser()))
    command = ["nginx", "-e", str(world.folder / "nginx.log"), "-c", str(path)]
    with running(command, world.folder / "nginx.out", port=world.upstream) as process:
        yield process


@contextmanager
def running(command: list[str], log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on the port while the block runs."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}; see {log}")


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens at the moment."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _ca(world: World) -> list[str]:
    command = [
        "featward",
        "ca",
        "serve",
        "--environment",
        "prod",
        "--data",
        str(world.folder / "ca"),
    ]
    command += ["--manifests", str(world.manifests), "--kek-file", str(world.folder / "ca.kek")]
    command += [
        "--listen",
        f"127.0.0.1:{world.ca}",
        "--admin-socket",
        str(world.folder / "admin.sock"),
        "--health",
        "",
    ]
    return command


def _fetch_svid(world: World, workload: str, folder: Path) -> None:
    token = world.token(workload)
    command = ["featward", "ca", "fetch-svid", "--ca", f"127.0.0.1:{world.ca}"]
    subprocess.run(
        [*command, "--token-file", str(token), "--out", str(folder)],
        check=True,
        capture_output=True,
    )


def _write_bodies(folder: Path) -> None:
    source = random.Random(7)  # noqa: S311 - the values only have to look like values
    for rows in (1, 20):
        drivers = [1000 + row for row in range(rows)]
        body = {
            "features": FEATURES,
            "entities": {"driver_id": drivers},
            "full_feature_names": False,
        }
        columns: list[list[float]] = [
            [*drivers],
            *([round(source.random(), 9) for _ in drivers] for _ in FEATURES),
        ]
        names = ["driver_id", *(feature.partition(":")[2] for feature in FEATURES)]
        answer = {
            "metadata": {"feature_names": names},
            "results": [_vector(column) for column in columns],
        }
        (folder / f"request-{rows}.json").write_text(json.dumps(body, separators=(",", ":")))
        (folder / f"answer-{rows}.json").write_text(json.dumps(answer, separators=(",", ":")))


def _vector(values: list[float]) -> dict[str, object]:
    stamps = ["2026-11-22T00:00:00Z"] * len(values)
    return {"values": values, "statuses": ["PRESENT"] * len(values), "event_timestamps": stamps}


def _write_bindings(world: World) -> None:
    """1,000 identities with 100 features each, of 5,000: as manifests for us, as JSON for OPA."""
    source = random.Random(7)  # noqa: S311 - any spread will do
    pool = [f"view_{index // 20:03d}:feature_{index:04d}" for index in range(4980)]
    table = {
        f"spiffe://prod.acme.example/bu/ads/svc/team{index}": source.sample(
            pool, FEATURES_PER_IDENTITY
        )
        for index in range(OTHER_IDENTITIES)
    }
    table[CLIENT] = FEATURES + source.sample(pool, FEATURES_PER_IDENTITY - len(FEATURES))
    (world.folder / "bindings.json").write_text(json.dumps(table))
    bindings = [_binding(index, granted) for index, granted in enumerate(table.items())]
    for folder, mode in ((world.manifests, "enforce"), (world.shadow_manifests, "shadow")):
        documents = [*_organisation(), _feature_set(world, pool, mode), *bindings]
        folder.mkdir()
        text = "\n---\n".join(json.dumps(document) for document in documents)
        (folder / "bench.yaml").write_text(text)


def _document(
    kind: str, name: str, spec: dict[str, object], namespace: str | None = None
) -> dict[str, object]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "featward.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _organisation() -> list[dict[str, object]]:
    label = {"featward.dev/business-unit": "prod.ads"}
    namespace: dict[str, object] = {"apiVersion": "v1", "kind": "Namespace"}
    return [
        _document("Environment", "prod", {"trustDomain": "prod.acme.example"}),
        _document("BusinessUnit", "prod.ads", {}),
        namespace | {"metadata": {"name": "features", "labels": label}},
        _document("Workload", "feast", {"businessUnit": "prod.ads", "name": "feast"}),
        _document("Workload", "bidder", {"businessUnit": "prod.ads", "name": "bidder"}),
    ]


def _feature_set(world: World, pool: list[str], mode: str) -> dict[str, object]:
    endpoint = {"adapter": "feast-http/v1", "host": "127.0.0.1", "port": world.upstream}
    spec: dict[str, object] = {
        "version": "1.0.0",
        "owner": {"team": "bench", "contact": "bench@acme.example"},
        "serving": {
            "workload": {"name": "feast"},
            "address": f"127.0.0.1:{world.proxy}",
            "endpoints": [endpoint],
        },
        "enforcement": {"mode": mode},
        "entities": [{"name": "driver_id", "type": "int64"}],
        "features": [{"name": name, "type": "double"} for name in [*FEATURES, *pool]],
    }
    return _document("FeatureSet", "driver-stats", spec, "features")


def _binding(index: int, granted: tuple[str, list[str]]) -> dict[str, object]:
    identity, features = granted
    spec: dict[str, object] = {
        "subjects": [{"spiffeId": identity}],
        "featureSet": {"name": "driver-stats", "version": ">=1,<2"},
        "features": features,
        "purpose": "bench",
        "expires": "2099-12-31",
    }
    return _document("FeatureBinding", f"grant-{index:04d}", spec, "features")
