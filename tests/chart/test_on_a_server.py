"""The chart installed into a real API server by a real Helm: its pods may run, who writes what, what stays."""

import pytest
import yaml

from chart_kit import CHART, LEAST, NAMESPACE, merged, pods, render
from chart_releases import BOTH, CA, OPERATOR, As, release
from cluster.waiting import wait_until
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

GROUP = "/apis/featward.dev/v1alpha1"


def test_all_of_it_runs_under_restricted(server: Kubernetes) -> None:
    with release(server, BOTH):
        for name, pod in pods(render(BOTH)):
            one = {"metadata": {"name": name, **pod["metadata"]}, "spec": pod["spec"]}
            # As a StatefulSet adds it.
            mounted = {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
            if mounted - {volume["name"] for volume in pod["spec"]["volumes"]}:
                claim = {"claimName": f"data-{name}-0"}
                pod["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": claim})
            path = f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All"
            status, answer = server.ask("POST", path, one)
            assert status == 201, answer
            # The standard is in force there: without this it would be refused.
            del pod["spec"]["securityContext"]["seccompProfile"]
            status, answer = server.ask("POST", path, one)
            assert (status, "violates PodSecurity" in answer["message"]) == (403, True)


def test_helm_and_the_operator_apply_twice_without_conflict(server: Kubernetes) -> None:
    trust = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "featward-trust"},
        "data": {"root.sha256": "0123", "bundle.pem": ""},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "feast-featward"},
        "spec": {
            "selector": {"featward.dev/server": "feast"},
            "ports": [{"name": "featward", "port": 15443, "targetPort": "featward"}],
        },
    }
    bundle = trust | {"metadata": {"name": "featward-bundle-prod"}}
    spaces = "/api/v1/namespaces"

    def write() -> list[int]:
        operator, ca = As(server, OPERATOR), As(server, CA)
        found = [
            operator.apply(f"{spaces}/ml/configmaps", trust, "featward-operator"),
            operator.apply(f"{spaces}/ml/services", service, "featward-operator"),
            ca.apply(f"{spaces}/{NAMESPACE}/configmaps", bundle, "featward-ca"),
        ]
        hooks = [one for one in render(BOTH) if one["kind"] == "MutatingWebhookConfiguration"]
        for hook in hooks:
            config = {
                "apiVersion": hook["apiVersion"],
                "kind": hook["kind"],
                "metadata": {"name": hook["metadata"]["name"]},
                "webhooks": [
                    {"name": one["name"], "clientConfig": {"caBundle": "MDEyMw=="}}
                    for one in hook["webhooks"]
                ],
            }
            path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
            found.append(operator.apply(path, config, "featward-webhook"))
        return found

    with release(server, BOTH) as config:
        # The webhooks are the chart's; all else is new.
        assert set(write()) <= {200, 201}
        for level in ("debug", "info"):
            changed = merged(BOTH, {"operator": {"logLevel": level}})
            config.upgrade(CHART, "featward", changed, namespace=NAMESPACE)
            assert set(write()) == {200}
        assert len(config.history("featward")) == 3
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/featward-operator"
        managers = server.call("GET", path)["metadata"]["managedFields"]
        assert {one["operation"] for one in managers} == {"Apply"}


def test_uninstalling_keeps_the_crds_and_their_objects(server: Kubernetes) -> None:
    example = CHART / "examples" / "feast.yaml"
    (feature_set,) = [
        one for one in yaml.safe_load_all(example.read_text()) if one["kind"] == "FeatureSet"
    ]
    path = f"{GROUP}/namespaces/ml/featuresets"
    with release(server, LEAST):
        wait_for(server, path)
        server.call("POST", f"{path}?fieldValidation=Strict", feature_set)
    assert len(server.call("GET", path)["items"]) == 1
    # And the kinds that are there are taken over by the next installation.
    with release(server, LEAST):
        assert len(server.call("GET", path)["items"]) == 1


def wait_for(server: Kubernetes, path: str) -> None:
    """Until the server serves a kind that was just defined."""
    wait_until(lambda: server.ask("GET", path)[0] == 200, "the kinds are not served", 30.0)


def test_every_example_is_taken_by_the_server(server: Kubernetes) -> None:
    with release(server, LEAST):
        wait_for(server, f"{GROUP}/namespaces/ml/featuresets")
        for example in ("feast", "feast-operator", "gateway"):
            text = (CHART / "examples" / f"{example}.yaml").read_text()
            for one in yaml.safe_load_all(text):
                if one["apiVersion"].startswith("featward.dev/"):
                    plural = f"{one['kind'].lower()}s"
                    path = f"{GROUP}/namespaces/ml/{plural}?dryRun=All&fieldValidation=Strict"
                    # One of them may be there, from the test before.
                    one["metadata"]["name"] += f"-{example}"
                    status, answer = server.ask("POST", path, one)
                    assert status == 201, answer
