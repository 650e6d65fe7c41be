"""What is said of Overrides, by a clock of the test's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cluster_objects import CLUSTER, NOW, PLATFORM, an_index, an_object, an_override
from featward.kubernetes.resource import Key
from featward_operator.controllers import Result
from featward_operator.reconcile.override import OverridesInForce, reconcile

SET: dict[str, Any] = {"featureSet": {"namespace": "pricing", "name": "drivers"}}


@dataclass
class Seen:
    uid: str
    generation: int = 1
    status: Mapping[str, Any] = field(default_factory=dict)


class Known:
    """A cluster, and its objects as the server has them."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.catalogue = an_index(*objects).catalogue
        self.objects: dict[str, dict[Key, Seen]] = {}
        for raw in objects:
            metadata = raw["metadata"]
            key = (metadata.get("namespace") or "", metadata["name"])
            seen = Seen(f"uid-{metadata['name']}")
            self.objects.setdefault(raw["kind"], {})[key] = seen

    def observed(self, kind: str, key: Key) -> Seen | None:
        return self.objects.get(kind, {}).get(key)

    def look(self, name: str, now: float) -> Result:
        """Reconcile it, and take over what it writes."""
        result = reconcile(("", name), self, now)
        if result.status is not None:
            self.objects["Override"]["", name].status = result.status
        return result

    def answer(self, name: str) -> tuple[str, str, str]:
        (row,) = self.objects["Override"]["", name].status["conditions"]
        return row["status"], row["reason"], row["lastTransitionTime"]


def test_it_holds_and_ends_at_its_second() -> None:
    known = Known(*CLUSTER, an_override("relax", **SET))
    result = known.look("relax-it", NOW)
    assert known.answer("relax-it") == ("True", "InForce", "2026-11-23T12:00:00Z")
    assert result.requeue_at == NOW + 3600
    assert result.status is not None
    assert result.status["target"] == "featureset pricing/drivers"
    told = [(one.reason, one.about.kind, one.about.uid, one.kind) for one in result.events]
    # Of the set its own reconciler tells.
    assert told == [("Overridden", "Override", "uid-relax-it", "Warning")]
    assert "incident" in result.events[0].note
    again = known.look("relax-it", NOW + 3599)
    assert (again.status, again.events) == (None, ())
    ended = known.look("relax-it", NOW + 3600)
    assert known.answer("relax-it") == ("False", "Ended", "2026-11-23T13:00:00Z")
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
def test_it_says_why_it_does_not_hold(
    platform: dict[str, Any], override: dict[str, Any], reason: str
) -> None:
    spec = {**PLATFORM[0]["spec"], **platform}
    spec = {key: value for key, value in spec.items() if value is not None}
    known = Known(an_object("Environment", "prod", spec), *CLUSTER[1:], override)
    name = override["metadata"]["name"]
    result = known.look(name, NOW)
    assert known.answer(name)[1] == reason
    assert bool(result.events) == (reason == "InForce")


def test_an_environment_and_a_binding_are_told_too() -> None:
    binding = {"namespace": "pricing", "name": "api"}
    for target, kind in (
        ({"environment": "prod"}, "Environment"),
        ({"binding": binding}, "FeatureBinding"),
    ):
        known = Known(*CLUSTER, an_override("close", **target))
        told = [one.about.kind for one in known.look("close-it", NOW).events]
        assert told == ["Override", kind]


def test_one_that_is_gone_is_nothing() -> None:
    known = Known(*CLUSTER, an_override("relax", **SET))
    assert reconcile(("", "other"), known, NOW) == Result()
    # Gone from the server, and not yet from what is known of it.
    del known.objects["Override"]["", "relax-it"]
    assert reconcile(("", "relax-it"), known, NOW) == Result()


def test_those_in_force_are_counted_by_action() -> None:
    known = Known(*CLUSTER, an_override("relax", **SET))
    registry, now = CollectorRegistry(), [float(NOW)]
    OverridesInForce(registry, known.catalogue, lambda: now[0])

    def counted(action: str) -> float | None:
        name = "featward_operator_overrides_in_force"
        return registry.get_sample_value(name, {"action": action})

    assert (counted("relax"), counted("close")) == (1, 0)
    now[0] += 3600
    assert counted("relax") == 0
