"""Every replica of the operator is dead: who may come up, who may not, and who never notices."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chart_kit import NAMESPACE
from cluster.feasts import client
from cluster.images import BUSYBOX
from cluster.leaders import OPERATORS, operators
from cluster.pods import container, rolled_out, template
from cluster.quick import OTHER, Quick
from cluster.records import records
from cluster.release import QUICK, Release
from cluster.running import Cluster
from cluster.traffic import no_request_lost
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

_ASK = "featward.dev/inject"
_ANNOTATED = "annotated"
_SIDECARS = ("/bu/payments/ns/quick-ml/", "/bu/payments/ns/quick-pricing/", "/bu/risk/")


@contextmanager
def _all_dead(cluster: Cluster) -> Iterator[None]:
    """Killed at one moment, and none is started again."""
    dying = operators(cluster)
    assert len(dying) == 2
    _scale(cluster, 0)
    try:
        for pod in dying:
            cluster.kill_container(NAMESPACE, pod["metadata"]["name"], "operator")
        names = {pod["metadata"]["name"] for pod in dying}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"

        def are_gone() -> bool:
            found = cluster.kubernetes.call("GET", path)["items"]
            return not names & {one["metadata"]["name"] for one in found}

        wait_until(are_gone, "every operator is gone", 60)
        yield
    finally:
        _scale(cluster, 2)
        rolled_out(cluster, NAMESPACE, OPERATORS)


def _scale(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl(
        "scale", f"--replicas={replicas}", "--namespace", NAMESPACE, f"deploy/{OPERATORS}"
    )


def _made(cluster: Cluster, namespace: str, **metadata: dict[str, str]) -> tuple[int, str]:
    """Status and message of an attempt to make a pod."""
    made = template("default", container("app", BUSYBOX, "sleep", "600"))
    about = made["metadata"] | {"generateName": "try-"} | metadata
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    body = {"metadata": about, "spec": made["spec"]}
    status, answer = cluster.kubernetes.ask("POST", path, body)
    return status, answer.get("message", "")


def _who_may_come_up(cluster: Cluster, quick: Quick) -> dict[str, Any]:
    """What is asked where, and the answers."""
    server, no = {_ASK: "server"}, {_ASK: "false"}
    return {
        "by label": _made(cluster, quick.clients, labels=server),
        "by annotation": _made(cluster, _ANNOTATED, annotations=server),
        "nothing asked": _made(cluster, quick.clients),
        "nothing asked there": _made(cluster, _ANNOTATED),
        "says no": _made(cluster, quick.clients, labels=no),
        "says no by annotation": _made(cluster, _ANNOTATED, annotations=no),
        "an annotation that does not count": _made(cluster, quick.clients, annotations=server),
        "without a unit": _made(cluster, "default"),
        "kube-system": _made(cluster, "kube-system"),
        "kube-system, asked": _made(cluster, "kube-system", labels=server),
        "featward": _made(cluster, NAMESPACE, labels=server),
    }


def test_with_every_replica_dead_opted_in_pods_are_refused_and_others_are_not(
    release: Release, quick: Quick
) -> None:
    """Meanwhile sidecars answer, and get new certificates in the place of all that they had."""
    cluster = release.cluster
    release.namespace(_ANNOTATED, OTHER, **{"featward.dev/injection": "enabled"})
    with no_request_lost(*quick.apps):
        with _all_dead(cluster):
            died_at = time.time()
            found = _who_may_come_up(cluster, quick)
            refused = {what: told for what, told in found.items() if told[0] != 201}
            assert set(refused) == {"by label", "by annotation"}, found
            for status, message in refused.values():
                assert status >= 500
                assert "inject.featward.dev" in message

            _way_out(cluster, quick)
            for one in _SIDECARS:
                _renewed_twice(release, one, died_at)
            cluster.apply(*client(_ANNOTATED, "patient", release.image, "quick-ml/driver-stats"))
            wait_until(lambda: _is_refused(cluster), "its controller is told why", 20)
        dead = time.time() - died_at
        # Its controller tries again by itself.
        rolled_out(cluster, _ANNOTATED, "patient", 120)
    print(f"without an operator for {dead:.0f} s")
    cluster.kubectl("delete", "namespace", _ANNOTATED, "--wait=false")


def _way_out(cluster: Cluster, quick: Quick) -> None:
    """Protection is suspended by label, which needs no operator, and restored."""

    def is_let_in() -> bool:
        return _made(cluster, quick.clients, labels={_ASK: "server"})[0] == 201

    label = ("label", "--overwrite", "namespace", quick.clients)
    cluster.kubectl(*label, "featward.dev/protection=suspended")
    wait_until(is_let_in, "nobody asks for the operator any more", 20)
    cluster.kubectl(*label, "featward.dev/protection-")
    wait_until(lambda: not is_let_in(), "it is asked for again", 20)


def _is_refused(cluster: Cluster) -> bool:
    events = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{_ANNOTATED}/events")["items"]
    return any(
        one["reason"] == "FailedCreate" and "inject.featward.dev" in json.dumps(one)
        for one in events
    )


def _renewed_twice(release: Release, path: str, since: float) -> None:
    """Whoever has an identity below this path lives by no certificate any more that was signed before."""

    def is_so() -> bool:
        return records(release, QUICK).signed(path, since) >= 2

    wait_until(is_so, f"{path} is renewed twice", 90)
