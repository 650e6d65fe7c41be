"""What a FeatureBinding's status says: what it grants, on whose consent, and what is to be done by when."""

from typing import Any

import pytest

from cluster_objects import (
    CLUSTER,
    PLATFORM,
    a_binding,
    a_namespace,
    a_set,
    an_object,
    an_override,
)
from featward.manifests.digest import binding_digest
from featward.manifests.text import day_after
from reconcile_kit import Scene, a_pod

BINDING = ("FeatureBinding", "pricing", "api")


def a_unit(**ceiling: Any) -> dict[str, Any]:
    return an_object("BusinessUnit", "prod.payments", {"ceiling": ceiling})


def an_approval(scene: Scene, name: str = "yes", **spec: Any) -> dict[str, Any]:
    """The consent to the binding as it now stands."""
    binding = scene.known.catalogue.bindings["pricing", "api"]
    return an_object(
        "GrantApproval",
        name,
        {
            "binding": {"namespace": "pricing", "name": "api"},
            "bindingDigest": binding_digest(binding.model),
            "businessUnit": "prod.payments",
            "reason": "agreed",
            "expires": "2097-03-31",
            **spec,
        },
    )


def across() -> dict[str, Any]:
    """A grant to another business unit."""
    account = {"namespace": "risky", "name": "api"}
    return a_binding("api", "drivers", subjects=[{"serviceAccount": account}])


async def looked(scene: Scene, *edits: dict[str, Any]) -> dict[str, tuple[str, str]]:
    scene.edit(*edits)
    await scene.look(*BINDING)
    return scene.answers(*BINDING)


async def test_a_binding_says_what_it_grants() -> None:
    scene = Scene(*CLUSTER)
    found = await looked(scene)
    assert found == {
        "Ready": ("True", "Ready"),
        "Valid": ("True", "Valid"),
        "Granting": ("True", "InForce"),
        "Approved": ("True", "NotNeeded"),
        "Due": ("False", "NotDue"),
        "Overdue": ("False", "NotOverdue"),
        "Suspended": ("False", "None"),
    }
    status = scene.status(*BINDING)
    assert (status["identitiesCovered"], status["grantedFeatures"]) == (1, 1)
    assert status["digest"].startswith("sha256:")
    assert "approval" not in status
    assert scene.events() == []


async def test_a_unit_as_subject_covers_those_of_it_who_are_there() -> None:
    scene = Scene(*CLUSTER)
    scene.run(a_pod("a", "shop", "api"), a_pod("b", "shop", "api"), a_pod("c", "shop", "other"))
    await looked(scene, a_binding("api", "drivers", subjects=[{"businessUnit": "prod.payments"}]))
    assert scene.status(*BINDING)["identitiesCovered"] == 2


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (a_binding("api", "drivers", expires="2026-11-22"), "Expired"),
        (
            a_binding("api", "drivers", featureSet={"name": "drivers", "version": ">=2"}),
            "VersionMismatch",
        ),
        (a_binding("api", "absent"), "NothingGrantable"),
        (a_binding("api", "drivers", features=["hourly:none"]), "NothingGrantable"),
        (across(), "ApprovalMissing"),
    ],
    ids=["expired", "another version", "no set", "no feature", "another unit"],
)
async def test_a_binding_that_grants_nothing_says_why(edit: dict[str, Any], reason: str) -> None:
    scene = Scene(*CLUSTER)
    assert (await looked(scene, edit))["Granting"] == ("False", reason)
    assert scene.answers(*BINDING)["Ready"][0] == "False"
    status = scene.status(*BINDING)
    assert (status["identitiesCovered"], status["grantedFeatures"]) == (0, 0)


async def test_what_is_wrong_with_a_binding_is_told_by_its_code() -> None:
    scene = Scene(*CLUSTER)
    assert (await looked(scene, a_binding("api", "absent")))["Valid"] == ("False", "Invalid")
    assert "unknown-feature-set" in scene.message("FeatureBinding", "Valid", "pricing", "api")
    assert scene.events() == ["Invalid"]
    account = {"namespace": "nowhere", "name": "api"}
    unknown = a_binding("api", "drivers", subjects=[{"serviceAccount": account}])
    assert (await looked(scene, unknown))["Valid"] == ("False", "UnknownNamespace")
    # By an API server's leave and not by ours: it grants nothing from then on.
    unreadable = a_binding("api", "drivers", featureSet={"name": "drivers", "version": ">=>=1"})
    found = await looked(scene, unreadable)
    assert (found["Valid"], found["Granting"][0]) == (("False", "Invalid"), "False")


