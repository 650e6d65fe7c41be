"""The chart's admission objects in a real API server, its users, and webhooks that it can reach.

There is no Helm here: the templates have a handful of placeholders, and one that is not known fails.
"""

import asyncio
import base64
import json
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward_operator.certificates.authority import make_authority
from featward_operator.certificates.leaf import ServingCertificate
from kubernetes_kit import Kubernetes

__all__ = [
    "OWN_NAMESPACE",
    "REPOSITORY",
    "Admitted",
    "grant",
    "injector",
    "install_policies",
    "install_webhook",
    "objects_of",
    "refusal",
    "user",
]

OWN_NAMESPACE = "featward"
REPOSITORY = "localhost/featward"
_TEMPLATES = Path(__file__).parents[2] / "charts" / "featward" / "templates" / "admission"
_VALUES = {
    ".Release.Namespace": OWN_NAMESPACE,
    ".Values.admission.failurePolicy": "Fail",
    ".Values.image.repository": REPOSITORY,
    'include "featward.defaultBusinessUnit" .': "",
}
_OPERATOR = {
    "Impersonate-User": f"system:serviceaccount:{OWN_NAMESPACE}:featward-operator",
    "Impersonate-Group": "system:masters",
}
_LABELS = re.compile(r"^ +labels: \{\{- include \"featward\.labels\" .*\n", re.MULTILINE)
_CONDITIONS = re.compile(r"^\{\{- (if \.Values\.admission\.policies|end) \}\}\n?", re.MULTILINE)
_REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
_WEBHOOKS = f"{_REGISTRATION}/mutatingwebhookconfigurations"
_PLURALS = {
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingAdmissionPolicy": f"{_REGISTRATION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_REGISTRATION}/validatingadmissionpolicybindings",
}


def objects_of(template: str, default_unit: str = "") -> Iterator[dict[str, Any]]:
    """What Helm would make of a template."""
    values = _VALUES | {'include "featward.defaultBusinessUnit" .': default_unit}
    text = _CONDITIONS.sub("", _LABELS.sub("", (_TEMPLATES / template).read_text()))
    filled = re.sub(r"\{\{ (.*?) \}\}", lambda found: values[found[1]], text)
    assert "{{" not in filled
    yield from (one for one in yaml.safe_load_all(filled) if one)


def _apply(kubernetes: Kubernetes, told: dict[str, Any]) -> None:
    path = f"{_PLURALS[told['kind']]}/{told['metadata']['name']}?fieldManager=helm&force=true"
    kubernetes.call("PATCH", path, told, "apply-patch+yaml")


def install_policies(kubernetes: Kubernetes, default_unit: str = "") -> None:
    """The policies, and wait until the server goes by them."""
    if kubernetes.ask("GET", f"/api/v1/namespaces/{OWN_NAMESPACE}")[0] == 404:
        kubernetes.namespace(name=OWN_NAMESPACE)
    for told in objects_of("policies.yaml", default_unit):
        _apply(kubernetes, told)
    probe = {
        "metadata": {"name": "probe", "labels": {"featward.dev/inject": "server"}},
        "spec": {"containers": [{"name": "app", "image": "localhost/app:1"}]},
    }
    namespace = kubernetes.namespace("prod.payments")
    _account(kubernetes, namespace, "default")
    # Those of a template come into force in its order: this is by the first, and that by the last.
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    _until(lambda: "came without" in str(kubernetes.ask("POST", path, probe)))
    service = "/api/v1/namespaces/default/services/kubernetes?dryRun=All"
    _until(
        lambda: "deletes no Service" in str(kubernetes.ask("DELETE", service, headers=_OPERATOR))
    )


