"""The objects that the operator makes: followed by their label, compared with what they should be, taken away.

Each says whose it is by ownerReferences, so that it goes with its FeatureSet though no operator is there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from featward.manifests.model import API_VERSION
from featward_operator.controllers import Apply, Delete, Merge
from featward_operator.injection.names import TRUST_MAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key, Resource

__all__ = [
    "MANAGED",
    "Body",
    "Children",
    "applied",
    "is_there",
    "left_over",
    "metadata_of",
    "owners",
    "project",
]

Body: TypeAlias = "dict[str, Any]"

MANAGED = {"app.kubernetes.io/managed-by": "featward-operator"}
_SELECTOR = "app.kubernetes.io/managed-by=featward-operator"
_KEPT = ("apiVersion", "kind", "spec", "data", "automountServiceAccountToken")
_METADATA = ("name", "namespace", "uid", "labels", "annotations", "ownerReferences")
BUNDLE = "featward-bundle-"
"""A CA publishes how it is known at first contact in the ConfigMap of this name and its environment's."""


def project(raw: Mapping[str, Any]) -> Body:
    """What is kept of a child: what we may have written, and of the rest how many pods are ready."""
    found: Body = {key: raw[key] for key in _KEPT if key in raw}
    metadata = raw["metadata"]
    found["metadata"] = {key: metadata[key] for key in _METADATA if key in metadata}
    ready = (raw.get("status") or {}).get("readyReplicas")
    return found | ({"readyReplicas": ready} if ready else {})


class Children:
    """What is there of them. ``changed`` is told of each change, by resource and key."""

    def __init__(self) -> None:
        self.stores: dict[Resource, dict[Key, Body]] = {}
        self.bundles: dict[str, Mapping[str, str]] = {}
        """By environment, what its CA has published."""
        self.changed: Callable[[Resource, Key, Body | None], None] = lambda resource, key, now: None
        self.bundle_changed: Callable[[str], None] = lambda environment: None

    def get(self, resource: Resource, namespace: str, name: str) -> Body | None:
        """One of them."""
        return self.stores.get(resource, {}).get((namespace, name))

    def owned(self, namespace: str, uid: str) -> Iterator[tuple[Resource, Body]]:
        """Those that name an object as their owner."""
        for resource, store in self.stores.items():
            for (inside, _), body in store.items():
                if inside == namespace and any(one["uid"] == uid for one in owners(body)):
                    yield resource, body

    def take(self, resource: Resource, key: Key, new: Body | None) -> None:
        """One is there, changed or gone."""
        store = self.stores.setdefault(resource, {})
        if new is None:
            store.pop(key, None)
        else:
            store[key] = new
        self.changed(resource, key, new)

    def take_bundle(self, key: Key, new: Mapping[str, str] | None) -> None:
        """A CA has published its roots."""
        environment = key[1].removeprefix(BUNDLE)
        if environment == key[1]:
            return
        if new is None:
            self.bundles.pop(environment, None)
        else:
            self.bundles[environment] = new
        self.bundle_changed(environment)

    async def follow(
        self, gateway: Gateway, namespace: str, *, gateways: bool, synced: asyncio.Event
    ) -> None:
        """Follow them until cancelled; ``namespace`` is our own, where CAs publish."""
        reflectors = [*self._reflectors(gateway, namespace, gateways=gateways)]
        async with asyncio.TaskGroup() as group:
            for one in reflectors:
                group.create_task(one.run(), name=f"reflector of our {one.resource}")
            for one in reflectors:
                await one.synced.wait()
            synced.set()

    def _reflectors(
        self, gateway: Gateway, namespace: str, *, gateways: bool
    ) -> Iterator[Reflector[Any]]:
        made = (DEPLOYMENTS, SERVICE_ACCOUNTS, DISRUPTION_BUDGETS) if gateways else ()
        for resource in (SERVICES, *made):
            taker = self._taker(resource)
            yield Reflector(gateway, resource, project, taker, selector=_SELECTOR)
        # By its name, for we may see no other ConfigMap of others.
        taker = self._taker(CONFIG_MAPS)
        named = f"metadata.name={TRUST_MAP}"
        yield Reflector(gateway, CONFIG_MAPS, project, taker, fields=named)
        yield Reflector(
            gateway,
            CONFIG_MAPS,
            _bundle,
            lambda key, old, new: self.take_bundle(key, new),
            namespace=namespace,
        )

    def _taker(self, resource: Resource) -> Callable[[Key, Body | None, Body | None], None]:
        return lambda key, old, new: self.take(resource, key, new)


def _bundle(raw: Mapping[str, Any]) -> Mapping[str, str]:
    """Of other ConfigMaps nothing is kept."""
    data = raw.get("data") or {}
    is_one = raw["metadata"]["name"].startswith(BUNDLE)
    return {key: data[key] for key in ("root.sha256", "bundle.pem") if is_one and key in data}


def owners(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Whose a child is."""
    found: Sequence[Mapping[str, Any]] = body["metadata"].get("ownerReferences") or ()
    return found


def metadata_of(namespace: str, name: str, sets: Iterable[tuple[str, str]], **labels: str) -> Body:
    """Metadata of a child of these FeatureSets, by name and uid."""
    return {
        "namespace": namespace,
        "name": name,
        "labels": {**MANAGED, **labels},
        "ownerReferences": [
            {"apiVersion": API_VERSION, "kind": "FeatureSet", "name": owner, "uid": uid}
            for owner, uid in sets
        ],
    }


def applied(children: Children, resource: Resource, body: Body) -> Iterator[Apply | Merge]:
    """What has to be done so that a child is as it should be; nothing where it is."""
    metadata = body["metadata"]
    there = children.get(resource, metadata["namespace"], metadata["name"])
    if there is not None and is_there(body, there):
        return
    if there is not None and _ports(there) - _ports(body):
        # An apply leaves ports that others have added, and is refused where one of them has a name of ours.
        ports = {"spec": {"ports": body["spec"]["ports"]}}
        yield Merge(resource, metadata["namespace"], metadata["name"], ports)
    yield Apply(resource, body)


def _ports(body: Body) -> set[tuple[int, str]]:
    """Of a Service, as an apply tells them apart."""
    ports = (body.get("spec") or {}).get("ports") or ()
    return {(one["port"], one.get("protocol", "TCP")) for one in ports}


def is_there(wanted: Any, there: Any) -> bool:
    """Whether an object says all that is wanted; what servers and others add beside it is theirs."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            key in there and is_there(value, there[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(wanted) == len(there)
            and all(map(is_there, wanted, there))
        )
    return bool(wanted == there)


def left_over(
    children: Children,
    namespace: str,
    uid: str,
    wanted: Iterable[tuple[Resource, str]],
    is_called: Callable[[Body], bool],
) -> Iterator[Delete]:
    """Children of a set that nobody needs any more: the set stays, so nobody else takes them away.

    What it alone owns goes when it is not ``wanted``. A Service may be of several sets, and all of them may
    have left it at once: ``is_called`` says whether any is served there.
    """
    needed = set(wanted)
    for resource, body in children.owned(namespace, uid):
        metadata = body["metadata"]
        if (resource, metadata["name"]) in needed:
            continue
        stays = is_called(body) if resource == SERVICES else len(owners(body)) > 1
        if not stays:
            yield Delete(resource, namespace, metadata["name"], metadata["uid"])
