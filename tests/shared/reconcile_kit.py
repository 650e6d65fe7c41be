"""Reconcilers over a world that a test writes down, object by object, at a time of its choosing."""

import copy
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from cluster_objects import NOW
from featward.kubernetes.resource import Key
from featward_operator.controllers import Notice, Result
from featward_operator.injection.configured import injection_settings
from featward_operator.pods import PodFacts, pod_facts
from featward_operator.reconcile.children import Children
from featward_operator.reconcile.known import Known
from featward_operator.reconcile.part import RECONCILERS
from featward_operator.settings import Settings
from featward_operator.world import World, observed
from operator_kit import configuration

__all__ = ["OWN", "SIDECAR", "Scene", "a_pod", "a_row", "settings_of"]

OWN = "featward"
SIDECAR = {
    "name": "featward-sidecar",
    "image": "localhost/featward:0.2.0",
    "restartPolicy": "Always",
}


def settings_of(namespace: str = OWN, **given: Any) -> Settings:
    return Settings.model_validate(configuration(namespace, **given))


def a_pod(
    name: str, namespace: str = "pricing", account: str = "feast", **more: Any
) -> dict[str, Any]:
    """A running pod with a sidecar, unless `sidecar` is false."""
    inits = [SIDECAR] if more.pop("sidecar", True) else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{name}",
            "labels": more.pop("labels", {}),
            "annotations": more.pop("annotations", {}),
        },
        "spec": {
            "serviceAccountName": account,
            "containers": [{"name": "app", "image": "localhost/app:1"}],
            "initContainers": inits,
        },
        "status": {"phase": "Running", "podIP": more.pop("ip", ""), **more},
    }


def a_row(replica: str, seen_at: str, **said: Any) -> dict[str, Any]:
    """A row of a FeatureSet's status as a replica writes it."""
    return {"replica": replica, "seenAt": seen_at, "sidecars": 1, "sidecarsCurrent": 1, **said}


class Scene:
    """A world, and what reconcilers say of it. What they say is taken over, as a server would."""

    def __init__(self, *objects: dict[str, Any], **given: Any) -> None:
        settings = settings_of(**given)
        injection = injection_settings(settings, settings.injection, version("featward"))
        self.world, self.children = World(), Children()
        self.known = Known(self.world, settings, injection, self.children, "operator-0")
        self.raw: dict[tuple[str, Key], dict[str, Any]] = {}
        self._pods: dict[Key, PodFacts] = {}
        self.now = float(NOW)
        self.told: list[Notice] = []
        self.edit(*objects)

    def edit(self, *objects: dict[str, Any]) -> None:
        """What a watch says of these; each edit is another generation, and the status stays."""
        for one in objects:
            raw = copy.deepcopy(one)
            metadata = raw["metadata"]
            key = (metadata.get("namespace") or "", metadata["name"])
            before = self.raw.get((raw["kind"], key), {})
            metadata.setdefault("uid", f"uid-{raw['kind']}-{'-'.join(filter(None, key))}".lower())
            metadata["generation"] = before.get("metadata", {}).get("generation", 0) + 1
            if "status" in before:
                raw.setdefault("status", before["status"])
            self.raw[raw["kind"], key] = raw
            self.world.observe(raw["kind"], key, observed(raw))

    def delete(self, kind: str, *name: str) -> None:
        key = (name[0], name[1]) if len(name) == 2 else ("", name[0])
        del self.raw[kind, key]
        self.world.observe(kind, key, None)

    def run(self, *pods: dict[str, Any]) -> None:
        """Pods are there."""
        for raw in pods:
            key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
            facts = pod_facts(raw)
            self.world.take_pod(key, self._pods.get(key), facts)
            self._pods[key] = facts

    def end(self, namespace: str, name: str) -> None:
        """A pod is gone."""
        self.world.take_pod((namespace, name), self._pods.pop((namespace, name)), None)

    def report(self, name: str, *rows: dict[str, Any], namespace: str = "pricing") -> None:
        """What replicas have written into a set's status."""
        raw = copy.deepcopy(self.raw["FeatureSet", (namespace, name)])
        raw["status"] = {**raw.get("status", {}), "replicas": list(rows)}
        self.raw["FeatureSet", (namespace, name)] = raw
        self.world.observe("FeatureSet", (namespace, name), observed(raw))

    async def look(self, kind: str, *name: str) -> Result:
        """What is decided about an object; its status is written, and what needs no server is done."""
        key = (name[0], name[1]) if len(name) == 2 else ("", name[0])
        result = RECONCILERS[kind](key, self.known, self.now)
        for action in result.actions:
            if type(action).__name__ in ("Remember", "Note"):
                await action.carry_out(None)  # type: ignore[arg-type]  # these ask no server
        if result.status is not None:
            raw = copy.deepcopy(self.raw[kind, key])
            rows = raw.get("status", {}).get("replicas")
            raw["status"] = dict(result.status) | ({"replicas": rows} if rows else {})
            self.raw[kind, key] = raw
            self.world.observe(kind, key, observed(raw))
        self.told += result.events
        return result

    def answers(self, kind: str, *name: str) -> dict[str, tuple[str, str]]:
        """The conditions of an object, by type: answer and reason."""
        return {
            one["type"]: (one["status"], one["reason"])
            for one in self.status(kind, *name)["conditions"]
        }

    def message(self, kind: str, condition: str, *name: str) -> str:
        """What a condition says to people."""
        (said,) = [
            one["message"]
            for one in self.status(kind, *name)["conditions"]
            if one["type"] == condition
        ]
        return str(said)

    def status(self, kind: str, *name: str) -> Mapping[str, Any]:
        key = (name[0], name[1]) if len(name) == 2 else ("", name[0])
        found: Mapping[str, Any] = self.raw[kind, key]["status"]
        return found

    def events(self) -> list[str]:
        """The reasons of what was told since the last call."""
        told, self.told = self.told, []
        return [one.reason for one in told]
