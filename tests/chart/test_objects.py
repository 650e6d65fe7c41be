"""What the chart makes: that its parts find one another, and that it leaves alone what is the operator's."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_kit import CHART, LEAST, NAMESPACE, merged, named, pods, render, valid
from featward.manifests.document import Document
from featward.manifests.objects import document_of
from featward_operator.injection.settings import InjectionSettings
from featward_operator.settings import load

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
ALL: dict[str, Any] = merged(
    LEAST,
    {
        "environments": [
            *LEAST["environments"],
            {
                "name": "dev",
                "trustDomain": "dev.acme.example",
                "ca": {"replicas": 2, "store": {"postgresqlSecret": "database"}},
            },
            {
                "name": "far",
                "trustDomain": "far.acme.example",
                "ca": {"address": "ca.acme.example:8443"},
            },
        ],
        "monitoring": {
            "serviceMonitor": {"enabled": True},
            "dashboards": {"enabled": True},
            "alerts": {"enabled": True},
        },
    },
)
"""Everything that can be had at once."""

# What the operator and the CAs write while they run. Helm applies server-side, so what both write is a conflict
# at the second upgrade.
WRITTEN_BY_OTHERS = {
    ("ConfigMap", "featward-trust"),
    ("ConfigMap", "featward-bundle-prod"),
    ("ConfigMap", "featward-bundle-dev"),
    ("Lease", "featward-operator"),
    ("Secret", "featward-ca-prod-kek"),
    ("Secret", "featward-ca-dev-kek"),
    ("Secret", "featward-webhook-ca"),
}


def keys_in(inside: Any) -> Iterator[str]:
    """Every key, however deep."""
    if isinstance(inside, Mapping):
        for key, value in inside.items():
            yield str(key)
            yield from keys_in(value)
    elif isinstance(inside, list):
        for one in inside:
            yield from keys_in(one)


def selected(objects: list[dict[str, Any]], labels: Mapping[str, str]) -> list[str]:
    """The pods with these labels."""
    return [
        name for name, pod in pods(objects) if labels.items() <= pod["metadata"]["labels"].items()
    ]


def test_no_template_renders_what_the_operator_writes() -> None:
    for one in render(ALL):
        assert (one["kind"], one["metadata"]["name"]) not in WRITTEN_BY_OTHERS
        assert "caBundle" not in set(keys_in(one))
        assert "status" not in one
        # A kind that comes with the same release is not known yet when its objects are sent.
        assert not one["apiVersion"].startswith("featward.dev/")
        assert not any("helm.sh/hook" in key for key in one["metadata"].get("annotations", {}))
    for path in (CHART / "templates").rglob("*.*"):
        assert not re.search(r"\b(lookup|genCA|genSelfSignedCert|randAlpha\w*)\b", path.read_text())


def test_two_renderings_are_the_same() -> None:
    assert render(ALL) == render(ALL)


def test_every_service_budget_and_policy_is_about_the_pods_of_its_name() -> None:
    objects = render(ALL)
    about = 0
    for one in objects:
        name = one["metadata"]["name"]
        if one["kind"] == "Service":
            assert selected(objects, one["spec"]["selector"]) == [name]
        elif one["kind"] == "PodDisruptionBudget":
            assert selected(objects, one["spec"]["selector"]["matchLabels"]) == [name]
        elif one["kind"] == "NetworkPolicy":
            assert selected(objects, one["spec"]["podSelector"]["matchLabels"]) == [name]
        else:
            continue
        about += 1
    assert about == 8


def test_every_port_that_is_named_elsewhere_is_one_of_the_container() -> None:
    objects = render(ALL)
    for name, pod in pods(objects):
        (container,) = pod["spec"]["containers"]
        there = {port["name"] for port in container["ports"]}
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        asked = {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes}
        asked |= {port["targetPort"] for port in named(objects, "Service", name)["spec"]["ports"]}
        policy = named(objects, "NetworkPolicy", name)
        open_ports = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert asked <= there
        # And what is not named there is closed.
        assert open_ports == there


def test_no_pod_asks_a_registry_each_time_and_every_one_has_an_account() -> None:
    objects = render(ALL)
    accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}
    for _, pod in pods(objects):
        assert pod["spec"]["serviceAccountName"] in accounts
        for container in pod["spec"]["containers"]:
            assert container["imagePullPolicy"] == "IfNotPresent"
            assert container["image"] == "localhost/featward:0.2.0"
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_one_environment_with_a_volume_one_with_a_database_one_elsewhere() -> None:
    objects = render(ALL)
    kinds = {name: one["kind"] for one in objects for name, _ in pods([one])}
    assert kinds == {
        "featward-ca-prod": "StatefulSet",
        "featward-ca-dev": "Deployment",
        "featward-operator": "Deployment",
    }
    text = named(objects, "ConfigMap", "featward-operator")["data"]["operator.yaml"]
    assert {one["name"]: one["ca"] for one in yaml.safe_load(text)["environments"]} == {
        "prod": "featward-ca-prod.featward.svc.cluster.local:8443",
        "dev": "featward-ca-dev.featward.svc.cluster.local:8443",
        "far": "ca.acme.example:8443",
    }
    kept = named(objects, "StatefulSet", "featward-ca-prod")["spec"]
    assert kept["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_the_operator_has_a_token_for_each_environment() -> None:
    pod = named(render(ALL), "Deployment", "featward-operator")["spec"]["template"]["spec"]
    (identity,) = [one for one in pod["volumes"] if one["name"] == "identity"]
    tokens = [one["serviceAccountToken"] for one in identity["projected"]["sources"][::2]]
    assert {one["path"]: one["audience"] for one in tokens} == {
        "prod/token": "featward.dev/ca/prod.acme.example",
        "dev/token": "featward.dev/ca/dev.acme.example",
        "far/token": "featward.dev/ca/far.acme.example",
    }
    # A bundle that is not there yet must not hold the pod back: a CA makes it once it runs.
    assert all(one["configMap"]["optional"] for one in identity["projected"]["sources"][1::2])


def test_a_changed_configuration_replaces_the_operators() -> None:
    def template(change: Mapping[str, Any]) -> dict[str, Any]:
        found = named(render(merged(LEAST, change)), "Deployment", "featward-operator")
        return dict(found["spec"]["template"])

    assert template({"injection": {"logLevel": "debug"}}) != template({})
    assert template({"operator": {"replicas": 3}}) == template({})


def test_gateways_log_in_to_the_registry_as_the_release_does(tmp_path: Path) -> None:
    for secrets in ([], ["registry", "mirror.acme"]):
        objects = render(merged(LEAST, {"image": {"pullSecrets": secrets}}))
        file = tmp_path / "operator.yaml"
        file.write_text(named(objects, "ConfigMap", "featward-operator")["data"]["operator.yaml"])
        assert list(load(file).image_pull_secrets) == secrets
        for _, pod in pods(objects):
            assert [one["name"] for one in pod["spec"].get("imagePullSecrets", ())] == secrets


def test_there_is_a_role_for_rotating_where_something_holds_it_to_that() -> None:
    objects = render(LEAST)
    role = named(objects, "ClusterRole", "featward-rotator")
    assert role["rules"] == [
        {
            "apiGroups": ["featward.dev"],
            "resources": ["environments", "businessunits"],
            "verbs": ["get", "list", "watch", "patch"],
        }
    ]
    # It is in nobody's hands before somebody binds it.
    bound = [one["roleRef"]["name"] for one in objects if one["kind"] == "ClusterRoleBinding"]
    assert "featward-rotator" not in bound
    assert not any("aggregate" in key for key in role["metadata"]["labels"])
    assert named(objects, "ValidatingAdmissionPolicyBinding", "featward-rotations")
    bare = render(merged(LEAST, {"admission": {"policies": False}}))
    assert "featward-rotator" not in {one["metadata"]["name"] for one in bare}


def test_secrets_of_a_database_are_in_no_argument() -> None:
    found = named(render(ALL), "Deployment", "featward-ca-dev")["spec"]["template"]["spec"]
    (container,) = found["containers"]
    from_secrets = {
        one["name"]: one["valueFrom"]["secretKeyRef"]["key"]
        for one in container["env"]
        if "valueFrom" in one
    }
    assert from_secrets == {"FEATWARD_CA_STORE": "address", "PGPASSWORD": "password"}
    assert not any("store" in one for one in container["args"])


def test_the_defaults_of_injection_are_those_of_the_operator() -> None:
    text = named(render(LEAST), "ConfigMap", "featward-operator")["data"]["operator.yaml"]
    defaults = {field.name: field.default for field in fields(InjectionSettings)}
    for key, value in yaml.safe_load(text)["injection"].items():
        name = re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key)
        assert defaults[name] == value, key


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_right(example: Path) -> None:
    documents = [one for one in yaml.safe_load_all(example.read_text("utf-8")) if one]
    if "cluster" in documents[0]:
        for one in render(documents[0]):
            valid(one)
        return
    for one in documents:
        # The Feast operator's own kind is nothing that we have a schema of.
        if one["kind"] != "FeatureStore":
            valid(one)
        if one["kind"] == "Namespace" or one["apiVersion"].startswith("featward.dev/"):
            found = document_of(one)
            assert isinstance(found, Document), found


def test_the_page_above_the_table_shows_values_that_are_enough() -> None:
    page = (CHART / "README.md").read_text("utf-8")
    shown = page.partition("```yaml values\n")[2].partition("```")[0]
    assert render(yaml.safe_load(shown))
    assert f"--namespace {NAMESPACE} --create-namespace" in page
