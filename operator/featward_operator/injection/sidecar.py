"""The sidecar itself: its container, its volumes, and what the app beside it is told.

A native sidecar, so that it is there before the app's init containers and ends after the app, and a Job ends
by itself. It asks for nothing that Pod Security's `restricted` refuses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from featward_operator.injection.annotations import Asked
from featward_operator.injection.decision import Kind
from featward_operator.injection.facts import Facts
from featward_operator.injection.names import (
    CONTAINER,
    HEALTH_PORT,
    IDENTITY_FOLDER,
    IDENTITY_VOLUME,
    PLAIN_PORT,
    RECORD_FOLDER,
    RECORD_VOLUME,
    RUN_FOLDER,
    RUN_VOLUME,
    SERVER_PORT,
    SOCKET_FOLDER,
    SOCKET_VARIABLE,
    SOCKET_VOLUME,
    TRUST_MAP,
    url_variable,
)
from featward_operator.injection.quantities import cpu, memory
from featward_operator.injection.settings import EnvironmentSettings, InjectionSettings

__all__ = ["Made", "sidecar"]

_TOKEN_SECONDS = 3600
_ROOT_FILE = "root.sha256"
_SOCKET = f"{SOCKET_FOLDER}/workload.sock"
_STARTED_WITHIN = 60
# What the Downward API tells: our listeners need the first, the policy stream the others.
_FIELDS = {
    "FEATWARD_POD_IP": "status.podIP",
    "FEATWARD_POD_NAME": "metadata.name",
    "FEATWARD_POD_UID": "metadata.uid",
    "FEATWARD_NODE_NAME": "spec.nodeName",
}


@dataclass(frozen=True, slots=True)
class Made:
    """What is added for one pod, but for labels and annotations."""

    container: dict[str, Any]
    volumes: tuple[dict[str, Any], ...]
    mounts: tuple[dict[str, Any], ...]
    """Of the app's containers."""
    env: tuple[tuple[str, str], ...]
    """Of the app's containers."""


def sidecar(
    kind: Kind,
    asked: Asked,
    environment: EnvironmentSettings,
    facts: Facts,
    settings: InjectionSettings,
) -> Made:
    """Make one."""
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": asked.image_pull_policy,
        "args": ["sidecar", "run"],
        "restartPolicy": "Always",
        "env": [
            *_from_fields(),
            *(_plain(*one) for one in _variables(kind, asked, environment, facts, settings)),
        ],
        "ports": list(_ports(kind, asked)),
        "resources": _resources(asked),
        "securityContext": _security(settings),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": list(_mounts(kind)),
        **_probes(),
    }
    client = kind == "client"
    return Made(
        container,
        tuple(_volumes(kind, environment)),
        ({"name": SOCKET_VOLUME, "mountPath": SOCKET_FOLDER, "readOnly": True},) if client else (),
        tuple(_told(client, asked)),
    )


def _told(client: bool, asked: Asked) -> Iterator[tuple[str, str]]:
    for one in asked.feature_sets:
        yield url_variable(one.name), f"http://127.0.0.1:{one.port}"
    if client:
        yield SOCKET_VARIABLE, f"unix://{_SOCKET}"


def _variables(
    kind: Kind,
    asked: Asked,
    environment: EnvironmentSettings,
    facts: Facts,
    settings: InjectionSettings,
) -> Iterator[tuple[str, str]]:
    """Names of docs/sidecar.md, without their prefix."""
    yield "WORKLOAD", f"{facts.request.namespace}/{facts.service_account}"
    yield "TRUST_DOMAIN", environment.trust_domain
    yield "CA", environment.ca
    yield "OPERATOR", settings.operator
    yield "EVIDENCE", "kubernetes"
    yield "TOKEN_FILE", f"{IDENTITY_FOLDER}/token"
    yield "ROOT_SHA256_FILE", f"{IDENTITY_FOLDER}/{_ROOT_FILE}"
    yield "STATE", f"{RUN_FOLDER}/state"
    yield "HEALTH", f"pod:{asked.health_port}"
    yield "DRAIN_SECONDS", str(_drain(asked, facts))
    yield "LOG_FORMAT", "json"
    yield "LOG_LEVEL", asked.log_level
    if asked.hold_application:
        yield "HOLD", "true"
    if kind == "server":
        yield "SERVER_LISTEN", f"pod:{asked.port}"
        if asked.plain:
            yield "SERVER_PLAIN", f"pod:{asked.plain_port}"
        if asked.upstream:
            yield "SERVER_UPSTREAM", asked.upstream
        yield "RECORD", f"{RECORD_FOLDER}/record.jsonl"
        yield "RECORD_BYTES", str(settings.record_bytes)
    else:
        yield "WORKLOAD_SOCKET", _SOCKET
        yield "WORKLOAD_SOCKET_MODE", "0666"
    if asked.feature_sets:
        row = (f"{one.name}=127.0.0.1:{one.port}" for one in asked.feature_sets)
        yield "OUTBOUND", ",".join(row)