async def test_a_binding_that_is_refused_grants_nothing_though_all_of_it_is_there() -> None:
    scene = Scene(*CLUSTER, a_unit(maxBindingLife="30d"))
    found = await looked(scene)
    assert (found["Valid"], found["Granting"]) == (
        ("False", "Invalid"),
        ("False", "NothingGrantable"),
    )
    assert "outlives-ceiling" in scene.message("FeatureBinding", "Granting", "pricing", "api")
    assert scene.status(*BINDING)["identitiesCovered"] == 0


async def test_an_edit_voids_the_approval() -> None:
    scene = Scene(*CLUSTER, across())
    assert (await looked(scene))["Approved"] == ("False", "ApprovalMissing")
    assert (await looked(scene, an_approval(scene)))["Approved"] == ("True", "Approved")
    assert scene.status(*BINDING)["approval"] == "yes"
    assert scene.status(*BINDING)["identitiesCovered"] == 1
    await scene.look("GrantApproval", "yes")
    assert scene.answers("GrantApproval", "yes")["InForce"] == ("True", "Matches")
    scene.events()

    edited = across()
    edited["spec"]["features"] = ["hourly:a", "hourly:b"]
    found = await looked(scene, edited)
    assert (found["Approved"], found["Granting"]) == (
        ("False", "ApprovalVoid"),
        ("False", "ApprovalVoid"),
    )
    assert "approval" not in scene.status(*BINDING)
    await scene.look("GrantApproval", "yes")
    assert scene.answers("GrantApproval", "yes") == {
        "Ready": ("False", "DigestDiffers"),
        "Valid": ("True", "Valid"),
        "InForce": ("False", "DigestDiffers"),
    }
    assert scene.events() == ["ApprovalVoided", "ApprovalVoided"]
    # Told once: nothing has changed since.
    await looked(scene)
    await scene.look("GrantApproval", "yes")
    assert scene.events() == []


async def test_a_part_that_needs_consent_is_left_out_and_named() -> None:
    sets = a_set("drivers")
    sets["spec"]["features"][1]["sensitivity"] = 3
    both = a_binding("api", "drivers", features=["hourly:a", "hourly:b"])
    scene = Scene(*CLUSTER, sets, a_unit(maxSensitivity=2), both)
    found = await looked(scene)
    assert (found["Granting"], found["Approved"]) == (
        ("True", "InForce"),
        ("False", "ApprovalMissing"),
    )
    assert scene.status(*BINDING)["grantedFeatures"] == 1
    assert "hourly:b" in scene.message("FeatureBinding", "Approved", "pricing", "api")
    assert (await looked(scene, an_approval(scene)))["Ready"] == ("True", "Ready")
    assert scene.status(*BINDING)["grantedFeatures"] == 2


async def test_an_approval_says_whether_it_holds() -> None:
    scene = Scene(*CLUSTER, across())
    scene.edit(an_approval(scene, expires="2026-11-24"))
    result = await scene.look("GrantApproval", "yes")
    assert result.requeue_at == day_after("2026-11-24")
    scene.now = day_after("2026-11-24") - 1
    await scene.look("GrantApproval", "yes")
    assert scene.answers("GrantApproval", "yes")["InForce"] == ("True", "Matches")
    assert (await looked(scene))["Granting"] == ("True", "InForce")
    scene.now += 1
    await scene.look("GrantApproval", "yes")
    assert scene.answers("GrantApproval", "yes")["InForce"] == ("False", "Expired")
    found = await looked(scene)
    assert (found["Granting"], found["Approved"]) == (
        ("False", "ApprovalExpired"),
        ("False", "ApprovalExpired"),
    )
    for spec, reason in (
        ({"businessUnit": "prod.risk"}, "WrongBusinessUnit"),
        ({"binding": {"namespace": "pricing", "name": "none"}}, "BindingNotFound"),
    ):
        scene.edit(an_approval(scene, **spec))
        await scene.look("GrantApproval", "yes")
        assert scene.answers("GrantApproval", "yes")["InForce"] == ("False", reason)


