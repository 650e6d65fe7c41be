"""A webhook server with its certificate, its settings and its metrics, for tests that speak HTTPS to it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from featward_operator.certificates.authority import Authority, make_authority
from featward_operator.certificates.leaf import ServingCertificate
from featward_operator.injection.facts import NamespaceFacts
from featward_operator.webhook.metrics import WebhookMetrics
from featward_operator.webhook.server import WebhookServer
from featward_operator.webhook.serving import PATH, Admission
from injection_kit import SETTINGS, known_namespace

__all__ = ["NAMES", "Webhook", "review_of", "running_webhook"]

NAMES = ("featward-operator.featward.svc", "localhost")


@dataclass
class Webhook:
    """A running one."""

    certificate: ServingCertificate
    authority: Authority
    server: WebhookServer
    registry: CollectorRegistry
    namespaces: dict[str, NamespaceFacts] = field(default_factory=dict)
    slow: float = 0.0
    port: int = 0
    stops: bool = False

    async def facts_of(self, name: str) -> NamespaceFacts | None:
        await asyncio.sleep(self.slow)
        return self.namespaces.get(name)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}{PATH}"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.certificate.decode())

    def series(self) -> dict[str, float]:
        """All series by name and labels."""
        lines = generate_latest(self.registry).decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


@asynccontextmanager
async def running_webhook(life: float = 3600.0) -> AsyncIterator[Webhook]:
    registry = CollectorRegistry()
    certificate = ServingCertificate(NAMES, life)
    authority = make_authority(time.time(), 86400.0)
    certificate.use(authority, time.time())
    known = {name: known_namespace(name) for name in ("ml", "pricing")}
    webhook = Webhook(certificate, authority, None, registry, known)  # type: ignore[arg-type]  # made below
    admission = Admission(lambda: SETTINGS, webhook.facts_of, WebhookMetrics(registry))
    webhook.server = WebhookServer(admission, certificate, lambda: webhook.stops)
    webhook.port = await webhook.server.start(0, "127.0.0.1")
    try:
        yield webhook
    finally:
        await webhook.server.stop()


def review_of(pod: dict[str, Any], namespace: str = "ml", **request: Any) -> bytes:
    """What an API server sends."""
    told = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **request,
    }
    body = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": told}
    return json.dumps(body).encode()
