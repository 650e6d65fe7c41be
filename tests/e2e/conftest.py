"""What the end-to-end tests run against: the demo's programs, started once for all of them.

Each test puts the sets into the mode that it needs, so that their order does not matter.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bypass.relay import Relay
from bypass.target import ProtectedFeast
from featward_demo.documents import NAMESPACE, NEXT_QUARTER, day, import_feature_set, lay_out
from featward_demo.feast_environment import OLD_CLIENT, ensure
from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST, ports
from featward_demo.sdk import SdkClient
from featward_demo.sidecar import Sidecar
from featward_demo.stack import CUSTOMERS, DRIVERS, Stack

# The first test of a run waits for Feast's installation and for the start of all programs.
SECONDS = 900
# The client of the bypass corpus, and its grant.
CORPUS_WORKLOAD = """\
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: corpus}
spec: {businessUnit: prod.payments, name: corpus}
"""
CORPUS_BINDING = f"""\
---
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {{name: corpus, namespace: {NAMESPACE}}}
spec:
  subjects: [{{workload: {{businessUnit: prod.payments, name: corpus}}}}]
  featureSet: {{name: {DRIVERS}}}
  features: ["driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"]
  services: [driver_activity_v1]
  purpose: tests
  expires: "{day(NEXT_QUARTER)}"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that real programs take to start."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for all files of a run; pytest's own may be too deep for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="featward-e2e-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def feast(folder: Path) -> Iterator[FeastServer]:
    """A real Feast with the demo's repository, and nothing before it."""
    log = folder / "logs" / "feast.log"
    server = FeastServer(ensure(), folder / "repository", next(ports(None)), log)
    try:
        server.build()
        server.start()
        server.ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def stack(folder: Path, feast: FeastServer) -> Iterator[Stack]:
    """The demo before that Feast, with one workload more: two CAs and four sidecars."""
    manifests = folder / "manifests"
    manifests.mkdir()
    (manifests / "corpus.yaml").write_text(CORPUS_WORKLOAD)
    with Stack(folder, shared_feast=feast) as running:
        yield running


@pytest.fixture
def enforcing(stack: Stack) -> Stack:
    """The stack with every set of prod in enforce."""
    for name in (DRIVERS, CUSTOMERS):
        stack.switch(name, "enforce")
    return stack


@pytest.fixture(scope="session")
def old_sdk(stack: Stack) -> Iterator[SdkClient]:
    """A client app with the oldest SDK that featward speaks with, on the outbound port of the newest one."""
    client = stack.app("app-old", ensure(OLD_CLIENT))
    client.start()
    client.ready()
    yield client
    client.stop()


@pytest.fixture(scope="session")
def protected_feast(stack: Stack) -> Iterator[ProtectedFeast]:
    """A sidecar of its own before the same Feast, with a relay between the two as the witness."""
    with Relay((HOST, stack.feast.port)) as upstream:
        sidecar = _sidecar_before(stack, upstream.address[1])
        sidecar.start()
        sidecar.ready()
        who = stack.identity("corpus")
        assert sidecar.listen is not None
        yield ProtectedFeast(
            address=(HOST, sidecar.listen),
            trust=who.bundle,
            certificate=who.svid,
            key=who.key,
            upstream=upstream,
            feast=(HOST, stack.feast.port),
        )
        sidecar.stop()


def _sidecar_before(stack: Stack, upstream: int) -> Sidecar:
    """The same workload, manifests of its own that name another upstream, and deadlines a test can wait for."""
    manifests = stack.folder / "manifests-corpus"
    listen, health = (port for port, _ in zip(ports(None), range(2), strict=False))
    lay_out("prod", manifests, "platform")
    for name in (DRIVERS, CUSTOMERS):
        address = f"{HOST}:{listen}"
        import_feature_set(name, stack.feast.repository, manifests, address, upstream)
    (manifests / "corpus.yaml").write_text(CORPUS_WORKLOAD + CORPUS_BINDING)
    folder = stack.folder / "sidecars" / "feast-corpus"
    token = stack.ca.token(stack.server.workload, stack.folder / "tokens" / "feast-corpus")
    return replace(
        stack.server,
        manifests=manifests,
        token=token,
        folder=folder,
        log=stack.folder / "logs" / "sidecar-corpus.log",
        listen=listen,
        plain=None,
        health=health,
        limits={"headerSeconds": 2, "bodySeconds": 2},
        _program=None,
    )