async def test_due_and_overdue_come_at_their_second() -> None:
    dated = a_binding("api", "drivers", recertifyBy="2027-01-31", expires="2027-03-31")
    scene = Scene(*CLUSTER, dated)
    day = 86_400
    for date, due, overdue, event in (
        (
            day_after("2027-01-31") - 30 * day,
            "RecertificationDue",
            "NotOverdue",
            "RecertificationDue",
        ),
        (day_after("2027-01-31"), "NotDue", "RecertificationOverdue", "RecertificationOverdue"),
        (day_after("2027-03-31") - 14 * day, "ExpiryDue", "RecertificationOverdue", None),
        (day_after("2027-03-31"), "NotDue", "Expired", "BindingExpired"),
    ):
        result = await scene.look(*BINDING)
        assert result.requeue_at == date, "it is looked at again just then"
        scene.now = date - 1
        await scene.look(*BINDING)
        before = scene.answers(*BINDING)
        scene.events()
        scene.now = date
        await scene.look(*BINDING)
        found = scene.answers(*BINDING)
        assert (found["Due"][1], found["Overdue"][1]) == (due, overdue)
        assert (found["Due"], found["Overdue"]) != (before["Due"], before["Overdue"])
        assert scene.events() == ([event] if event else [])


async def test_an_overdue_binding_is_suspended_only_where_the_unit_says_so() -> None:
    scene = Scene(*CLUSTER, a_binding("api", "drivers", recertifyBy="2026-11-22"))
    found = await looked(scene)
    assert (found["Overdue"], found["Granting"], found["Ready"][0]) == (
        ("True", "RecertificationOverdue"),
        ("True", "InForce"),
        "True",
    )
    found = await looked(scene, a_unit(suspendOverdue=True))
    assert (found["Overdue"], found["Granting"], found["Ready"]) == (
        ("True", "Suspended"),
        ("False", "Suspended"),
        ("False", "Suspended"),
    )
    assert scene.events() == ["RecertificationOverdue", "BindingSuspended"]


async def test_an_override_closes_a_binding_and_lets_it_go_again() -> None:
    override = an_override("close", binding={"namespace": "pricing", "name": "api"})
    scene = Scene(*CLUSTER, override)
    assert (await looked(scene))["Granting"] == ("False", "Closed")
    ends = (await scene.look(*BINDING)).requeue_at
    assert ends is not None
    scene.now = ends
    assert (await looked(scene))["Granting"] == ("True", "InForce")


async def test_a_binding_of_a_namespace_without_a_unit_says_so() -> None:
    scene = Scene(*CLUSTER, a_namespace("pricing", "prod.nobody"))
    assert (await looked(scene))["Valid"] == ("False", "NoBusinessUnit")


async def test_the_platforms_kinds_say_whether_they_can_be_used() -> None:
    scene = Scene(
        *PLATFORM, an_object("Workload", "job", {"businessUnit": "prod.none", "name": "j"})
    )
    for kind, name in (("Environment", "prod"), ("BusinessUnit", "prod.payments")):
        await scene.look(kind, name)
        assert scene.answers(kind, name) == {
            "Ready": ("True", "Ready"),
            "Valid": ("True", "Valid"),
            "AuthorityReachable": ("True", "Reachable"),
        }
    await scene.look("Workload", "job")
    assert scene.answers("Workload", "job") == {
        "Ready": ("False", "NoBusinessUnit"),
        "Valid": ("False", "NoBusinessUnit"),
    }
    scene.edit(an_object("BusinessUnit", "test.payments"))
    await scene.look("BusinessUnit", "test.payments")
    found = scene.answers("BusinessUnit", "test.payments")
    assert (found["Valid"], found["AuthorityReachable"]) == (
        ("False", "Invalid"),
        ("False", "NotOurs"),
    )


async def test_a_misspelt_annotation_is_told_and_breaks_nothing() -> None:
    labelled = {**PLATFORM[0]["metadata"], "annotations": {"featward.dev/rotate": "now"}}
    scene = Scene(*PLATFORM, {**PLATFORM[0], "metadata": labelled})
    await scene.look("Environment", "prod")
    found = scene.answers("Environment", "prod")
    assert (found["Valid"], found["Ready"]) == (("True", "UnknownLabel"), ("True", "Ready"))
