"""What is in the API server: a platform, feature sets, bindings and pods, as many as the design promises."""

import asyncio
from collections.abc import Iterator
from typing import Any

from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import BINDINGS, FEATURE_SETS, NAMESPACES, PODS, Resource

__all__ = ["DOMAIN", "OWN_NAMESPACE", "SERVER", "UNIT", "World", "binding_of"]

DOMAIN = "prod.acme.example"
OWN_NAMESPACE = "featward"
UNIT = "payments"
TEAMS = 50
SERVER = "feast"
"""The service account that serves the sets of its namespace."""
FEATURES = 40
"""Of each set."""
SETS = 4
"""Of each server."""
_AT_ONCE = 32


def binding_of(number: int, feature: int) -> dict[str, Any]:
    """A grant of the first feature of a set and of another one."""
    team, own = team_of(number), number // TEAMS % SETS
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureBinding",
        "metadata": {"name": f"binding-{number:05d}", "namespace": team},
        "spec": {
            "subjects": [{"serviceAccount": {"namespace": team, "name": f"app-{number:05d}"}}],
            "featureSet": {"name": f"set-{own}"},
            "features": [_feature(own, feature), _feature(own, 0)],
            "purpose": "online scoring",
            "expires": "2099-12-31",
        },
    }


def team_of(number: int) -> str:
    """Namespaces take turns."""
    return f"team-{number % TEAMS:02d}"


class World:
    """Fills the server; what is asked for twice is made once."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.bindings = self.pods = self._turn = 0

    async def platform(self) -> None:
        """Namespaces of one business unit, each with its sets."""
        label = {"featward.dev/business-unit": f"prod.{UNIT}"}
        for name in (team_of(number) for number in range(TEAMS)):
            body = {"metadata": {"name": name, "labels": label}}
            await self._gateway.ask("POST", NAMESPACES.path(), body)
            account = {"metadata": {"name": SERVER}}
            accounts = Resource("", "v1", "serviceaccounts", namespaced=True)
            await self._gateway.ask("POST", accounts.path(name), account)
        await self._make(FEATURE_SETS, (_set(n) for n in range(SETS * TEAMS)))

    async def grow(self, bindings: int, pods: int) -> None:
        """Up to so many of each."""
        more = (binding_of(n, 1) for n in range(self.bindings, bindings))
        await self._make(BINDINGS, more)
        await self._make(PODS, (_pod(number) for number in range(self.pods, pods)))
        self.bindings, self.pods = max(self.bindings, bindings), max(self.pods, pods)

    async def edit(self) -> None:
        """Have a binding of the first team grant another feature than before."""
        self._turn += 1
        body = binding_of(0, 2 + self._turn % 2)
        await self._gateway.apply(BINDINGS, body, manager="bench")

    async def _make(self, resource: Resource, bodies: Iterator[dict[str, Any]]) -> None:
        async def worker() -> None:
            for body in bodies:
                where = resource.path(body["metadata"].get("namespace"))
                await self._gateway.ask("POST", f"{where}?fieldManager=bench", body)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(worker())


def _set(number: int) -> dict[str, Any]:
    own = number // TEAMS
    features = [{"name": _feature(own, n), "type": "double"} for n in range(FEATURES)]
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureSet",
        "metadata": {"name": f"set-{own}", "namespace": team_of(number)},
        "spec": {
            "version": "1.0.0",
            "owner": {"team": team_of(number), "contact": "team@acme.example"},
            "serving": {
                "workload": {"serviceAccount": SERVER},
                "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
            },
            "entities": [{"name": "driver_id", "type": "int64"}],
            "features": features,
        },
    }


def _feature(own: int, number: int) -> str:
    """The sets of one server list different features."""
    return f"view_{own}_{number // 10}:column_{number % 10}"


def _pod(number: int) -> dict[str, Any]:
    """A server's as its controller makes it: most of it is nothing that the operator needs."""
    environment = [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(30)]
    return {
        "metadata": {
            "name": f"feast-{number:05d}",
            "namespace": team_of(number),
            "labels": {"app": "feast", "pod-template-hash": "5d8f7c9b64"},
            "annotations": {"acme.example/checksum": "0" * 64},
        },
        "spec": {
            "serviceAccountName": SERVER,
            "containers": [
                {"name": "app", "image": "localhost/feast:1", "env": environment},
                {"name": "logs", "image": "localhost/logs:1", "env": environment},
            ],
        },
    }
