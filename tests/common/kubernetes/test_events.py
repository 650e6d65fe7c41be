"""Events on a real API server."""

import pytest

from cluster.faults import FaultProxy
from featward.kubernetes.errors import ApiError
from featward.kubernetes.events import Events, ObjectRef
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import EVENTS
from kubernetes_kit import Kubernetes


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def told(kubernetes: Kubernetes, namespace: str, name: str) -> list[str]:
    items = kubernetes.call("GET", EVENTS.path(namespace))["items"]
    return [one["note"] for one in items if one["regarding"]["name"] == name]


async def test_the_same_is_told_once_in_ten_minutes(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    clock = Clock()
    events = Events(gateway, controller="featward.dev/operator", instance="a", clock=clock)
    about = ObjectRef("v1", "Pod", namespace, "feast-0")
    assert await events.record(about, "SidecarMissing", "none there", kind="Warning")
    assert not await events.record(about, "SidecarMissing", "none there", kind="Warning")
    assert await events.record(about, "SidecarMissing", "still none")
    clock.at = 599.0
    assert not await events.record(about, "SidecarMissing", "none there")
    clock.at = 601.0
    assert await events.record(about, "SidecarMissing", "none there")
    notes = told(kubernetes, namespace, "feast-0")
    assert sorted(notes) == ["none there", "none there", "still none"]


async def test_an_object_in_no_namespace_and_a_long_story_can_be_told_of(
    kubernetes: Kubernetes, gateway: Gateway, namespace: str
) -> None:
    events = Events(gateway, controller="featward.dev/operator", instance="a" * 200)
    name = f"{namespace}.{'long-' * 30}end"
    about = ObjectRef("featward.dev/v1alpha1", "BusinessUnit", "", name)
    assert await events.record(about, "RotationDone", "é" * 2000)
    (note,) = told(kubernetes, "default", name)
    assert note == "é" * 512


async def test_an_event_that_cannot_be_written_stops_nobody(
    gateway: Gateway, proxy: FaultProxy, namespace: str
) -> None:
    proxy.cut()
    events = Events(gateway, controller="featward.dev/operator", instance="a")
    about = ObjectRef("v1", "Pod", namespace, "feast-0")
    assert not await events.record(about, "SidecarMissing", "none there")
    with pytest.raises(ApiError):
        await gateway.ask("GET", "/version")


def test_a_reference_is_of_the_object_as_it_was_read() -> None:
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "ml", "name": "a", "uid": "u"},
    }
    assert ObjectRef.of(raw) == ObjectRef("v1", "Pod", "ml", "a", "u")
    raw = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml", "uid": "u"}}
    assert ObjectRef.of(raw).namespace == ""
