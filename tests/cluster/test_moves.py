"""A namespace whose administrator would rather be of another business unit, which is granted more."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chart_kit import NAMESPACE
from cluster.asking import ask, ask_until
from cluster.drivers import ML, Drivers
from cluster.feasts import binding, client
from cluster.pods import rolled_out
from cluster.release import Release
from cluster.running import Cluster
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

_WANDERER, _OLGA = "wanderer", "olga"
_UNIT = "featward.dev/business-unit"
_POLICY = "featward-namespaces"
_COLUMN = "avg_daily_trips"


def _rights(namespace: str) -> list[dict[str, object]]:
    """Whoever has a namespace may write its labels, and nothing of another."""
    about = {"name": f"{namespace}-admin"}
    subject = {"kind": "User", "name": _OLGA, "apiGroup": "rbac.authorization.k8s.io"}
    rules = [
        {
            "apiGroups": [""],
            "resources": ["namespaces", "namespaces/status", "namespaces/finalize"],
            "resourceNames": [namespace],
            "verbs": ["get", "update", "patch"],
        }
    ]
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": about, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": about,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", **about},
            "subjects": [subject],
        },
    ]


def _relabel(cluster: Cluster, unit: str, *options: str) -> str:
    """As the namespace's administrator: why she may not, or nothing."""
    label = ("label", "namespace", _WANDERER, f"{_UNIT}={unit}", "--overwrite")
    try:
        cluster.kubectl(*label, f"--as={_OLGA}", *options)
    except AssertionError as error:
        return str(error)
    return ""


@contextmanager
def _without_policy(cluster: Cluster) -> Iterator[None]:
    """As if the chart had been installed without `admission.policies`, and back again."""
    path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{_POLICY}"
    found = cluster.kubernetes.call("GET", path)
    cluster.kubernetes.call("DELETE", path)
    try:
        yield
    finally:
        kept = {key: value for key, value in found["metadata"].items() if key in ("name", "labels")}
        body = {**found, "metadata": kept}
        cluster.kubernetes.call("POST", path.rpartition("/")[0], body)


def test_a_relabelled_namespace_gets_nothing_with_the_policy_and_without_it(
    release: Release, drivers: Drivers
) -> None:
    cluster = release.cluster
    release.namespace(_WANDERER, "prod.risk")
    cluster.apply(*_rights(_WANDERER))
    cluster.apply(
        binding(ML, "all-of-payments", "driver-stats", {"businessUnit": "prod.payments"}, _COLUMN)
    )
    # That it grants something is seen by whoever is of payments.
    ask_until(cluster, drivers.stranger, drivers.variable, _COLUMN, 200)
    cluster.apply(*client(_WANDERER, "early", release.image, f"{ML}/driver-stats"))
    (early,) = rolled_out(cluster, _WANDERER, "early")
    ask_until(cluster, early, drivers.variable, _COLUMN, 403)

    def complaint() -> str:
        return _relabel(cluster, "prod.payments", "--dry-run=server")

    assert "need the verb assign on businessunits.featward.dev" in complaint()
    with _without_policy(cluster):
        wait_until(lambda: not complaint(), "nothing holds her back", 30)
        assert not _relabel(cluster, "prod.payments")
        cluster.apply(*client(_WANDERER, "late", release.image, f"{ML}/driver-stats"))
        seen: set[int] = set()

        def refused() -> bool:
            """A new pod gets no identity, once the CA has looked at labels again; both are asked till then."""
            (late,) = rolled_out(cluster, _WANDERER, "late")
            for one in (early, late):
                seen.add(ask(cluster, one, drivers.variable, _COLUMN).status)
            if _is_refused(cluster):
                return True
            cluster.kubectl("delete", "pod", "--namespace", _WANDERER, "--selector=app=late")
            return False

        wait_until(refused, "the CA refuses the namespace", 90)
        (late,) = rolled_out(cluster, _WANDERER, "late")
        ask_until(cluster, late, drivers.variable, _COLUMN, 503)
        seen.add(ask(cluster, early, drivers.variable, _COLUMN).status)
        assert 200 not in seen, seen
        cluster.kubectl("label", "namespace", _WANDERER, f"{_UNIT}=prod.risk", "--overwrite")
    wait_until(complaint, "it holds again", 30)
    cluster.kubectl("delete", "featurebinding", "--namespace", ML, "all-of-payments")
    cluster.kubectl("delete", "namespace", _WANDERER, "--wait=false")


def _is_refused(cluster: Cluster) -> bool:
    """Whether the CA says that it has seen this namespace as another's."""
    log = cluster.kubectl("logs", "--namespace", NAMESPACE, "featward-ca-prod-0")
    return f"{_WANDERER} of eu1 was prod.risk's and now says prod.payments" in log
