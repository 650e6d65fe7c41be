"""What the chart takes, what it refuses, and that what it takes renders to objects that Kubernetes knows."""

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python as helm
import pytest
import yaml

from chart_kit import CHART, LEAST, merged, named, render, rendered, valid
from readme import readme, values

DIGEST = "sha256:" + "0123456789abcdef" * 4
# Every value with what may stand there beside its default; each as a change of the values.
OPTIONS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "image.tag": ({}, {"image": {"tag": "1.0.0"}}),
    "image.digest": ({}, {"image": {"digest": DIGEST}}),
    "image.pullPolicy": ({}, {"image": {"pullPolicy": "Always"}}),
    "image.pullSecrets": ({}, {"image": {"pullSecrets": ["registry"]}}),
    "clusterDomain": ({}, {"clusterDomain": "k8s.acme.example"}),
    "environments": (
        {},
        {
            "environments": [
                {"name": "prod", "trustDomain": "prod.acme.example"},
                {"name": "dev", "trustDomain": "dev.acme.example", "ca": {"logLevel": "debug"}},
            ]
        },
    ),
    "address": ({}, {"environmentDefaults": {"ca": {"address": "ca.acme.example:8443"}}}),
    "store": (
        {},
        {"environmentDefaults": {"ca": {"store": {"postgresqlSecret": "database"}}}},
        {"environmentDefaults": {"ca": {"store": {"postgresqlSecret": "database"}, "replicas": 3}}},
        {"environmentDefaults": {"ca": {"storage": {"existingClaim": "data"}}}},
        {"environmentDefaults": {"ca": {"storage": {"size": "5Gi", "className": "fast"}}}},
    ),
    "ca.where": (
        {},
        {
            "environmentDefaults": {
                "ca": {
                    "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute"}],
                    "priorityClassName": "high",
                }
            }
        },
    ),
    "ca.how": (
        {},
        {
            "environmentDefaults": {
                "ca": {
                    "extraArgs": ["--unsafe-short-lives"],
                    "logLevel": "debug",
                    "resources": {"limits": {"cpu": 1}},
                }
            }
        },
    ),
    "operator.replicas": ({}, {"operator": {"replicas": 1}}, {"operator": {"replicas": 5}}),
    "operator.where": (
        {},
        {
            "operator": {
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "a", "operator": "Equal", "value": "b"}],
                "priorityClassName": "high",
            }
        },
    ),
    "operator.how": (
        {},
        {"operator": {"logLevel": "error", "resources": {"requests": {"cpu": "2"}}}},
    ),
    "injection": (
        {},
        {"injection": {"runAsUser": None, "cpuLimit": "500m", "logLevel": "warning"}},
        {"injection": {"port": 16443, "recordBytes": 0, "drainSeconds": 5}},
    ),
    "gateways": ({}, {"gateways": {"enabled": False}}),
    "admission": (
        {},
        {"admission": {"failurePolicy": "Ignore", "defaultBusinessUnit": "prod.payments"}},
        {"admission": {"policies": False}},
    ),
    "crds": ({}, {"crds": {"install": False}}),
    "rbac": ({}, {"rbac": {"aggregate": False}}),
    "networkPolicies": (
        {},
        {"networkPolicies": {"enabled": False}},
        {"networkPolicies": {"metricsFrom": {"kubernetes.io/metadata.name": "monitoring"}}},
    ),
    "serviceMonitor": (
        {},
        {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "a"}}}},
    ),
    "dashboards": ({}, {"monitoring": {"dashboards": {"enabled": True, "labels": {"a": "b"}}}}),
    "alerts": ({}, {"monitoring": {"alerts": {"enabled": True, "labels": {"release": "a"}}}}),
    "extraObjects": (
        {},
        {
            "extraObjects": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "beside"}}
            ]
        },
    ),
}


def every_pair() -> Iterator[dict[str, Any]]:
    """Few sets of values in which every pair of two options' choices occurs at least once."""
    names = list(OPTIONS)
    missing = {
        ((one, first), (other, second))
        for one, other in itertools.combinations(names, 2)
        for first in range(len(OPTIONS[one]))
        for second in range(len(OPTIONS[other]))
    }
    draw = random.Random(5)
    while missing:
        tries = []
        for _ in range(30):
            chosen = {name: draw.randrange(len(OPTIONS[name])) for name in names}
            # Each try begins with a pair that is still missing, so that this ends.
            chosen.update(min(missing))
            tries.append(chosen)
        best = max(tries, key=lambda chosen: len(missing & _pairs(chosen)))
        missing -= _pairs(best)
        result: dict[str, Any] = dict(LEAST)
        for name, index in best.items():
            result = merged(result, OPTIONS[name][index])
        yield result


def _pairs(chosen: Mapping[str, int]) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    return set(itertools.combinations(chosen.items(), 2))


