"""What a FeatureSet's status says: who serves it, how far its sidecars are, who comes past them."""

from typing import Any

import pytest

from cluster_objects import CLUSTER, FEAST, a_binding, a_namespace, a_set, an_object, an_override
from featward.kubernetes.resource import FEATURE_SETS as SETS
from featward.kubernetes.resource import SERVICES
from featward.manifests.text import day_after
from featward_operator.conditions import moment
from featward_operator.controllers import Apply, Delete
from featward_operator.reconcile.children import project
from featward_operator.reconcile.feature_set import version_lags
from featward_operator.reconcile.sightings import RemoveRow
from reconcile_kit import Scene, a_pod, a_row

SET = ("FeatureSet", "pricing", "drivers")
DIGEST, OTHER = "a" * 64, "b" * 64
SUSPENDED = {"featward.dev/business-unit": "prod.payments", "featward.dev/protection": "suspended"}


def a_scene(*edits: dict[str, Any]) -> Scene:
    scene = Scene(*CLUSTER, *edits)
    scene.run(a_pod("feast-0"), a_pod("operator-0", "featward", "featward-operator"))
    scene.report("drivers", row(scene))
    return scene


def row(scene: Scene, replica: str = "operator-0", **said: Any) -> dict[str, Any]:
    told = {"digest": DIGEST, "answeredLastHour": 5, "refusedLastHour": 1} | said
    return a_row(replica, moment(scene.now), **told)


async def looked(scene: Scene, *edits: dict[str, Any]) -> dict[str, tuple[str, str]]:
    scene.edit(*edits)
    for binding in ("api", "second"):
        await scene.look("FeatureBinding", "pricing", binding)
    await scene.look(*SET)
    return scene.answers(*SET)


async def test_a_set_that_is_well_says_so() -> None:
    scene = a_scene()
    assert await looked(scene) == {
        "Ready": ("True", "Ready"),
        "Valid": ("True", "Valid"),
        "Claimed": ("True", "SoleOwner"),
        "Served": ("True", "SidecarsReady"),
        "Distributed": ("True", "AllCurrent"),
        "Observed": ("True", "CallersSeen"),
        "Closed": ("Unknown", "NoSidecarConnected"),
        "Overridden": ("False", "None"),
        "Suspended": ("False", "None"),
    }
    status = scene.status(*SET)
    assert (status["server"], status["service"]) == (str(FEAST), "feast-featward")
    assert (status["mode"], status["progress"], status["digest"]) == ("enforce", "1/1", DIGEST)
    assert (status["identitiesCovered"], status["suspended"]) == (1, False)
    assert (status["answeredLastHour"], status["refusedLastHour"]) == (5, 1)
    assert status["observedGeneration"] == 1
    assert scene.events() == []


async def test_what_is_so_already_is_not_written_again() -> None:
    scene = a_scene()
    await looked(scene)
    scene.now += 10
    assert (await scene.look(*SET)).status is None
    assert (await scene.look("FeatureBinding", "pricing", "api")).status is None
    assert (await scene.look("Environment", "prod")).status is not None
    assert (await scene.look("Environment", "prod")).status is None
    # Another spec is another generation, which a status is about though nothing else in it differs.
    scene.edit(a_set("drivers"))
    written = (await scene.look(*SET)).status
    assert written is not None
    assert written["observedGeneration"] == 2
    since = {one["lastTransitionTime"] for one in written["conditions"]}
    assert since == {moment(scene.now - 10)}, "no answer has changed"


