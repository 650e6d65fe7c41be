"""A gateway: the sidecar as a Deployment of its own, before a feature server that can have none beside it.

What it is made of is what injection makes, so that there is one way to run a sidecar. Its service account is
the set's server, and nobody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featward.kubernetes.resource import DEPLOYMENTS, DISRUPTION_BUDGETS, SERVICE_ACCOUNTS
from featward_operator.injection.annotations import asked_in
from featward_operator.injection.facts import RequestFacts, facts
from featward_operator.injection.names import INJECTED, PREFIX, SERVER, server_label
from featward_operator.injection.sidecar import sidecar
from featward_operator.reconcile.children import Body, metadata_of

if TYPE_CHECKING:
    from featward.kubernetes.resource import Resource
    from featward.manifests.catalogue import Set
    from featward_operator.injection.settings import InjectionSettings

__all__ = ["CONTAINER", "gateway", "gateway_name"]

CONTAINER = "gateway"
_GRACE_SECONDS = 30


def gateway_name(feature_set: str) -> str:
    """What its Deployment, its service account and its budget are called."""
    return f"{feature_set}-gateway"


def gateway(
    feature_set: Set, uid: str, environment: str, settings: InjectionSettings, *, plain: bool
) -> list[tuple[Resource, Body]]:
    """All that it is made of but its Service, in the order in which it is made."""
    metadata, serving = feature_set.model.metadata, feature_set.model.spec.serving
    if serving.gateway is None:
        return []
    name = gateway_name(metadata.name)
    selector = {SERVER: server_label(name)}

    def named() -> Body:
        return metadata_of(metadata.namespace, name, [(metadata.name, uid)])

    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": named(),
        "automountServiceAccountToken": False,
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": named(),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector},
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": named(),
        "spec": {
            "replicas": serving.gateway.replicas,
            "selector": {"matchLabels": selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": _pod(metadata.namespace, name, selector, environment, settings, plain),
        },
    }
    return [(SERVICE_ACCOUNTS, account), (DEPLOYMENTS, deployment), (DISRUPTION_BUDGETS, budget)]


def _pod(
    namespace: str,
    account: str,
    selector: dict[str, str],
    environment: str,
    settings: InjectionSettings,
    plain: bool,
) -> dict[str, Any]:
    asking = {f"{PREFIX}plain": "true"} if plain else {}
    pod = {
        "metadata": {"annotations": asking},
        "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
        },
    }
    found = facts(pod, RequestFacts("", namespace), None)
    asked, _, _ = asked_in(found, settings, "server")
    made = sidecar("server", asked, settings.environments[environment], found, settings)
    # Beside nothing it is no sidecar, but the pod's one container.
    container = {key: value for key, value in made.container.items() if key != "restartPolicy"}
    container["name"] = CONTAINER
    secrets = [{"name": name} for name in settings.image_pull_secrets]
    return {
        # Not `inject`, which would have the webhook put a sidecar beside it.
        "metadata": {"labels": {**selector, INJECTED: "gateway"}},
        "spec": {
            "serviceAccountName": account,
            **({"imagePullSecrets": secrets} if secrets else {}),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": selector},
                }
            ],
            "containers": [container],
            "volumes": [*made.volumes],
        },
    }
