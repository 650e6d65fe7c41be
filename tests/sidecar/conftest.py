"""What the sidecar's tests share: a folder of real manifests, a real CA, real sidecars and an upstream."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from featward_sidecar.admin import fetch_status

FEATWARD = Path(sys.executable).with_name("featward")

PLATFORM = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: %(ttl)s}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
spec: {}
---
apiVersion: v1
kind: Namespace
metadata: {name: pricing, labels: {featward.dev/business-unit: prod.payments}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast%(unix)s}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
"""

SETS = """
apiVersion: featward.dev/v1alpha1
kind: FeatureSet
metadata: {name: driver-stats, namespace: pricing}
spec:
  version: "1.0.0"
  owner: {team: driver-ml, contact: driver-ml@acme.example}
  serving:
    workload: {name: feast}
    endpoints: [{adapter: feast-http/v1, host: 127.0.0.1, port: %(upstream)d}]
    address: 127.0.0.1:%(serve)d
  enforcement: {mode: %(mode)s}
  entities: [{name: driver_id, type: int64}]
  features:
    - {name: "driver_hourly_stats:conv_rate", type: double}
    - {name: "driver_hourly_stats:acc_rate", type: double}
---
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {name: pricing-api, namespace: pricing}
spec:
  subjects: [{workload: {businessUnit: prod.payments, name: pricing-api}}]
  featureSet: {name: driver-stats}
  features: [%(features)s]
  purpose: pricing
  expires: "2099-12-31"
"""


