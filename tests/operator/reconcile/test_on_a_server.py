"""The status part on a real API server, as the account that the chart gives the operator and no more."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from chart_kit import NAMESPACE
from cluster_objects import a_binding, a_set, an_object
from crd_kit import apply, collection, tried
from featward.kubernetes.resource import CONFIG_MAPS, EVENTS, SERVICES
from featward.manifests.text import second_of
from featward_operator.conditions import moment
from featward_operator.policy.tallies import SetTally, Sidecar
from featward_operator.vocabulary import Reason
from following import is_so
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS
from leading_kit import collecting_garbage, leading, replicas, said

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

DOMAIN = "prod.acme.example"
DIGEST = "a" * 64


def put(cluster: Kubernetes, raw: dict[str, Any]) -> dict[str, Any]:
    """Apply an object of ours."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "creationTimestamp"}
    status, answer = apply(cluster, {**raw, "metadata": metadata}, "tests", force=True)
    assert status in (200, 201), answer
    found: dict[str, Any] = answer
    return found


@pytest.fixture
def space(cluster: Kubernetes) -> str:
    """A namespace with a set and a binding in it."""
    put(cluster, an_object("Environment", "prod", {"trustDomain": DOMAIN}))
    put(cluster, an_object("BusinessUnit", "prod.payments"))
    put(cluster, an_object("BusinessUnit", "prod.risk"))
    name = cluster.namespace("prod.payments")
    put(cluster, a_set("drivers", name))
    subjects = [{"serviceAccount": {"namespace": name, "name": "api"}}]
    put(cluster, a_binding("api", "drivers", name, subjects=subjects))
    return name


def events(cluster: Kubernetes, namespace: str) -> set[tuple[str, str]]:
    """Kind and reason of what was told of objects there."""
    listed = cluster.call("GET", EVENTS.path(namespace))["items"]
    return {(one["regarding"]["kind"], one["reason"]) for one in listed}