def _until(in_force: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not in_force():
        assert time.monotonic() < end, "the policies are not in force"
        time.sleep(0.2)


def install_webhook(kubernetes: Kubernetes, port: int) -> None:
    """The configuration, without a caBundle; an address stands in for the Service, which would need nodes."""
    for told in objects_of("webhook.yaml"):
        for one in told["webhooks"]:
            service = one["clientConfig"]["service"]
            assert (service["name"], service["port"]) == ("featward-operator", 443)
            one["clientConfig"] = {"url": f"https://localhost:{port}{service['path']}"}
        _apply(kubernetes, told)


def _account(kubernetes: Kubernetes, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    status, _ = kubernetes.ask("POST", path, {"metadata": {"name": name}})
    assert status in (201, 409)


@dataclass
class Admitted:
    """A namespace of the tests, and what becomes of pods in it."""

    kubernetes: Kubernetes
    namespace: str

    def account(self, name: str) -> None:
        _account(self.kubernetes, self.namespace, name)

    def create(self, pod: dict[str, Any], *, dry: bool = True) -> tuple[int, Any]:
        """Status and object or Status, as the administrator."""
        query = "?dryRun=All" if dry else ""
        path = f"/api/v1/namespaces/{self.namespace}/pods{query}"
        return self.kubernetes.ask("POST", path, pod)


def grant(kubernetes: Kubernetes, name: str, subject: str, *rules: dict[str, Any]) -> None:
    """A role of this name for a user."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    kubernetes.call("POST", f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "name": subject, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
    }
    kubernetes.call("POST", f"{rbac}/clusterrolebindings", binding)


@asynccontextmanager
async def user(kubernetes: Kubernetes, *rules: dict[str, Any]) -> AsyncIterator[Gateway]:
    """Somebody with a role of these rules and no more."""
    name = f"user-{secrets.token_hex(4)}"
    grant(kubernetes, name, name, *rules)
    async with await Gateway.open(str(kubernetes.kubeconfig(name)), agent="tests") as gateway:
        yield gateway


async def refusal(asked: Any) -> str:
    """Why a request was refused for good; empty where it was taken. Any other answer is an error."""
    try:
        await asked
    except ApiError as error:
        if error.status not in (403, 422):
            raise
        return error.detail
    return ""


@asynccontextmanager
async def injector(kubernetes: Kubernetes, name: str) -> AsyncIterator[list[str]]:
    """Another project's webhook: a container of its own, and a variable in every other one. Yields the names of
    the pods' containers as it was sent them.

    The server calls webhooks by their configurations' names, so that a name is before ours or after.
    """
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        review = await request.json()
        pod = review["request"]["object"]
        patch = _another(pod)
        inits = pod["spec"].get("initContainers") or []
        seen.append(",".join(one["name"] for one in inits))
        response = {"uid": review["request"]["uid"], "allowed": True}
        if patch:
            told = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": told}
        return web.json_response(
            {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
        )

    async with AsyncExitStack() as stack:
        certificate = ServingCertificate(["localhost"], 3600.0)
        authority = make_authority(time.time(), 3600.0)
        certificate.use(authority, time.time())
        port = await stack.enter_async_context(_served(answer, certificate.context))
        client = {"url": f"https://localhost:{port}/", "caBundle": _base64(authority.certificate)}
        await asyncio.to_thread(_register, kubernetes, name, client)
        stack.push_async_callback(
            asyncio.to_thread, kubernetes.call, "DELETE", f"{_WEBHOOKS}/{name}"
        )
        yield seen


def _another(pod: dict[str, Any]) -> list[dict[str, Any]]:
    spec = pod["spec"]
    patch: list[dict[str, Any]] = []
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or []):
            path, env = f"/spec/{group}/{index}/env", container.get("env")
            if not any(one["name"] == "MESH" for one in env or []):
                entry = {"name": "MESH", "value": "on"}
                patch.append(
                    {"op": "add", "path": f"{path}/-", "value": entry}
                    if env
                    else {"op": "add", "path": path, "value": [entry]}
                )
    if not any(one["name"] == "mesh-proxy" for one in spec["containers"]):
        proxy = {
            "name": "mesh-proxy",
            "image": "localhost/mesh:1",
            "env": [{"name": "MESH", "value": "on"}],
        }
        patch.append({"op": "add", "path": "/spec/containers/-", "value": proxy})
    return patch


def _register(kubernetes: Kubernetes, name: str, client: dict[str, str]) -> None:
    hook = {
        "name": f"{name}.mesh.example",
        "clientConfig": client,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ],
        "objectSelector": {"matchLabels": {"mesh.example/inject": "true"}},
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kubernetes.call("POST", _WEBHOOKS, {"metadata": {"name": name}, "webhooks": [hook]})


@asynccontextmanager
async def _served(answer: Any, context: ssl.SSLContext) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
