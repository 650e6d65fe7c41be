"""A gateway is made for a set, by a real server's leave under `restricted`, and is the set's server."""

import asyncio
from typing import Any

from admission_kit import refusal
from cluster_objects import CLUSTER, DOMAIN, a_set
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    PODS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from featward_operator.controllers import Apply, Delete
from featward_operator.reconcile.children import project
from kubernetes_kit import Kubernetes
from reconcile_kit import Scene, a_pod

SET = ("FeatureSet", "pricing", "store")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def behind_gateway(name: str = "store", **more: Any) -> dict[str, Any]:
    serving = {
        "gateway": {"replicas": 3, "upstream": "feast-online.ml.svc:80"},
        "endpoints": [{"adapter": "feast-http/v1"}],
    }
    return a_set(name, serving=serving, features=["other:x"], **more)


async def made(scene: Scene, name: str = "store") -> dict[str, dict[str, Any]]:
    """What is applied, by kind; it is there afterwards."""
    result = await scene.look("FeatureSet", "pricing", name)
    found = {}
    for one in result.actions:
        if isinstance(one, Apply):
            key = ("pricing", one.body["metadata"]["name"])
            metadata = {**one.body["metadata"], "uid": f"uid-{one.resource.plural}"}
            scene.children.take(one.resource, key, project({**one.body, "metadata": metadata}))
            found[one.body["kind"]] = one.body
    return found


async def test_a_gateway_is_the_sets_server() -> None:
    scene = Scene(*CLUSTER, behind_gateway())
    found = await made(scene)
    assert [*found] == ["ServiceAccount", "Deployment", "PodDisruptionBudget", "Service"]
    status = scene.status(*SET)
    account = f"spiffe://{DOMAIN}/bu/payments/ns/pricing/sa/store-gateway"
    assert (status["server"], status["service"]) == (account, "store-gateway-featward")
    assert scene.answers(*SET)["Served"] == ("False", "GatewayPending")
    assert scene.answers(*SET)["Closed"] == ("False", "UpstreamOnAllAddresses")
    assert scene.events() == ["GatewayMade"]
    assert await made(scene) == {}, "all of it is there"
    pod = found["Deployment"]["spec"]["template"]
    labels = found["Service"]["spec"]["selector"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert found["Deployment"]["spec"]["replicas"] == 3
    (container,) = pod["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["FEATWARD_SIDECAR_WORKLOAD"] == "pricing/store-gateway"
    assert pod["spec"]["serviceAccountName"] == "store-gateway"
    assert "restartPolicy" not in container, "which older servers refuse outside of init containers"
    # Its pods have the label of servers and no sidecar, which in others is a mistake.
    labels = pod["metadata"]["labels"]
    scene.run(a_pod("gw-0", account="store-gateway", labels=labels, sidecar=False))
    await scene.look("Namespace", "pricing")
    assert scene.known.audits == {}
    there = {**found["Deployment"], "status": {"readyReplicas": 2}}
    key = ("pricing", "store-gateway")
    scene.children.take(DEPLOYMENTS, key, project(there))
    await scene.look(*SET)
    assert scene.answers(*SET)["Served"] == ("True", "SidecarsReady")


async def test_a_gateway_that_is_not_wanted_any_more_goes() -> None:
    scene = Scene(*CLUSTER, behind_gateway())
    await made(scene)
    scene.edit(a_set("store", features=["other:x"]))
    result = await scene.look(*SET)
    gone = {one.resource for one in result.actions if isinstance(one, Delete)}
    assert gone == {SERVICE_ACCOUNTS, DEPLOYMENTS, DISRUPTION_BUDGETS, SERVICES}


async def test_gateways_that_are_switched_off_are_not_made_and_say_so() -> None:
    scene = Scene(*CLUSTER, behind_gateway(), gateways=False)
    assert await made(scene) == {}
    assert scene.answers(*SET)["Served"] == ("False", "GatewayPending")
    assert "switched off" in scene.message("FeatureSet", "Served", "pricing", "store")


async def test_a_gateway_logs_in_to_the_registry_by_the_secrets_of_the_chart() -> None:
    for given, wanted in (({}, None), ({"imagePullSecrets": ["a", "b"]}, ["a", "b"])):
        found = await made(Scene(*CLUSTER, behind_gateway(), **given))
        pod = found["Deployment"]["spec"]["template"]["spec"]
        names = [one["name"] for one in pod.get("imagePullSecrets", ())]
        assert (names or None) == wanted


async def test_a_server_takes_all_of_it_under_restricted(
    kubernetes: Kubernetes, gateway: Gateway
) -> None:
    namespace = await asyncio.to_thread(kubernetes.namespace, "prod.payments")
    path = f"/api/v1/namespaces/{namespace}"
    await gateway.ask(
        "PATCH", path, {"metadata": {"labels": RESTRICTED}}, content="application/merge-patch+json"
    )
    allowed = {"mode": "observe", "unidentified": {"allow": True, "until": "2026-11-30"}}
    scene = Scene(*CLUSTER, behind_gateway(enforcement=allowed))
    found = await made(scene)
    resources = {
        "ServiceAccount": SERVICE_ACCOUNTS,
        "Deployment": DEPLOYMENTS,
        "PodDisruptionBudget": DISRUPTION_BUDGETS,
        "Service": SERVICES,
    }
    for kind, body in found.items():
        metadata = {**body["metadata"], "namespace": namespace}
        # The owner is not on this server.
        del metadata["ownerReferences"]
        there = await gateway.apply(
            resources[kind], {**body, "metadata": metadata}, manager="featward-operator"
        )
        key = ("pricing", metadata["name"])
        there["metadata"] |= {"ownerReferences": body["metadata"]["ownerReferences"]}
        there["metadata"]["namespace"] = "pricing"
        scene.children.take(resources[kind], key, project(there))
    assert await made(scene) == {}, "what a server fills in is no difference"
    template = found["Deployment"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**pod["metadata"], "name": "gw", "namespace": namespace}
    asked = gateway.ask("POST", PODS.path(namespace), pod)
    assert await refusal(asked) == ""
