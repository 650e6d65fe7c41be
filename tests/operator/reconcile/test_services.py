"""The Service of a service account stays while any set is served by way of it, and no longer."""

from typing import Any

from cluster_objects import CLUSTER, a_namespace, a_set
from featward.kubernetes.resource import SERVICES
from featward_operator.controllers import Apply, Delete
from featward_operator.reconcile.children import project
from reconcile_kit import Scene

NAME = "feast-featward"


def moved(name: str, account: str, *features: str) -> dict[str, Any]:
    endpoints = [{"adapter": "feast-http/v1", "port": 6566}]
    serving = {"workload": {"serviceAccount": account}, "endpoints": endpoints}
    return a_set(name, serving=serving, features=features)


async def looked(scene: Scene, *names: str) -> list[str]:
    """The Services that were deleted; all that was asked for is done."""
    gone = []
    for name in names:
        for one in (await scene.look("FeatureSet", "pricing", name)).actions:
            if isinstance(one, Apply) and one.resource == SERVICES:
                called = one.body["metadata"]["name"]
                metadata = {**one.body["metadata"], "uid": f"uid-{called}"}
                there = project({**one.body, "metadata": metadata})
                scene.children.take(SERVICES, ("pricing", called), there)
            if isinstance(one, Delete) and one.resource == SERVICES:
                assert one.uid == f"uid-{one.name}"
                scene.children.take(SERVICES, ("pricing", one.name), None)
                gone.append(one.name)
    return gone


async def a_scene() -> Scene:
    """Two sets of one account."""
    scene = Scene(*CLUSTER, a_set("others", features=["other:x"]))
    assert await looked(scene, "drivers", "others") == []
    there = scene.children.get(SERVICES, "pricing", NAME)
    assert there is not None
    assert len(there["metadata"]["ownerReferences"]) == 2
    return scene


async def test_it_stays_with_the_second_set_and_goes_with_the_last() -> None:
    scene = await a_scene()
    scene.edit(moved("drivers", "new", "hourly:a"))
    assert await looked(scene, "drivers", "others") == []
    scene.edit(moved("others", "new", "other:x"))
    assert await looked(scene, "others", "drivers") == [NAME]
    assert scene.children.get(SERVICES, "pricing", "new-featward") is not None


async def test_it_goes_though_both_have_left_at_once() -> None:
    scene = await a_scene()
    scene.edit(moved("drivers", "new", "hourly:a"), moved("others", "new", "other:x"))
    assert await looked(scene, "drivers", "others") == [NAME]


async def test_it_stays_with_a_set_that_has_no_server_for_now() -> None:
    """A slip in the namespace's label costs nobody the Service."""
    scene = await a_scene()
    scene.edit(a_namespace("pricing", "nowhere.payments"))
    assert await looked(scene, "drivers", "others") == []
    assert "server" not in scene.status("FeatureSet", "pricing", "drivers")


async def test_it_stays_where_one_of_its_sets_cannot_be_read() -> None:
    """An operator that was started after a slip does not know what the set said before."""
    before = await a_scene()
    spoilt = a_set("others", features=["other:x"])
    spoilt["spec"]["servnig"] = {}
    after = Scene(*CLUSTER, spoilt)
    there = before.children.get(SERVICES, "pricing", NAME)
    after.children.take(SERVICES, ("pricing", NAME), there)
    after.edit(moved("drivers", "new", "hourly:a"))
    assert await looked(after, "drivers", "others") == []
    after.edit(moved("others", "new", "other:x"))
    assert await looked(after, "drivers", "others") == [NAME]
