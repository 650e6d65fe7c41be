"""A server whose Deployment and Service are somebody else's, who writes them again and again."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.asking import ask_until, connect
from cluster.drivers import PRICING, Drivers
from cluster.exposing import exposure, exposure_text
from cluster.feasts import FEAST_PORT, OPERATED, binding, client, feature_set, operated, served_by
from cluster.pods import rolled_out
from cluster.release import Release
from cluster.running import Cluster
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

_NAMESPACE = "operated"
_EVERY_SECONDS = 5.0
_PATHS = {
    "Deployment": f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{_NAMESPACE}/services",
}


class Controller:
    """Writes what it wants into its objects as often as the Feast operator does; `times` counts."""

    def __init__(self, cluster: Cluster, wanted: list[dict[str, Any]]) -> None:
        self._cluster = cluster
        self.wanted = wanted
        self.times = 0
        self.failed: Exception | None = None

    def run(self, stopped: threading.Event) -> None:
        """Until then, or until a write is refused."""
        while not stopped.wait(_EVERY_SECONDS):
            try:
                for one in self.wanted:
                    if one["kind"] in _PATHS:
                        self._write(one)
            except Exception as error:  # of another thread: the test looks at it
                self.failed = error
                return
            self.times += 1

    def _write(self, wanted: dict[str, Any]) -> None:
        """As controller-runtime's CreateOrUpdate: read, lay over it what it wants, and put it back."""
        path = f"{_PATHS[wanted['kind']]}/{wanted['metadata']['name']}"
        found = self._cluster.kubernetes.call("GET", path)
        if wanted["kind"] == "Deployment":
            found["spec"]["template"] = wanted["spec"]["template"]
        else:
            found["spec"]["ports"] = wanted["spec"]["ports"]
            found["spec"]["selector"] = wanted["spec"]["selector"]
        self._cluster.kubernetes.call("PUT", path, found)


@pytest.fixture(scope="module")
def controller(release: Release, drivers: Drivers) -> Iterator[Controller]:
    """A FeatureStore `sample` in its namespace, Ready, and its controller at work."""
    cluster, stopped = release.cluster, threading.Event()
    release.namespace(_NAMESPACE, "prod.payments", **{"featward.dev/injection": "enabled"})
    cluster.apply(feature_set(_NAMESPACE, "sample", served_by(OPERATED)))
    controller = Controller(cluster, operated(_NAMESPACE, release.demo))
    cluster.apply(*controller.wanted)
    thread = threading.Thread(target=controller.run, args=(stopped,), daemon=True)
    thread.start()
    try:
        rolled_out(cluster, _NAMESPACE, OPERATED, 240)
        yield controller
    finally:
        stopped.set()
        thread.join(30)
        cluster.kubectl("delete", "namespace", _NAMESPACE, "--wait=false")


def _is_protected(release: Release, controller: Controller, name: str) -> dict[str, Any]:
    """A client of a feature set gets what its binding grants and no more, while the server is written again
    and again, and nobody writes back; returns the client's pod.
    """
    cluster, account = release.cluster, f"{name}-api"
    subject = {"serviceAccount": {"namespace": PRICING, "name": account}}
    cluster.apply(binding(_NAMESPACE, account, name, subject, "conv_rate"))
    cluster.apply(*client(PRICING, account, release.image, f"{_NAMESPACE}/{name}"))
    (app,) = rolled_out(cluster, PRICING, account)
    variable = f"FEATWARD_OPERATED_{name.upper()}_URL"
    granted = ask_until(cluster, app, variable, "conv_rate", 200)
    assert granted.columns["conv_rate"] == [0.0, 0.001]
    ask_until(cluster, app, variable, "acc_rate", 403)

    (server,), before = rolled_out(cluster, _NAMESPACE, OPERATED), controller.times
    wait_until(lambda: controller.failed or controller.times >= before + 3, "three writes", 40)
    assert controller.failed is None
    (same,) = rolled_out(cluster, _NAMESPACE, OPERATED)
    assert same["metadata"]["uid"] == server["metadata"]["uid"]
    ask_until(cluster, app, variable, "conv_rate", 200)
    return app


def test_a_deployment_that_its_controller_rewrites_every_five_seconds_is_protected_by_injection(
    release: Release, controller: Controller
) -> None:
    cluster = release.cluster
    app = _is_protected(release, controller, "sample")
    (server,) = rolled_out(cluster, _NAMESPACE, OPERATED)
    names = [one["name"] for one in server["spec"]["initContainers"]]
    assert names == ["featward-sidecar", "feast-init"]
    # What its controller has on all addresses stays open: `exposure` says so to its owner.
    assert connect(cluster, app, server["status"]["podIP"], FEAST_PORT) == "open"


def test_a_port_that_a_policy_closes_and_that_answers_is_said_to_its_owner(
    release: Release, controller: Controller
) -> None:
    """The network of this cluster enforces no NetworkPolicy, as many a cluster's does not."""
    cluster = release.cluster
    (server,) = rolled_out(cluster, _NAMESPACE, OPERATED)
    before = exposure(cluster, server, "--probe")[FEAST_PORT]
    assert (before["state"], before["dialled"]["result"]) == ("open", "answers")
    cluster.kubectl(
        "apply", "--filename=-", text=exposure_text(cluster, server, "--network-policy")
    )
    after = exposure(cluster, server, "--probe")[FEAST_PORT]
    assert (after["state"], after["dialled"]["result"]) == ("closed-by-policy", "answers")
    said = " ".join(exposure_text(cluster, server, "--probe").split())
    assert "the cluster's network does not enforce NetworkPolicies" in said


def test_a_deployment_that_its_controller_rewrites_is_protected_by_a_gateway(
    release: Release, controller: Controller
) -> None:
    """The same server, reached by its own Service: a gateway needs no pod of it to be injected."""
    cluster = release.cluster
    gateway = {"replicas": 2, "upstream": f"{OPERATED}-online.{_NAMESPACE}.svc:80"}
    serving = {"gateway": gateway, "endpoints": [{"adapter": "feast-http/v1"}]}
    cluster.apply(feature_set(_NAMESPACE, "gated", serving))
    path = f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/gated-gateway"
    wait_until(lambda: cluster.kubernetes.ask("GET", path)[0] == 200, "it is made", 30)
    rolled_out(cluster, _NAMESPACE, "gated-gateway")
    assert cluster.kubernetes.call("GET", path)["status"]["readyReplicas"] == 2
    _is_protected(release, controller, "gated")