def _drain(asked: Asked, facts: Facts) -> int:
    """Our default may be longer than this pod is given; what it says itself was checked."""
    return max(1, min(asked.drain_seconds, facts.grace_seconds - 1))


def _plain(name: str, value: str) -> dict[str, Any]:
    return {"name": f"FEATWARD_SIDECAR_{name}", "value": value}


def _from_fields() -> Iterator[dict[str, Any]]:
    for name, path in _FIELDS.items():
        yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _ports(kind: Kind, asked: Asked) -> Iterator[dict[str, Any]]:
    listening = {HEALTH_PORT: asked.health_port}
    if kind == "server":
        listening = {SERVER_PORT: asked.port, **listening}
        if asked.plain:
            listening[PLAIN_PORT] = asked.plain_port
    for name, number in listening.items():
        yield {"name": name, "containerPort": number, "protocol": "TCP"}


def _resources(asked: Asked) -> dict[str, dict[str, str]]:
    given = {
        "requests": (asked.cpu_request, asked.memory_request),
        "limits": (asked.cpu_limit, asked.memory_limit),
    }
    found: dict[str, dict[str, str]] = {}
    for key, (processor, bytes_) in given.items():
        amounts = {"cpu": cpu(processor)} if processor else {}
        amounts |= {"memory": memory(bytes_)} if bytes_ else {}
        if amounts:
            found[key] = amounts
    return found


def _security(settings: InjectionSettings) -> dict[str, Any]:
    user = settings.run_as_user
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        **({} if user is None else {"runAsUser": user, "runAsGroup": user}),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _probes() -> dict[str, Any]:
    def probe(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": HEALTH_PORT}, **more}

    return {
        # The app's own containers start after it, so it must not wait for them: not /readyz.
        "startupProbe": probe("/startedz", periodSeconds=1, failureThreshold=_STARTED_WITHIN),
        "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=2),
        "livenessProbe": probe("/livez", periodSeconds=10, failureThreshold=3, timeoutSeconds=5),
    }


def _mounts(kind: Kind) -> Iterator[dict[str, Any]]:
    yield {"name": RUN_VOLUME, "mountPath": RUN_FOLDER}
    yield {"name": IDENTITY_VOLUME, "mountPath": IDENTITY_FOLDER, "readOnly": True}
    if kind == "server":
        yield {"name": RECORD_VOLUME, "mountPath": RECORD_FOLDER}
    else:
        yield {"name": SOCKET_VOLUME, "mountPath": SOCKET_FOLDER}


def _volumes(kind: Kind, environment: EnvironmentSettings) -> Iterator[dict[str, Any]]:
    token = {
        "audience": f"featward.dev/ca/{environment.trust_domain}",
        "expirationSeconds": _TOKEN_SECONDS,
        "path": "token",
    }
    roots = {"name": TRUST_MAP, "items": [{"key": _ROOT_FILE, "path": _ROOT_FILE}]}
    yield {"name": RUN_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    yield {
        "name": IDENTITY_VOLUME,
        "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": roots}]},
    }
    if kind == "server":
        # Without a bound: passing it would evict the pod, and the sidecar keeps its record short by itself.
        yield {"name": RECORD_VOLUME, "emptyDir": {}}
    else:
        yield {"name": SOCKET_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
