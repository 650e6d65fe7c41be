"""STAND-IN, to be deleted with all calls of it as soon as the operator's reconcilers make both:
the ConfigMap `featward-trust` of a namespace, and the second Service of a server.

The ConfigMap is written as the operator's account, because the admission policy lets nobody else.
"""

import json

from chart_kit import NAMESPACE
from cluster.release import ENVIRONMENT
from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = ["make_service", "make_trust"]

_OPERATOR = f"system:serviceaccount:{NAMESPACE}:featward-operator"
_PORT = 15443


def make_trust(cluster: Cluster, namespace: str) -> None:
    """What pods of this namespace know their CA by."""
    bundle = f"/api/v1/namespaces/{NAMESPACE}/configmaps/featward-bundle-{ENVIRONMENT}"
    wait_until(lambda: cluster.kubernetes.ask("GET", bundle)[0] == 200, "the CA has published", 30)
    published = cluster.kubernetes.call("GET", bundle)["data"]
    trust = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "featward-trust", "namespace": namespace},
        "data": {key: published[key] for key in ("root.sha256", "bundle.pem")},
    }
    apply = ("apply", "--server-side", "--field-manager=featward-operator", "--filename=-")
    cluster.kubectl(*apply, f"--as={_OPERATOR}", text=json.dumps(trust))


def make_service(cluster: Cluster, namespace: str, account: str) -> None:
    """Where servers of this service account are called."""
    port = {"name": "featward", "port": _PORT, "targetPort": "featward", "appProtocol": "tls"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{account}-featward", "namespace": namespace},
        "spec": {"selector": {"featward.dev/server": account}, "ports": [port]},
    }
    apply = ("apply", "--server-side", "--field-manager=featward-operator", "--filename=-")
    cluster.kubectl(*apply, f"--as={_OPERATOR}", text=json.dumps(service))
