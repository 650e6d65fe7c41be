"""Feast in pods: as somebody has it who has never heard of featward, and as the Feast operator makes it."""

from typing import Any

from cluster.pods import PYTHON, STAY, container, deployment, template

__all__ = [
    "ACCOUNT",
    "FEAST_PORT",
    "OPERATED",
    "binding",
    "client",
    "feast",
    "feature_set",
    "operated",
    "served_by",
]

FEAST_PORT = 6566
ACCOUNT = "feast"
OPERATED = "feast-sample"
"""What the Feast operator calls Deployment, service account and Service of a FeatureStore `sample`."""
_PORTS = {"registry": 6570, "offline": 8815, "ui": 8888}
_FEATURES = (
    ("driver_hourly_stats:conv_rate", "double", 1),
    ("driver_hourly_stats:acc_rate", "float", 1),
    ("driver_hourly_stats:avg_daily_trips", "int64", 2),
)
# A probe of the kubelet can't reach loopback, so this one runs inside; and again and again, so without urllib.
_ASK_HEALTH = f"""
import socket, sys
with socket.create_connection(("127.0.0.1", {FEAST_PORT}), timeout=4) as server:
    server.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")
    sys.exit(b" 200 " not in server.recv(64))
"""
# The shape is what is tried: three servers that listen everywhere, at a tenth of the price of Feast's own.
_LISTEN = """
import http.server, sys
where, handler = ("0.0.0.0", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler
http.server.ThreadingHTTPServer(where, handler).serve_forever()
"""


def feast(namespace: str, image: str) -> list[dict[str, Any]]:
    """A Deployment `feast` on loopback; all that it has of featward is one label."""
    probe = {"exec": {"command": [PYTHON, "-I", "-S", "-c", _ASK_HEALTH]}}
    server = _server(
        image, "127.0.0.1", readinessProbe={**probe, "periodSeconds": 2, "timeoutSeconds": 5}
    )
    pods = template(ACCOUNT, server, labels={"featward.dev/inject": "server"})
    return deployment(namespace, "feast", pods)


def operated(namespace: str, image: str) -> list[dict[str, Any]]:
    """Account, Deployment and Service as the Feast operator writes them: annotations only, an init container,
    four servers on all addresses, and probes from outside.
    """
    health = {"httpGet": {"path": "/health", "port": FEAST_PORT, "scheme": "HTTP"}}
    online = _server(
        image,
        "0.0.0.0",  # noqa: S104  inside of a pod, as the Feast operator has it
        readinessProbe={**health, "periodSeconds": 2},
        livenessProbe={**health, "initialDelaySeconds": 60, "periodSeconds": 30},
    )
    others = [
        container(
            name,
            image,
            PYTHON,
            "-c",
            _LISTEN,
            str(port),
            ports=[{"name": name, "containerPort": port, "protocol": "TCP"}],
            readinessProbe={"tcpSocket": {"port": port}, "periodSeconds": 5},
            workingDir="/tmp",  # noqa: S108  a container's own
        )
        for name, port in _PORTS.items()
    ]
    pods = template(
        OPERATED,
        others[0],
        online,
        *others[1:],
        labels={"feast.dev/name": "sample", "feast.dev/service-type": "online"},
        annotations={"featward.dev/inject": "server"},
        initContainers=[container("feast-init", image, PYTHON, "-c", "print('feast init')")],
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{OPERATED}-online", "namespace": namespace},
        "spec": {
            "selector": {"feast.dev/name": "sample"},
            "ports": [{"name": "http", "port": 80, "targetPort": FEAST_PORT}],
        },
    }
    return [*deployment(namespace, OPERATED, pods), service]


def client(
    namespace: str, name: str, image: str, feature_sets: str, **annotations: str
) -> list[dict[str, Any]]:
    """A Deployment with an account of its own, whose app waits to be told what to ask."""
    pods = template(
        name,
        container("app", image, PYTHON, "-c", STAY),
        labels={"featward.dev/inject": "client"},
        annotations={"featward.dev/feature-sets": feature_sets, **annotations},
    )
    return deployment(namespace, name, pods)


def feature_set(namespace: str, name: str, serving: dict[str, Any]) -> dict[str, Any]:
    """Of the demo's rows; in enforce."""
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "version": "1.0.0",
            "owner": {"team": "driver-ml", "contact": "driver-ml@acme.example"},
            "serving": serving,
            "entities": [{"name": "driver_id", "type": "int64"}],
            "features": [
                {"name": name, "type": kind, "sensitivity": sensitivity}
                for name, kind, sensitivity in _FEATURES
            ],
        },
    }


def served_by(account: str) -> dict[str, Any]:
    """What a FeatureSet says that pods of a service account serve, with Feast at its usual place."""
    return {
        "workload": {"serviceAccount": account},
        "endpoints": [{"adapter": "feast-http/v1", "host": "127.0.0.1", "port": FEAST_PORT}],
    }


def binding(
    namespace: str, name: str, of: str, subject: dict[str, Any], *features: str
) -> dict[str, Any]:
    """Grants columns of `driver_hourly_stats`."""
    return {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "FeatureBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "subjects": [subject],
            "featureSet": {"name": of},
            "features": [f"driver_hourly_stats:{one}" for one in features],
            "purpose": "online-pricing",
            "expires": "2027-03-31",
        },
    }


def _server(image: str, host: str, **probes: Any) -> dict[str, Any]:
    serve = ("serve", "--host", host, "--port", str(FEAST_PORT), "--registry_ttl_sec", "3600")
    made = container(
        "online",
        image,
        PYTHON,
        "-m",
        "feast.cli.cli",
        *serve,
        workingDir="/opt/feast-repository",
        ports=[{"name": "online", "containerPort": FEAST_PORT, "protocol": "TCP"}],
        **probes,
    )
    folders = {"PYTHONPATH": "/opt/feast", "XDG_RUNTIME_DIR": "/tmp"}  # noqa: S108  a container's own
    made["env"] = [*made["env"], *({"name": key, "value": value} for key, value in folders.items())]
    return made
