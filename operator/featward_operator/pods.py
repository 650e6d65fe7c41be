"""What is kept of a pod: a fiftieth of it. 5,000 whole pods would be 200 MB of dictionaries.

Texts that many pods share are kept once. A pod is cut before it is stored, and what is not here is not known:
who needs more of one pod asks the API server for it.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featward.kubernetes.resource import Key

__all__ = ["OUR_PREFIX", "InitContainer", "PodFacts", "PodIndex", "pod_facts"]

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


class PodIndex:
    """All pods, by what somebody asks for them by; kept up to date pod by pod."""

    def __init__(self) -> None:
        self._by_uid: dict[str, tuple[Key, PodFacts]] = {}
        self._in: defaultdict[str, dict[str, PodFacts]] = defaultdict(dict)
        self._of_account: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._at: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._by_uid)

    def take(self, key: Key, old: PodFacts | None, new: PodFacts | None) -> None:
        """A pod is there, is another one, or (None) is no longer."""
        namespace, name = key
        if old is not None:
            self._forget(key, old)
        if new is None:
            return
        self._by_uid[new.uid] = (key, new)
        self._in[namespace][name] = new
        self._of_account[namespace, new.service_account].add(name)
        # Pods with the node's network share its address.
        if new.pod_ip and not new.host_network:
            self._at[new.pod_ip] = key

    def of_uid(self, uid: str) -> tuple[Key, PodFacts] | None:
        """The pod of this uid, with its namespace and name."""
        return self._by_uid.get(uid)

    def named(self, namespace: str, name: str) -> PodFacts | None:
        """The pod of this name."""
        return self._in.get(namespace, {}).get(name)

    def inside(self, namespace: str) -> Mapping[str, PodFacts]:
        """The pods of a namespace, by name."""
        return self._in.get(namespace, {})

    def of_account(self, namespace: str, account: str) -> Iterator[tuple[str, PodFacts]]:
        """The pods of a service account, by name."""
        pods = self._in.get(namespace, {})
        for name in sorted(self._of_account.get((namespace, account), ())):
            yield name, pods[name]

    def accounts(self, namespace: str) -> set[str]:
        """The service accounts that pods of a namespace run as."""
        return {one.service_account for one in self._in.get(namespace, {}).values()}

    def at(self, address: str) -> Key | None:
        """The pod that has an IP address."""
        return self._at.get(address)

    def _forget(self, key: Key, old: PodFacts) -> None:
        namespace, name = key
        self._by_uid.pop(old.uid, None)
        if self._at.get(old.pod_ip) == key:
            del self._at[old.pod_ip]
        self._in[namespace].pop(name, None)
        if not self._in[namespace]:
            del self._in[namespace]
        account = (namespace, old.service_account)
        self._of_account[account].discard(name)
        if not self._of_account[account]:
            del self._of_account[account]
