"""What is kept of a pod: a fiftieth of it. 5,000 whole pods would be 200 MB of dictionaries.

Texts that many pods share are kept once. A pod is cut before it is stored, and what is not here is not known:
who needs more of one pod asks the API server for it.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["OUR_PREFIX", "InitContainer", "PodFacts", "pod_facts"]

OUR_PREFIX = "featward.dev/"


@dataclass(frozen=True, slots=True)
class InitContainer:
    """An init container; one that is restarted always is a sidecar."""

    name: str
    image: str
    restart_policy: str


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as far as decisions about it need it; namespace and name are its key."""

    uid: str
    service_account: str
    pod_ip: str
    """Empty until it runs."""
    phase: str
    deleting: bool
    host_network: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    """Those of `featward.dev/` only."""
    init_containers: tuple[InitContainer, ...]
    ports: tuple[tuple[str, int, str], ...]
    """Declared by its app containers: name (or empty), number, protocol."""


def pod_facts(raw: Mapping[str, Any]) -> PodFacts:
    """What is kept of a pod as the API server gives it."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    return PodFacts(
        uid=metadata["uid"],
        service_account=sys.intern(spec.get("serviceAccountName") or "default"),
        pod_ip=status.get("podIP") or "",
        phase=sys.intern(status.get("phase") or ""),
        deleting="deletionTimestamp" in metadata,
        host_network=bool(spec.get("hostNetwork")),
        labels=_shared(metadata.get("labels") or {}),
        annotations=_shared(
            {
                key: value
                for key, value in (metadata.get("annotations") or {}).items()
                if key.startswith(OUR_PREFIX)
            }
        ),
        init_containers=tuple(_init_container(one) for one in spec.get("initContainers") or ()),
        ports=tuple(_ports(spec["containers"])),
    )


def _init_container(raw: Mapping[str, Any]) -> InitContainer:
    return InitContainer(
        sys.intern(raw["name"]),
        sys.intern(raw.get("image") or ""),
        sys.intern(raw.get("restartPolicy") or ""),
    )


def _ports(containers: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, int, str]]:
    for container in containers:
        for port in container.get("ports") or ():
            name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
            yield sys.intern(name), port["containerPort"], sys.intern(protocol)


def _shared(texts: Mapping[str, str]) -> Mapping[str, str]:
    return {sys.intern(key): sys.intern(value) for key, value in texts.items()}
