"""The sidecar of a pod as a process, with a real CA that asks a real API server, and its policy's operator."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attestor_kit import AUDIENCE
from certificates import DOMAIN
from featward.policy.v1 import snapshot_pb2
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.authority import Authority
from featward_sidecar.configuration import Identity
from featward_sidecar.consumers import Consumers
from featward_sidecar.evidence import evidence_for
from featward_sidecar.identity import IdentityKeeper
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from policy_kit import Operator, a_snapshot, running_operator

FEATWARD = Path(sys.executable).with_name("featward")
OPERATOR = f"spiffe://{DOMAIN}/featward/operator"
ROOT = "ab" * 32
PLATFORM = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: 6s, clusters: [{name: eu1, issuer: %s}]}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.risk}
"""


def own_address() -> str:
    """An address of this machine that is not loopback, if it has one. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.fail(
                "this machine has no address but loopback, and nothing can come from elsewhere"
            )
        return str(probe.getsockname()[0])


def get(address: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def started(scene: Any, name: str, **told: object) -> Any:
    """A sidecar with these settings beside what every pod has; the token is in its folder."""
    folder = scene.folder / name
    pod: dict[str, object] = {
        "evidence": "kubernetes",
        "trustDomain": DOMAIN,
        "tokenFile": str(folder / "token"),
        "rootSha256File": str(folder / "root.sha256"),
        "health": "pod:0",
        "server": {"listen": "pod:0", "plain": "pod:0"},
    }
    return scene.configured(name, pod | told)


@pytest.fixture(scope="module", autouse=True)
def said_by_kubernetes() -> Iterator[None]:
    """What the downward API says; sidecars inherit it."""
    said = {"FEATWARD_POD_IP": "127.0.0.1", "FEATWARD_POD_NAME": "feast-1", "FEATWARD_POD_UID": "u"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in said.items():
            patch.setenv(name, value)
        yield


class Stack:
    """One API server, CA, operator and sidecar."""

    def __init__(self, kubernetes: Kubernetes, scene: Any, close: ExitStack) -> None:
        self.kubernetes = kubernetes
        self.scene = scene
        self.namespace = kubernetes.namespace("prod.payments")
        system = kubernetes.namespace("prod.payments")
        scene.manifests.mkdir()
        (scene.manifests / "platform.yaml").write_text(PLATFORM % ISSUER)
        scene.start_ca(
            *("--cluster", f"eu1={kubernetes.ca_kubeconfig()}"),
            *("--operator", f"eu1/{system}/featward-operator"),
        )
        self.root = self.ca("status")["root_sha256"]
        credentials = self._operators_identity(system, close)
        self.operator: Operator = close.enter_context(running_operator(scene.folder, credentials))
        self.operator.report_ms = 1000
        self.upstream = close.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104  as many are
        self.port = int(self.upstream.getsockname()[1])
        self.publish("payments")
        folder = scene.folder / "feast"
        folder.mkdir()
        token = kubernetes.token(kubernetes.pod(self.namespace, "feast"), AUDIENCE)
        (folder / "token").write_text(token)
        (folder / "root.sha256").write_text(f"{ROOT}\n{self.root}\n")
        self.sidecar = started(
            scene,
            "feast",
            workload=f"{self.namespace}/feast",
            ca=scene.ca.address,
            operator=self.operator.address,
            hold=True,
        )

    def identity(self, unit: str) -> str:
        return f"spiffe://{DOMAIN}/bu/{unit}/ns/{self.namespace}/sa/feast"

    def publish(self, unit: str) -> str:
        """Have a policy for the sidecar in this business unit; its digest."""
        identity = self.identity(unit)
        mode = snapshot_pb2.MODE_OBSERVE
        return self.operator.publish(identity, a_snapshot(identity, port=self.port, mode=mode))

    def ca(self, *words: str) -> Any:
        command = [FEATWARD, "ca", *words, "--data", self.scene.ca.data, "--output", "json"]
        return json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )

    def _operators_identity(self, system: str, close: ExitStack) -> Credentials:
        """As the operator gets its own: by its service account's token."""
        folder = self.scene.folder / "operator"
        folder.mkdir(mode=0o700)
        token = folder / "token"
        pod = self.kubernetes.pod(system, "featward-operator")
        token.write_text(self.kubernetes.token(pod, AUDIENCE))
        told = Identity(
            "featward/operator",
            evidence="kubernetes",
            token_file=token,
            root_sha256=(str(self.root),),
        )
        credentials = Credentials(DOMAIN)
        status = AgentStatus("featward/operator", "", None)
        keeper = IdentityKeeper(
            Authority(self.scene.ca.address, DOMAIN, credentials, folder),
            evidence_for(told),
            (OPERATOR,),
            credentials,
            Consumers(credentials, [], status),
            status,
        )
        thread = threading.Thread(target=keeper.run, daemon=True)
        thread.start()
        close.callback(thread.join, 10)
        close.callback(keeper.stop)
        return credentials


@pytest.fixture(scope="module")
def stack(kubernetes: Kubernetes, module_scene: Any) -> Iterator[Stack]:
    with ExitStack() as close:
        yield Stack(kubernetes, module_scene, close)


