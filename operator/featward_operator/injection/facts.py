"""What there is to know about a pod before deciding: read once from the raw object, and small.

The API server has checked the pod, so types are what its schema says; lists and maps may be absent or null.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from featward_operator.injection.names import CONTAINER, STATUS

__all__ = [
    "Facts",
    "NamespaceFacts",
    "PortUse",
    "RawPod",
    "RequestFacts",
    "Status",
    "containers_of",
    "facts",
    "items",
    "status_of",
]

RawPod: TypeAlias = Mapping[str, Any]
_DEFAULT_ACCOUNT = "default"
_DEFAULT_GRACE = 30
# Ours has less than a hundred characters, and no text of so many nests too deeply to be read.
_LONGEST_STATUS = 256


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the API server says beside the pod. The name is empty where the server will make one."""

    uid: str
    namespace: str
    name: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """All that the operator knows about where the pod goes."""

    name: str
    labels: Mapping[str, str]
    units: Collection[str]
    """The business units that there are, by their names."""
    sets: Mapping[str, Collection[str]]
    """The namespaces that have a feature set of a name, in the environment of this one."""


@dataclass(frozen=True, slots=True)
class PortUse:
    """A port that a container declares."""

    container: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Status:
    """What we wrote into a pod when we injected it."""

    version: str
    template: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A pod, where it goes, and what is known there."""

    request: RequestFacts
    namespace: NamespaceFacts | None
    """None where no cache has it yet."""
    called: str
    """How to speak of the pod, which may have no name yet."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str
    host_network: bool
    grace_seconds: int
    containers: frozenset[str]
    """Names of all containers but init containers."""
    volumes: frozenset[str]
    ports: tuple[PortUse, ...]
    """Declared by containers that are not ours."""
    mounts: Mapping[str, tuple[tuple[str, str], ...]]
    """By mount path: containers and volumes, of containers that are not ours."""
    has_sidecar: bool
    """An init container has the name of ours."""
    status: Status | None


def facts(pod: RawPod, request: RequestFacts, namespace: NamespaceFacts | None) -> Facts:
    """Read a pod."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    others = [one for one in containers_of(pod) if one.get("name") != CONTAINER]
    return Facts(
        request=request,
        namespace=namespace,
        called=_called(metadata, request),
        labels=metadata.get("labels") or {},
        annotations=annotations,
        service_account=spec.get("serviceAccountName") or _DEFAULT_ACCOUNT,
        host_network=bool(spec.get("hostNetwork")),
        grace_seconds=spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE),
        containers=frozenset(one.get("name", "") for one in items(spec, "containers")),
        volumes=frozenset(one.get("name", "") for one in items(spec, "volumes")),
        ports=tuple(_ports(others)),
        mounts=_mounts(others),
        has_sidecar=any(one.get("name") == CONTAINER for one in items(spec, "initContainers")),
        status=status_of(annotations.get(STATUS)),
    )


def items(owner: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects, empty where it is absent or null."""
    return owner.get(key) or []


def containers_of(pod: RawPod) -> Iterator[dict[str, Any]]:
    """Init containers and containers. Ephemeral ones come later than admission."""
    spec = pod.get("spec") or {}
    yield from items(spec, "initContainers")
    yield from items(spec, "containers")


def _called(metadata: Mapping[str, Any], request: RequestFacts) -> str:
    """``pod ml/feast-7d9f…`` by its own name, or by what it will be called after and who makes it."""
    name = metadata.get("name") or request.name
    if name:
        return f"pod {request.namespace}/{name}"
    owners = items(metadata, "ownerReferences")
    owner = next((one for one in owners if one.get("controller")), None)
    made = f"{metadata.get('generateName', '')}*"
    by = f" of {owner.get('kind')} {owner.get('name')}" if owner else ""
    return f"pod {request.namespace}/{made}{by}"


def _ports(containers: list[dict[str, Any]]) -> Iterator[PortUse]:
    for container in containers:
        for port in items(container, "ports"):
            # Others may use the number: what we listen on is TCP.
            if port.get("protocol", "TCP") == "TCP":
                yield PortUse(
                    container.get("name", ""), port.get("name", ""), port.get("containerPort", 0)
                )


def _mounts(containers: list[dict[str, Any]]) -> dict[str, tuple[tuple[str, str], ...]]:
    # In lists first: a pod may have a hundred thousand mounts at one path when the webhook sees it.
    found: dict[str, list[tuple[str, str]]] = {}
    for container in containers:
        for mount in items(container, "volumeMounts"):
            path = mount.get("mountPath", "").rstrip("/")
            use = (container.get("name", ""), mount.get("name", ""))
            found.setdefault(path, []).append(use)
    return {path: tuple(uses) for path, uses in found.items()}


def status_of(text: str | None) -> Status | None:
    """What the annotation says; None for what we did not write: anybody may put one there, of any depth."""
    if not text or len(text) > _LONGEST_STATUS:
        return None
    try:
        told = json.loads(text)
        return Status(str(told["version"]), str(told["template"]))
    except (ValueError, TypeError, KeyError):
        return None
