"""Sidecars of pods and a whole operator, with a real API server and CA: from an edit to the next answer."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from attestor_kit import AUDIENCE
from certificates import DOMAIN
from crd_kit import apply, collection, install
from kubernetes_kit import ISSUER, Kubernetes, Pod
from kubernetes_programs import BUILD_SECONDS
from operator_kit import configuration, free_port

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

FEATWARD = Path(sys.executable).with_name("featward")
API = "featward.dev/v1alpha1"
RATE, ACC = "driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"
ENVIRONMENT = {
    "trustDomain": DOMAIN,
    "svidTTL": "2m",
    "clusters": [{"name": "eu1", "issuer": ISSUER}],
}
SECONDS = 40.0


class Stack:
    """API server, CA and operator, and the sidecars of a server and of a client."""

    def __init__(self, kubernetes: Kubernetes, scene: Any, close: ExitStack) -> None:
        install(kubernetes)
        self.kubernetes, self.scene, self.close = kubernetes, scene, close
        self.namespace = kubernetes.namespace("prod.payments")
        self.system = kubernetes.namespace()
        self.write("Environment", "prod", ENVIRONMENT)
        self.write("BusinessUnit", "prod.payments", {})
        self._start_ca()
        self._write_set()
        self.grant(RATE)
        self.health = free_port()
        self.start_operator()
        self.server = self.sidecar("feast", server={"listen": f"127.0.0.1:{self.port}"})
        self.client = self.sidecar("pricing", outbound={"driver-stats": "127.0.0.1:0"})
        self.app = self.client.ready()["outbound"]["driver-stats"]
        self.server.ready()

    def write(self, kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> None:
        """Apply an object, which goes at the end: others have the server too."""
        inside = {"namespace": namespace} if namespace else {}
        tree = {"apiVersion": API, "kind": kind, "metadata": {"name": name} | inside, "spec": spec}
        status, answer = apply(self.kubernetes, tree, "tests", force=True)
        assert status in (200, 201), answer
        where = f"{collection(kind, namespace or None)}/{name}"
        self.close.callback(self.kubernetes.ask, "DELETE", where)

    def grant(self, *features: str) -> None:
        spec = {
            "subjects": [{"serviceAccount": {"namespace": self.namespace, "name": "pricing"}}],
            "featureSet": {"name": "driver-stats"},
            "features": list(features),
            "purpose": "pricing",
            "expires": "2099-12-31",
        }
        self.write("FeatureBinding", "pricing", spec, self.namespace)

    def ask(self, *features: str) -> int:
        """What the client's app is answered."""
        body = json.dumps({"features": features, "entities": {"driver_id": [1]}})
        connection = http.client.HTTPConnection(self.app, timeout=20)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/get-online-features", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def start_operator(self) -> None:
        file, log = self.scene.folder / "operator.yaml", self.scene.folder / "operator.log"
        ports = {"health": self.health, "policy": self.policy_port, "webhook": free_port()}
        told = configuration(
            self.system,
            environments=[{"name": "prod", "trustDomain": DOMAIN, "ca": self.scene.ca.address}],
            ports=ports,
            folders={"evidence": str(self.evidence), "run": str(self.scene.folder / "run")},
            lease={"duration": "4s", "renew": "2s", "retry": "1s"},
        )
        file.write_text(yaml.safe_dump(told))
        login = self.kubernetes.kubeconfig("operator", "system:masters")
        command = [FEATWARD, "operator", "run", "--config", file, "--kubeconfig", login]
        with log.open("ab") as output:
            self.operator = subprocess.Popen(command, stderr=output, stdout=output)
        self.close.callback(self.stop_operator, signal.SIGKILL)

    def stop_operator(self, number: int) -> int:
        self.operator.send_signal(number)
        return self.operator.wait(SECONDS)

    def said(self, path: str) -> tuple[int, str]:
        """Of the operator's health port."""
        connection = http.client.HTTPConnection(f"127.0.0.1:{self.health}", timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def sidecar(self, account: str, **told: object) -> Any:
        """One of a pod of this service account, as the webhook would set it up."""
        pod = self.kubernetes.pod(self.namespace, account)
        folder = self.scene.folder / account
        folder.mkdir()
        self._prove(folder, pod)
        pod_told = {
            "workload": f"{self.namespace}/{account}",
            "trustDomain": DOMAIN,
            "ca": self.scene.ca.address,
            "operator": f"127.0.0.1:{self.policy_port}",
            "evidence": "kubernetes",
            "tokenFile": str(folder / "token"),
            "rootSha256File": str(folder / "root.sha256"),
            "health": "none",
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FEATWARD_POD_NAME", pod.name)
            patch.setenv("FEATWARD_POD_UID", pod.uid)
            return self.scene.configured(account, pod_told | told)

    def _start_ca(self) -> None:
        manifests = [
            {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, name, spec in (
                ("Environment", "prod", ENVIRONMENT),
                ("BusinessUnit", "prod.payments", {}),
            )
        ]
        self.scene.manifests.mkdir()
        (self.scene.manifests / "platform.yaml").write_text(yaml.safe_dump_all(manifests))
        self.scene.start_ca(
            *("--cluster", f"eu1={self.kubernetes.ca_kubeconfig()}"),
            *("--operator", f"eu1/{self.system}/featward-operator"),
        )
        shown = [FEATWARD, "ca", "status", "--data", self.scene.ca.data, "--output", "json"]
        done = subprocess.run(shown, check=True, capture_output=True, text=True)
        self.root = str(json.loads(done.stdout)["root_sha256"])
        self.evidence, self.policy_port = self.scene.folder / "evidence", free_port()
        (self.evidence / "prod").mkdir(parents=True)
        self._prove(self.evidence / "prod", self.kubernetes.pod(self.system, "featward-operator"))

    def _prove(self, folder: Path, pod: Pod) -> None:
        (folder / "token").write_text(self.kubernetes.token(pod, AUDIENCE))
        (folder / "root.sha256").write_text(f"{self.root}\n")

    def _write_set(self) -> None:
        self.port = free_port()
        spec = {
            "version": "1.0.0",
            "owner": {"team": "driver-ml", "contact": "driver-ml@acme.example"},
            "serving": {
                "workload": {"serviceAccount": "feast"},
                "endpoints": [{"adapter": "feast-http/v1", "port": self.scene.upstream.port}],
                "address": f"127.0.0.1:{self.port}",
            },
            "enforcement": {"mode": "enforce"},
            "entities": [{"name": "driver_id", "type": "int64"}],
            "features": [{"name": name, "type": "double"} for name in (RATE, ACC)],
        }
        self.write("FeatureSet", "driver-stats", spec, self.namespace)


@pytest.fixture(scope="module")
def stack(kubernetes: Kubernetes, module_scene: Any) -> Iterator[Stack]:
    with ExitStack() as close:
        module_scene.listen_upstream()
        yield Stack(kubernetes, module_scene, close)


def wait(holds: Callable[[], object], seconds: float = SECONDS) -> float:
    """How long it took until it held."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"{holds} did not come to hold"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_client_gets_what_its_binding_grants_and_nothing_else(stack: Stack) -> None:
    assert (stack.ask(RATE), stack.ask(ACC), stack.ask(RATE, ACC)) == (200, 403, 403)
    wait(lambda: stack.said("/readyz")[0] == 200)


def test_an_edit_at_the_api_server_is_in_the_next_answer(stack: Stack) -> None:
    stack.grant(RATE, ACC)
    granted = wait(lambda: stack.ask(RATE, ACC) == 200)
    stack.grant(RATE)
    taken = wait(lambda: stack.ask(RATE, ACC) == 403)
    print(f"granted after {granted:.2f} s, taken away after {taken:.2f} s")
    assert stack.ask(RATE) == 200


def test_the_operator_knows_which_sidecars_have_the_newest_policy(stack: Stack) -> None:
    current = f'featward_operator_sidecars{{state="current",trust_domain="{DOMAIN}"}} 2.0'
    wait(lambda: current in stack.said("/metrics")[1])


def test_the_owner_reads_in_the_status_who_is_served_and_how_far_it_is(stack: Stack) -> None:
    def status(kind: str, name: str) -> dict[str, Any]:
        path = f"{collection(kind, stack.namespace if kind.startswith('Feature') else None)}/{name}"
        found: dict[str, Any] = stack.kubernetes.call("GET", path).get("status") or {}
        return found

    def reason(kind: str, name: str, question: str) -> str:
        listed = status(kind, name).get("conditions", ())
        return next((one["reason"] for one in listed if one["type"] == question), "")

    wait(lambda: status("FeatureSet", "driver-stats").get("progress") == "1/1")
    wait(lambda: reason("FeatureSet", "driver-stats", "Distributed") == "AllCurrent")
    found = status("FeatureSet", "driver-stats")
    (row,) = found["replicas"]
    assert (found["digest"], found["mode"]) == (row["digest"], "enforce")
    assert found["server"].endswith(f"/ns/{stack.namespace}/sa/feast")
    assert status("FeatureBinding", "pricing")["identitiesCovered"] == 1
    wait(lambda: reason("Environment", "prod", "AuthorityReachable") == "Reachable")
    # What it answers and refuses is told every half minute.
    stack.ask(RATE)
    stack.ask(ACC)
    wait(lambda: status("FeatureSet", "driver-stats").get("answeredLastHour", 0) > 0, 60)
    assert reason("FeatureSet", "driver-stats", "Observed") == "CallersSeen"


def test_a_dead_operator_takes_nothing_away_and_gives_nothing(stack: Stack) -> None:
    stack.stop_operator(signal.SIGKILL)
    stack.server.wait(lambda status: not status["agent"]["operator"]["connected"])
    stack.grant(RATE, ACC)
    assert (stack.ask(RATE), stack.ask(ACC)) == (200, 403)
    stack.start_operator()
    wait(lambda: stack.ask(RATE, ACC) == 200)
    stack.grant(RATE)
    wait(lambda: stack.ask(RATE, ACC) == 403)


def test_an_operator_that_is_told_to_stop_lets_its_sidecars_go(stack: Stack) -> None:
    wait(lambda: stack.said("/readyz")[0] == 200)
    assert stack.stop_operator(signal.SIGTERM) == 0
    assert stack.ask(RATE) == 200
    stack.start_operator()
    stack.client.wait(lambda status: status["agent"]["operator"]["connected"])
