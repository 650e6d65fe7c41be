"""Every name that injection reads or writes: labels, annotations, containers, volumes, ports, variables.

Users, charts, admission policies and other tools depend on them; docs/kubernetes.md lists them.
"""

import re
from hashlib import sha256

__all__ = [
    "ANNOTATIONS",
    "ASKED",
    "CONTAINER",
    "ENABLED",
    "FALSE",
    "HEALTH_PORT",
    "IDENTITY_FOLDER",
    "IDENTITY_VOLUME",
    "INJECT",
    "INJECTED",
    "INJECTION",
    "OUR_VARIABLE",
    "PLAIN_PORT",
    "PREFIX",
    "PROTECTION",
    "RECORD_FOLDER",
    "RECORD_VOLUME",
    "RUN_FOLDER",
    "RUN_VOLUME",
    "SERVER",
    "SERVER_PORT",
    "SOCKET_FOLDER",
    "SOCKET_VARIABLE",
    "SOCKET_VOLUME",
    "STATUS",
    "SUSPENDED",
    "TRUST_MAP",
    "VOLUMES",
    "server_label",
    "service_name",
    "url_variable",
]

PREFIX = "featward.dev/"

INJECT = f"{PREFIX}inject"
"""Label or annotation of a pod: who asks, and for what."""
ASKED = ("server", "client")
FALSE = "false"
"""The word with which a pod says that it wants no sidecar."""

INJECTION = f"{PREFIX}injection"
"""Label of a namespace: ``enabled`` lets its pods ask by annotation."""
ENABLED = "enabled"
PROTECTION = f"{PREFIX}protection"
"""Label of a namespace: ``suspended`` is the way out when nothing else works."""
SUSPENDED = "suspended"

INJECTED = f"{PREFIX}injected"
"""Label that we set: as what the pod was injected."""
SERVER = f"{PREFIX}server"
"""Label that we set on servers, which the Service of their service account selects."""
STATUS = f"{PREFIX}status"
"""Annotation that we set: version, template and reason, as JSON."""

ANNOTATIONS = tuple(
    f"{PREFIX}{name}"
    for name in (
        "feature-sets",
        "upstream",
        "port",
        "plain-port",
        "health-port",
        "outbound-port",
        "cpu-request",
        "cpu-limit",
        "memory-request",
        "memory-limit",
        "log-level",
        "hold-application",
        "plain",
        "image-pull-policy",
        "drain-seconds",
    )
)
"""What a pod may say about its sidecar, beside `INJECT` and `STATUS`; all else of our prefix is a mistake."""

CONTAINER = "featward-sidecar"
SERVER_PORT = "featward"
PLAIN_PORT = "featward-plain"
HEALTH_PORT = "featward-health"

RUN_VOLUME = "featward-run"
RUN_FOLDER = "/var/run/featward"
"""Memory: sockets and the last good snapshot. The state folder is below it, since a mount is not 0700."""
IDENTITY_VOLUME = "featward-identity"
IDENTITY_FOLDER = "/var/run/secrets/featward"
"""The projected token, and the digests of the roots that it may be shown to."""
RECORD_VOLUME = "featward-record"
RECORD_FOLDER = "/var/run/featward-record"
"""On disk, of servers: one line a decision."""
SOCKET_VOLUME = "featward-socket"
SOCKET_FOLDER = "/var/run/featward-socket"
"""Memory, of clients, seen by the app as well: the Workload API. Whoever is in the pod may use it."""
VOLUMES = (RUN_VOLUME, IDENTITY_VOLUME, RECORD_VOLUME, SOCKET_VOLUME)

TRUST_MAP = "featward-trust"
"""ConfigMap in each namespace with a pod of ours: the roots at first contact."""

SOCKET_VARIABLE = "SPIFFE_ENDPOINT_SOCKET"
OUR_VARIABLE = "FEATWARD_"

_PLAIN_NAME = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
# With "-featward" behind it still a label of DNS, of at most 63.
_LONGEST = 54
_KEPT = 45


def server_label(service_account: str) -> str:
    """What servers of this service account are labelled with, and what their Service is called after.

    Names of service accounts may have dots, begin with a digit and be longer than a Service's name may be: of
    those it is what is left, with a digest so that no two are one.
    """
    if len(service_account) <= _LONGEST and _PLAIN_NAME.fullmatch(service_account):
        return service_account
    digest = sha256(service_account.encode()).hexdigest()[:8]
    safe = re.sub("[^a-z0-9]+", "-", service_account).strip("-")
    safe = safe if safe[:1].isalpha() else f"sa-{safe}"
    return f"{safe[:_KEPT].rstrip('-')}-{digest}"


def service_name(service_account: str) -> str:
    """The Service on which servers of this service account are called."""
    return f"{server_label(service_account)}-featward"


def url_variable(feature_set: str) -> str:
    """``ml/driver-stats`` is announced to the app in ``FEATWARD_ML_DRIVER_STATS_URL``."""
    return f"{OUR_VARIABLE}{re.sub('[-./]', '_', feature_set).upper()}_URL"
