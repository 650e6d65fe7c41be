"""A server whose Deployment and Service are somebody else's, who writes them again and again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster import by_hand
from cluster.asking import ask_until, connect
from cluster.drivers import PRICING, Drivers
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
_VARIABLE = "FEATWARD_OPERATED_SAMPLE_URL"


class Controller:
    """Writes what it wants into its objects as often as the Feast operator does; `times` counts."""

    def __init__(self, cluster: Cluster, wanted: list[dict[str, Any]]) -> None:
        self._cluster = cluster
        self._wanted = [one for one in wanted if one["kind"] in _PATHS]
        self.times = 0
        self.failed: Exception | None = None

    def run(self, stopped: threading.Event) -> None:
        """Until then, or until a write is refused."""
        while not stopped.wait(_EVERY_SECONDS):
            try:
                for one in self._wanted:
                    self._write(one)
            except Exception as error:
                self.failed = error
                return
            self.times += 1

    def _write(self, wanted: dict[str, Any]) -> None:
        """As controller-runtime's CreateOrUpdate: read, lay over it all that it wants, and put it back."""
        path = f"{_PATHS[wanted['kind']]}/{wanted['metadata']['name']}"
        found = self._cluster.kubernetes.call("GET", path)
        if wanted["kind"] == "Deployment":
            found["spec"]["template"] = wanted["spec"]["template"]
        else:
            found["spec"]["ports"] = wanted["spec"]["ports"]
            found["spec"]["selector"] = wanted["spec"]["selector"]
        self._cluster.kubernetes.call("PUT", path, found)


@contextmanager
def controlled(cluster: Cluster, wanted: list[dict[str, Any]]) -> Iterator[Controller]:
    """The controller at work."""
    controller, stopped = Controller(cluster, wanted), threading.Event()
    thread = threading.Thread(target=controller.run, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield controller
    finally:
        stopped.set()
        thread.join(30)


def test_a_deployment_that_its_controller_rewrites_every_five_seconds_is_protected_by_injection(
    release: Release, drivers: Drivers
) -> None:
    cluster = release.cluster
    release.namespace(_NAMESPACE, "prod.payments", **{"featward.dev/injection": "enabled"})
    by_hand.make_trust(cluster, _NAMESPACE)
    by_hand.make_service(cluster, _NAMESPACE, OPERATED)
    subject = {"serviceAccount": {"namespace": PRICING, "name": "operated-api"}}
    cluster.apply(
        feature_set(_NAMESPACE, "sample", served_by(OPERATED)),
        binding(_NAMESPACE, "operated-api", "sample", subject, "conv_rate"),
    )
    wanted = operated(_NAMESPACE, release.demo)
    cluster.apply(*wanted)
    cluster.apply(*client(PRICING, "operated-api", release.image, f"{_NAMESPACE}/sample"))
    with controlled(cluster, wanted) as controller:
        (server,) = rolled_out(cluster, _NAMESPACE, OPERATED, 180)
        (app,) = rolled_out(cluster, PRICING, "operated-api")
        granted = ask_until(cluster, app, _VARIABLE, "conv_rate", 200)
        assert granted.columns["conv_rate"] == [0.0, 0.001]
        ask_until(cluster, app, _VARIABLE, "acc_rate", 403)

        before = controller.times
        wait_until(lambda: controller.failed or controller.times >= before + 3, "three writes", 40)
        assert controller.failed is None
        # Nobody has written back: one template, one pod, the same as at the begin.
        (same,) = rolled_out(cluster, _NAMESPACE, OPERATED)
        assert same["metadata"]["uid"] == server["metadata"]["uid"]
        ask_until(cluster, app, _VARIABLE, "conv_rate", 200)
    names = [one["name"] for one in server["spec"]["initContainers"]]
    assert names == ["featward-sidecar", "feast-init"]
    # What stays open says `exposure`, and its owner: its probes need it.
    assert connect(cluster, app, server["status"]["podIP"], FEAST_PORT) == "open"
    cluster.kubectl("delete", "deployment", "--namespace", PRICING, "operated-api", "--wait=false")
    cluster.kubectl("delete", "namespace", _NAMESPACE, "--wait=false")
