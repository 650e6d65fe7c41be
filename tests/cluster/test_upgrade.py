"""The end of the session's featward: another chart, another tag, none. These tests come after all others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chart_before import chart_before
from chart_kit import CHART, NAMESPACE, merged
from cluster.asking import ask_until, steadily
from cluster.drivers import ML, PRICING, Drivers
from cluster.feasts import client
from cluster.pods import rolled_out, state_of
from cluster.release import VALUES, Release
from cluster.running import Cluster
from cluster.waiting import wait_until
from crd_kit import collection
from featward.crds.definitions import KINDS

pytestmark = pytest.mark.timeout(600)

_TAG = "next"
_SERVICE = f"/api/v1/namespaces/{ML}/services/feast-featward"
_HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/featward"
_KUBERNETES_OWN = {"default", "kube-node-lease", "kube-public", "kube-system"}


def _put_back(cluster: Cluster) -> None:
    """Somebody edits what the operator has made, and it writes it again."""
    edit = [{"op": "replace", "path": "/spec/ports/0/appProtocol", "value": "http"}]
    cluster.kubernetes.call("PATCH", _SERVICE, edit, "json-patch+json")

    def is_back() -> bool:
        (port,) = cluster.kubernetes.call("GET", _SERVICE)["spec"]["ports"]
        return bool(port["appProtocol"] == "tls")

    wait_until(is_back, "the operator has written its Service again", 60)


def _bundles(cluster: Cluster) -> set[str]:
    webhooks = cluster.kubernetes.call("GET", _HOOKS)["webhooks"]
    return {one["clientConfig"].get("caBundle", "") for one in webhooks}


def test_an_upgrade_from_the_chart_of_before_keeps_traffic_flowing(
    release: Release, drivers: Drivers, tmp_path: Path
) -> None:
    """Helm writes twice and the operator between and after, each what is its own."""
    before = chart_before(tmp_path)
    if before is None:
        pytest.skip("Git knows no other chart than this one")
    cluster, repository = release.cluster, release.image.rpartition(":")[0]
    cluster.tag_image(release.image, f"{repository}:{_TAG}")
    release.upgrade(before, VALUES)
    ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)
    bundles = _bundles(cluster)
    with steadily(cluster, drivers.pricing, drivers.variable, "conv_rate") as traffic:
        for level in ("debug", "info"):
            given = {"image": {"tag": _TAG}, "operator": {"logLevel": level}}
            release.upgrade(CHART, merged(VALUES, given))
            _put_back(cluster)
    print(
        f"{traffic.asked} requests, the slowest {traffic.slowest:.2f} s, {len(traffic.failed)} failed"
    )
    assert traffic.failed == []
    assert traffic.asked > 200
    assert _bundles(cluster) == bundles, "Helm has written what is the operator's"

    # Who runs keeps its sidecar, and who comes gets the new one, and both are served.
    cluster.apply(*client(PRICING, "newcomer", release.image, f"{ML}/driver-stats"))
    (newcomer,) = rolled_out(cluster, PRICING, "newcomer")
    for pod, tag in ((newcomer, _TAG), (drivers.pricing, release.image.rpartition(":")[2])):
        assert pod["spec"]["initContainers"][0]["image"] == f"{repository}:{tag}"
    ask_until(cluster, newcomer, drivers.variable, "conv_rate", 403)
    ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)


def _objects(cluster: Cluster) -> Iterator[tuple[str, str, str, str, Any]]:
    """All of our kinds: kind, namespace, name, uid and what somebody has written."""
    for kind in KINDS:
        for one in cluster.kubernetes.call("GET", collection(kind))["items"]:
            about = one["metadata"]
            where = about.get("namespace", "")
            yield kind, where, about["name"], about["uid"], one["spec"]


def test_uninstall_wedges_no_namespace_and_loses_no_object(
    release: Release, drivers: Drivers
) -> None:
    cluster = release.cluster
    before = sorted(_objects(cluster), key=lambda one: one[:3])
    assert {one[0] for one in before} >= {"Environment", "BusinessUnit", "FeatureSet"}
    release.helm.uninstall("featward")
    assert sorted(_objects(cluster), key=lambda one: one[:3]) == before
    # What runs goes on.
    ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)

    def spaces() -> set[str]:
        found = cluster.kubernetes.call("GET", "/api/v1/namespaces")["items"]
        return {one["metadata"]["name"] for one in found} - _KUBERNETES_OWN

    assert spaces() >= {NAMESPACE, ML, PRICING}
    cluster.kubectl("delete", "namespace", "--wait=false", *sorted(spaces()))
    try:
        wait_until(lambda: not spaces(), "every namespace is gone", 120)
    except AssertionError as error:
        left = {
            name: cluster.kubernetes.call("GET", f"/api/v1/namespaces/{name}") for name in spaces()
        }
        why = {name: one["status"] for name, one in left.items()}
        states = "".join(state_of(cluster, name) for name in left)
        raise AssertionError(f"{error}: {why}\n{states}") from error
    # With them went what was in them, and nothing else.
    kept = [one for one in before if not one[1]]
    assert sorted(_objects(cluster), key=lambda one: one[:3]) == kept
