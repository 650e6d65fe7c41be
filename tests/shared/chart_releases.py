"""The chart in a real API server, installed by a real Helm, and those who ask that server."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import helm_python as helm

from chart_kit import CHART, LEAST, NAMESPACE, merged
from kubernetes_kit import Kubernetes

__all__ = ["BOTH", "CA", "OPERATOR", "As", "release"]

BOTH = merged(
    LEAST,
    {
        "environments": [
            *LEAST["environments"],
            {
                "name": "dev",
                "trustDomain": "dev.acme.example",
                "ca": {"replicas": 2, "store": {"postgresqlSecret": "database"}},
            },
        ]
    },
)
"""A CA of each shape."""
OPERATOR = f"system:serviceaccount:{NAMESPACE}:featward-operator"
CA = f"system:serviceaccount:{NAMESPACE}:featward-ca-prod"


@contextmanager
def release(server: Kubernetes, values: dict[str, Any]) -> Iterator[helm.Config]:
    """The chart, installed for as long as the context lasts."""
    admin = server.kubeconfig("admin", "system:masters")
    with helm.Config(kubeconfig_path=admin, namespace=NAMESPACE) as config:
        config.install(CHART, "featward", values, namespace=NAMESPACE)
        try:
            yield config
        finally:
            config.uninstall("featward")


class As:
    """Somebody who asks the server."""

    def __init__(self, server: Kubernetes, user: str) -> None:
        config = json.loads(server.kubeconfig(user).read_text())
        keys = config["users"][0]["user"]
        where = config["clusters"][0]["cluster"]
        self._tls = ssl.create_default_context(cafile=where["certificate-authority"])
        self._tls.load_cert_chain(keys["client-certificate"], keys["client-key"])
        self._address = urlsplit(where["server"])

    def apply(self, path: str, body: dict[str, Any], manager: str) -> int:
        """A server-side apply without force: 409 where somebody else owns a field of it."""
        name = body["metadata"]["name"]
        target = f"{path}/{name}?fieldManager={manager}&fieldValidation=Strict"
        return self._ask("PATCH", target, body, "application/apply-patch+yaml")

    def create(self, path: str, body: dict[str, Any]) -> int:
        """A new object."""
        return self._ask("POST", path, body, "application/json")

    def _ask(self, method: str, path: str, body: dict[str, Any], kind: str) -> int:
        host, port = self._address.hostname, self._address.port
        connection = http.client.HTTPSConnection(str(host), port, context=self._tls, timeout=30)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": kind})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()