async def test_the_older_set_keeps_what_both_claim_and_the_younger_is_told() -> None:
    younger = a_set("younger", made="2026-11-21T08:00:00Z", features=["hourly:a", "other:x"])
    service: dict[str, Any] = {"services": [{"name": "all", "features": ["other:y"]}]}
    service |= {"features": ["other:y"]}
    scene = a_scene(younger, a_set("third", made="2026-11-22T08:00:00Z", **service))
    assert (await looked(scene))["Claimed"] == ("True", "SoleOwner")
    await scene.look("FeatureSet", "pricing", "younger")
    assert scene.answers("FeatureSet", "pricing", "younger")["Claimed"] == (
        "False",
        "FeatureClaimedByOther",
    )
    assert "drivers" in scene.message("FeatureSet", "Claimed", "pricing", "younger")
    assert scene.events() == ["ClaimLost"]
    scene.edit(a_set("drivers", services=[{"name": "all", "features": ["hourly:a"]}]))
    await scene.look("FeatureSet", "pricing", "third")
    assert scene.answers("FeatureSet", "pricing", "third")["Claimed"] == (
        "False",
        "ServiceClaimedByOther",
    )
    # What a binding names of it and an older set has is not its to grant.
    scene.edit(a_binding("api", "younger"))
    await scene.look("FeatureBinding", "pricing", "api")
    assert scene.answers("FeatureBinding", "pricing", "api")["Granting"] == (
        "False",
        "NothingGrantable",
    )


async def test_a_set_without_pods_or_without_sidecars_is_not_served() -> None:
    scene = a_scene()
    scene.run(a_pod("feast-1", sidecar=False))
    found = await looked(scene)
    assert (found["Served"], found["Ready"]) == (("False", "NoSidecar"),) * 2
    assert "feast-1" in scene.message("FeatureSet", "Served", "pricing", "drivers")
    scene.end("pricing", "feast-0")
    scene.end("pricing", "feast-1")
    assert (await looked(scene))["Served"] == ("False", "NoPods")


async def test_a_set_outside_of_the_cluster_is_served_by_who_reports() -> None:
    job = an_object("Workload", "job", {"businessUnit": "prod.payments", "name": "job"})
    serving = {
        "workload": {"name": "job"},
        "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
    }
    scene = a_scene(job, a_set("drivers", serving=serving))
    assert (await looked(scene))["Served"] == ("True", "SidecarsReady")
    assert "service" not in scene.status(*SET)
    scene.report("drivers")
    assert (await looked(scene))["Served"] == ("False", "NoSidecar")


