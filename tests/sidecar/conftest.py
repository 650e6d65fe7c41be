"""What the sidecar's tests share: a folder of real manifests, and a real CA."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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

Manifests = Callable[..., Path]


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    """Writes the folder of manifests; called again, it is an edit."""

    def write(
        features: str = '"driver_hourly_stats:conv_rate"',
        mode: str = "enforce",
        ttl: str = "1h",
        unix: str = "",
        upstream: int = 6566,
        serve: int = 15443,
    ) -> Path:
        folder = tmp_path / "manifests"
        folder.mkdir(exist_ok=True)
        values = {"features": features, "mode": mode, "upstream": upstream, "serve": serve}
        told = f", attest: {{unix: {{user: {unix}}}}}" if unix else ""
        (folder / "platform.yaml").write_text(PLATFORM % {"ttl": ttl, "unix": told})
        (folder / "sets.yaml").write_text(SETS % values)
        return folder

    return write


class RunningCa:
    """A real CA in a process of its own; `kill` it and `start` it again at the same address."""

    def __init__(self, folder: Path, manifests: Path) -> None:
        self.socket = folder / "workload.sock"
        self.address = "127.0.0.1:0"
        self._data = folder / "data"
        self._folder = folder
        self._manifests = manifests
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [FEATWARD, "ca", "serve", "--environment", "prod", "--data", self._data]
        command += ["--manifests", self._manifests, "--kek-file", self._folder / "kek"]
        command += ["--listen", self.address, "--workload-socket", self.socket, "--health", ""]
        command += ["--unsafe-short-lives"]
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
        command = [FEATWARD, "ca", "token", "create", "--workload", workload, "--data", self._data]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[Callable[[Path], RunningCa]]:
    """Starts a CA for a folder of manifests."""
    running: list[RunningCa] = []

    def start(manifests: Path) -> RunningCa:
        folder = tmp_path / "ca"
        folder.mkdir(exist_ok=True)
        running.append(RunningCa(folder, manifests))
        running[-1].start()
        return running[-1]

    yield start
    for each in running:
        each.kill()
