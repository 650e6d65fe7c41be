"""The definitions themselves: what an API server makes of them, and what they are made of."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crd_kit import DEFINITIONS, collection
from featward.crds import definition, names_of
from featward.crds.columns import COLUMNS
from featward.crds.definitions import KINDS
from featward.crds.schema import RULES
from featward.crds.status import STATUS
from featward.crds.writing import documents, write
from featward.manifests.document import CLUSTER_KINDS
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

FOLDER = Path(__file__).parents[3] / "charts" / "featward" / "files" / "crds"


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema with its path."""
    yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}[]")


def schema(kind: str) -> dict[str, Any]:
    (version,) = definition(kind)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def test_the_yaml_is_what_the_models_say() -> None:
    found = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert found == documents(), "the models have changed: run make docs"
    for kind in KINDS:
        text = found[f"{names_of(kind).plural}.yaml"]
        assert yaml.safe_load(text) == json.loads(json.dumps(definition(kind)))


def test_what_was_made_of_a_kind_that_is_no_more_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").write_text(documents()["overrides.yaml"])
    (tmp_path / "theirs.yaml").write_text("kind: ConfigMap\n")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*documents(), "theirs.yaml"}


def test_every_kind_but_kubernetes_own_has_a_definition() -> None:
    assert set(KINDS) == set(STATUS) == set(COLUMNS) == set(CLUSTER_KINDS) - {"Namespace"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_crd_is_taken_by_a_real_server(crds: Kubernetes, kind: str) -> None:
    found = crds.call("GET", f"{DEFINITIONS}/{names_of(kind).crd}")
    answers = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert answers["NamesAccepted"] == answers["Established"] == "True"
    assert answers.get("NonStructuralSchema", "False") == "False"
    # What a server does not understand it drops in silence; what is stored is what was sent.
    sent, kept = definition(kind)["spec"], found["spec"]
    assert kept["versions"] == sent["versions"]
    assert kept["names"] == sent["names"]
    assert crds.ask("GET", collection(kind))[0] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_an_end_and_a_meaning_and_nothing_a_default(kind: str) -> None:
    for path, node in nodes(schema(kind)):
        where = f"{kind}{path}"
        assert "default" not in node, where
        assert (
            path in ("", ".apiVersion", ".kind", ".metadata")
            or "[]" in path
            or node.get("description")
        ), where
        if node["type"] == "array":
            assert node["maxItems"], where
            assert node["x-kubernetes-list-type"] in ("atomic", "set", "map"), where
        if "additionalProperties" in node:
            assert node["maxProperties"], where
        if node["type"] == "string" and path not in (".apiVersion", ".kind"):
            assert "maxLength" in node or "enum" in node, where
        if node["type"] == "integer":
            assert "minimum" in node, where
            assert "maximum" in node or path.startswith(".status"), where
        assert (node.get("format") == "duration") == ("h)?" in node.get("pattern", "")), where


@pytest.mark.parametrize("kind", KINDS)
def test_no_rule_costs_more_than_a_tenth_of_the_limit(crds: Kubernetes, kind: str) -> None:
    """The server tells no costs, but refuses what costs too much: so every rule is asked ten times over."""
    assert dear(crds, kind, f"{list(range(10))}.all(tenth, {{}})") == []


def test_a_server_does_refuse_what_costs_too_much(crds: Kubernetes) -> None:
    many = "{}"
    for name in "abcd":
        many = f"{list(range(100))}.all({name}, {many})"
    assert any("cost" in one for one in dear(crds, "FeatureSet", many))


def dear(crds: Kubernetes, kind: str, around: str) -> list[str]:
    """What the server finds wrong with a definition whose rules are all put into another."""
    changed = copy.deepcopy(definition(kind))
    changed["metadata"]["name"] = f"{names_of(kind).plural}.cost.featward.dev"
    changed["spec"]["group"] = "cost.featward.dev"
    (version,) = changed["spec"]["versions"]
    for _, node in nodes(version["schema"]["openAPIV3Schema"]):
        for rule in node.get(RULES, ()):
            rule["rule"] = around.replace("{}", f"({rule['rule']})")
    status, answer = crds.ask("POST", f"{DEFINITIONS}?dryRun=All", changed)
    if status == 201:
        return []
    return [one["message"] for one in answer["details"]["causes"]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_shows_what_is_there(kind: str) -> None:
    """A path that leads nowhere is an empty column for ever."""
    inside = dict(nodes(schema(kind)))
    for column in COLUMNS[kind]:
        path = column.path
        if condition := re.fullmatch(
            r'\.status\.conditions\[\?\(@\.type=="(\w+)"\)\]\.(\w+)', path
        ):
            path = f".status.conditions[].{condition[2]}"
        assert path == ".metadata.creationTimestamp" or path in inside, column
        if column.type == "integer":
            assert inside[path]["type"] == "integer", column