def objects_in(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of everything in the schema that has keys of its own."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    if "properties" in schema:
        yield path
        for key, inner in schema["properties"].items():
            yield from objects_in(inner, (*path, key))
    if "items" in schema:
        yield from objects_in(schema["items"], (*path, "[]"))


def with_unknown(path: tuple[str, ...]) -> dict[str, Any]:
    """Values with the key `unheardOf` there."""
    change: Any = {"unheardOf": 1}
    for key in reversed(path):
        change = [change] if key == "[]" else {key: change}
    if path[:2] == ("environments", "[]"):
        change["environments"][0] |= LEAST["environments"][0]
    return merged(LEAST, change)


SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
TEXT = (CHART / "values.yaml").read_text("utf-8")
TEMPLATES = {
    path.relative_to(CHART).as_posix(): path.read_text("utf-8")
    for path in (CHART / "templates").rglob("*")
    if path.is_file()
}


def test_helm_has_no_complaint() -> None:
    found = helm.lint(CHART, values=LEAST)
    assert not found["errors"]
    # Helm would like a picture.
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


def test_every_pair_of_values_renders_and_validates() -> None:
    tried = list(every_pair())
    assert len(tried) < 60
    for given in tried:
        objects = render(given)
        assert len(objects) > 15, given
        for one in objects:
            valid(one)
        names = [
            (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
            for one in objects
        ]
        assert len(set(names)) == len(names), given


# The chart takes nothing under `global`.
@pytest.mark.parametrize("path", sorted(set(objects_in(SCHEMA)) - {("global",)}), ids="/".join)
def test_an_unknown_value_is_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(helm.HelmValuesError, match="unheardOf"):
        render(with_unknown(path))


def test_nothing_is_guessed_that_only_you_can_know() -> None:
    with pytest.raises(helm.HelmValuesError, match="/cluster") as refused:
        render({})
    assert "/environments" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"environmentDefaults": {"ca": {"replicas": 2}}}, "prod has ca.replicas 2 and no"),
        (
            {
                "environments": [
                    *LEAST["environments"],
                    {"name": "prod", "trustDomain": "b.example"},
                ]
            },
            "the name prod is there twice",
        ),
        (
            {
                "environments": [
                    *LEAST["environments"],
                    {"name": "dev", "trustDomain": "prod.acme.example"},
                ]
            },
            "the trust domain prod.acme.example is there twice",
        ),
        ({"image": {"digest": "sha256:12"}}, "/image/digest"),
        ({"operator": {"replicas": 0}}, "/operator/replicas"),
        ({"injection": {"logLevel": "loud"}}, "/injection/logLevel"),
        (
            {"environmentDefaults": {"ca": {"extraArgs": ["unsafe"]}}},
            "/environmentDefaults/ca/extraArgs/0",
        ),
    ],
)
def test_values_that_fit_nothing_are_refused_with_their_place(
    change: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(said)):
        render(merged(LEAST, change))


def test_it_is_not_installed_into_kube_system() -> None:
    with (
        helm.Chart.load(CHART) as chart,
        pytest.raises(helm.HelmError, match="a namespace of its own"),
    ):
        chart.render(LEAST, name="featward", namespace="kube-system")


def leaves(inside: Any, path: str = "") -> Iterator[str]:
    """Keys of values.yaml that hold no further keys of ours; what is free to choose is one of them."""
    free = ("resources", "labels")
    if isinstance(inside, dict) and inside and path.rpartition(".")[2] not in free:
        for key, value in inside.items():
            yield from leaves(value, f"{path}.{key}".lstrip("."))
    else:
        yield path


def test_every_value_has_a_meaning_and_a_template_that_reads_it() -> None:
    explained = {one.path for one in values(TEXT)}
    assert explained == set(leaves(yaml.safe_load(TEXT)))
    unread = [
        path for path in explained if not any(_reads(one, path) for one in TEMPLATES.values())
    ]
    assert not unread


def _reads(template: str, path: str) -> bool:
    """Whether a template speaks of a value: by its path, of an environment's CA, where it is handed on as a
    whole, or within a `with`.
    """
    first, _, rest = path.partition(".")
    spoken = [rf"\.Values\.{re.escape(path)}\b"]
    if first == "environmentDefaults":
        spoken.append(rf"\${re.escape(rest)}\b")
    if first == "injection":
        spoken.append(r"omit \.Values\.injection\b")
    group, _, last = path.rpartition(".")
    if re.search(rf"with \.Values\.{re.escape(group)} \}}", template):
        spoken.append(rf"(?<![\w$.])\.{re.escape(last)}\b")
    return any(re.search(one, template) for one in spoken)


def test_templates_read_no_value_that_there_is_not() -> None:
    known = {one.path for one in values(TEXT)}
    groups = {".".join(path.split(".")[:depth]) for path in known for depth in (1, 2, 3)}
    for name, text in TEMPLATES.items():
        for read in re.findall(r"\.Values\.([A-Za-z.]+)", text):
            assert read in known | groups, f"{name}: {read}"


def test_the_schema_knows_the_same_values_as_the_defaults() -> None:
    def keys(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        if "properties" not in schema or path.rpartition(".")[2] == "resources":
            yield path
            return
        for key, inner in schema["properties"].items():
            yield from keys(inner, f"{path}.{key}".lstrip("."))

    assert set(keys(SCHEMA)) - {"global"} == set(leaves(yaml.safe_load(TEXT)))


def test_the_readme_is_what_the_comments_say() -> None:
    page = (CHART / "README.md").read_text("utf-8")
    assert page == readme(page, TEXT), "run make docs"
    assert "`environments[].ca.storage.size`" in page


def test_a_user_of_null_reaches_the_operator() -> None:
    configuration = named(
        render(merged(LEAST, {"injection": {"runAsUser": None}})), "ConfigMap", "featward-operator"
    )
    said = yaml.safe_load(configuration["data"]["operator.yaml"])
    assert said["injection"]["runAsUser"] is None
    assert said["injection"]["port"] == 15443


def test_the_notes_name_what_is_still_to_be_done() -> None:
    notes = rendered(LEAST)["featward/templates/NOTES.txt"]
    assert "kind: Environment" in notes
    assert "statefulset/featward-ca-prod" in notes
    assert "on no registry" in notes
