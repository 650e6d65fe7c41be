"""Which ports of a protected pod the network reaches past its sidecar. Pure.

All NetworkPolicies that select a pod count together: what one of them lets in comes in, whatever others say.
So a port is closed only where some policy selects the pod and none of them lets anybody in. Selectors are read
for whom they could ever select, not for who is there today. Processes of the pod's node reach it in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from featward.kubectl.names import CONTAINER
from featward.kubectl.selectors import admits, matches
from featward.manifests.text import day_after

if TYPE_CHECKING:
    from featward.manifests.feature_set import Accepted

__all__ = ["Listening", "Port", "State", "Target", "judge", "probes", "targets"]

State: TypeAlias = Literal["loopback", "closed-by-policy", "accepted", "open"]
Object: TypeAlias = Mapping[str, Any]
# By the names that the Feast operator gives its containers, and by Feast's own ports.
_WHAT_CONTAINER = {
    "online": "feature-server",
    "offline": "offline-server",
    "registry": "registry",
    "ui": "ui",
}
_WHAT_PORT = {6566: "feature-server", 6570: "registry", 8815: "offline-server", 8888: "ui"}


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens in a pod."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether the pod alone reaches it."""
        try:
            return ip_address(self.address.partition("%")[0]).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A port of a pod that somebody may want to reach."""

    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Port:
    """One port, and who reaches it."""

    port: int
    protocol: str
    what: str
    """As in `spec.accepted`: ``feature-server``, ``registry``, …; ``other`` where nobody says."""
    services: tuple[str, ...]
    """The Services that lead there."""
    state: State
    why: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "port": self.port,
            "protocol": self.protocol,
            "what": self.what,
            "services": list(self.services),
            "state": self.state,
            "why": self.why,
        }


def judge(
    pod: Object,
    listening: Iterable[Listening] | None,
    services: Iterable[Object],
    policies: Iterable[Object],
    accepted: Iterable[Accepted],
    *,
    now: float,
    upstreams: Collection[int] = (),
) -> list[Port]:
    """Each port that the pod declares, listens on or has a Service for, our own ones left out.

    ``listening`` None: nobody knows. ``services`` and ``policies`` are those of the pod's namespace,
    ``accepted`` what its FeatureSets say; ``upstreams`` are the ports of the feature server. ``now`` in Unix
    seconds.
    """
    sockets = None if listening is None else list(listening)
    reaching = list(services)
    selecting = [one for one in policies if _selects(one, pod)]
    granted = list(accepted)
    return [
        _judged(pod, one, sockets, reaching, selecting, granted, now, upstreams)
        for one in sorted(targets(pod, sockets or (), reaching, upstreams))
    ]


def targets(
    pod: Object,
    listening: Iterable[Listening],
    services: Iterable[Object],
    upstreams: Collection[int],
) -> set[Target]:
    """The ports that are judged."""
    ours = {Target(number, protocol) for _, number, protocol, own in _declared(pod) if own}
    found = {Target(number, protocol) for _, number, protocol, own in _declared(pod) if not own}
    found |= {Target(one.port, "TCP") for one in listening}
    found |= {Target(number, "TCP") for number in upstreams}
    for service in services:
        found |= set(_led_to(service, pod))
    return found - ours


def probes(pod: Object, port: int) -> list[str]:
    """The probes by which the kubelet calls a port, and which fail once it listens on loopback alone."""
    found = []
    for container in pod["spec"].get("containers") or ():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(kind) or {}
            for way in ("httpGet", "tcpSocket", "grpc"):
                aimed = (probe.get(way) or {}).get("port")
                if aimed is not None and _number(pod, aimed, "TCP") == port:
                    found.append(f"{kind} ({way}) of the container {container['name']}")
    return found


def _judged(
    pod: Object,
    target: Target,
    listening: list[Listening] | None,
    services: list[Object],
    selecting: list[Object],
    accepted: list[Accepted],
    now: float,
    upstreams: Collection[int],
) -> Port:
    what = _what(pod, target, upstreams)
    leading = tuple(
        sorted(one["metadata"]["name"] for one in services if target in _led_to(one, pod))
    )

    def port(state: State, why: str) -> Port:
        return Port(target.port, target.protocol, what, leading, state, why)

    sockets = [one for one in listening or () if one.port == target.port]
    if sockets and target.protocol == "TCP" and all(one.is_loopback for one in sockets):
        return port("loopback", "it listens on loopback alone")
    if pod["spec"].get("hostNetwork"):
        who = "the pod has the node's network, where no NetworkPolicy holds"
    elif not selecting:
        who = "no NetworkPolicy selects the pod"
    else:
        who = "; ".join(dict.fromkeys(_let_in(selecting, pod, target)))
        if not who:
            names = ", ".join(sorted(one["metadata"]["name"] for one in selecting))
            return port("closed-by-policy", f"no rule of {names} lets anybody in")
    silent = listening is not None and not sockets and target.protocol == "TCP"
    who += "; nothing listens there now" if silent else ""
    return port(*_accepted(target, what, accepted, now, who))


def _accepted(
    target: Target, what: str, accepted: list[Accepted], now: float, who: str
) -> tuple[State, str]:
    mine = [
        one for one in accepted if one.port == target.port or (not one.port and one.what == what)
    ]
    if not mine:
        return "open", who
    last = max(mine, key=lambda one: one.until)
    if now < day_after(last.until):
        return "accepted", f"until {last.until}: {last.reason}"
    return "open", f"{who}; it was accepted until {last.until}: {last.reason}"


def _what(pod: Object, target: Target, upstreams: Collection[int]) -> str:
    if target.protocol == "TCP" and target.port in upstreams:
        return "feature-server"
    for container in pod["spec"].get("containers") or ():
        numbers = [one["containerPort"] for one in container.get("ports") or ()]
        if target.port in numbers and container["name"] in _WHAT_CONTAINER:
            return _WHAT_CONTAINER[container["name"]]
    return _WHAT_PORT.get(target.port, "other")


def _declared(pod: Object) -> Iterator[tuple[str, int, str, bool]]:
    """Name, number and protocol of each port, and whether it is our sidecar's."""
    spec = pod["spec"]
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            own = container["name"] == CONTAINER
            yield port.get("name") or "", port["containerPort"], port.get("protocol") or "TCP", own