@pytest.mark.timeout(BUILD_SECONDS)
def test_a_pods_sidecar_gets_its_policy_and_reports(stack: Stack) -> None:
    line = stack.sidecar.logged("policy applied")
    assert (line["source"], line["workload"]) == ("operator", stack.identity("payments"))
    _, hello = stack.operator.hellos[0]
    assert (hello.pod.namespace, hello.pod.name) == (stack.namespace, "feast-1")
    assert (hello.pod.uid, hello.serves, hello.plain) == ("u", True, True)
    report = stack.operator.report(lambda report: report.digest == line["digest"])
    assert [(one.feature_set, one.mode) for one in report.sets] == [("ml/drivers", "observe")]
    status = stack.sidecar.wait(lambda status: status["agent"]["operator"]["connected"])
    assert status["agent"]["operator"]["address"] == stack.operator.address
    assert get(stack.sidecar.logged("listening")["health"], "/startedz")[0] == 200
    shown = subprocess.run(
        [FEATWARD, "sidecar", "status", "--admin", stack.sidecar.state / "admin.sock"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    ).stdout
    assert f"{stack.operator.address}, connected for" in shown


def test_the_report_names_who_bypasses_us(stack: Stack) -> None:
    address, at = own_address(), ("127.0.0.1", stack.port)
    with socket.create_connection(at), stack.upstream.accept()[0]:
        report = stack.operator.report(lambda report: bool(report.listening))
        assert ("0.0.0.0", stack.port) in [(one.address, one.port) for one in report.listening]  # noqa: S104  as said
        bound = stack.sidecar.logged("listening")
        for ours in (bound["serve"]["listen"], bound["serve"]["plain"], bound["health"]):
            assert ours not in [f"{one.address}:{one.port}" for one in report.listening]
    with socket.create_connection((address, stack.port)), stack.upstream.accept()[0]:
        report = stack.operator.report(lambda report: bool(report.bypassing))
        assert [(one.address, one.port) for one in report.bypassing] == [(address, stack.port)]


def test_the_report_counts_who_comes_without_identity(stack: Stack) -> None:
    plain = stack.sidecar.logged("listening")["serve"]["plain"]
    get(plain, "/anything")
    report = stack.operator.report(lambda report: bool(report.callers))
    (caller,) = report.callers
    assert (caller.address, caller.spiffe_id) == ("127.0.0.1", "")
    assert caller.count == 1


def test_the_process_still_imports_neither_grpc_nor_pydantic(stack: Stack) -> None:
    maps = Path(f"/proc/{stack.sidecar.process.pid}/maps").read_text()
    for library in ("cygrpc", "pydantic_core", "cryptography", "_yaml", "aiohttp", "libssl"):
        assert library not in maps
    lines = Path(f"/proc/{stack.sidecar.process.pid}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    assert resident < 57_000


def test_a_moved_namespace_changes_the_identity_and_not_the_process(stack: Stack) -> None:
    stack.sidecar.logged("policy applied")
    expected = stack.publish("risk")
    stack.kubernetes.relabel(stack.namespace, "prod.risk")
    stack.ca("namespace", "move", f"eu1/{stack.namespace}", "--to", "prod.risk")
    changed = stack.sidecar.logged("identity changed")
    assert (changed["was"], changed["spiffe_id"]) == (
        stack.identity("payments"),
        stack.identity("risk"),
    )
    status = stack.sidecar.wait(lambda status: status["policy"]["digest"] == expected)
    assert status["identity"]["spiffe_id"] == stack.identity("risk")
    assert stack.sidecar.process.poll() is None
    assert [line["message"] for line in stack.sidecar.lines].count("listening") == 1


def test_sigterm_tells_the_operator_and_ends_with_0(stack: Stack) -> None:
    stack.sidecar.logged("policy applied")
    assert stack.sidecar.end(signal.SIGTERM) == 0
    assert stack.operator.report(lambda report: report.draining).draining
    assert not (stack.sidecar.state / "operator.sock").exists()


# Without any of them


Start = Callable[..., Any]


@pytest.fixture
def alone(scene: Any) -> Iterator[Start]:
    """Starts a sidecar whose CA and operator are dead."""
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{dead.getsockname()[1]}"

        def start(**told: object) -> Any:
            folder = scene.folder / "feast"
            folder.mkdir()
            (folder / "token").write_text("a.b.c")
            (folder / "root.sha256").write_text(ROOT)
            told = {"workload": "ml/feast", "ca": address, "operator": address} | told
            return started(scene, "feast", **told)

        yield start


def test_a_dead_ca_blocks_no_app(alone: Start) -> None:
    sidecar = alone()
    health = sidecar.logged("listening")["health"]
    assert get(health, "/startedz") == (200, "started\n")
    assert get(health, "/readyz") == (503, "no identity yet\n")
    sidecar.logged("CA not reached", count=2)
    assert get(health, "/startedz") == (200, "started\n")
    status = sidecar.status()
    assert (status["policy"], status["agent"]["operator"]["failures"]) == (None, 0)
    assert sidecar.end(signal.SIGTERM) == 0


def test_an_app_is_held_until_there_is_an_identity_only_where_that_is_asked_for(
    alone: Start,
) -> None:
    sidecar = alone(hold=True)
    assert get(sidecar.logged("listening")["health"], "/startedz") == (503, "no identity yet\n")


def test_a_file_of_roots_that_comes_later_is_waited_for(alone: Start, tmp_path: Path) -> None:
    sidecar = alone(rootSha256File=str(tmp_path / "later"))
    error = sidecar.logged("no evidence for an identity")["error"]
    assert f"the file of root digests {tmp_path / 'later'} can't be read" in error
    (tmp_path / "later").write_text(ROOT)
    sidecar.logged("CA not reached")
