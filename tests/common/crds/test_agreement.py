"""An API server and the models take and refuse the same objects; where they can't, the page says so."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from crd_kit import tried
from featward.crds.definitions import KINDS
from featward.crds.reference import Judge, judge_of, page
from featward.manifests import CODES, Document, Finding
from featward.manifests.model import API_VERSION
from featward.manifests.objects import document_of
from featward.strictyaml import read
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS
from random_manifests import Tree, objects, spoilt

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

VECTORS = Path(__file__).parents[2] / "vectors" / "manifests"
FILES = sorted((VECTORS / "invalid").glob("*.yaml"))
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.yaml"))
# What the server is told of them is their letters alone, which the page says.
UNJUDGED = re.compile(r"spec\.(version|featureSet\.version)")
ANSWERED = settings(
    max_examples=30,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.nested_given,  # pools of texts are drawn when first needed
    ],
)


def found_in(tree: Mapping[str, Any]) -> list[Finding]:
    """What the models find in one object, each list of names looked through as the rules do."""
    found = document_of(tree)
    return [] if isinstance(found, Document) else found


def repeats(value: Any) -> bool:
    """Whether some list has two rows of one name: `check` calls it a duplicate-name."""
    if isinstance(value, dict):
        return any(repeats(one) for one in value.values())
    if not isinstance(value, list):
        return False
    names = [one["name"] for one in value if isinstance(one, dict) and "name" in one]
    alike = len(names) != len({str(name) for name in names})
    return alike or any(repeats(one) for one in value)


def trees(path: Path) -> Iterator[dict[str, Any]]:
    """The documents of a file that are objects of our kinds, as a server would be sent them."""
    for tree in read(path.read_text())[0]:
        value = tree.value
        ours = isinstance(value, dict) and value.get("apiVersion") == API_VERSION
        if ours and value["kind"] in KINDS:
            yield value


def moved(tree: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Into a namespace that is there: that a server refuses others says nothing about the object."""
    if "namespace" not in tree["metadata"]:
        return tree
    return {**tree, "metadata": {**tree["metadata"], "namespace": namespace}}


@pytest.mark.parametrize(
    "path", [VECTORS / "base.yaml", *EXAMPLES], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_what_is_right_in_files_is_taken_as_it_is(
    crds: Kubernetes, namespace: str, path: Path
) -> None:
    for tree in trees(path):
        status, answer = tried(crds, moved(tree, namespace))
        assert status == 201, answer
        assert answer["spec"] == tree["spec"] if "spec" in tree else "spec" not in answer


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_the_models_refuse_the_server_refuses_or_the_page_says_who_does(
    crds: Kubernetes, namespace: str, path: Path
) -> None:
    for tree in trees(path):
        found = found_in(tree)
        status, answer = tried(crds, moved(tree, namespace))
        judged = [one for one in found if not UNJUDGED.fullmatch(one.path)]
        assert {judge_of(one.code) for one in judged} <= {Judge.SERVER}
        if judged:
            assert status in (400, 422), f"{judged[0]} was taken"
        elif status != 201:
            # Two rows of one name are a list that a server does not keep, and which a rule reports.
            assert repeats(tree), answer


def test_the_page_says_of_each_finding_who_reports_it_in_a_cluster() -> None:
    marked = {
        code
        for path in FILES
        for mark in re.findall(r"#! (.+)$", path.read_text(), re.MULTILINE)
        for code in mark.split(", ")
    }
    assert marked <= CODES.keys()
    assert {judge_of(code) for code in marked} == set(Judge)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_models_take_the_server_takes(crds: Kubernetes, namespace: str, kind: str) -> None:
    @ANSWERED
    @given(objects(kind, namespace))
    def check(tree: Tree) -> None:
        status, answer = tried(crds, tree)
        assert status == 201, answer
        assert answer["spec"] == tree["spec"]

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_of_an_object_with_one_thing_changed_both_say_the_same(
    crds: Kubernetes, namespace: str, kind: str
) -> None:
    verdicts: list[bool] = []

    @settings(ANSWERED, max_examples=60)
    @given(spoilt(kind, namespace))
    def check(tree: Tree) -> None:
        found = found_in(tree)
        if found and all(UNJUDGED.fullmatch(one.path) for one in found):
            return
        status, answer = tried(crds, tree)
        assert status in (201, 400, 422), answer
        taken = status == 201
        assert taken == (not found and not repeats(tree)), (found, answer)
        verdicts.append(taken)

    check()
    assert {True, False} == set(verdicts), "one of the two was never tried"


def test_the_page_names_what_a_server_cannot_judge() -> None:
    """Beside `UNJUDGED`: whoever adds to the one has to write the other."""
    for word in ("`version`", "`featureSet.version`"):
        assert word in page()


@pytest.mark.parametrize("key", ["recertifyBy", "onExcess", "limits"])
def test_a_key_without_a_value_is_a_key_left_out(
    crds: Kubernetes, namespace: str, key: str
) -> None:
    tree = binding(namespace)
    tree["spec"][key] = None
    status, answer = tried(crds, tree)
    assert status == 201, answer
    assert key not in answer["spec"]


@pytest.mark.parametrize("validation", ["Ignore", "Warn"])
def test_without_strict_validation_an_unknown_key_vanishes(
    crds: Kubernetes, namespace: str, validation: str
) -> None:
    tree = binding(namespace)
    tree["spec"]["recertfyBy"] = "2027-01-31"
    assert tried(crds, tree)[0] == 400
    status, answer = tried(crds, tree, validation)
    assert status == 201, answer
    assert answer["spec"] == binding(namespace)["spec"]


def test_the_longest_lists_are_taken_and_longer_ones_are_not(
    crds: Kubernetes, namespace: str
) -> None:
    (feature_set,) = (one for one in trees(VECTORS / "base.yaml") if one["kind"] == "FeatureSet")
    names = [f"view_of_many_features:column_{number}" for number in range(8193)]
    for count, expected in ((8192, 201), (8193, 422)):
        spec = feature_set["spec"]
        tree = {
            **feature_set,
            "spec": {
                **spec,
                "features": [{"name": name, "type": "double"} for name in names[:count]],
                "services": [
                    {"name": f"s{number}", "features": names[number : number + 1024 - number]}
                    for number in range(9)
                ],
            },
        }
        assert bool(found_in(tree)) == (expected == 422)
        status, answer = tried(crds, moved(tree, namespace))
        assert status == expected, answer


def binding(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureBinding",
        "metadata": {"name": "pricing-api", "namespace": namespace},
        "spec": {
            "subjects": [{"serviceAccount": {"namespace": "pricing", "name": "pricing-api"}}],
            "featureSet": {"name": "driver-stats"},
            "features": ["driver_hourly_stats:conv_rate"],
            "purpose": "pricing",
            "expires": "2027-03-31",
        },
    }