async def test_a_sidecar_is_behind_after_ten_seconds() -> None:
    scene = a_scene()
    laggard = {"pod": "feast-0", "digest": OTHER, "engine": "0.2.0", "since": moment(scene.now)}
    scene.report("drivers", row(scene, sidecarsCurrent=0, laggards=[laggard]))
    assert (await looked(scene))["Distributed"] == ("True", "AllCurrent")
    again = (await scene.look(*SET)).requeue_at
    assert again == scene.now + 10
    scene.now = again
    assert (await looked(scene))["Distributed"] == ("False", "SidecarsBehind")
    assert scene.status(*SET)["laggards"] == [laggard]
    assert scene.status(*SET)["progress"] == "0/1"
    refused = {**laggard, "error": "no such mode"}
    scene.report("drivers", row(scene, sidecarsCurrent=0, laggards=[refused]))
    assert (await looked(scene))["Distributed"] == ("False", "SidecarRefused")
    assert scene.events() == ["SidecarBehind", "SidecarBehind"]
    old = {**laggard, "engine": "0.0.9"}
    scene.report("drivers", row(scene, sidecarsCurrent=0, laggards=[old]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featward_operator.reconcile.feature_set.engine_version", "0.3.0")
        assert (await looked(scene))["Distributed"] == ("False", "SidecarTooOld")
        assert scene.events() == ["SidecarTooOld"]
        assert [version_lags(one) for one in ("0.1.0", "0.0.9", "x", "")] == [
            False,
            True,
            False,
            False,
        ]
    scene.report("drivers")
    assert (await looked(scene))["Distributed"] == ("Unknown", "NoSidecarConnected")
    assert scene.answers(*SET)["Ready"] == ("True", "Ready"), "what is not known is no failure"


async def test_a_slip_above_holds_a_set_and_says_where() -> None:
    twice = a_set("riders-too", features=["hourly:a", "hourly:a"])
    scene = a_scene(twice)
    found = await looked(scene)
    assert (found["Distributed"], found["Ready"]) == (("False", "Held"),) * 2
    assert "hourly:a" in scene.message("FeatureSet", "Distributed", "pricing", "drivers")
    assert scene.events() == ["Held"]
    # The one with the slip is told by its own Valid.
    await scene.look("FeatureSet", "pricing", "riders-too")
    assert scene.answers("FeatureSet", "pricing", "riders-too")["Valid"] == ("False", "Invalid")
    assert "Invalid" in scene.events()
    assert (await looked(scene, a_set("riders-too", features=["other:x"])))["Distributed"] == (
        "True",
        "AllCurrent",
    )


async def test_a_set_that_never_could_be_read_says_why() -> None:
    scene = Scene(*CLUSTER, a_set("bad", version="1..2"))
    await scene.look("FeatureSet", "pricing", "bad")
    assert scene.answers("FeatureSet", "pricing", "bad") == {
        "Ready": ("False", "Invalid"),
        "Valid": ("False", "Invalid"),
    }
    assert scene.events() == ["Invalid"]


async def test_who_comes_past_the_sidecar_is_named_by_pod() -> None:
    scene = a_scene()
    peer = {"address": "10.0.0.9", "port": 6566, "pod": "shop/api-0", "lastSeen": moment(scene.now)}
    scene.report("drivers", row(scene, bypassing=[peer]))
    assert (await looked(scene))["Observed"] == ("False", "ServiceBypassesSidecar")
    assert "shop/api-0" in scene.message("FeatureSet", "Observed", "pricing", "drivers")
    assert scene.answers(*SET)["Ready"] == ("True", "Ready")
    assert scene.events() == ["ServiceBypassed"]
    scene.report("drivers", row(scene, answeredLastHour=0, refusedLastHour=0))
    assert (await looked(scene))["Observed"] == ("False", "NothingSeen")


async def test_the_feature_servers_own_port_is_closed_by_loopback_or_accepted() -> None:
    scene = a_scene()
    for address, said in (
        ("127.0.0.1", ("True", "UpstreamOnLoopback")),
        ("::1", ("True", "UpstreamOnLoopback")),
        ("0.0.0.0", ("False", "UpstreamOnAllAddresses")),  # noqa: S104  a report says it
        ("::", ("False", "UpstreamOnAllAddresses")),
    ):
        listening = [{"port": 6566, "address": address}, {"port": 9, "address": "::"}]
        scene.report("drivers", row(scene, listening=listening))
        assert (await looked(scene))["Closed"] == said
    until = "2026-11-30"
    accepted = [{"what": "feature-server", "reason": "namespace-local", "until": until}]
    scene.edit(a_set("drivers", accepted=accepted))
    assert (await looked(scene))["Closed"] == ("True", "OwnerAccepts")
    scene.now = day_after(until)
    scene.report("drivers", row(scene, listening=listening))
    assert (await looked(scene))["Closed"] == ("False", "UpstreamOnAllAddresses")


@pytest.mark.parametrize(
    ("action", "target", "mode", "reason"),
    [
        ("relax", {"featureSet": {"namespace": "pricing", "name": "drivers"}}, "shadow", "Relaxed"),
        ("close", {"environment": "prod"}, "closed", "ClosedByHand"),
    ],
)
async def test_an_override_is_a_line_of_the_status_until_it_ends(
    action: str, target: dict[str, Any], mode: str, reason: str
) -> None:
    scene = a_scene(an_override(action, **target))
    assert (await looked(scene))["Overridden"] == ("True", reason)
    status = scene.status(*SET)
    assert (status["mode"], status["overrides"]) == (mode, [f"{action}-it"])
    assert scene.events() == ["Overridden"]
    scene.now += 3600
    scene.report("drivers", row(scene))
    assert (await looked(scene))["Overridden"] == ("False", "None")
    assert scene.status(*SET)["mode"] == "enforce"
    assert scene.events() == ["OverrideEnded"]


async def test_a_suspended_namespace_shows_in_every_status() -> None:
    scene = a_scene()
    await looked(scene)
    for kind, name in (("FeatureSet", "drivers"), ("FeatureBinding", "api")):
        assert scene.answers(kind, "pricing", name)["Suspended"] == ("False", "None")
    found = await looked(scene, an_object("Namespace", "pricing", labels=SUSPENDED))
    assert found["Suspended"] == ("True", "ProtectionSuspended")
    assert found["Ready"] == ("False", "ProtectionSuspended")
    assert scene.status(*SET)["suspended"] is True
    binding = scene.answers("FeatureBinding", "pricing", "api")
    assert (binding["Suspended"], binding["Ready"]) == (
        ("True", "ProtectionSuspended"),
        ("False", "ProtectionSuspended"),
    )
    assert scene.events() == ["ProtectionSuspended"]
    assert (await looked(scene, a_namespace("pricing")))["Ready"] == ("True", "Ready")
    assert scene.events() == ["ProtectionRestored"]


async def test_a_dead_replicas_row_goes() -> None:
    scene = a_scene()
    scene.run(a_pod("operator-1", "featward", "featward-operator"))
    rows = [row(scene), row(scene, "operator-1", sidecars=2, refusedLastHour=3)]
    scene.report("drivers", *rows)
    await looked(scene)
    status = scene.status(*SET)
    assert (status["progress"], status["refusedLastHour"]) == ("2/3", 4)
    scene.end("featward", "operator-1")
    result = await scene.look(*SET)
    assert [one for one in result.actions if isinstance(one, RemoveRow)] == [
        RemoveRow(SETS, ("pricing", "drivers"), 1, "operator-1", moment(scene.now))
    ]
    assert scene.status(*SET)["progress"] == "1/1"


async def test_a_leader_that_is_no_pod_goes_by_the_rows_ages() -> None:
    scene = a_scene()
    scene.end("featward", "operator-0")
    scene.report("drivers", row(scene), row(scene, "laptop"))
    result = await scene.look(*SET)
    assert not [one for one in result.actions if isinstance(one, RemoveRow)]
    assert result.requeue_at == scene.now + 90
    scene.now += 91
    result = await scene.look(*SET)
    (gone,) = [one for one in result.actions if isinstance(one, RemoveRow)]
    assert gone.replica == "laptop", "its own is written by itself"


async def test_the_second_service_leads_to_the_servers_of_all_sets() -> None:
    scene = a_scene(a_set("second", made="2026-11-21T08:00:00Z", features=["other:x"]))
    (one,) = await applies(scene)
    metadata = one.body["metadata"]
    assert metadata["name"] == "feast-featward"
    owners = [(owner["name"], owner["uid"]) for owner in metadata["ownerReferences"]]
    assert owners == [
        ("drivers", "uid-featureset-pricing-drivers"),
        ("second", "uid-featureset-pricing-second"),
    ]
    assert one.body["spec"]["selector"] == {"featward.dev/server": "feast"}
    (port,) = one.body["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["appProtocol"]) == (15443, "featward", "tls")
    # As it should be: nothing to do, whatever the server has added.
    there = {**one.body, "metadata": {**metadata, "uid": "u"}}
    there["spec"] = {**there["spec"], "clusterIP": "10.0.0.7", "type": "ClusterIP"}
    scene.children.take(SERVICES, ("pricing", "feast-featward"), project(there))
    assert await applies(scene) == []
    # Callers without identity come in by the plain port for as long as they may.
    allowed = {"mode": "observe", "unidentified": {"allow": True, "until": "2026-11-30"}}
    scene.edit(a_set("second", features=["other:x"], enforcement=allowed))
    (one,) = await applies(scene)
    assert [port["port"] for port in one.body["spec"]["ports"]] == [15443, 15080]
    scene.now = day_after("2026-11-30")
    assert await applies(scene) == []


async def test_another_account_has_a_service_of_its_own_and_the_old_one_goes() -> None:
    scene = a_scene()
    (one,) = await applies(scene)
    there = {**one.body, "metadata": {**one.body["metadata"], "uid": "u"}}
    scene.children.take(SERVICES, ("pricing", "feast-featward"), project(there))
    serving = {
        "workload": {"serviceAccount": "feast-two"},
        "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
    }
    scene.edit(a_set("drivers", serving=serving))
    result = await scene.look(*SET)
    (gone,) = [one for one in result.actions if isinstance(one, Delete)]
    assert (gone.resource, gone.name, gone.uid) == (SERVICES, "feast-featward", "u")
    names = [one.body["metadata"]["name"] for one in result.actions if isinstance(one, Apply)]
    assert names == ["feast-two-featward"]


async def applies(scene: Scene) -> list[Apply]:
    result = await scene.look(*SET)
    return [one for one in result.actions if isinstance(one, Apply)]
