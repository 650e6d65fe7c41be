"""Every series of Prometheus that some part of featward has, with its labels: what rules may name."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from featward_ca.metrics import Metrics
from featward_operator.words import registry

__all__ = ["TARGET", "documented_of_sidecar", "known", "labels_in", "of_sidecar"]

Known = dict[str, frozenset[str]]

TARGET = frozenset({"instance", "job", "namespace", "pod"})
"""Labels that Prometheus adds."""
_ROOT = Path(__file__).parents[2]
_RUST = _ROOT / "engine" / "proxy" / "src" / "metrics.rs"
_PAGE = _ROOT / "docs" / "sidecar.md"
_ROW = re.compile(r"^\| `(featward_[a-z_]+)` \|([^|]*)\|", re.MULTILINE)
_STRING = re.compile(r'"[^"]*"')
_LISTED = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHED = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
_WORD = re.compile(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()")
_OPERATORS = {"and", "or", "unless", "bool", "offset"}


def known() -> Known:
    """By name, those of histograms with their endings."""
    return _union(_of(Metrics().registry), _of(registry()), of_sidecar())


def _union(*parts: Known) -> Known:
    """Two of ours have series of one name, with other labels."""
    found: Known = {}
    for part in parts:
        for name, labels in part.items():
            found[name] = found.get(name, frozenset()) | labels
    return found


def labels_in(expression: str) -> tuple[set[str], set[str]]:
    """The series and the labels that an expression names."""
    rest = re.sub(r"\[[^\]]*\]", "", _STRING.sub('""', expression))
    labels = {one.strip() for found in _LISTED.findall(rest) for one in found[1].split(",")}
    rest = _LISTED.sub(" ", rest)
    for inside in re.findall(r"\{([^}]*)\}", rest):
        labels |= set(_MATCHED.findall(inside))
    rest = re.sub(r"\{[^}]*\}", "", rest)
    return set(_WORD.findall(rest)) - _OPERATORS, labels


def of_sidecar() -> Known:
    """What the page of the sidecar says."""
    found: Known = {}
    for name, labels in documented_of_sidecar().items():
        found |= _endings(name, "histogram" if name.endswith("duration_seconds") else "", labels)
    return found


def documented_of_sidecar() -> dict[str, frozenset[str]]:
    """The page's table: each name with its labels. Fails where it and the engine differ."""
    page = _PAGE.read_text("utf-8").partition("## Metrics")[2]
    told = {
        name: frozenset(re.findall(r"`([a-z_]+)`", labels)) for name, labels in _ROW.findall(page)
    }
    made = set(re.findall(r'\badd\(\s*r,\s*"([a-z_]+)"', _RUST.read_text("utf-8")))
    ours = {name.removeprefix("featward_").removesuffix("_total") for name in told}
    assert ours == made, f"docs/sidecar.md and the engine differ: {ours ^ made}"
    return told


def _of(registry: CollectorRegistry) -> Known:
    found: Known = {}
    # Private, and nothing else tells the labels of what has no samples.
    for collector in list(registry._collector_to_names):
        of_metric = frozenset(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            labels = of_metric | frozenset(getattr(family, "_labelnames", ()))
            found |= _endings(family.name, family.type, labels)
    return found


def _endings(name: str, kind: str, labels: frozenset[str]) -> Known:
    match kind:
        case "counter":
            return {f"{name}_total": labels}
        case "histogram":
            more = {f"{name}_{ending}": labels for ending in ("sum", "count")}
            return more | {f"{name}_bucket": labels | {"le"}}
    return {name: labels}