class RunningCa:
    """A real CA in a process of its own; `kill` it and `start` it again at the same address."""

    def __init__(self, folder: Path, manifests: Path) -> None:
        self.socket = folder / "workload.sock"
        self.address = "127.0.0.1:0"
        self.data = folder / "data"
        self.options: list[str] = []
        self._folder = folder
        self._manifests = manifests
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command: list[str | Path] = [
            FEATWARD,
            "ca",
            "serve",
            "--environment",
            "prod",
            "--data",
            self.data,
        ]
        command += ["--manifests", self._manifests, "--kek-file", self._folder / "kek"]
        command += ["--listen", self.address, "--workload-socket", self.socket, "--health", ""]
        command += ["--unsafe-short-lives", *self.options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if line.startswith("listen: "):
                self.address = line.split()[1]
            if "the CA is ready" in line:
                break
        else:
            pytest.fail("the CA did not start:\n" + "".join(said))
        # Nobody reads on, and a full pipe would stop it.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """As a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def token(self, workload: str) -> str:
        command: list[str | Path] = [
            FEATWARD,
            "ca",
            "token",
            "create",
            "--workload",
            workload,
            "--data",
            self.data,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout


class Upstream:
    """A feature server on loopback that answers like Feast; `seen` counts what reached it."""

    def __init__(self) -> None:
        self.seen = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.seen += 1
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                names = ["driver_id", *(each.partition(":")[2] for each in asked["features"])]
                rows = len(asked["entities"]["driver_id"])
                stamp = ["2026-11-22T19:27:21Z"] * rows
                column = {
                    "values": [1] * rows,
                    "statuses": ["PRESENT"] * rows,
                    "event_timestamps": stamp,
                }
                answer = {"results": [column] * len(names), "metadata": {"feature_names": names}}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class RunningSidecar:
    """`featward sidecar run` in a process of its own, with what it logged."""

    def __init__(self, folder: Path, flags: dict[str, object]) -> None:
        self.state = folder / "state"
        self.lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        told = {"state": self.state, "log-format": "json", **flags}
        command = [str(FEATWARD), "sidecar", "run"]
        command += [part for name, value in told.items() for part in (f"--{name}", str(value))]
        # As most systems start programs.
        command = ["prlimit", "--nofile=1024:", "--", *command]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            text = line.decode()
            with self._news:
                self.lines.append(json.loads(text) if text.startswith("{") else {"message": text})
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def logged(self, message: str, count: int = 1, seconds: float = 40) -> dict[str, Any]:
        """The count-th line of this phrase, waited for."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line["message"] == message]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, seconds), self.lines
            return found()[count - 1]

    def ready(self) -> dict[str, Any]:
        """Wait for identity and policy; returns the line that says where it listens."""
        self.logged("identity issued")
        self.logged("policy applied")
        return self.logged("listening")

    def status(self) -> dict[str, Any]:
        return fetch_status(self.state / "admin.sock")

    def wait(
        self, condition: Callable[[dict[str, Any]], Any], seconds: float = 40
    ) -> dict[str, Any]:
        """The status, once it fulfils the condition. It can only be asked for, so this asks."""
        deadline = time.monotonic() + seconds
        while not condition(status := self.status()):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        return status

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


class Scene:
    """Manifests, CA, upstream and sidecars in one folder; `close` ends what was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifests = folder / "manifests"
        self.app = ""
        self._close = ExitStack()

    def write(
        self,
        features: str = '"driver_hourly_stats:conv_rate"',
        mode: str = "enforce",
        ttl: str = "1h",
        unix: str = "",
        upstream: int = 6566,
        serve: int = 15443,
    ) -> Path:
        """Write the manifests; called again, it is an edit."""
        self.manifests.mkdir(exist_ok=True)
        values = {"features": features, "mode": mode, "upstream": upstream, "serve": serve}
        told = f", attest: {{unix: {{user: {unix}}}}}" if unix else ""
        (self.manifests / "platform.yaml").write_text(PLATFORM % {"ttl": ttl, "unix": told})
        (self.manifests / "sets.yaml").write_text(SETS % values)
        return self.manifests

    def start_ca(self, *options: str) -> RunningCa:
        folder = self.folder / "ca"
        folder.mkdir(exist_ok=True)
        self.ca = RunningCa(folder, self.manifests)
        self.ca.options += options
        self._close.callback(self.ca.kill)
        self.ca.start()
        return self.ca

    def token(self, name: str) -> Path:
        """A fresh token in a file of its own."""
        path = self.folder / f"{name}.token"
        path.write_text(self.ca.token(f"prod.payments/{name}"))
        return path

    def run(self, name: str = "feast", **flags: object) -> RunningSidecar:
        """Start a sidecar of our CA; flags by name, with _ for -."""
        return self.start(name, **({"ca": self.ca.address} | flags))

    def start(self, name: str, **flags: object) -> RunningSidecar:
        """Start a sidecar."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        told: dict[str, object] = {"workload": f"prod.payments/{name}", "health": "none"}
        told |= {"manifests": self.manifests}
        told |= {key.replace("_", "-"): value for key, value in flags.items()}
        sidecar = RunningSidecar(folder, told)
        self._close.callback(sidecar.end, signal.SIGKILL)
        return sidecar

    def configured(self, name: str, configuration: dict[str, object]) -> RunningSidecar:
        """Start a sidecar by a file alone, in the folder of this name."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "sidecar.json").write_text(json.dumps(configuration))
        sidecar = RunningSidecar(folder, {"config": folder / "sidecar.json"})
        self._close.callback(sidecar.end, signal.SIGKILL)
        return sidecar

    def listen_upstream(self) -> None:
        self.upstream = Upstream()
        self._close.callback(self.upstream.close)

    def serve(self, **values: Any) -> RunningSidecar:
        """Upstream, CA and the serving sidecar, ready; `bound` says where it listens."""
        self.listen_upstream()
        self.write(upstream=self.upstream.port, serve=(port := free_port()), **values)
        self.start_ca()
        self.serving = self.run(
            join_token_file=self.token("feast"),
            listen=f"127.0.0.1:{port}",
            plain="127.0.0.1:0",
            health="127.0.0.1:0",
        )
        self.bound = self.serving.ready()["serve"]
        return self.serving

    def call(self, **values: Any) -> str:
        """All of that, and a client's sidecar; returns the address where the client's app finds the set."""
        self.serve(**values)
        self.calling = self.run(
            name="pricing-api",
            join_token_file=self.token("pricing-api"),
            outbound="driver-stats=127.0.0.1:0",
        )
        app: str = self.calling.ready()["outbound"]["driver-stats"]
        return app

    def close(self) -> None:
        self._close.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's, whose folders carry the test's name: a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="fw") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """An empty one."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def module_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An empty one for all tests of a module."""
    scene = Scene(tmp_path_factory.mktemp("module"))
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One with everything running in observe mode, for tests that only look; `app` is the client's address."""
    scene = Scene(tmp_path_factory.mktemp("standing"))
    scene.app = scene.call(mode="observe")
    yield scene
    scene.close()


@pytest.fixture
def manifests(scene: Scene) -> Callable[..., Path]:
    """Writes the folder of manifests; called again, it is an edit."""
    return scene.write


@pytest.fixture
def ca(scene: Scene) -> Callable[[], RunningCa]:
    """Starts a CA for the manifests."""
    return scene.start_ca
