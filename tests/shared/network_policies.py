"""NetworkPolicies judged by trying: every source of a small world against every rule, one packet at a time.

Slow, and written from Kubernetes' description of NetworkPolicy alone, to judge what judges by reading
selectors. Labels are `app` (a, b), `tier` (z) and, of namespaces, `team` (x, y), each also with another value
and missing; addresses are 10.0.0.0/29 and one outside.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

__all__ = ["OWN", "Source", "enters", "somebody_enters", "sources"]

OWN = "ml"


@dataclass(frozen=True)
class Source:
    """Where a packet comes from: a pod, or an address outside of the cluster."""

    namespace: str = ""
    team: str | None = None
    app: str | None = None
    tier: str | None = None
    address: str = ""

    def labels(self) -> dict[str, str]:
        found = {"app": self.app, "tier": self.tier}
        return {key: value for key, value in found.items() if value is not None}

    def namespace_labels(self) -> dict[str, str]:
        return {"team": self.team} if self.team else {}


def sources() -> Iterator[Source]:
    """All of them."""
    apps, tiers = (None, "a", "b", "another"), (None, "z", "another")
    teams = (None, "x", "y", "another")
    for app, tier, team in itertools.product(apps, tiers, teams):
        yield Source(OWN, team, app, tier)
        yield Source("other", team, app, tier)
    for number in range(8):
        yield Source(address=f"10.0.0.{number}")
    yield Source(address="192.0.2.1")


def somebody_enters(
    pod: dict[str, Any], policies: list[dict[str, Any]], port: int, protocol: str
) -> bool:
    """Whether any source gets a packet to the port."""
    return any(enters(pod, policies, one, port, protocol) for one in sources())


def enters(
    pod: dict[str, Any], policies: list[dict[str, Any]], source: Source, port: int, protocol: str
) -> bool:
    """Whether this one does."""
    isolated = False
    for policy in policies:
        spec = policy["spec"]
        types = spec.get("policyTypes", ["Ingress"])
        if "Ingress" not in types or not _selected(spec["podSelector"], _labels_of(pod)):
            continue
        isolated = True
        for rule in spec.get("ingress", []):
            if _from(rule, source) and _to(rule, pod, port, protocol):
                return True
    return not isolated


def _labels_of(pod: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = pod["metadata"].get("labels", {})
    return labels


def _from(rule: dict[str, Any], source: Source) -> bool:
    if not rule.get("from"):
        return True
    for peer in rule["from"]:
        if "ipBlock" in peer:
            if source.address and _in_block(source.address, peer["ipBlock"]):
                return True
        elif not source.address and _is_peer(peer, source):
            return True
    return False


def _in_block(address: str, block: dict[str, Any]) -> bool:
    inside = ip_address(address)
    if inside not in ip_network(block["cidr"]):
        return False
    return not any(inside in ip_network(one) for one in block.get("except", []))


def _is_peer(peer: dict[str, Any], source: Source) -> bool:
    if "namespaceSelector" in peer:
        if not _selected(peer["namespaceSelector"], source.namespace_labels()):
            return False
    elif source.namespace != OWN:
        return False
    return "podSelector" not in peer or _selected(peer["podSelector"], source.labels())


def _selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions", []):
        value = labels.get(one["key"])
        if one["operator"] == "In" and value not in one["values"]:
            return False
        if one["operator"] == "NotIn" and value is not None and value in one["values"]:
            return False
        if one["operator"] == "Exists" and value is None:
            return False
        if one["operator"] == "DoesNotExist" and value is not None:
            return False
    return True


def _to(rule: dict[str, Any], pod: dict[str, Any], port: int, protocol: str) -> bool:
    if not rule.get("ports"):
        return True
    for one in rule["ports"]:
        if one.get("protocol", "TCP") != protocol:
            continue
        if "port" not in one:
            return True
        numbers = [one["port"]] if isinstance(one["port"], int) else _named(pod, one, protocol)
        for number in numbers:
            if port in range(number, one.get("endPort", number) + 1):
                return True
    return False


def _named(pod: dict[str, Any], one: dict[str, Any], protocol: str) -> list[int]:
    spec = pod["spec"]
    return [
        port["containerPort"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]
        for port in container.get("ports", [])
        if port.get("name") == one["port"] and port.get("protocol", "TCP") == protocol
    ]
