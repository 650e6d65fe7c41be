"""A protected part of a real API server, and `kubectl featward` as a process, by the kubeconfig of a user."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crd_kit import apply, collection
from kubernetes_kit import Kubernetes

__all__ = ["Done", "Place", "a_place", "a_sidecar"]

_API = "featward.dev/v1alpha1"
FEATURES = ("hourly:a", "hourly:b")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass
class Place:
    """An environment with a business unit and two namespaces, `ml` of a server and `shop` of a client."""

    kubernetes: Kubernetes
    kubeconfig: Path
    environment: str = field(default_factory=lambda: f"k{secrets.token_hex(4)}")
    ml: str = ""
    shop: str = ""
    _made: list[str] = field(default_factory=list)

    @property
    def unit(self) -> str:
        return f"{self.environment}.payments"

    @property
    def domain(self) -> str:
        return f"{self.environment}.acme.example"

    def run(self, *arguments: str, kubeconfig: Path | None = None, lines: int = 0) -> Done:
        """`kubectl featward` with these; `lines`: on a terminal of so many lines."""
        command = [sys.executable, "-m", "featward.kubectl", *arguments]
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        if lines:
            environment |= {"FORCE_COLOR": "1", "LINES": str(lines), "COLUMNS": "110"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def apply(
        self, kind: str, name: str, spec: dict[str, Any], namespace: str = "", **metadata: Any
    ) -> None:
        """One of our objects."""
        where = {"namespace": namespace} if namespace else {}
        tree = {
            "apiVersion": _API,
            "kind": kind,
            "metadata": {"name": name, **where, **metadata},
            "spec": spec,
        }
        status, answer = apply(self.kubernetes, tree, "tests", force=True)
        assert status in (200, 201), answer
        self._made.append(f"{collection(kind, namespace or None)}/{name}")

    def say(self, kind: str, name: str, status: dict[str, Any], namespace: str = "") -> None:
        """Its status, as an operator would write it."""
        where = {"namespace": namespace} if namespace else {}
        tree = {
            "apiVersion": _API,
            "kind": kind,
            "metadata": {"name": name, **where},
            "status": status,
        }
        answered = apply(self.kubernetes, tree, "operator", status=True, force=True)
        assert answered[0] == 200, answered

    def apply_environment(self, **spec: Any) -> None:
        self.apply("Environment", self.environment, {"trustDomain": self.domain, **spec})

    def apply_set(self, name: str = "drivers", namespace: str = "", **spec: Any) -> None:
        """Served by the service account feast of its namespace, ml by default."""
        said = {
            "version": "1.2.0",
            "owner": {"team": "drivers", "contact": "drivers@acme.example"},
            "serving": {
                "workload": {"serviceAccount": "feast"},
                "endpoints": [{"adapter": "feast-http/v1", "port": 6566}],
            },
            "entities": [{"name": "driver_id", "type": "int64"}],
            "features": [{"name": one, "type": "double"} for one in FEATURES],
        }
        self.apply("FeatureSet", name, said | spec, namespace or self.ml)

    def apply_binding(self, name: str = "api", **spec: Any) -> None:
        """The first feature to the service account api of the namespace shop."""
        said = {
            "subjects": [{"serviceAccount": {"namespace": self.shop, "name": "api"}}],
            "featureSet": {"name": "drivers"},
            "features": [FEATURES[0]],
            "purpose": "online pricing",
            "expires": "2097-03-31",
        }
        self.apply("FeatureBinding", name, said | spec, self.ml)

    def pod(
        self,
        namespace: str,
        account: str,
        *,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> str:
        """A pod object; its name."""
        base = f"/api/v1/namespaces/{namespace}"
        self.kubernetes.ask("POST", f"{base}/serviceaccounts", {"metadata": {"name": account}})
        body = {
            "metadata": {
                "generateName": f"{account}-",
                "labels": labels or {},
                "annotations": annotations or {},
            },
            "spec": {
                "serviceAccountName": account,
                "containers": [{"name": "app", "image": "localhost/app:1"}],
                **spec,
            },
        }
        name: str = self.kubernetes.call("POST", f"{base}/pods", body)["metadata"]["name"]
        return name

    def clear(self) -> None:
        for path in self._made:
            self.kubernetes.ask("DELETE", path)
        listed = self.kubernetes.call("GET", collection("Override"))["items"]
        for one in listed:
            named = one["spec"]["target"].get("featureSet") or {}
            if named.get("namespace") == self.ml:
                path = f"{collection('Override')}/{one['metadata']['name']}"
                self.kubernetes.ask("DELETE", path)


def a_sidecar() -> dict[str, Any]:
    """The init container that injection adds, as far as people's commands look at it."""
    return {
        "name": "featward-sidecar",
        "image": "localhost/featward:1",
        "restartPolicy": "Always",
        "ports": [
            {"name": "featward", "containerPort": 15443},
            {"name": "featward-health", "containerPort": 15020},
        ],
    }


@contextmanager
def a_place(kubernetes: Kubernetes) -> Iterator[Place]:
    """With names that nobody else has, and an administrator as user."""
    place = Place(kubernetes, kubernetes.kubeconfig("somebody", "system:masters"))
    place.apply_environment(maxOverride="4h")
    place.apply("BusinessUnit", place.unit, {})
    place.ml = kubernetes.namespace(place.unit)
    place.shop = kubernetes.namespace(place.unit)
    try:
        yield place
    finally:
        place.clear()
