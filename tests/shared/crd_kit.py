"""Our kinds at a real API server: the definitions put there, and objects tried without being kept."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from featward.crds import GROUP, VERSION, definition, names_of
from featward.crds.definitions import KINDS
from kubernetes_kit import Kubernetes

__all__ = ["DEFINITIONS", "Answer", "apply", "collection", "install", "tried"]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ESTABLISHED_SECONDS = 30.0

Answer = tuple[int, Any]


def install(kubernetes: Kubernetes) -> None:
    """Every definition, in use when this returns. Who shares the server may have put them there before."""
    for kind in KINDS:
        status, answer = kubernetes.ask("POST", DEFINITIONS, definition(kind))
        assert status in (201, 409), answer
    end = time.monotonic() + _ESTABLISHED_SECONDS
    for kind in KINDS:
        while not _is_served(kubernetes, kind):
            assert time.monotonic() < end, kubernetes.ask("GET", _path(kind))
            time.sleep(0.05)


def _is_served(kubernetes: Kubernetes, kind: str) -> bool:
    found = kubernetes.call("GET", _path(kind)).get("status", {}).get("conditions", ())
    answers = {one["type"]: one["status"] for one in found}
    return (
        answers.get("Established") == "True" and kubernetes.ask("GET", collection(kind))[0] == 200
    )


def _path(kind: str) -> str:
    return f"{DEFINITIONS}/{names_of(kind).crd}"


def collection(kind: str, namespace: str | None = None) -> str:
    """Where the objects of a kind are."""
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/{VERSION}{inside}/{names_of(kind).plural}"


def tried(kubernetes: Kubernetes, tree: Mapping[str, Any], validation: str = "Strict") -> Answer:
    """What the server says to an object that it is asked to create, and does not."""
    query = urlencode({"dryRun": "All", "fieldValidation": validation})
    namespace = tree["metadata"].get("namespace")
    return kubernetes.ask("POST", f"{collection(tree['kind'], namespace)}?{query}", tree)


def apply(
    kubernetes: Kubernetes,
    tree: Mapping[str, Any],
    manager: str,
    *,
    status: bool = False,
    force: bool = False,
) -> Answer:
    """Server-side apply of an object, or of its status, by a manager of fields."""
    namespace, name = tree["metadata"].get("namespace"), tree["metadata"]["name"]
    path = f"{collection(tree['kind'], namespace)}/{name}{'/status' if status else ''}"
    query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
    return kubernetes.ask("PATCH", f"{path}?{urlencode(query)}", tree, "apply-patch+yaml")
