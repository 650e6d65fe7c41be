"""Settings, namespaces and pods for tests of injection, and a pod as it is after the answer's patch.

The patch is applied by an implementation that is not ours. Run as a program it writes the golden pods anew, to
be read before they are committed:

    python tests/shared/injection_kit.py
"""

import copy
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

from featward_operator.injection.facts import NamespaceFacts, RequestFacts
from featward_operator.injection.inject import Injection, inject
from featward_operator.injection.settings import EnvironmentSettings, InjectionSettings

__all__ = [
    "FIXTURES",
    "GOLDEN",
    "SETS",
    "SETTINGS",
    "UNITS",
    "Fixture",
    "admitted",
    "answer_of",
    "fixtures",
    "known_namespace",
    "written",
]

FIXTURES = Path(__file__).parents[1] / "operator" / "injection" / "fixtures"
_WIDTH = 110
GOLDEN = FIXTURES.parent / "golden"
UNITS = ("prod.default", "prod.payments", "staging.risk")
SETS = {"driver-stats": ("ml",), "risk-scores": ("ml", "risk"), "rides": ("geo",)}
SETTINGS = InjectionSettings(
    image="localhost/featward:0.2.0",
    namespace="featward",
    operator="featward-operator.featward.svc.cluster.local:8443",
    environments={
        "prod": EnvironmentSettings(
            "prod.acme.example", "featward-ca-prod.featward.svc.cluster.local:8443"
        ),
        "staging": EnvironmentSettings(
            "staging.acme.example", "featward-ca-staging.featward.svc.cluster.local:8443"
        ),
    },
    version="0.2.0",
)


@dataclass(frozen=True)
class Fixture:
    """A pod as the API server sends it, and where it goes."""

    name: str
    namespace: NamespaceFacts
    pod: dict[str, Any]


def known_namespace(name: str, labels: dict[str, str] | None = None) -> NamespaceFacts:
    """A namespace; of the unit prod.payments, unless labels are given."""
    return NamespaceFacts(
        name,
        {"featward.dev/business-unit": "prod.payments"} if labels is None else labels,
        UNITS,
        SETS,
    )


def fixtures() -> Iterator[Fixture]:
    """All of them, by name."""
    for file in sorted(FIXTURES.glob("*.yaml")):
        told = yaml.safe_load(file.read_text())
        namespace = told["namespace"]
        yield Fixture(
            file.stem, known_namespace(namespace["name"], namespace.get("labels")), told["pod"]
        )


def answer_of(
    pod: dict[str, Any], namespace: NamespaceFacts, settings: InjectionSettings = SETTINGS
) -> Injection:
    """What we say about a pod; its name is empty where the pod has none yet."""
    name = pod["metadata"].get("name", "")
    before = copy.deepcopy(pod)
    found = inject(pod, RequestFacts("uid", namespace.name, name), namespace, settings)
    assert pod == before, "the pod itself must not be touched"
    return found


def admitted(pod: dict[str, Any], injection: Injection) -> dict[str, Any]:
    """The pod after the patch."""
    after: dict[str, Any] = jsonpatch.apply_patch(pod, list(injection.patch), in_place=False)
    return after


def written(fixture: Fixture) -> str:
    """What a golden file holds."""
    found = answer_of(fixture.pod, fixture.namespace)
    told: dict[str, Any] = {"says": found.explanation.sentence}
    if found.decision.warnings:
        told["warns"] = list(found.decision.warnings)
    if found.patch:
        told["pod"] = admitted(fixture.pod, found)
    return yaml.serialize(
        _folded(yaml.SafeDumper(io.StringIO()).represent_data(told)), width=_WIDTH
    )


def _folded(node: yaml.Node, room: int = _WIDTH) -> yaml.Node:
    """What fits into a line is written in one."""
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
        if len(yaml.serialize(node, width=10_000)) > room:
            node.flow_style = False
            for part in node.value:
                for each in part if isinstance(part, tuple) else (part,):
                    _folded(each, room - 4)
    return node


def _write_all() -> None:
    for stale in GOLDEN.glob("*.yaml"):
        stale.unlink()
    GOLDEN.mkdir(exist_ok=True)
    for fixture in fixtures():
        (GOLDEN / f"{fixture.name}.yaml").write_text(written(fixture))


if __name__ == "__main__":
    _write_all()
