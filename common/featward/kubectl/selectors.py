"""Label selectors and the peers of a NetworkPolicy: what they select, and could select."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import collapse_addresses, ip_network
from typing import Any, TypeAlias

__all__ = ["admits", "can_match", "matches"]

Selector: TypeAlias = Mapping[str, Any]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects what has these labels; an empty one selects all."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def can_match(selector: Selector) -> bool:
    """Whether there are labels that it selects. A selector that contradicts itself selects nobody, ever."""
    allowed: dict[str, set[str]] = {}
    excluded: defaultdict[str, set[str]] = defaultdict(set)
    present: set[str] = set()
    absent: set[str] = set()
    for key, value in (selector.get("matchLabels") or {}).items():
        present.add(key)
        allowed[key] = allowed.get(key, {value}) & {value}
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], set(one.get("values") or ())
        match one["operator"]:
            case "In":
                present.add(key)
                allowed[key] = allowed.get(key, values) & values
            case "NotIn":
                excluded[key] |= values
            case "Exists":
                present.add(key)
            case _:
                absent.add(key)
    if present & absent:
        return False
    return all(values - excluded[key] for key, values in allowed.items())


def admits(peers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Whom an ingress rule with these peers lets in, in words; nothing where that could be nobody."""
    given = list(peers)
    if not given:
        yield "everybody"
    for peer in given:
        if "ipBlock" in peer:
            yield from _block(peer["ipBlock"])
        else:
            yield from _pods(peer)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    whole = ip_network(block["cidr"], strict=False)
    left_out = [ip_network(one, strict=False) for one in block.get("except") or ()]
    # Of one family: the server refuses others.
    covered = collapse_addresses(one for one in left_out if one.version == whole.version)  # type: ignore[type-var]  # of one version, see above
    if any(whole.subnet_of(one) for one in covered):  # type: ignore[arg-type]  # as above
        return
    but = f" but {', '.join(map(str, left_out))}" if left_out else ""
    yield f"addresses of {whole}{but}"


def _pods(peer: Mapping[str, Any]) -> Iterator[str]:
    pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
    if not all(can_match(one) for one in (pods or {}, namespaces or {})):
        return
    which = f"pods with {_words(pods)}" if pods else "all pods"
    if namespaces is None:
        yield f"{which} of its namespace"
    else:
        yield f"{which} of {f'namespaces with {_words(namespaces)}' if namespaces else 'all namespaces'}"


def _words(selector: Selector) -> str:
    said = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        values = f" {','.join(one['values'])}" if one.get("values") else ""
        said.append(f"{one['key']} {one['operator']}{values}")
    return " and ".join(said)
