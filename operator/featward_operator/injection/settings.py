"""What the operator's configuration says about injection: one for the process, replaced as a whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["EnvironmentSettings", "InjectionSettings"]

_TAG = re.compile(r":v?(?P<major>[0-9]+)\.(?P<minor>[0-9]+)[^/:@]*(@|$)")
# The first that is told its policy by an operator. A variable that a later one adds must not be rendered for
# an older image, since a sidecar refuses names that it does not know: then a table of them goes here.
_OLDEST_IMAGE = (0, 2)


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """An environment that the operator serves."""

    trust_domain: str
    ca: str
    """The CA's address, ``host:port``."""


@dataclass(frozen=True, eq=False)
class InjectionSettings:
    """Defaults of what is injected. Those of a name like an annotation's give way to it.

    Raises ValueError for an image whose sidecar is too old to be injected.
    """

    image: str
    """With a tag or a digest. Its repository must be the one that the admission policy allows."""
    namespace: str
    """The operator's own, where nothing is injected."""
    operator: str
    """Where sidecars get their policy, ``host:port``."""
    environments: Mapping[str, EnvironmentSettings]
    """By name, such as prod."""
    version: str
    """The operator's own version, which a pod's status tells."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets of a gateway's namespace. Of an injected pod they are its owner's to say."""
    too_old: str = ""
    """Why this cluster has no native sidecars, a sentence such as "the server is 1.32"; empty where it has."""
    run_as_user: int | None = 65532
    """User and group of the sidecar. None leaves them to the cluster, as OpenShift wants it."""
    port: int = 15443
    plain_port: int = 15080
    health_port: int = 15020
    outbound_port: int = 15100
    """The first of a row: each feature set that a pod names gets the next one."""
    cpu_request: str = "50m"
    cpu_limit: str = ""
    """Empty for none: a limit throttles, and the engine makes a thread for each CPU of it."""
    memory_request: str = "64Mi"
    memory_limit: str = "192Mi"
    """Memory volumes count against it: keys, sockets and the snapshot, at most 64 MiB."""
    log_level: str = "info"
    drain_seconds: int = 20
    """Below the 30 s that Kubernetes waits before SIGKILL."""
    record_bytes: int = 64 * 1024 * 1024
    """How long the decision record may grow before it is moved aside; two are kept. A bound of the volume would
    evict the pod when it is passed."""
    outside: frozenset[str] = frozenset({"kube-system"})
    """Namespaces that are never touched, beside our own."""

    def __post_init__(self) -> None:
        found = _TAG.search(self.image)
        if found and (int(found["major"]), int(found["minor"])) < _OLDEST_IMAGE:
            oldest = ".".join(map(str, _OLDEST_IMAGE))
            raise ValueError(
                f"image {self.image!r} is too old: expected the tag {oldest} or a later one"
            )
