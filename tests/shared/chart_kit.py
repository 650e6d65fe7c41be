"""The chart, rendered by a real Helm without a cluster, and what tests ask of the objects."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml

__all__ = ["CHART", "LEAST", "NAMESPACE", "merged", "named", "pods", "render", "rendered", "valid"]

CHART = Path(__file__).parents[2] / "charts" / "featward"
NAMESPACE = "featward"
LEAST: dict[str, Any] = {
    "cluster": "eu1",
    "environments": [{"name": "prod", "trustDomain": "prod.acme.example"}],
}
"""The least that values have to say."""

# Of groups that no schema is at hand for: other people's kinds.
_STRANGERS = ("monitoring.coreos.com/",)
_VERSIONS = ("1.33", "1.37")
# In C: the kinds alone are 120 KB of YAML.
_LOADER = yaml.CSafeLoader


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm merges values: mappings key by key, anything else as a whole."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result


def rendered(values: Mapping[str, Any], *, chart: Path = CHART) -> dict[str, str]:
    """The text of every template, by its name. Raises helm.HelmError."""
    with helm.Chart.load(chart) as loaded:
        return dict(loaded.render(dict(values), name="featward", namespace=NAMESPACE))


def render(values: Mapping[str, Any], *, chart: Path = CHART) -> list[dict[str, Any]]:
    """Every object. Raises helm.HelmError."""
    texts = rendered(values, chart=chart).items()
    return [
        document
        for name, text in sorted(texts)
        if name.endswith(".yaml")
        for document in yaml.load_all(text, _LOADER)
        if document
    ]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one of this kind and name."""
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod template of everything that makes pods, with a name for it."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            yield one["metadata"]["name"], one["spec"]["template"]


def valid(one: dict[str, Any]) -> None:
    """Fails for an object that the oldest or the newest Kubernetes that we support has a complaint of."""
    if not one["apiVersion"].startswith((*_STRANGERS, "featward.dev/")):
        _validate(json.dumps(one))


@cache
def _validate(text: str) -> None:
    for version in _VERSIONS:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
