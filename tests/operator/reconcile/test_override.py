"""What is said of Overrides, by a clock of the test's own."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cluster_objects import CLUSTER, NOW, PLATFORM, a_set, an_object, an_override
from featward_operator.reconcile.override import OverridesInForce
from featward_operator.reconcile.triggers import Triggers
from reconcile_kit import Scene

SET: dict[str, Any] = {"featureSet": {"namespace": "pricing", "name": "drivers"}}
RELAXED = ("Override", "relax-it")


def a_scene(*more: dict[str, Any]) -> Scene:
    return Scene(*CLUSTER, *more)


async def test_it_holds_and_ends_at_its_second() -> None:
    scene = a_scene(an_override("relax", **SET))
    result = await scene.look(*RELAXED)
    assert scene.answers(*RELAXED) == {
        "Ready": ("True", "Ready"),
        "Valid": ("True", "Valid"),
        "InForce": ("True", "InForce"),
    }
    assert result.requeue_at == NOW + 3600
    assert scene.status(*RELAXED)["target"] == "featureset pricing/drivers"
    # Of the set its own reconciler tells.
    told = [(one.reason, one.about.kind, one.about.name, one.kind) for one in result.events]
    assert told == [("Overridden", "Override", "relax-it", "Warning")]
    assert "incident" in result.events[0].note
    scene.now += 3599
    again = await scene.look(*RELAXED)
    assert (again.status, again.events) == (None, ())
    scene.now += 1
    ended = await scene.look(*RELAXED)
    assert scene.answers(*RELAXED)["InForce"] == ("False", "Ended")
    assert [one.reason for one in ended.events] == ["OverrideEnded"]
    assert ended.requeue_at is None


@pytest.mark.parametrize(
    ("platform", "override", "reason"),
    [
        ({}, an_override("relax", 11, **SET), "InForce"),
        ({"maxOverride": "30m"}, an_override("relax", **SET), "LongerThanMaxOverride"),
        ({"maxOverride": None}, an_override("relax", **SET), "NoMaxOverride"),
        (
            {},
            an_override("close", featureSet={"namespace": "pricing", "name": "gone"}),
            "TargetNotFound",
        ),
        (
            {},
            an_override("close", binding={"namespace": "pricing", "name": "gone"}),
            "TargetNotFound",
        ),
        ({}, an_override("close", environment="test"), "TargetNotFound"),
        ({}, an_override("close", environment="prod"), "InForce"),
        ({}, an_override("close", binding={"namespace": "pricing", "name": "api"}), "InForce"),
    ],
)
async def test_it_says_why_it_does_not_hold(
    platform: dict[str, Any], override: dict[str, Any], reason: str
) -> None:
    spec = {**PLATFORM[0]["spec"], **platform}
    spec = {key: value for key, value in spec.items() if value is not None}
    scene = Scene(an_object("Environment", "prod", spec), *CLUSTER[1:], override)
    what = ("Override", override["metadata"]["name"])
    result = await scene.look(*what)
    holds = str(reason == "InForce")
    assert scene.answers(*what)["InForce"] == (holds, reason)
    assert scene.answers(*what)["Ready"] == (holds, "Ready" if reason == "InForce" else reason)
    assert bool(result.events) == (reason == "InForce")


async def test_an_environment_and_a_binding_are_told_too() -> None:
    binding = {"namespace": "pricing", "name": "api"}
    targets: list[tuple[dict[str, Any], str]] = [
        ({"environment": "prod"}, "Environment"),
        ({"binding": binding}, "FeatureBinding"),
    ]
    for target, kind in targets:
        scene = a_scene(an_override("close", **target))
        told = [one.about.kind for one in (await scene.look("Override", "close-it")).events]
        assert told == ["Override", kind]


async def test_it_is_looked_at_when_what_it_is_about_comes_and_goes() -> None:
    class Queue:
        def __init__(self) -> None:
            self.keys: set[tuple[str, str]] = set()

        def add(self, key: tuple[str, str]) -> None:
            self.keys.add(key)

        def add_after(self, key: tuple[str, str], seconds: float) -> None:
            self.keys.add(key)

    queues = {kind: Queue() for kind in ("FeatureSet", "FeatureBinding", "Override", "Namespace")}
    scene = a_scene(an_override("relax", featureSet={"namespace": "pricing", "name": "late"}))
    await scene.look(*RELAXED)
    assert scene.answers(*RELAXED)["InForce"] == ("False", "TargetNotFound")
    scene.edit(a_set("late", features=["hourly:late"]))
    triggers = Triggers(scene.known, queues)
    triggers.object_changed("FeatureSet", ("pricing", "late"), meant=True)
    assert queues["Override"].keys == {("", "relax-it")}
    await scene.look(*RELAXED)
    assert scene.answers(*RELAXED)["InForce"] == ("True", "InForce")


async def test_those_in_force_are_counted_by_action() -> None:
    scene = a_scene(an_override("relax", **SET))
    registry = CollectorRegistry()
    registry.register(OverridesInForce(scene.known.catalogue, lambda: scene.now))

    def counted(action: str) -> float | None:
        name = "featward_operator_overrides_in_force"
        return registry.get_sample_value(name, {"action": action})

    assert (counted("relax"), counted("close")) == (1, 0)
    scene.now += 3600
    assert counted("relax") == 0
