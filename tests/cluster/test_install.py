"""From `helm install` to a protected feature server, of which nothing was changed and nothing is privileged."""

import base64
import json

import pytest

from chart_kit import NAMESPACE
from cluster.drivers import ML, PRICING, Drivers
from cluster.pods import RESTRICTED, pods
from cluster.release import ENVIRONMENTS, Release

pytestmark = pytest.mark.timeout(400)

_SIDECAR = "featward-sidecar"


def test_helm_install_and_a_platform_file_protect_a_feast_that_was_not_changed(
    release: Release, drivers: Drivers
) -> None:
    cluster = release.cluster
    path = f"/apis/apps/v1/namespaces/{ML}/deployments/feast"
    found = cluster.kubernetes.call("GET", path)
    assert found["metadata"]["generation"] == 1, "somebody has written the Deployment"

    wanted, given = found["spec"]["template"]["spec"], drivers.server["spec"]
    assert [one["name"] for one in given["initContainers"]] == [_SIDECAR]
    (app,), (running,) = wanted["containers"], given["containers"]
    # The account's token is Kubernetes' own addition.
    mounts = [one for one in running["volumeMounts"] if "kube-api-access" not in one["name"]]
    assert running | {"volumeMounts": mounts} == app

    ask = ("exec", "--namespace", ML, drivers.server["metadata"]["name"], "--container", _SIDECAR)
    status = json.loads(
        cluster.kubectl(*ask, "--", "featward", "sidecar", "status", "--output=json")
    )
    assert "spiffe://prod.acme.example/bu/payments/ns/ml/sa/feast" in json.dumps(status)


def test_all_of_it_runs_under_restricted(release: Release, drivers: Drivers) -> None:
    cluster = release.cluster
    for name in (NAMESPACE, ML, PRICING):
        labels = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{name}")["metadata"]["labels"]
        assert labels.items() >= RESTRICTED.items()
        assert pods(cluster, name)
        # The label alone would say nothing if somebody were exempt from it.
        bare = {"name": "bare", "image": release.image}
        pod = {"metadata": {"name": "bare"}, "spec": {"containers": [bare]}}
        path = f"/api/v1/namespaces/{name}/pods?dryRun=All"
        status, answer = cluster.kubernetes.ask("POST", path, pod)
        assert (status, "violates PodSecurity" in answer["message"]) == (403, True)


def test_no_secret_holds_a_key_of_a_workload(release: Release, drivers: Drivers) -> None:
    """What the API server keeps of keys is the CA's and the webhook's own; those of pods never leave them."""
    cluster = release.cluster
    secrets = cluster.kubernetes.call("GET", "/api/v1/secrets")["items"]
    kinds = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": one.get("type", "")
        for one in secrets
    }
    ours = {name for name, kind in kinds.items() if not kind.startswith("helm.sh/")}
    keks = {f"{NAMESPACE}/featward-ca-{name}-kek" for name in ENVIRONMENTS}
    assert ours == keks | {f"{NAMESPACE}/featward-webhook-ca"}

    maps = cluster.kubernetes.call("GET", "/api/v1/configmaps")["items"]
    assert not [one["metadata"]["name"] for one in maps if "PRIVATE KEY" in json.dumps(one)]
    for kek in (one for one in secrets if one["metadata"]["name"].endswith("-kek")):
        assert set(kek["data"]) == {"kek"}
        assert b"PRIVATE" not in base64.b64decode(kek["data"]["kek"])