def _number(pod: Object, port: int | str, protocol: str) -> int | None:
    """The number of a port that is given by number or name; None where the pod has none of the name."""
    if isinstance(port, int):
        return port
    named = (number for name, number, of, _ in _declared(pod) if (name, of) == (port, protocol))
    return next(named, None)


def _led_to(service: Object, pod: Object) -> Iterator[Target]:
    """Where in the pod a Service of its namespace leads."""
    spec = service["spec"]
    selector = spec.get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    if not selector or not selector.items() <= labels.items() or spec.get("type") == "ExternalName":
        return
    for port in spec.get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _number(pod, port.get("targetPort") or port["port"], protocol)
        if number is not None:
            yield Target(number, protocol)


def _selects(policy: Object, pod: Object) -> bool:
    spec = policy["spec"]
    if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
        return False
    return matches(spec.get("podSelector") or {}, pod["metadata"].get("labels") or {})


def _let_in(selecting: Iterable[Object], pod: Object, target: Target) -> Iterator[str]:
    """Whom the policies let in there, by policy."""
    for policy in selecting:
        name = policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress") or ():
            if _is_about(rule, pod, target):
                yield from (f"{name} lets in {who}" for who in admits(rule.get("from") or ()))


def _is_about(rule: Object, pod: Object, target: Target) -> bool:
    """Whether a rule is about a port; one that names none is about all of them."""
    ports = rule.get("ports") or ()
    return not ports or any(_covers(one, pod, target) for one in ports)


def _covers(port: Object, pod: Object, target: Target) -> bool:
    if (port.get("protocol") or "TCP") != target.protocol:
        return False
    if port.get("port") is None:
        return True
    first = _number(pod, port["port"], target.protocol)
    return first is not None and first <= target.port <= (port.get("endPort") or first)