def an_account(cluster: Kubernetes, namespace: str) -> None:
    """What pods run as; there is no controller that would make it."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.ask("POST", path, {"metadata": {"name": "default"}})


def a_tally(*current: bool) -> SetTally:
    sidecars = tuple(
        Sidecar(f"feast-{n}", DIGEST, "0.2.0", 0.0, "", one, "enforce", False)
        for n, one in enumerate(current)
    )
    return SetTally(sidecars, 10, 1, 0, 0, (), ())


async def test_every_kind_gets_its_status_and_it_is_written_only_when_it_differs(
    cluster: Kubernetes, space: str
) -> None:
    put(cluster, an_object("Workload", "job", {"businessUnit": "prod.payments", "name": "job"}))

    def ready(kind: str, name: str, inside: str = "") -> Any:
        return said(cluster, kind, name, inside)["answers"].get("Ready")

    async with leading(cluster) as leader:
        for kind, name in (
            ("Environment", "prod"),
            ("BusinessUnit", "prod.risk"),
            ("Workload", "job"),
        ):
            await is_so(lambda k=kind, n=name: ready(k, n) == ("True", "Ready"))
        await is_so(lambda: ready("FeatureBinding", "api", space) == ("True", "Ready"))
        await is_so(lambda: ready("FeatureSet", "drivers", space) == ("False", "NoPods"))
        await is_so(
            lambda: said(cluster, "FeatureSet", "drivers", space).get("identitiesCovered") == 1
        )
        found = cluster.call("GET", f"{collection('FeatureSet', space)}/drivers")
        managers = {one["manager"] for one in found["metadata"]["managedFields"]}
        assert managers == {"tests", "featward-operator-status"}
        await quiet(leader.written)
        before = leader.written()
        await asyncio.sleep(6)  # an environment is looked at every 5 s
        assert leader.written() == before
        assert leader.refused() == 0
        # A label of somebody else's is no edit.
        patch = {"metadata": {"labels": {"team": "x"}}}
        path = f"{collection('FeatureSet', space)}/drivers"
        cluster.call("PATCH", path, patch, "merge-patch+json")
        leader.reach["prod"] = (Reason.UNREACHABLE, "no answer within 10 s")
        await is_so(lambda: ready("BusinessUnit", "prod.risk") == ("False", "Unreachable"))
        leader.reach["prod"] = (Reason.NO_IDENTITY, "none yet")
        await is_so(lambda: ready("Environment", "prod") == ("False", "NoIdentity"))
    # Who leads next has nothing to write but what is otherwise.
    async with leading(cluster, "operator-1") as leader:
        await is_so(lambda: ready("Environment", "prod") == ("True", "Ready"))
        await quiet(leader.written)
        # The two units of it and itself, and nothing of the namespace.
        assert leader.written() == 3


async def quiet(count: Callable[[], float]) -> None:
    """Wait until nothing was counted for two seconds."""
    before, since = count(), time.monotonic()
    async with asyncio.timeout(40):
        while time.monotonic() - since < 2:
            await asyncio.sleep(0.1)
            if count() != before:
                before, since = count(), time.monotonic()


async def test_the_trust_map_is_at_the_server_within_a_second_of_the_pod(
    cluster: Kubernetes, space: str
) -> None:
    other = cluster.namespace("prod.payments")
    bundle = {
        "metadata": {"name": "featward-bundle-prod", "namespace": NAMESPACE},
        "data": {"root.sha256": "00\n", "bundle.pem": "pem", "environment": "prod"},
    }
    cluster.call("POST", CONFIG_MAPS.path(NAMESPACE), bundle)

    def map_in(namespace: str) -> Any:
        status, answer = cluster.ask("GET", CONFIG_MAPS.path(namespace, "featward-trust"))
        return answer["data"] if status == 200 else None

    async with leading(cluster) as leader:
        await is_so(lambda: map_in(space) is not None)
        assert map_in(other) is None
        pod = {
            "metadata": {"name": "api", "labels": {"featward.dev/inject": "client"}},
            "spec": {"containers": [{"name": "app", "image": "localhost/app:1"}]},
        }
        an_account(cluster, other)
        cluster.call("POST", f"/api/v1/namespaces/{other}/pods", pod)
        began = time.monotonic()
        await is_so(lambda: map_in(other) is not None)
        took = time.monotonic() - began
        print(f"the map was there {took:.2f} s after the pod")
        assert took < 2
        assert map_in(other) == {"root.sha256": "00\n", "bundle.pem": "pem"}
        await is_so(lambda: ("Pod", "SidecarMissing") in events(cluster, other))
        # A root that is prepared is known to pods long before it signs.
        both = {"data": {"root.sha256": "00\n11\n"}}
        path = CONFIG_MAPS.path(NAMESPACE, "featward-bundle-prod")
        cluster.call("PATCH", path, both, "merge-patch+json")
        await is_so(lambda: map_in(other)["root.sha256"] == "00\n11\n")
        # Somebody else's edit of it does not stay.
        away = {"data": {"root.sha256": "22\n"}}
        path = CONFIG_MAPS.path(other, "featward-trust")
        cluster.call("PATCH", path, away, "merge-patch+json")
        await is_so(lambda: map_in(other)["root.sha256"] == "00\n11\n")
        assert leader.refused() == 0


async def test_an_edit_voids_the_approval_at_the_server(cluster: Kubernetes, space: str) -> None:
    risk = cluster.namespace("prod.risk")
    subjects = [{"serviceAccount": {"namespace": risk, "name": "api"}}]
    across = a_binding("across", "drivers", space, subjects=subjects)
    put(cluster, across)

    def binding() -> Any:
        return said(cluster, "FeatureBinding", "across", space)

    def approval() -> Any:
        return said(cluster, "GrantApproval", "yes")["answers"].get("InForce")

    async with leading(cluster):
        await is_so(lambda: binding()["answers"].get("Granting") == ("False", "ApprovalMissing"))
        spec = {
            "binding": {"namespace": space, "name": "across"},
            "bindingDigest": binding()["digest"],
            "businessUnit": "prod.payments",
            "reason": "agreed",
            "expires": "2097-03-31",
        }
        put(cluster, an_object("GrantApproval", "yes", spec))
        await is_so(lambda: binding()["answers"]["Approved"] == ("True", "Approved"))
        await is_so(
            lambda: (
                said(cluster, "GrantApproval", "yes")["answers"].get("InForce")
                == ("True", "Matches")
            )
        )
        across["spec"]["purpose"] = "another"
        put(cluster, across)
        await is_so(lambda: binding()["answers"]["Approved"] == ("False", "ApprovalVoid"))
        await is_so(
            lambda: (
                said(cluster, "GrantApproval", "yes")["answers"]["InForce"]
                == ("False", "DigestDiffers")
            )
        )
        await is_so(lambda: ("FeatureBinding", "ApprovalVoided") in events(cluster, space))
    cluster.call("DELETE", f"{collection('GrantApproval')}/yes")


async def test_rows_of_replicas_are_written_united_and_taken_away(
    cluster: Kubernetes, space: str
) -> None:
    key, clock = (space, "drivers"), [time.time()]
    for name in ("operator-0", "operator-1"):
        pod = {
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "operator", "image": "localhost/featward:1"}]},
        }
        cluster.ask(
            "POST",
            f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
            {"metadata": {"name": "default"}},
        )
        cluster.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)

    def status() -> Any:
        return said(cluster, "FeatureSet", "drivers", space)

    def rows() -> dict[str, Any]:
        return {one["replica"]: one for one in status().get("replicas", ())}

    async with (
        leading(cluster, now=lambda: clock[0]) as leader,
        replicas(cluster, "operator-1", now=lambda: clock[0]) as other,
    ):
        await other.world.synced.wait()
        await is_so(lambda: key in other.world.index.catalogue.feature_sets)
        leader.tallies.told[key] = a_tally(True, True)
        other.tallies.told[key] = a_tally(True)
        assert (await leader.part.rows.write(), await other.part.rows.write()) == (1, 1)
        await is_so(lambda: status().get("progress") == "3/3")
        assert (status()["digest"], status()["refusedLastHour"]) == (DIGEST, 2)
        # Counters wait for the half minute, and everything else does not.
        leader.tallies.told[key] = SetTally(a_tally(True, True).sidecars, 11, 2, 0, 0, (), ())
        assert await leader.part.rows.write() == 0
        clock[0] += 30
        assert await leader.part.rows.write() == 1
        await is_so(lambda: status()["refusedLastHour"] == 3)
        other.tallies.told[key] = a_tally(True, True)
        assert await other.part.rows.write() == 1
        await is_so(lambda: status()["progress"] == "4/4")
        managers = cluster.call("GET", f"{collection('FeatureSet', space)}/drivers")
        named = {one["manager"] for one in managers["metadata"]["managedFields"]}
        assert {"featward-policy-operator-0", "featward-policy-operator-1"} <= named
        # A replica whose sidecars have left takes its row back.
        leader.tallies.told.clear()
        assert await leader.part.rows.write() == 1
        await is_so(lambda: rows().keys() == {"operator-1"})
        assert await leader.part.rows.write() == 0
        # And one that is dead has it taken, though nothing else has changed.
        await quiet(leader.written)
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/operator-1"
        cluster.call("DELETE", path, {"gracePeriodSeconds": 0})
        await is_so(lambda: not rows())
        await is_so(lambda: status()["progress"] == "0/0")
        managers = cluster.call("GET", f"{collection('FeatureSet', space)}/drivers")
        named = {one["manager"] for one in managers["metadata"]["managedFields"]}
        assert not [one for one in named if one.startswith("featward-policy-")]
        assert leader.refused() == 0


async def test_a_row_that_was_written_again_is_not_taken_away(
    cluster: Kubernetes, space: str
) -> None:
    key, now = (space, "drivers"), time.time()
    async with replicas(cluster, "operator-9", now=lambda: now) as leader:
        await is_so(lambda: key in leader.world.index.catalogue.feature_sets)
        leader.tallies.told[key] = a_tally(True)
        await leader.part.rows.write()
        from featward.kubernetes.resource import FEATURE_SETS
        from featward_operator.reconcile.sightings import RemoveRow

        gateway = leader.operator.gateway
        for seen, left in ((moment(now - 5), 1), (moment(now), 0)):
            await RemoveRow(FEATURE_SETS, key, 0, "operator-9", seen).carry_out(gateway)
            status = said(cluster, "FeatureSet", "drivers", space)
            assert len(status.get("replicas", ())) == left
        # Neither is it a failure that the set has gone.
        gone = (space, "absent")
        await RemoveRow(FEATURE_SETS, gone, 0, "operator-9", moment(now)).carry_out(gateway)


async def test_a_deleted_set_takes_its_children_along_with_the_operator_dead(
    cluster: Kubernetes, space: str
) -> None:
    serving = {
        "gateway": {"upstream": "feast-online.ml.svc:80"},
        "endpoints": [{"adapter": "feast-http/v1"}],
    }
    put(cluster, a_set("store", space, serving=serving, features=["other:x"]))
    children = [
        f"/api/v1/namespaces/{space}/services/store-gateway-featward",
        f"/api/v1/namespaces/{space}/serviceaccounts/store-gateway",
        f"/apis/apps/v1/namespaces/{space}/deployments/store-gateway",
        f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets/store-gateway",
    ]

    def there() -> list[str]:
        return [one for one in children if cluster.ask("GET", one)[0] == 200]

    async with leading(cluster) as leader:
        await is_so(lambda: there() == children)
        await is_so(lambda: cluster.ask("GET", SERVICES.path(space, "feast-featward"))[0] == 200)
        # What somebody takes away comes back while the set is there.
        cluster.call("DELETE", children[0])
        await is_so(lambda: there() == children)
        assert leader.refused() == 0
        found = cluster.call("GET", f"{collection('FeatureSet', space)}/store")
        assert not found["metadata"].get("finalizers")
    cluster.call("DELETE", f"{collection('FeatureSet', space)}/store")
    with collecting_garbage(cluster):
        await is_so(lambda: there() == [], 60)
    assert cluster.ask("GET", SERVICES.path(space, "feast-featward"))[0] == 200, "another set's"


@pytest.mark.parametrize(
    "edit",
    [
        [{"op": "replace", "path": "/spec/ports/0/port", "value": 15444}],
        [{"op": "replace", "path": "/spec/ports/0/appProtocol", "value": "http"}],
        [{"op": "add", "path": "/spec/ports/-", "value": {"name": "more", "port": 80}}],
    ],
    ids=["another number", "another protocol", "another port"],
)
async def test_what_others_change_of_a_service_is_put_back(
    cluster: Kubernetes, space: str, edit: list[dict[str, Any]]
) -> None:
    path = SERVICES.path(space, "feast-featward")

    def shape() -> tuple[Any, Any]:
        spec = cluster.call("GET", path)["spec"]
        kept = ("name", "port", "appProtocol", "targetPort", "protocol")
        return [{key: one.get(key) for key in kept} for one in spec["ports"]], spec["selector"]

    async with leading(cluster) as leader:
        await is_so(lambda: cluster.ask("GET", path)[0] == 200)
        before = shape()
        cluster.call("PATCH", path, edit, "json-patch+json")
        await is_so(lambda: shape() == before)
        assert leader.refused() == 0


async def test_a_service_goes_when_the_last_set_has_left_its_account(
    cluster: Kubernetes, space: str
) -> None:
    served = {"endpoints": [{"adapter": "feast-http/v1", "port": 6566}]}
    elsewhere = {**served, "workload": {"serviceAccount": "other"}}
    foreign = {"spec": {"ports": [{"port": 80}]}, "metadata": {"name": "beside-featward"}}
    cluster.call("POST", SERVICES.path(space), foreign)
    put(cluster, a_set("riders", space, features=["other:x"]))

    def there() -> set[str]:
        return {
            one["metadata"]["name"] for one in cluster.call("GET", SERVICES.path(space))["items"]
        }

    def owned_by() -> list[str]:
        found = cluster.call("GET", SERVICES.path(space, "feast-featward"))
        return sorted(one["name"] for one in found["metadata"]["ownerReferences"])

    async with leading(cluster) as leader:
        await is_so(lambda: "feast-featward" in there() and owned_by() == ["drivers", "riders"])
        put(cluster, a_set("drivers", space, serving=elsewhere))
        await is_so(lambda: "other-featward" in there() and owned_by() == ["riders"])
        put(cluster, a_set("riders", space, serving=elsewhere, features=["other:x"]))
        await is_so(lambda: there() == {"beside-featward", "other-featward"})
        assert leader.refused() == 0


def test_a_set_without_an_owner_is_refused_at_admission(cluster: Kubernetes, space: str) -> None:
    for key in ("team", "contact"):
        raw = a_set("nobodys", space)
        del raw["metadata"]["creationTimestamp"]
        assert tried(cluster, raw)[0] == 201
        del raw["spec"]["owner"][key]
        status, answer = tried(cluster, raw)
        assert status == 422
        assert f"spec.owner.{key}: Required value" in answer["message"]


def test_moments_are_what_the_models_read() -> None:
    assert second_of(moment(1_795_435_200.9)) == 1_795_435_200
